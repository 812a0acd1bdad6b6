"""The walker arena: joint targets as actions, proprioception as observation, walking forward as the aim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from mtbench.arena import Outcome
from mtbench.errors import UsageError
from mtbench.physics import Causes, Sensors
from mtbench.task import Task

from . import model as topology

QUANTITIES = ("torso", "up", "velocity", "command", "joints", "beat", "right_foot", "left_foot", "goal", "origin")
"""Hip (m, world frame); torso's upward direction (unit vector); velocity of the centre of mass (m/s); velocity that
is asked for (m/s); root mean square of the joints' speeds (rad/s, first entry); how far the right foot is to be
ahead of the left by the beat (m); ankles (m); the point on the floor that is to be passed (m); zero."""
TORSO, UP, VELOCITY, COMMAND, JOINTS, BEAT, RIGHT_FOOT, LEFT_FOOT, GOAL, ORIGIN = range(len(QUANTITIES))

FALLEN_HEIGHT = 0.65
"""A hip below this share of its nominal height has fallen: knees cannot reach the floor before."""
FALLEN_PITCH = 1.0
"""Radians; a torso that leans further has fallen."""
CADENCE = 1.0
"""Strides of two steps per second, Hz: people walk to about 120 steps a minute. The same for all tasks, so that the
beat does not tell a goal that is hidden; a higher speed means longer steps."""
SPREAD = 0.85
"""How far apart the feet get on the beat, as a share of the step's length: feet do not turn at their furthest."""
_EDITS = ("body_mass", "body_pos", "dof_damping", "geom_friction", "geom_pos", "geom_size")


@struct.dataclass
class Scene:
    """Causes of the model; both legs are alike."""

    torso_mass: Float[Array, ""]
    """kg"""
    leg_mass: Float[Array, 3]
    """Thigh, shin, foot, kg."""
    leg_length: Float[Array, 2]
    """Thigh and shin from joint to joint, metres."""
    foot_friction: Float[Array, ""]
    """Sliding friction of sole and floor."""
    joint_damping: Float[Array, ""]
    """Of hips, knees and ankles, N·m·s/rad."""


@struct.dataclass
class Initial:
    """Distribution of the initial state: the nominal pose, standing at x = 0, with uniform noise."""

    height: Float[Array, ""]
    """Of the hip in the nominal pose, soles on the floor, metres."""
    spread: Float[Array, ""]
    """Half width of the noise on angles (rad) and on velocities (rad/s, m/s)."""


@struct.dataclass
class Goal:
    """What is to be reached."""

    speed: Float[Array, ""]
    """Forward speed that is asked for, m/s."""
    distance: Float[Array, ""]
    """Metres from the start at which the task is done."""
    height: Float[Array, ""]
    """Of the hip in the nominal pose, metres: what counts as upright."""


@dataclass(frozen=True, eq=False)
class Walker:
    """See `mtbench.arena.Arena`."""

    show_goal: bool = True
    iterations: int = 5
    model: mujoco.MjModel = field(init=False)
    _index: _Index = field(init=False, repr=False)

    name = "walker"
    edits = _EDITS
    substeps = topology.SUBSTEPS
    timestep = topology.SUBSTEPS * topology.TIMESTEP
    action_size = len(topology.JOINTS)
    observation_size = 20
    quantities = QUANTITIES

    def __post_init__(self):
        compiled = topology.build(iterations=self.iterations).compile()
        object.__setattr__(self, "model", compiled)
        object.__setattr__(self, "_index", _Index(compiled))

    def causes(self, task: Task) -> Causes:
        """See `Arena.causes`."""
        m, at, scene = self.model, self._index, task.scene
        fields = {name: jnp.asarray(getattr(m, name), jnp.float32) for name in _EDITS}
        half = scene.leg_length / 2
        # [side, segment]: the same numbers for both legs.
        return {
            "body_mass": fields["body_mass"].at[at.torso].set(scene.torso_mass).at[at.legs].set(scene.leg_mass),
            "body_pos": fields["body_pos"].at[at.legs[:, 1:], 2].set(-scene.leg_length),
            "dof_damping": fields["dof_damping"].at[at.dofs].set(scene.joint_damping),
            "geom_friction": fields["geom_friction"].at[at.soles, 0].set(scene.foot_friction),
            "geom_pos": fields["geom_pos"].at[at.bones, 2].set(-half),
            "geom_size": fields["geom_size"].at[at.bones, 1].set(half),
        }

    def initial_state(self, key: jax.Array, task: Task) -> tuple[Array, Array]:
        """See `Arena.initial_state`. The walker stands at x = 0, so that its place is the distance walked."""
        start = task.initial
        noise = start.spread * jax.random.uniform(key, (2, 9), minval=-1.0, maxval=1.0)
        pose = jnp.array([0.0, 0.0, 0.0, *topology.NOMINAL, *topology.NOMINAL])
        # Noise would push soles into the floor: begin a little above it instead.
        lift = 0.3 * start.spread
        qpos = (pose + noise[0]).at[0].set(0.0).at[1].set(start.height + lift)
        return qpos, noise[1]

    def init_carry(self, task: Task, sensors: Sensors) -> tuple[()]:
        """Nothing is remembered."""
        return ()

    def control(self, task: Task, carry: tuple[()], action: Float[Array, 6]) -> tuple[Float[Array, 6], tuple[()]]:
        """Targets of the joints: the nominal pose plus the action, scaled by `model.REACH` (rad)."""
        return jnp.array(topology.NOMINAL * 2) + jnp.array(topology.REACH * 2) * action, carry

    def measure(self, task: Task, sensors: Sensors) -> Float[Array, "10 3"]:
        """See `Arena.measure`; the rows are `QUANTITIES`."""
        pitch = sensors["root_pitch"][0]
        speeds = jnp.concatenate([sensors[f"{name}_velocity"] for name in topology.JOINTS])
        step = task.goal.speed / (2.0 * CADENCE)
        zero = jnp.zeros(())
        return jnp.stack(
            [
                jnp.stack([sensors["root_x"][0], zero, sensors["root_z"][0]]),
                jnp.stack([jnp.sin(pitch), zero, jnp.cos(pitch)]),
                sensors["velocity"],
                jnp.stack([task.goal.speed, zero, zero]),
                jnp.stack([jnp.sqrt((speeds**2).mean()), zero, zero]),
                jnp.stack([SPREAD * step * jnp.sin(_phase(sensors)), zero, zero]),
                sensors["right_foot"],
                sensors["left_foot"],
                jnp.stack([task.goal.distance, zero, zero]),
                jnp.zeros(3),
            ]
        )

    def observe(self, task: Task, sensors: Sensors, carry: tuple[()]) -> tuple[Float[Array, 20], tuple[()]]:
        """Hip height and pitch, six joint angles, velocities of x and of these eight, beat, and speed still missing.

        The beat is the sine and cosine of the phase of the stride. The last number is the target speed less the
        forward speed of the centre of mass (m/s); 0 when goals are hidden. Where the walker is along x is not told:
        the floor is the same everywhere.
        """
        angles = [sensors[name] for name in ("root_z", "root_pitch", *topology.JOINTS)]
        velocities = [sensors[f"{name}_velocity"] for name in (*topology.ROOT, *topology.JOINTS)]
        missing = task.goal.speed - sensors["velocity"][:1] if self.show_goal else jnp.zeros(1)
        phase = _phase(sensors)
        beat = jnp.stack([jnp.sin(phase), jnp.cos(phase)])
        return jnp.concatenate([*angles, *velocities, beat, missing]), carry

    def outcome(self, task: Task, quantities: Float[Array, "10 3"]) -> Outcome:
        """Reward for walking well now; success for having walked far.

        The two differ on purpose. Reward is posture and speed at this moment, so that every step of an episode is
        worth the same, and lies in [0, 1]; success is a distance, which only a walk that lasts can cover, and
        progress is the share of it. A fall ends the episode and is never a success.
        """
        torso, up = quantities[TORSO], quantities[UP]
        fallen = (torso[2] < FALLEN_HEIGHT * task.goal.height) | (up[2] < jnp.cos(FALLEN_PITCH))
        success = (torso[0] >= quantities[GOAL, 0]) & ~fallen
        share = jnp.clip(torso[0] / quantities[GOAL, 0], 0.0, 1.0)
        return Outcome(
            reward=jnp.where(fallen, 0.0, reward(terms(task, quantities))),
            success=success,
            failed=fallen,
            # Short of success never quite 1, also where a walker falls across the line.
            progress=jnp.where(success, 1.0, jnp.minimum(share, 0.999)),
            stage=jnp.zeros((), jnp.int32),
        )

    def dress(self, compiled: mujoco.MjModel, task: Task) -> None:
        """Shows all of the body in a picture of `task`, and the line that is to be passed."""
        compiled.geom_group[:] = 0
        compiled.site_pos[compiled.site("finish").id] = [float(task.goal.distance), 0.0, 0.002]


def terms(task: Task, quantities: Float[Array, "10 3"]) -> dict[str, Float[Array, ""]]:
    """The named parts of the reward, each in [0, 1].

    `upright`: 1 where the torso leans less than 0.2 rad, 0 where it has fallen. `height`: 1 from 90 % of the hip's
    nominal height on, 0 where it has fallen. `speed`: 1 within 10 % of the speed that is asked for, 0 at rest,
    backwards, and at twice that speed. `ease`: 1 where the joints move no faster than in human walking (2 rad/s on
    average), 0 from 8 rad/s on. `rhythm`: 1 where the feet are as far apart as the beat asks, to 10 cm, the right one
    ahead in one half of the stride and the left one in the other.
    """
    lean = jnp.arctan2(jnp.abs(quantities[UP, 0]), quantities[UP, 2])
    height = quantities[TORSO, 2] / task.goal.height
    speed = quantities[VELOCITY, 0] / quantities[COMMAND, 0]
    apart = quantities[RIGHT_FOOT, 0] - quantities[LEFT_FOOT, 0]
    beat = quantities[BEAT, 0]
    return {
        "upright": _tolerance(lean, 0.0, 0.2, FALLEN_PITCH - 0.2),
        "height": _tolerance(height, 0.9, jnp.inf, 0.9 - FALLEN_HEIGHT),
        # Linear, so that the first shuffle forward pays as much as the last tenth of the speed.
        "speed": _tolerance(speed, 0.9, 1.1, 0.9),
        "rhythm": _tolerance(apart - beat, -0.1, 0.1, 0.3),
        "ease": _tolerance(quantities[JOINTS, 0], 0.0, 2.0, 6.0),
    }


def reward(named: Mapping[str, Array]) -> Float[Array, ""]:
    """Posture times a weighted sum: walking while bent double is worth little, however fast."""
    posture = named["upright"] * named["height"]
    # Speed counts most. Without a beat one foot stays in front for ever and the other is brought up to it; without
    # ease the walker trembles forward. Standing is worth two fifths, so that not to fall is learnt first.
    return posture * (0.1 + 0.2 * named["ease"] + named["rhythm"] * (0.2 + 0.5 * named["speed"]))


def _phase(sensors: Sensors) -> Float[Array, ""]:
    """Of the stride, radians."""
    return 2.0 * jnp.pi * CADENCE * sensors["clock"][0]


def _tolerance(value: Array, low: float, high: float, margin: float) -> Float[Array, ""]:
    """1 within [low, high], falling linearly to 0 over `margin` outside."""
    outside = jnp.maximum(jnp.maximum(low - value, value - high), 0.0)
    return jnp.maximum(1.0 - outside / margin, 0.0)


class _Index:
    """Where the parts lie in a compiled model; [side, segment]."""

    def __init__(self, compiled: mujoco.MjModel):
        sides, segments = topology.SIDES, topology.SEGMENTS
        self.torso = compiled.body("torso").id
        self.legs = np.array([[compiled.body(f"{side}_{segment}").id for segment in segments] for side in sides])
        self.bones = np.array([[compiled.geom(f"{side}_{name}").id for name in ("thigh", "shin")] for side in sides])
        self.soles = np.array([compiled.geom(f"{side}_sole").id for side in sides])
        self.dofs = np.array([compiled.joint(name).dofadr[0] for name in topology.JOINTS])


class WalkerKind:
    """See `mtbench.arena.ArenaKind`."""

    name = "walker"
    horizon = 500

    def __call__(self, tasks: Task, *, show_goal: bool = True) -> Walker:
        """The same model for all tasks: they fill no slots."""
        return Walker(show_goal)

    def expert(self, scripts: Sequence[Any]) -> Any:
        """There is no scripted walk.

        Raises:
          UsageError: always.
        """
        raise UsageError("the walker arena has no scripted expert: train a policy instead")


KIND = WalkerKind()
