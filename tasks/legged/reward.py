"""What a step of a legged robot is worth: named terms in [0, 1], some that must hold and some that are traded."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float

from .rows import RISE, TERMS, Goal

SIGMA = 0.25
"""Variance of the tracking terms, (m/s)² and (rad/s)²: the value of legged_gym (Rudin et al. 2022)."""
LEVEL = 0.35
"""A trunk that leans less than this is upright, radians: slopes tilt it by as much."""
FALLEN = 1.0
"""One that leans more has fallen, radians."""
COLLAPSED = 0.4
"""So has one that is lower above its feet than this share of what is asked for."""
MOVING = 0.1
"""Slower than this, m/s and rad/s, is asked to stand: no feet need to be lifted."""


@struct.dataclass
class Motion:
    """How a robot stands and moves, for one lane."""

    lean: Float[Array, ""]
    """Angle of the trunk's up from the world's, radians."""
    height: Float[Array, ""]
    """Of the trunk above the mean of the feet, metres."""
    velocity: Float[Array, 2]
    """Ahead and to the left, m/s."""
    turning: Float[Array, ""]
    """About the world's up, rad/s."""
    wanted: Float[Array, 3]
    """Velocity ahead, to the left, and turning."""
    astray: Float[Array, ""]
    """Angle from the heading to the next goal, radians."""
    idle: Float[Array, " f"]
    """Seconds since each foot was both lifted and set down."""
    lead: Float[Array, ""]
    """By how much one foot of a biped is ahead of the other on average, metres."""
    change: Float[Array, ""]
    """Mean square change of the action."""
    speed: Float[Array, ""]
    """Root mean square of the joints' speeds, rad/s."""
    to_thing: Float[Array, ""]
    """From the robot to the object, metres."""
    to_goal: Float[Array, ""]
    """From the object to its goal, metres."""


def fallen(goal: Goal, motion: Motion) -> Bool[Array, ""]:
    """Whether the trunk lies, or has sunk between its feet."""
    return (motion.lean > FALLEN) | (motion.height < COLLAPSED * goal.height)


def terms(goal: Goal, motion: Motion, *, ease: tuple[float, float], stride: float) -> dict[str, Float[Array, ""]]:
    """The named parts of the reward.

    Must hold: `upright`, 1 up to `LEVEL`, 0 from `FALLEN`; `height`, 1 from 90 to 115 % of the height that is asked
    for, 0 where the robot has collapsed. Traded: `track`, exp(-‖Δv‖²/σ²) of the velocity, or, towards a goal, the
    share of the speed that is asked for; `turn`, the same of the turning, or of the heading's error; `step`, whether
    every foot has been lifted and set down within a stride, on a biped in front of the other in turn; `smooth` of the
    actions; `ease` of the joints.

    Args:
      goal: of the row.
      motion: now.
      ease: speeds of the joints with ease and with none (`Robot.ease`).
      stride: `Robot.stride`.
    """
    missing = ((motion.velocity - motion.wanted[:2]) ** 2).sum()
    pace = jnp.linalg.norm(motion.wanted[:2])
    ahead = (motion.velocity * motion.wanted[:2]).sum() / jnp.maximum(pace**2, 1e-3)
    risen = jnp.clip(motion.height / goal.height, 0.0, 1.0)
    # The last part is for standing still: paid to who lies, it would keep him there.
    still = _falling(-risen, -0.9, 0.3) * jnp.exp(-missing / SIGMA)
    rising = 0.5 * (1.0 + jnp.cos(motion.lean)) * (0.4 + 0.6 * risen) * (0.7 + 0.3 * still)
    bringing = 0.3 * jnp.exp(-jnp.maximum(motion.to_thing - 0.4, 0.0)) + 0.7 * jnp.exp(-motion.to_goal)
    by_aim = [jnp.exp(-missing / SIGMA), jnp.clip(ahead, 0.0, 1.0), rising, bringing]
    astray = jnp.exp(-(motion.astray**2) / SIGMA)
    turning = jnp.exp(-((motion.turning - motion.wanted[2]) ** 2) / SIGMA)
    moving = (pace > MOVING) | (jnp.abs(motion.wanted[2]) > MOVING)
    steps = _falling(motion.idle, stride, stride).mean() * _falling(jnp.abs(motion.lead), 0.08, 0.2)
    upright = _falling(motion.lean, LEVEL, FALLEN - LEVEL)
    tall = motion.height / goal.height
    height = jnp.minimum(_falling(-tall, -0.9, 0.9 - COLLAPSED), _falling(tall, 1.15, 0.3))
    rise = goal.aim == RISE
    return {
        "upright": jnp.where(rise, 1.0, upright),
        "height": jnp.where(rise, 1.0, height),
        "track": jnp.select([goal.aim == k for k in range(4)], by_aim),
        "turn": jnp.where(rise, 1.0, jnp.where(goal.towards, astray, turning)),
        "step": jnp.where(moving & ~rise, steps, 1.0),
        "smooth": jnp.exp(-motion.change / SIGMA),
        "ease": _falling(motion.speed, ease[0], ease[1] - ease[0]),
    }


def reward(goal: Goal, named: dict[str, Array]) -> Float[Array, ""]:
    """What must hold, times the weighted sum of what is traded: to walk while bent double is worth little."""
    traded = jnp.stack([named[name] for name in TERMS])
    return named["upright"] * named["height"] * (goal.weights * traded).sum()


def _falling(value: Array, end: float, over: float) -> Array:
    """1 up to `end`, falling linearly to 0 over so much more."""
    return jnp.clip(1.0 - (value - end) / over, 0.0, 1.0)
