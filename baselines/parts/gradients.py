"""One gradient out of those of several tasks.

Each way is an optax transformation whose `update` takes gradients with a leading axis of tasks, and beside them
`losses` [task], positive numbers that fall as a task is learnt, `present` [task], whether a task had samples at all,
and `key`. What it returns has no axis of tasks and goes on to any optimiser (`optax.chain`). All are weighted sums of
the tasks' gradients, whose weights depend on the gradients only through their inner products: whatever the size of
the network, the work beyond those products is that of a matrix [task, task].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from mtbench.errors import UsageError

GradientsName = Literal["mean", "pcgrad", "cagrad", "famo", "gradnorm"]

type Weigh = Callable[[Any, "Told"], tuple[Array, Any]]
"""Of (state, what is told) → weights [task] and the next state."""


class Told(NamedTuple):
    """What weights depend on."""

    products: Float[Array, "task task"]
    """Inner products of the tasks' gradients."""
    losses: Float[Array, " task"]
    present: Bool[Array, " task"]
    key: jax.Array


def combine(name: GradientsName, num_tasks: int) -> optax.GradientTransformationExtraArgs:
    """A way to combine gradients by name, `mean` excepted, for which nobody computes the gradients of each task."""
    return {"pcgrad": pcgrad, "cagrad": cagrad, "famo": famo, "gradnorm": gradnorm}[name](num_tasks)


def pcgrad(num_tasks: int) -> optax.GradientTransformationExtraArgs:
    """Takes out of each task's gradient what points against another's (Yu et al. 2020, arXiv:2001.06782, algorithm 1).

    The others are met in random order. The mean of what is left, where the paper has the sum.
    """

    def project(one: Array, key: jax.Array, products: Array) -> Array:
        """Weights of all gradients in what is left of one, which begins as itself."""

        def meet(weights: Array, other: Array) -> tuple[Array, None]:
            along = weights @ products[:, other]
            share = jnp.where(along < 0.0, along / jnp.maximum(products[other, other], 1e-12), 0.0)
            return weights.at[other].add(-share), None

        return jax.lax.scan(meet, one, jax.random.permutation(key, num_tasks))[0]

    def weigh(state: Any, told: Told) -> tuple[Array, Any]:
        keys = jax.random.split(told.key, num_tasks)
        left = jax.vmap(project, (0, 0, None))(jnp.eye(num_tasks), keys, told.products)
        return left.mean(0), state

    return _weighted((), weigh)


def cagrad(num_tasks: int, c: float = 0.4, iterations: int = 100) -> optax.GradientTransformationExtraArgs:
    """Within a ball around the mean gradient, what helps the task that it helps least (conflict-averse gradients, Liu
    et al. 2021, arXiv:2110.14048, algorithm 1).

    The dual, min over w in the simplex of g_w · g_0 + c |g_0| |g_w|, is solved by exponentiated gradients.

    Args:
      num_tasks: length of the axis of tasks.
      c: radius of the ball in lengths of the mean; 0 gives the mean.
      iterations: steps of the dual's solution.
    """

    def weigh(state: Any, told: Told) -> tuple[Array, Any]:
        mean = jnp.full(num_tasks, 1.0 / num_tasks)
        products = told.products / jnp.maximum(jnp.trace(told.products) / num_tasks, 1e-12)  # so that steps fit
        mean_norm = _norm(products, mean)

        def step(carry: tuple[Array, Array], number: Array) -> tuple[tuple[Array, Array], None]:
            logits, best = carry
            w = jax.nn.softmax(logits)
            slope = products @ mean + c * mean_norm * products @ w / _norm(products, w)
            logits = logits - 5.0 / jnp.sqrt(1.0 + number) * slope
            new = jax.nn.softmax(logits)
            return (logits, jnp.where(objective(new) < objective(best), new, best)), None

        def objective(w: Array) -> Array:
            return w @ products @ mean + c * mean_norm * _norm(products, w)

        # A task without samples has a gradient of zero, which would win.
        start = jnp.where(told.present, 0.0, -jnp.inf)
        (_, w), _ = jax.lax.scan(step, (start, jax.nn.softmax(start)), jnp.arange(iterations))
        return mean + c * mean_norm / _norm(products, w) * w, state

    return _weighted((), weigh)


def famo(num_tasks: int, step_size: float = 0.025, decay: float = 1e-3) -> optax.GradientTransformationExtraArgs:
    """Weighs tasks so that the logarithms of their losses fall at one rate (Liu et al. 2023, arXiv:2306.03792,
    algorithm 1).

    By how much losses have fallen is read from the next minibatch's, where the paper evaluates this one's again.

    Args:
      num_tasks: length of the axis of tasks.
      step_size: of Adam on the weights' logarithms.
      decay: pulls them back together.
    """
    optimizer = optax.chain(optax.add_decayed_weights(decay), optax.adam(step_size))

    def weigh(state: tuple[Array, Any, Array], told: Told) -> tuple[Array, Any]:
        logits, moments, before = state
        losses = told.losses + 1e-8
        fallen = jnp.where(told.present & (before > 0.0), jnp.log(before / losses), 0.0)
        slope = jax.vjp(jax.nn.softmax, logits)[1](fallen)[0]
        change, moments = optimizer.update(slope, moments, logits)
        logits = logits + change
        shares = jax.nn.softmax(logits) * told.present / losses
        state = logits, moments, jnp.where(told.present, losses, before)
        return shares / jnp.maximum(shares.sum(), 1e-12), state

    zeros = jnp.zeros(num_tasks)
    return _weighted((zeros, optimizer.init(zeros), zeros), weigh)


def gradnorm(
    num_tasks: int, step_size: float = 0.025, restoring: float = 0.12
) -> optax.GradientTransformationExtraArgs:
    """Learns weights with which the tasks' gradients are equally long, longer where a task learns slowly (Chen et al.
    2018, arXiv:1711.02257, equations 1 and 2).

    Args:
      num_tasks: length of the axis of tasks.
      step_size: of Adam on the weights.
      restoring: how much longer (α): 0 for equal lengths.
    """
    optimizer = optax.adam(step_size)

    def weigh(state: tuple[Array, Any, Array], told: Told) -> tuple[Array, Any]:
        weights, moments, first = state
        first = jnp.where(first > 0.0, first, told.losses * told.present)
        lengths = jnp.sqrt(jnp.diagonal(told.products))
        left = jnp.where(told.present, told.losses / jnp.maximum(first, 1e-8), 1.0)
        pace = left / jnp.maximum(left.mean(), 1e-8)
        count = jnp.maximum(told.present.sum(), 1)
        goal = (weights * lengths).sum() / count * pace**restoring
        slope = jnp.where(told.present, jnp.sign(weights * lengths - goal) * lengths, 0.0)
        change, moments = optimizer.update(slope, moments)
        weights = jnp.maximum(weights + change, 1e-3)
        weights = weights * num_tasks / weights.sum()
        return weights / num_tasks, (weights, moments, first)

    start = jnp.ones(num_tasks)
    return _weighted((start, optimizer.init(start), jnp.zeros(num_tasks)), weigh)


def _weighted(start: Any, weigh: Weigh) -> optax.GradientTransformationExtraArgs:
    """The transformation that adds up the tasks' gradients with the weights that `weigh` finds."""

    def update(
        updates: Any, state: Any, params: Any = None, *, losses: Array, present: Array, key: jax.Array, **_: Any
    ) -> tuple[Any, Any]:
        updates = jax.tree.map(lambda leaf: leaf * present.reshape(-1, *[1] * (leaf.ndim - 1)), updates)
        flat = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(updates)]
        products = jnp.stack([leaf @ leaf.T for leaf in flat]).sum(0)
        weights, state = weigh(state, Told(products, losses, present, key))
        return jax.tree.map(lambda leaf: jnp.tensordot(weights, leaf, 1), updates), state

    return optax.GradientTransformationExtraArgs(lambda params: start, update)


def _norm(products: Float[Array, "task task"], weights: Float[Array, " task"]) -> Float[Array, ""]:
    """Length of a weighted sum of the gradients."""
    return jnp.sqrt(jnp.maximum(weights @ products @ weights, 1e-12))


# ── From a loss to its gradient ──


@dataclass(frozen=True)
class Gradients:
    """How a learner of several families gets one gradient for its optimiser.

    With `mean` minibatches are of all samples alike, and nothing is computed family by family. Otherwise each gradient
    step has as many samples of each task, and as many gradients as tasks are held at once.
    """

    name: GradientsName
    num_families: int
    groups: int | None = None
    """Tasks: groups of neighbouring families, by default one for each family."""

    @property
    def num_tasks(self) -> int:
        """Gradients of a step; 0 if there is but one of all samples."""
        return 0 if self.name == "mean" else min(self.groups or self.num_families, self.num_families)

    def before(self, *steps: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
        """An optimiser that combines the tasks' gradients first."""
        combined = [combine(self.name, self.num_tasks)] if self.num_tasks else []
        return optax.with_extra_args_support(optax.chain(*combined, *steps))

    def schedule(
        self, keys: jax.Array, family: Int[Array, " sample"], minibatches: int
    ) -> tuple[Int[Array, "step *task slot"], dict[str, Array]]:
        """Which samples each gradient step takes in some passes over them, a key for each pass.

        Returns:
          Their indices, and what the optimiser is told, [step, …].

        Raises:
          UsageError: there are fewer samples in a step than tasks.
        """
        if not (tasks := self.num_tasks):
            order = jax.vmap(lambda key: jax.random.permutation(key, family.size))(keys)
            return order.reshape(len(keys) * minibatches, -1), {}
        if (samples := family.size // minibatches) < tasks:
            raise UsageError(
                f"minibatches of {samples} samples are too few for {tasks} gradients: give gradient_groups"
            )
        task = family * tasks // self.num_families
        order = jax.vmap(lambda key: task_batches(key, task, tasks, minibatches))(keys)
        steps = order.reshape(len(keys) * minibatches, tasks, -1)
        present = jnp.broadcast_to(jnp.bincount(task, length=tasks) > 0, steps.shape[:2])
        return steps, {"present": present, "key": jax.random.split(jax.random.fold_in(keys[0], 0), len(steps))}

    def of(
        self, loss: Callable[[Any, Any], tuple[Array, dict[str, Array]]], params: Any, minibatch: Any
    ) -> tuple[Any, dict[str, Array]]:
        """The loss's gradient, of each task if there are tasks, and the loss's metrics, alike."""
        slope = jax.grad(loss, has_aux=True)
        return (jax.vmap(slope, (None, 0)) if self.num_tasks else slope)(params, minibatch)


def task_batches(
    key: jax.Array, task: Int[Array, " sample"], num_tasks: int, steps: int
) -> Int[Array, "step task slot"]:
    """Shares samples out to gradient steps, as many of each task to each step.

    Args:
      key: for their order.
      task: of each sample.
      num_tasks: how many there are.
      steps: in all, they take as many samples as there are; those of a rare task return, of a frequent one some are
        left out. What stands for a task without samples is any sample.
    """
    slots = task.size // (steps * num_tasks)
    order = jnp.lexsort((jax.random.uniform(key, task.shape), task))
    count = jnp.bincount(task, length=num_tasks)
    first = jnp.cumsum(count) - count
    place = jnp.arange(steps * slots)[:, None] % jnp.maximum(count, 1)
    chosen = order[jnp.minimum(first + place, task.size - 1)]
    return chosen.reshape(steps, slots, num_tasks).swapaxes(1, 2)
