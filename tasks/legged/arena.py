"""The legged arenas: joint targets as actions, proprioception and the ground ahead as observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from mtbench.arena import Outcome
from mtbench.errors import UsageError
from mtbench.physics import Causes, Command, Sensors
from mtbench.task import Task

from .. import rotations
from . import model as topology
from . import observation
from . import reward as rewards
from . import terrain as grounds
from .index import Index
from .oracle import Oracle, Script
from .robots import HUMANOID, QUADRUPED, WALKER, Robot
from .robots.robot import grid
from .rows import COURSE, GOALS, OBJECT, RISE, TRACK

FILTER = 0.4
"""Seconds over which velocity is averaged before it is compared with the command: a gait sways."""
RISING = 3.0
"""How much farther an action moves a joint's target when standing up: to roll over takes more than a stride."""
LIFTED, PLANTED = 0.03, 0.012
"""Metres above the ground from which on a foot is lifted, and up to which it is set down."""
TALL = 0.88
"""Share of the height asked for below which a trunk keeps no velocity."""
TOUCH = 0.005
"""Metres by which the ground may be above the soles at the start."""
DEPTH = 0.5
"""Metres: what the height scan tells at most, above and below the robot's feet."""
_EDITS = (
    "actuator_biasprm",
    "actuator_forcerange",
    "actuator_gainprm",
    "body_mass",
    "body_pos",
    "dof_damping",
    "geom_friction",
    "geom_pos",
    "geom_quat",
    "geom_size",
)


@struct.dataclass
class Carry:
    """What a legged arena remembers from step to step."""

    elapsed: Int[Array, ""]
    action: Float[Array, " n"]
    change: Float[Array, ""]
    """Mean square change of the action in the last step."""
    average: Float[Array, 3]
    """Velocity ahead and left, and turning, averaged over `FILTER`."""
    lifted: Float[Array, " f"]
    """Seconds since each foot was above `LIFTED`; `planted` likewise below `PLANTED`."""
    planted: Float[Array, " f"]
    lead: Float[Array, ""]
    """By how much the first foot of a biped is ahead of the second, averaged over two strides, metres."""
    kept: Float[Array, ""]
    """Steps in which the aim held: all of them (`TRACK`), or the last in a row (`RISE`)."""
    reached: Int[Array, ""]
    """Goals reached."""
    done: Bool[Array, ""]
    """Whether the object has been at its goal."""


@dataclass(frozen=True, eq=False)
class Legged:
    """See `mtbench.arena.Arena`."""

    robot: Robot
    boxes: int = 0
    rounds: int = 0
    thing: bool = False
    show_goal: bool = True
    iterations: int = 5
    model: mujoco.MjModel = field(init=False)
    _index: Index = field(init=False, repr=False)

    edits = _EDITS
    quantities = observation.QUANTITIES

    def __post_init__(self):
        spec = topology.build(self.robot, self.boxes, self.rounds, self.thing, iterations=self.iterations)
        compiled = spec.compile()
        object.__setattr__(self, "model", compiled)
        object.__setattr__(self, "_index", Index(compiled, self.robot, self.boxes, self.rounds, self.thing))

    @property
    def name(self) -> str:
        """The robot's."""
        return self.robot.name

    @property
    def substeps(self) -> int:
        """See `Arena.substeps`."""
        return self.robot.substeps

    @property
    def timestep(self) -> float:
        """See `Arena.timestep`."""
        return self.robot.substeps * self.robot.timestep

    @property
    def action_size(self) -> int:
        """See `Arena.action_size`."""
        return len(self.robot.joints)

    @property
    def observation_size(self) -> int:
        """See `Arena.observation_size`."""
        return observation.size(self.robot)

    def causes(self, task: Task) -> Causes:
        """See `Arena.causes`."""
        m, at, scene = self.model, self._index, task.scene
        ground = grounds.cut(task.goal.terrain, self.boxes, self.rounds)
        f = {name: jnp.asarray(getattr(m, name), jnp.float32) for name in _EDITS}
        for part, scale in zip(at.segments, scene.segment_scale, strict=True):
            f["geom_pos"] = f["geom_pos"].at[part.geoms, 2].multiply(scale)
            f["geom_size"] = f["geom_size"].at[part.bones, 1].multiply(scale)
            f["body_pos"] = f["body_pos"].at[part.children, 2].multiply(scale)
        share = scene.payload / scene.base_mass
        half = jnp.cbrt(jnp.maximum(share * at.trunk_volume / (8 * 1.3 * 0.9 * 0.6), 1e-9))
        f["geom_size"] = f["geom_size"].at[at.payload].set(half * jnp.array([1.3, 0.9, 0.6]))
        f["body_mass"] = (
            f["body_mass"].at[at.base].set(scene.base_mass + scene.payload).at[at.limbs].multiply(scene.limb_mass)
        )
        f["dof_damping"] = f["dof_damping"].at[at.dofs].multiply(scene.damping)
        for name in ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange"):
            f[name] = f[name] * scene.strength[:, None]
        f["geom_friction"] = f["geom_friction"].at[at.floor, 0].set(ground.floor_friction)
        if self.boxes:
            f["geom_pos"] = f["geom_pos"].at[at.boxes].set(ground.box_pos)
            f["geom_size"] = f["geom_size"].at[at.boxes].set(ground.box_size)
            f["geom_quat"] = f["geom_quat"].at[at.boxes].set(ground.box_quat)
            f["geom_friction"] = f["geom_friction"].at[at.boxes, 0].set(ground.box_friction)
        if self.rounds:
            f["geom_pos"] = f["geom_pos"].at[at.rounds].set(ground.round_pos)
            f["geom_size"] = f["geom_size"].at[at.rounds, :2].set(ground.round_size)
            f["geom_quat"] = f["geom_quat"].at[at.rounds].set(jnp.array([1.0, 0.0, 0.0, 0.0]))
            f["geom_friction"] = f["geom_friction"].at[at.rounds, 0].set(ground.floor_friction)
        if self.thing:
            thing, speck = scene.thing, jnp.full(3, 1e-3)
            f["geom_size"] = f["geom_size"].at[at.ball].set(jnp.where(thing.ball, thing.size, speck))
            f["geom_size"] = f["geom_size"].at[at.crate].set(jnp.where(thing.ball, speck, thing.size))
            f["geom_pos"] = f["geom_pos"].at[jnp.array([at.ball, at.crate])].set(0.0)
            f["geom_quat"] = f["geom_quat"].at[at.crate].set(jnp.array([1.0, 0.0, 0.0, 0.0]))
            f["body_mass"] = f["body_mass"].at[at.thing].set(thing.mass)
            # So large that an object that no one wants stays where it is parked.
            f["dof_damping"] = f["dof_damping"].at[at.thing_dofs].set(jnp.where(thing.used, 0.05, 1e6))
        return f

    def initial_state(self, key: jax.Array, task: Task) -> tuple[Array, Array]:
        """See `Arena.initial_state`: the stance, at rest but for the noise."""
        start, at, robot = task.initial, self._index, self.robot
        # Of the joints alone: a task begins the same whether or not the arena holds an object for others.
        noise = jax.random.uniform(key, (2, len(at.dofs) + 1), minval=-1.0, maxval=1.0)
        qpos = jnp.asarray(self.model.qpos0, jnp.float32)
        qpos = qpos.at[at.qpos].set(jnp.array(robot.stance) + start.spread * noise[0, : len(at.qpos)])
        qvel = jnp.zeros(self.model.nv).at[at.dofs].set(start.spread * noise[1, : len(at.dofs)])
        if robot.planar:
            # Noise would push soles into the ground: begin a little above it instead.
            root = jnp.stack([start.base[0], start.base[2] + 0.3 * start.spread, start.pitch])
        else:
            yaw = start.yaw_spread * noise[0, -1]
            tilted = rotations.times(rotations.about(1, start.pitch), rotations.about(0, start.roll))
            turned = rotations.times(rotations.about(2, yaw), tilted)
            lifted = start.base + 0.1 * start.spread * jnp.array([0.0, 0.0, 1.0])
            root = jnp.concatenate([lifted, turned])
        qpos = qpos.at[at.root_qpos].set(root)
        if self.thing:
            qpos = qpos.at[at.thing_qpos[:3]].set(start.thing)
        return qpos, qvel

    def init_carry(self, task: Task, sensors: Sensors) -> Carry:
        """See `Arena.init_carry`."""
        joints, feet = len(self.robot.joints), len(self.robot.feet)
        zero = jnp.zeros(())
        return Carry(
            elapsed=jnp.zeros((), jnp.int32),
            action=jnp.zeros(joints),
            change=zero,
            average=jnp.zeros(3),
            lifted=jnp.zeros(feet),
            planted=jnp.zeros(feet),
            lead=zero,
            kept=zero,
            reached=jnp.zeros((), jnp.int32),
            done=jnp.zeros((), bool),
        )

    def control(self, task: Task, carry: Carry, action: Float[Array, " n"]) -> tuple[Command, Carry]:
        """Targets of the joints, the stance plus the action scaled by `Robot.reach`, and the pushes that are due."""
        reach = jnp.where(task.goal.aim == RISE, RISING, 1.0) * jnp.array(self.robot.reach)
        target = jnp.array(self.robot.stance) + reach * action
        pushes = task.goal.pushes
        # In whole control steps: sums of seconds would be late by one now and then.
        first, last = (jnp.round(t / self.timestep) for t in (pushes.start, pushes.start + pushes.duration))
        due = (carry.elapsed >= first) & (carry.elapsed < last)
        push = (due[:, None] * pushes.force).sum(0)
        force = jnp.zeros(self.model.nv).at[self._index.slides].set(push[jnp.array(self._index.pushed)])
        change = ((action - carry.action) ** 2).mean()
        return Command(target, force), replace(carry, action=action, change=change)

    def remember(self, task: Task, carry: Carry, sensors: Sensors) -> Carry:
        """See `Arena.remember`."""
        goal, motion = task.goal, self._motion(task, sensors, carry)
        blend = self.timestep / FILTER
        now = jnp.concatenate([motion.velocity, motion.turning[None]])
        average = carry.average + blend * (now - carry.average)
        above = self._feet_above(task, sensors)
        lead = carry.lead
        if self.robot.biped:
            left, right = (_turned_back(sensors, sensors[foot])[0] for foot in self.robot.feet)
            lead = lead + self.timestep / (2 * self.robot.stride) * (left - right - lead)

        error = jnp.abs(average - motion.wanted)
        # Who sinks into a wide split withstands pushes without a step.
        tall = motion.height > TALL * goal.height
        tracks = tall & (jnp.linalg.norm(error[:2]) < goal.tolerance[0]) & (error[2] < goal.tolerance[1])
        stands = (motion.lean < rewards.LEVEL) & (motion.height > 0.8 * goal.height)
        steady = stands & (jnp.linalg.norm(motion.velocity) < 0.3)
        kept = jnp.select(
            [goal.aim == TRACK, goal.aim == RISE],
            [carry.kept + tracks, jnp.where(steady, carry.kept + 1.0, 0.0)],
            carry.kept,
        )
        target = goal.points[carry.reached]
        near = jnp.linalg.norm((sensors["position"] - target)[:2]) < goal.radius
        # Above the goal's ground, not under it, nor in a pit beside it.
        level = jnp.abs(sensors["position"][2] - target[2] - goal.height) < 0.5 * goal.height
        passes = (goal.aim == COURSE) & near & level & (carry.reached < goal.count)
        return replace(
            carry,
            elapsed=carry.elapsed + 1,
            average=average,
            lifted=jnp.where(above > LIFTED, 0.0, carry.lifted + self.timestep),
            planted=jnp.where(above < PLANTED, 0.0, carry.planted + self.timestep),
            lead=lead,
            kept=kept,
            reached=jnp.minimum(carry.reached + passes, goal.count),
            done=carry.done | ((goal.aim == OBJECT) & (motion.to_goal < goal.radius)),
        )

    def measure(self, task: Task, sensors: Sensors, carry: Carry) -> Float[Array, "10 3"]:
        """See `Arena.measure`; the rows are `QUANTITIES`."""
        goal, motion = task.goal, self._motion(task, sensors, carry)
        named = self.terms(task, motion)
        up = rotations.matrix(sensors["orientation"])[:, 2]
        return jnp.stack(
            [
                sensors["position"],
                up,
                _turned_back(sensors, sensors["velocity"]),
                sensors["turning"],
                motion.wanted,
                *self._ways(task, sensors, carry),
                jnp.stack([motion.height, goal.height, self._progress(task, sensors, carry, motion)]),
                self._thing(sensors)[0],
                jnp.stack([named["track"], named["turn"], named["step"]]),
            ]
        )

    def observe(self, task: Task, sensors: Sensors, carry: Carry) -> Float[Array, " o"]:
        """The parts of `parts` one after the other; those that tell the goal are zeros where goals are hidden."""
        parts = self.parts(task, sensors, carry)
        return jnp.concatenate(
            [part * float(self.show_goal or name not in observation.GOAL_PARTS) for name, part in parts.items()]
        )

    def parts(self, task: Task, sensors: Sensors, carry: Carry) -> dict[str, Float[Array, " k"]]:
        """What is seen, by name; a planar robot has no entries along y.

        `height` of the trunk above the mean foot, less the stance's; `gravity`'s direction and `turning` (rad/s / 4)
        in the trunk's frame; `velocity` in its heading; `angles` from the stance, `speeds` (rad/s / 20), the last
        `action`; `feet`, height of each above the ground (dm); `scan`, height of the ground at `Robot.scan` above the
        mean foot; `thing`, the object's place and velocity in the robot's heading; `command`, velocity and turning
        that are asked for, and the height, relative to the stance's; `targets`, the next two goals in the heading
        (units of `SIGHT`).
        """
        robot, motion = self.robot, self._motion(task, sensors, carry)
        flat = robot.planar
        xyz, axis = ([0, 2], [1]) if flat else ([0, 1, 2], [0, 1, 2])
        rotation = rotations.matrix(sensors["orientation"])
        position = sensors["position"]
        seen = {
            "height": (motion.height - self._index.stance)[None],
            "gravity": -rotation[2][jnp.array(xyz)],
            "turning": 0.25 * (rotation.T @ sensors["turning"])[jnp.array(axis)],
            "velocity": _turned_back(sensors, sensors["velocity"])[jnp.array(xyz)],
            "angles": self._joints(sensors, "angle") - jnp.array(robot.stance),
            "speeds": 0.05 * self._joints(sensors, "speed"),
            "action": carry.action,
            "feet": 10.0 * jnp.clip(self._feet_above(task, sensors), 0.0, 0.3),
            "scan": self._scan(task, sensors),
        }
        if not robot.biped:
            place, velocity = self._thing(sensors)
            relative = observation.near(_turned_back(sensors, place - position)[:2])
            # One that no one wants is parked: it must not serve as a compass.
            wanted = self.thing & (task.goal.aim == OBJECT)
            seen["thing"] = wanted * jnp.concatenate([relative, _turned_back(sensors, velocity)[:2]])
        return seen | observation.goal_parts(robot, motion.wanted, task.goal.height, self._ways(task, sensors, carry))

    def terms(self, task: Task, motion: rewards.Motion) -> dict[str, Float[Array, ""]]:
        """The named parts of the reward, see `reward.terms`."""
        return rewards.terms(task.goal, motion, ease=self.robot.ease, stride=self.robot.stride)

    def outcome(self, task: Task, sensors: Sensors, carry: Carry) -> Outcome:
        """Reward for moving well now; success for what only a whole episode of it brings.

        A velocity must have been kept for so many steps, all goals passed, the object brought, or the robot stand for
        so long. A fall, or a trunk below the course, ends the episode without success, except where to lie is how a
        task begins.
        """
        goal, motion = task.goal, self._motion(task, sensors, carry)
        failed = (rewards.fallen(goal, motion) & (goal.aim != RISE)) | (sensors["position"][2] < goal.lowest)
        progress = self._progress(task, sensors, carry, motion)
        success = (progress >= 1.0) & ~failed
        reward = rewards.reward(goal, self.terms(task, motion))
        return Outcome(
            reward=jnp.where(failed, 0.0, reward),
            success=success,
            failed=failed,
            progress=jnp.where(success, 1.0, jnp.minimum(progress, 0.999)),
            stage=carry.reached,
        )

    def dress(self, compiled: mujoco.MjModel, task: Task) -> None:
        """Shows all of the body, colours slippery ground and marks the goals."""
        goal = task.goal
        for number in range(self.boxes):
            slippery = np.asarray(goal.terrain.box_friction)[number] < 0.4
            compiled.geom_matid[self._index.boxes[number]] = compiled.material("ice" if slippery else "stone").id
        compiled.geom_group[:] = 0
        # A capsule without a straight part is not drawn.
        compiled.geom_size[self._index.rounds, 1] = np.maximum(compiled.geom_size[self._index.rounds, 1], 1e-4)
        for number in range(int(goal.count)):
            compiled.site_pos[compiled.site(f"goal_{number}").id] = np.asarray(goal.points)[number] + [0, 0, 0.005]

    def _progress(self, task: Task, sensors: Sensors, carry: Carry, motion: rewards.Motion) -> Float[Array, ""]:
        goal = task.goal
        lasted = carry.kept / goal.steps
        places = jnp.concatenate([task.initial.base[None, :2], goal.points[:, :2]])
        leg = jnp.linalg.norm(places[carry.reached + 1] - places[carry.reached])
        left = jnp.linalg.norm(sensors["position"][:2] - goal.points[carry.reached, :2])
        under_way = jnp.clip(1.0 - left / jnp.maximum(leg, 0.1), 0.0, 0.99) * (carry.reached < goal.count)
        passed = (carry.reached + under_way) / jnp.maximum(goal.count, 1)
        far = jnp.linalg.norm((task.initial.thing - goal.points[0])[:2])
        brought = jnp.where(carry.done, 1.0, jnp.clip(1.0 - motion.to_goal / jnp.maximum(far, 0.1), 0.0, 0.999))
        return jnp.select([goal.aim == k for k in range(4)], [lasted, passed, lasted, brought]).clip(0.0, 1.0)

    def _motion(self, task: Task, sensors: Sensors, carry: Carry) -> rewards.Motion:
        goal, position = task.goal, sensors["position"]
        up = rotations.matrix(sensors["orientation"])[2, 2]
        velocity = _turned_back(sensors, sensors["velocity"])[:2]
        place, _ = self._thing(sensors)
        target = jnp.where(goal.aim == OBJECT, _behind(place, goal.points[0], position), goal.points[carry.reached])
        way = _turned_back(sensors, target - position)[:2]
        distance = jnp.linalg.norm(way)
        direction = way / jnp.maximum(distance, 1e-3)
        astray = jnp.arctan2(way[1], way[0])
        towards = jnp.concatenate([goal.speed * direction, jnp.clip(2.0 * astray, -1.0, 1.0)[None]])
        wanted = jnp.where(goal.towards, towards, goal.command)
        if self.robot.planar:
            wanted, astray = wanted.at[1:].set(0.0), jnp.zeros(())
        return rewards.Motion(
            lean=jnp.arccos(jnp.clip(up, -1.0, 1.0)),
            height=position[2] - self._soles(sensors)[:, 2].mean(),
            velocity=velocity,
            turning=sensors["turning"][2],
            wanted=wanted,
            astray=astray,
            idle=jnp.maximum(carry.lifted, carry.planted),
            lead=carry.lead,
            change=carry.change,
            speed=jnp.sqrt((self._joints(sensors, "speed") ** 2).mean()),
            to_thing=jnp.linalg.norm((place - position)[:2]),
            to_goal=jnp.linalg.norm((place - goal.points[0])[:2]),
        )

    def _ways(self, task: Task, sensors: Sensors, carry: Carry) -> list[Float[Array, 3]]:
        """To the next goal and to the one after it, in the robot's heading."""
        goal = task.goal
        targets = [goal.points[jnp.minimum(carry.reached + k, GOALS - 1)] for k in range(2)]
        return [_turned_back(sensors, target - sensors["position"]) * goal.towards for target in targets]

    def _joints(self, sensors: Sensors, what: str) -> Float[Array, " n"]:
        return jnp.concatenate([sensors[f"{joint}_{what}"] for joint in self.robot.joints])

    def _thing(self, sensors: Sensors) -> tuple[Float[Array, 3], Float[Array, 3]]:
        if not self.thing:
            return jnp.zeros(3), jnp.zeros(3)
        return sensors["thing"], sensors["thing_velocity"]

    def _ground(self, task: Task, points: Float[Array, "p 2"]) -> Float[Array, " p"]:
        return grounds.height(grounds.cut(task.goal.terrain, self.boxes, self.rounds), points)

    def _soles(self, sensors: Sensors) -> Float[Array, "f 3"]:
        """Where the feet would stand."""
        return jnp.stack([sensors[foot] for foot in self.robot.feet]) - jnp.array([0.0, 0.0, self.robot.sole])

    def _feet_above(self, task: Task, sensors: Sensors) -> Float[Array, " f"]:
        soles = self._soles(sensors)
        return soles[:, 2] - self._ground(task, soles[:, :2])

    def _scan(self, task: Task, sensors: Sensors) -> Float[Array, " p"]:
        ahead = _heading(sensors)
        left = jnp.stack([-ahead[1], ahead[0]])
        grid = jnp.asarray(self.robot.scan)
        points = sensors["position"][:2] + grid[:, :1] * ahead + grid[:, 1:] * left
        return jnp.clip(self._ground(task, points) - self._soles(sensors)[:, 2].mean(), -DEPTH, DEPTH) / DEPTH


def _behind(thing: Float[Array, 3], goal: Float[Array, 3], robot: Float[Array, 3]) -> Float[Array, 3]:
    """Where to go to push an object to its goal: into it from behind, around it from elsewhere."""
    way = (goal - thing)[:2] / jnp.maximum(jnp.linalg.norm((goal - thing)[:2]), 1e-3)
    seen = (thing - robot)[:2] / jnp.maximum(jnp.linalg.norm((thing - robot)[:2]), 1e-3)
    aligned = (way * seen).sum()
    return thing.at[:2].add(-0.5 * (1.0 - aligned) * way)


def _heading(sensors: Sensors) -> Float[Array, 2]:
    """Unit vector ahead, seen from above."""
    forward = rotations.matrix(sensors["orientation"])[:2, 0]
    return forward / jnp.maximum(jnp.linalg.norm(forward), 1e-3)


def _turned_back(sensors: Sensors, vector: Float[Array, 3]) -> Float[Array, 3]:
    """A vector of the world in the robot's heading: ahead, left, up."""
    ahead = _heading(sensors)
    return jnp.stack([ahead @ vector[:2], ahead[0] * vector[1] - ahead[1] * vector[0], vector[2]])


@partial(jax.jit, static_argnums=0)
def _start(robot: Robot, task: Task) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How high soles stand above the ground at the start, and how high a roof hangs above the trunk's origin."""
    length, width, _ = robot.room
    points = task.initial.base[:2] + grid(-length, length, width, 14, 9)
    ground, base = task.goal.terrain, task.initial.base[2]
    soles = base - robot.height(task.scene.segment_scale)
    return soles - grounds.height(ground, points).max(), grounds.underside(ground, points).min() - base


@dataclass(frozen=True)
class LeggedKind:
    """See `mtbench.arena.ArenaKind`."""

    robot: Robot
    horizon: int

    @property
    def name(self) -> str:
        """The robot's."""
        return self.robot.name

    def __call__(self, tasks: Task, *, show_goal: bool = True) -> Legged:
        """Compiles the slots that stacked tasks use."""
        boxes, rounds = grounds.slots_used(tasks.goal.terrain)
        return Legged(self.robot, boxes, rounds, bool(np.asarray(tasks.scene.thing.used).any()), show_goal)

    def check(self, tasks: Task, names: Sequence[str]) -> None:
        """Makes sure that the robot stands free where it starts."""
        length, width, top = self.robot.room
        leaves, structure = jax.tree.flatten(tasks)
        leaves = [np.asarray(leaf) for leaf in leaves]
        for index, name in enumerate(names):
            row = jax.tree.unflatten(structure, [leaf[index] for leaf in leaves])
            soles, roof = _start(self.robot, row)
            if soles < -TOUCH or roof < top:
                stands = f"rises {-soles:.2f} m above its soles"
                way = stands if soles < -TOUCH else f"hangs {roof:.2f} m above its hips"
                raise UsageError(
                    f"{name}: the terrain {way} where the {self.name} starts: expected level ground and no roof within "
                    f"{length} m ahead and behind and {width} m to both sides"
                )

    def expert(self, scripts: Sequence[Script]) -> Oracle:
        """The oracles of several families as one policy."""
        return Oracle.of(scripts, self.robot)


QUADRUPED_KIND = LeggedKind(QUADRUPED, 600)
WALKER_KIND = LeggedKind(WALKER, 500)
HUMANOID_KIND = LeggedKind(HUMANOID, 500)
