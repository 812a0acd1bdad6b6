"""Factors of body and ground that families of the quadruped share."""

from __future__ import annotations

from mtbench.task import Factor

BODY = (
    Factor("base_mass", 4.0, 7.0, "kg", "mass of the trunk"),
    Factor("limb_mass", 0.9, 1.1, "1", "masses of the legs, relative to Go1's"),
    Factor("thigh_length", 0.92, 1.08, "1", "hip to knee, relative to Go1's 0.213 m"),
    Factor("shin_length", 0.92, 1.08, "1", "knee to foot, relative to Go1's 0.213 m"),
    Factor("strength", 0.85, 1.15, "1", "stiffness and torque limits of the motors, relative to Go1's"),
    Factor("damping", 0.7, 1.5, "1", "resistance of the joints to motion, relative to Go1's"),
)
FRICTION = Factor("friction", 0.5, 1.2, "1", "sliding friction of the ground")
