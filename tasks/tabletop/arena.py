"""The tabletop arena: Meta-World's action and observation over the slots of `model.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from flax import struct
from jaxtyping import Array, Float, UInt32

from mtbench.arena import Outcome
from mtbench.physics import Causes, Command, Sensors
from mtbench.task import Family, Task

from .. import rotations
from ..scenery import COLOURS
from . import model as topology
from . import rows, sensing
from .expert import Expert, Waypoint
from .index import FreeBody, Index
from .rules import Past

ACTION_SCALE = 0.01
"""Metres by which one unit of action moves the commanded hand in a control step."""

_EDITS = (
    "actuator_biasprm",
    "actuator_gainprm",
    "body_mass",
    "body_pos",
    "body_quat",
    "dof_armature",
    "dof_damping",
    "geom_friction",
    "geom_pos",
    "geom_quat",
    "geom_size",
    "jnt_axis",
    "jnt_range",
    "jnt_stiffness",
    "qpos_spring",
)
_TCP = (0.0, 0.0, -0.045)
_FRAME = 18
_TOLD = 12
"""Numbers behind Meta-World's, in a suite with rules."""
MAX_DELAY = 3
"""Control steps."""


@struct.dataclass
class Carry:
    """What the arena remembers from step to step."""

    target: Float[Array, 3]
    """The commanded hand position. It runs ahead when the hand is blocked, as in Meta-World."""
    frame: Float[Array, 18]
    """What is seen now, and, below, what was seen a step ago."""
    previous: Float[Array, 18]
    actions: Float[Array, "3 4"]
    """The last actions, newest first: a delayed one has not had its effect yet."""
    clock: UInt32[Array, ""]
    """Counts the steps from a number that the start of the episode gives: the noise of what is seen follows from it."""
    past: Past


@dataclass(frozen=True, eq=False)
class Tabletop:
    """See `mtbench.arena.Arena`."""

    slots: dict[str, dict[str, int]]
    show_goal: bool = True
    has_rules: bool = False
    """Whether tasks may have rules, and what these speak of is observed."""
    iterations: int = 10
    model: mujoco.MjModel = field(init=False)
    _index: Index = field(init=False)

    name = "tabletop"
    edits = _EDITS
    substeps = topology.SUBSTEPS
    timestep = topology.SUBSTEPS * topology.TIMESTEP
    action_size = 4
    quantities = rows.QUANTITIES

    def __post_init__(self):
        compiled = topology.build(self.slots, iterations=self.iterations, marks=self.has_rules).compile()
        object.__setattr__(self, "model", compiled)
        object.__setattr__(self, "_index", Index(compiled, self.slots))

    @property
    def observation_size(self) -> int:
        """Meta-World's 39, and more in a suite with rules."""
        return 2 * _FRAME + 3 + (_TOLD if self.has_rules else 0)

    def causes(self, task: Task) -> Causes:
        """See `Arena.causes`."""
        m, at, scene, setting = self.model, self._index, task.scene, task.goal.setting
        fields = {name: jnp.asarray(getattr(m, name), jnp.float32) for name in _EDITS}
        for slot, (ids, order) in at.geoms.items():
            shapes = getattr(scene, slot)
            fields["geom_size"] = fields["geom_size"].at[ids].set(shapes.size[order])
            fields["geom_pos"] = fields["geom_pos"].at[ids].set(shapes.pos[order])
            fields["geom_quat"] = fields["geom_quat"].at[ids].set(shapes.quat[order])
        free, rest = at.geoms["free"][0], np.concatenate([at.geoms["mechanism"][0], at.geoms["fixtures"][0]])
        friction = fields["geom_friction"].at[free, 0].set(scene.free_friction)
        friction = friction.at[np.append(rest, at.table), 0].multiply(setting.table_friction)
        joints, dofs, free_dofs = at.joints, at.dofs, at.free_dofs
        fields |= {
            "geom_friction": friction.at[at.pads, 0].multiply(setting.pad_friction),
            "geom_pos": fields["geom_pos"].at[at.table, 2].set(setting.table_height),
            "body_mass": _put(m.body_mass, at.free, scene.free_mass).at[at.mechanism].set(scene.mechanism_mass),
            "body_pos": _put(m.body_pos, at.mechanism, scene.mechanism_pos),
            "body_quat": _put(m.body_quat, at.mechanism, scene.mechanism_quat),
            "jnt_axis": _put(m.jnt_axis, joints, scene.axis),
            "jnt_range": _put(m.jnt_range, joints, scene.range),
            "jnt_stiffness": _put(m.jnt_stiffness, joints, scene.stiffness),
            "qpos_spring": _put(m.qpos_spring, at.joint_qpos, scene.spring),
            "dof_damping": _put(m.dof_damping, dofs, scene.damping).at[free_dofs].set(scene.free_drag),
            "dof_armature": _put(m.dof_armature, dofs, scene.armature).at[free_dofs[3:]].set(scene.free_armature),
        }
        for number, body in at.further.items():
            fields |= self._further(fields, scene.further, number, body)
        return {**fields, **self._hand(fields, setting)}

    def _further(self, fields: Causes, further: rows.Further, number: int, at: FreeBody) -> Causes:
        """The fields in which a further free object stands; where a task has none, a crumb that hardly moves."""
        shapes = getattr(further, rows.FURTHER[number])
        there = shapes.used.any()

        def put(name: str, ids: Any, values: Any, parked: Any) -> Array:
            return fields[name].at[ids].set(jnp.where(there, values, jnp.asarray(parked, jnp.float32)))

        return {
            "geom_size": put("geom_size", at.geoms, shapes.size[at.order], rows.PARKED),
            "geom_pos": put("geom_pos", at.geoms, shapes.pos[at.order], 0.0),
            "geom_quat": put("geom_quat", at.geoms, shapes.quat[at.order], [1.0, 0.0, 0.0, 0.0]),
            "geom_friction": put("geom_friction", (at.geoms, 0), further.friction[number], 1.0),
            "body_mass": put("body_mass", at.body, further.mass[number], 0.2),
            "dof_damping": put("dof_damping", at.dofs, 0.0, rows.PARKED_DRAG),
        }

    def _hand(self, fields: Causes, setting: rows.Setting) -> Causes:
        """The fields in which the hand's own numbers stand, with these varied."""
        at, longer = self._index, setting.finger_length / 2
        # A spring that is s times as stiff, damped at the same ratio; fingers that close as fast, s times as hard.
        spring, damper = setting.hand_stiffness, jnp.sqrt(setting.hand_stiffness)
        gain, bias = fields["actuator_gainprm"], fields["actuator_biasprm"]
        gain = gain.at[at.hand_actuators, 0].multiply(spring).at[at.finger_actuators, 0].multiply(setting.grip_force)
        bias = bias.at[at.hand_actuators, 1].multiply(spring).at[at.hand_actuators, 2].multiply(damper)
        pos = fields["geom_pos"].at[at.pads, 0].multiply(setting.finger_width).at[at.pads, 2].add(-longer)
        return {
            "actuator_gainprm": gain,
            "actuator_biasprm": bias.at[at.finger_actuators, 1].multiply(setting.grip_force),
            "dof_damping": fields["dof_damping"].at[at.finger_dofs].multiply(setting.grip_force),
            "dof_armature": fields["dof_armature"].at[at.finger_dofs].multiply(setting.grip_force),
            "geom_pos": pos.at[at.palm, 0].multiply(setting.side),
            "geom_size": fields["geom_size"].at[at.pads, 1].add(longer).at[at.palm].multiply(setting.palm_size),
        }

    def initial_state(self, key: jax.Array, task: Task) -> tuple[Array, Array]:
        """See `Arena.initial_state`."""
        start, at = task.initial, self._index
        spread = jax.random.uniform(key, (2, 3), minval=-1.0, maxval=1.0)
        hand = jnp.clip(start.hand + spread[0] * start.hand_spread, task.goal.hand_low, task.goal.hand_high)
        qpos = jnp.asarray(self.model.qpos0, jnp.float32)
        qpos = qpos.at[at.hand_qpos].set(hand + _sag(task))
        qpos = qpos.at[at.free_qpos[:3]].set(start.object + spread[1] * start.object_spread)
        qpos = qpos.at[at.free_qpos[3:]].set(start.object_quat)
        spread = jax.random.uniform(jax.random.fold_in(key, 1), (2, 3), minval=-1.0, maxval=1.0)
        for number, body in at.further.items():
            pos = start.further.pos[number] + spread[number] * start.further.spread[number]
            pos = jnp.where(start.further.there[number], pos, jnp.array(rows.PARKED_FURTHER[number]))
            qpos = qpos.at[body.qpos].set(jnp.append(pos, jnp.array([1.0, 0.0, 0.0, 0.0])))
        qvel = jnp.zeros(self.model.nv).at[at.dofs].set(start.joint_speeds)
        return qpos.at[at.joint_qpos].set(start.joints), qvel

    def init_carry(self, task: Task, sensors: Sensors) -> Carry:
        """See `Arena.init_carry`. The first observation repeats its frame as the previous one."""
        clock = sensing.clock(sensors["hand"])
        quantities, past = self._now(task, sensors, Past.none())
        frame = self._frame(task, sensors, quantities, clock)
        actions = jnp.zeros((MAX_DELAY, self.action_size))
        return Carry(sensors["hand"] - _sag(task), frame, frame, actions, clock, past)

    def control(self, task: Task, carry: Carry, action: Float[Array, 4]) -> tuple[Command, Carry]:
        """Moves the commanded hand by 1 cm per unit; a positive fourth number closes the gripper."""
        setting = task.goal.setting
        actions = jnp.concatenate([action[None], carry.actions])
        shares = jnp.maximum(1.0 - jnp.abs(jnp.arange(MAX_DELAY + 1) - setting.delay), 0.0)
        # A sum, not a product of matrices, which accelerators round.
        action = (shares[:, None] * actions).sum(0)
        way = ACTION_SCALE * setting.hand_speed * action[:3]
        target = jnp.clip(carry.target + way, task.goal.hand_low, task.goal.hand_high)
        command = Command(jnp.concatenate([target, action[3:], action[3:]]))
        return command, replace(carry, target=target, actions=actions[:-1])

    def remember(self, task: Task, carry: Carry, sensors: Sensors) -> Carry:
        """See `Arena.remember`."""
        quantities, past = self._now(task, sensors, replace(carry.past, steps=carry.past.steps + 1))
        clock = carry.clock + jnp.uint32(1)
        frame = self._frame(task, sensors, quantities, clock)
        return replace(carry, frame=frame, previous=carry.frame, clock=clock, past=past)

    def _now(self, task: Task, sensors: Sensors, past: Past) -> tuple[Float[Array, "q 3"], Past]:
        """The quantities, and what has happened once they belong to it."""
        quantities = self._measure(task, sensors, past)
        return quantities, past.with_now(task.goal.table, task.goal.rules, quantities) if self.has_rules else past

    def measure(self, task: Task, sensors: Sensors, carry: Carry) -> Float[Array, "20 3"]:
        """See `Arena.measure`; the rows are `rows.QUANTITIES`."""
        pending = _pending(task.goal.setting, carry)
        return self._measure(task, sensors, carry.past).at[rows.PENDING].set(pending)

    def _measure(self, task: Task, sensors: Sensors, past: Past) -> Float[Array, "20 3"]:
        """As `measure`, without pending actions."""
        goal, setting, rules = task.goal, task.goal.setting, task.goal.rules
        hand, zero = sensors["hand"], jnp.zeros(3)
        object_rotation = rotations.matrix(sensors["object_quat"])
        mechanism_rotation = rotations.matrix(sensors["mechanism_quat"])
        opening = topology.FINGER_GAP - sensors["right"][0] - sensors["left"][0]
        first = sensors["object_pos"] + object_rotation @ goal.object_point
        # Of slots that no task of the suite uses there is nothing to read.
        second, third = (sensors.get(f"{name}_pos", zero) for name in rows.FURTHER)
        point = goal.point + jnp.where(rules.relative, second, 0.0)
        swapped, switched = rules.order > 0, rules.switched(past)
        return jnp.stack(
            [
                hand,
                (hand + jnp.array(_TCP)).at[2].add(-setting.finger_length),
                first,
                sensors["object_pos"] + object_rotation @ goal.object_tip,
                sensors["mechanism_pos"] + mechanism_rotation @ goal.mechanism_point,
                sensors["mechanism_pos"] + mechanism_rotation @ goal.mechanism_tip,
                jnp.concatenate([sensors["slide"], sensors["slide2"], sensors["hinge"]]),
                zero.at[0].set(opening),
                point,
                zero,
                jnp.stack([setting.side, setting.table_height, setting.finger_length]),
                jnp.stack([setting.hand_speed, setting.delay, zero[0]]),
                zero,
                second,
                third,
                jnp.where(swapped, second, first),
                jnp.where(swapped, first, second),
                rules.next,
                jnp.where(switched, rules.next, point),
                jnp.stack([switched, past.passed, rules.order]).astype(jnp.float32),
            ]
        )

    def observe(self, task: Task, sensors: Sensors, carry: Carry) -> Float[Array, " o"]:
        """Meta-World's 39 numbers: this frame (18), the previous one (18), the goal (3; zeros when hidden).

        A frame is the hand (3), the opening in [0, 1], two objects as position (3) and orientation (4), which each
        row writes as Meta-World does. Meta-World also clips the hand, to bounds that no hand comes to.

        In a suite with rules, 12 more: a third quantity that the row chooses (3; zeros for none, or for a goal that
        is hidden), centre and half sizes of the zone (6), the stages that count for good, whether the zone has been
        entered, and which object leads. The goal is the one that is shown at present.
        """
        rules, quantities = task.goal.rules, self.measure(task, sensors, carry)
        goal = quantities[rows.SHOWN_GOAL] if self.show_goal else jnp.zeros(3)
        seen = [carry.frame, carry.previous, goal]
        if self.has_rules:
            hidden = (rules.seen == 0) | ((rules.seen == rows.NEXT_GOAL) & (not self.show_goal))
            third = jnp.where(hidden, 0.0, quantities[rules.seen])
            told = jnp.stack([carry.past.passed, carry.past.void, rules.order]).astype(jnp.float32)
            seen += [third, rules.zone.reshape(-1), told]
        return jnp.concatenate(seen)

    def outcome(self, task: Task, sensors: Sensors, carry: Carry) -> Outcome:
        """See `Arena.outcome`; what ends an episode is a zone that may not be entered."""
        goal, past = task.goal, carry.past
        quantities = self.measure(task, sensors, carry)
        if not self.has_rules:
            progress, success, stage = goal.stages.judge(quantities)
            return Outcome(progress, success, jnp.zeros((), bool), progress, stage)
        progress, success, stage = goal.table.judge(quantities, past.passed, past.ready(goal.rules))
        progress = jnp.where(past.void, 0.0, progress)
        return Outcome(progress, success, past.void & goal.rules.zone_ends, progress, stage)

    def dress(self, compiled: mujoco.MjModel, task: Task) -> None:
        """Colours a model for a picture of `task`, hides parked geoms and shows the goal."""
        for slot, (ids, order) in self._index.geoms.items():
            self._paint(compiled, ids, order, getattr(task.scene, slot))
        for number, body in self._index.further.items():
            shapes = getattr(task.scene.further, rows.FURTHER[number])
            self._paint(compiled, body.geoms, body.order, shapes)
        compiled.site_pos[compiled.site("goal").id] = np.asarray(task.goal.point)
        if self.has_rules:
            self._mark(compiled, task)
        topology.dress(compiled, float(task.goal.setting.table_height), float(task.goal.setting.finger_length))

    def _mark(self, compiled: mujoco.MjModel, task: Task) -> None:
        rules = jax.tree.map(np.asarray, task.goal.rules)
        (centre, half), goal = rules.zone, compiled.site("goal").id
        if rules.relative:
            compiled.site_pos[goal] += np.asarray(task.initial.further.pos)[0]
        compiled.site_group[goal] = 0 if compiled.site_pos[goal].any() else 4
        for name, there, pos, size in (
            ("next", rules.next.any(), rules.next, 0.02),
            ("zone", half.any(), centre, half),
        ):
            if there:
                mark = compiled.site(name).id
                compiled.site_pos[mark], compiled.site_size[mark], compiled.site_group[mark] = pos, size, 0

    def _paint(self, compiled: mujoco.MjModel, ids: np.ndarray, order: np.ndarray, shapes: rows.Geoms) -> None:
        for geom, k in zip(ids, order, strict=True):
            colour = list(COLOURS)[int(np.asarray(shapes.colour)[k])]
            compiled.geom_matid[geom] = compiled.material(colour).id
            compiled.geom_group[geom] = 0 if np.asarray(shapes.used)[k] else 4

    def _frame(
        self, task: Task, sensors: Sensors, quantities: Float[Array, "20 3"], clock: UInt32[Array, ""]
    ) -> Float[Array, 18]:
        """What is seen: positions with noise, but for that of an object that is not there."""
        opening = jnp.clip(quantities[rows.GRIPPER, :1] / topology.FINGER_GAP, 0.0, 1.0)
        parts = [sensors["hand"], opening]
        for place in range(2):
            which = task.goal.observed[place]
            quat = jnp.where(which == rows.MECHANISM, sensors["mechanism_quat"], sensors["object_quat"])
            if "second_quat" in sensors:
                quat = jnp.where(which == rows.SECOND, sensors["second_quat"], quat)
            # A sum, not a product of matrices, which accelerators round.
            turned = (task.goal.orientation[place] * quat).sum(-1)
            flipped = task.goal.orientation_positive[place] & (turned[jnp.argmax(jnp.abs(turned))] < 0)
            written = jnp.where(flipped, -turned, turned) + task.goal.orientation_constant[place]
            parts += [quantities[which], written]
        frame, there = jnp.concatenate(parts), task.goal.observed != rows.ORIGIN
        shares = jnp.zeros(_FRAME).at[:3].set(1.0).at[3].set(1.0 / topology.FINGER_GAP)
        shares = shares.at[4:7].set(there[0]).at[11:14].set(there[1])
        return frame + task.goal.setting.noise * shares * sensing.noise(clock, _FRAME)


def _sag(task: Task) -> Float[Array, 3]:
    """From the commanded to the resting hand, metres."""
    return jnp.array(topology.SAG) / task.goal.setting.hand_stiffness


def _pending(setting: rows.Setting, carry: Carry) -> Float[Array, 3]:
    """How far actions that have been given and not yet carried out will move the commanded hand, metres."""
    shares = jnp.clip(setting.delay - jnp.arange(MAX_DELAY), 0.0, 1.0)
    return ACTION_SCALE * setting.hand_speed * (shares[:, None] * carry.actions[:, :3]).sum(0)


def _put(field_values: np.ndarray, ids: Any, values: Array) -> Array:
    return jnp.asarray(field_values, jnp.float32).at[ids].set(values)


class TabletopKind:
    """See `mtbench.arena.ArenaKind`."""

    name = "tabletop"
    horizon = 200

    def __call__(self, tasks: Task, *, show_goal: bool = True) -> Tabletop:
        """Compiles the slots that stacked tasks use."""
        return Tabletop(rows.slots_used(tasks.scene), show_goal, rows.have_rules(tasks.goal))

    def check(self, tasks: Task, names: Sequence[str]) -> None:
        """Whatever is put on the table can begin: the hand starts above it."""

    def expert(self, scripts: Sequence[Sequence[Waypoint]]) -> Expert:
        """The scripted experts of several families as one policy."""
        return Expert.of(scripts)

    def family(self, text: str, where: str) -> Family:
        """The family of a task file's text; see `mtbench.taskfile.define`."""
        from .taskfile import parse

        return parse(text, where)


KIND = TabletopKind()
