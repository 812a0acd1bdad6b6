"""Running normalisers: of observations, of returns per family, and of advantages per family."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int


@struct.dataclass
class Moments:
    """Running mean and variance of a vector, merged batch by batch (Chan et al. 1979)."""

    count: Float[Array, ""]
    mean: Float[Array, " n"]
    variance: Float[Array, " n"]

    @classmethod
    def init(cls, size: int) -> Moments:
        """Statistics of nothing, which normalise to the vector itself."""
        return cls(jnp.zeros(()), jnp.zeros(size), jnp.ones(size))

    def update(self, batch: Float[Array, "*batch n"]) -> Moments:
        """Statistics of everything seen so far and of `batch`; any number of leading axes."""
        axes = tuple(range(batch.ndim - 1))
        return self._merge(batch.size // batch.shape[-1], batch.mean(axes), batch.var(axes))

    def update_weighted(self, batch: Float[Array, "*batch n"], weight: Float[Array, "*batch"]) -> Moments:
        """As `update`, with so much of each vector."""
        axes, weight = tuple(range(batch.ndim - 1)), weight[..., None]
        count = weight.sum()
        mean = (weight * batch).sum(axes) / jnp.maximum(count, 1.0)
        variance = (weight * (batch - mean) ** 2).sum(axes) / jnp.maximum(count, 1.0)
        merged = self._merge(count, mean, variance)
        return jax.tree.map(lambda new, old: jnp.where(count > 0, new, old), merged, self)

    def _merge(self, count: int | Array, mean: Float[Array, " n"], variance: Float[Array, " n"]) -> Moments:
        total = self.count + count
        weight = 1.0 - self.count / total
        gap = mean - self.mean
        merged = self.variance + weight * (variance - self.variance + (1.0 - weight) * gap**2)
        return Moments(total, self.mean + weight * gap, merged)

    def normalize(self, x: Float[Array, "*batch n"], clip: float = 10.0) -> Float[Array, "*batch n"]:
        """`x` with mean 0 and variance 1, clipped to ±`clip`."""
        # The floor of 1e-3 keeps an entry that has hardly ever moved from turning noise into a signal.
        return jnp.clip((x - self.mean) * jax.lax.rsqrt(self.variance + 1e-6), -clip, clip)


@struct.dataclass
class LayoutMoments:
    """Moments of observations that have several layouts, chosen by the context: an entry that means a hand's height
    in one family and a knee's angle in another has statistics for each meaning."""

    moments: Moments
    """Leaves [layout, …]."""
    layouts: tuple[int, ...] = struct.field(pytree_node=False)
    """Of each family, in the context's order."""

    @classmethod
    def init(cls, size: int, layouts: tuple[int, ...]) -> LayoutMoments:
        """Statistics of nothing."""
        count = max(layouts) + 1
        return cls(jax.tree.map(lambda leaf: jnp.stack([leaf] * count), Moments.init(size)), layouts)

    def update(self, batch: Float[Array, "*batch n"], context: Float[Array, "*batch family"]) -> LayoutMoments:
        """Statistics of everything seen so far and of `batch`."""
        shares = self._shares(context)
        if shares is None:
            new = [self._of(0).update(batch)]
        else:
            new = [self._of(k).update_weighted(batch, shares[..., k]) for k in range(shares.shape[-1])]
        return LayoutMoments(jax.tree.map(lambda *leaves: jnp.stack(leaves), *new), self.layouts)

    def normalize(
        self, x: Float[Array, "*batch n"], context: Float[Array, "*batch family"]
    ) -> Float[Array, "*batch n"]:
        """See `Moments.normalize`."""
        shares = self._shares(context)
        if shares is None:
            return self._of(0).normalize(x)
        chosen = Moments(jnp.zeros(()), shares @ self.moments.mean, shares @ self.moments.variance)
        return chosen.normalize(x)

    def _of(self, layout: int) -> Moments:
        return jax.tree.map(lambda leaf: leaf[layout], self.moments)

    def _shares(self, context: Float[Array, "*batch family"]) -> Float[Array, "*batch layout"] | None:
        """How much each layout counts; what a context lacks to 1 (a hidden one) counts for the first. `None` if there
        is but one."""
        if max(self.layouts) == 0:
            return None
        shares = context @ jax.nn.one_hot(jnp.array(self.layouts), max(self.layouts) + 1)
        return shares.at[..., 0].add(1.0 - context.sum(-1))


@struct.dataclass
class ReturnScale:
    """Running root mean square of each family's discounted return, by which its rewards are divided.

    Families then weigh the same in a shared critic whatever the size of their rewards, as with PopArt
    (Hessel et al. 2018, arXiv:1809.04474), but by scaling rewards, so that the critic has no weights to
    rewrite. The root mean square takes the place of `VecNormalize`'s standard deviation, which is zero for a
    family whose return is always the same.
    """

    count: Float[Array, " family"]
    mean_square: Float[Array, " family"]

    @classmethod
    def init(cls, num_families: int) -> ReturnScale:
        """Scale 1 for every family."""
        return cls(jnp.zeros(num_families), jnp.ones(num_families))

    def update(self, return_: Float[Array, "*batch"], family: Int[Array, "*batch"]) -> ReturnScale:
        """Folds in the discounted returns of some steps and the families they belong to."""
        seen = family_sum(jnp.ones_like(return_), family, self.count.size)
        total = self.count + seen
        square = family_sum(return_**2, family, self.count.size)
        change = (square - seen * self.mean_square) / jnp.maximum(total, 1.0)
        return ReturnScale(total, self.mean_square + change)

    @property
    def scale(self) -> Float[Array, " family"]:
        """What one normalised unit of reward is worth, per family."""
        return jnp.sqrt(jnp.maximum(self.mean_square, 1e-12))


def discounted_return(
    start: Float[Array, ...],
    reward: Float[Array, "time ..."],
    done: Bool[Array, "time ..."],
    discount: float,
) -> tuple[Float[Array, ...], Float[Array, "time ..."]]:
    """Return so far, G_t = γ G_{t-1} + r_t within an episode: the one to go on with, and that of every step.

    Args:
      start: G before the first step, 0 where an episode begins.
      reward: r_t.
      done: whether step t ended an episode.
      discount: γ.
    """

    def step(before: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, done = now
        return_ = discount * before + reward
        return jnp.where(done, 0.0, return_), return_

    return jax.lax.scan(step, start, (reward, done))


def family_sum(x: Float[Array, "*batch"], family: Int[Array, "*batch"], num_families: int) -> Float[Array, " family"]:
    """Sum of `x` over the entries of each family."""
    return jax.ops.segment_sum(x.reshape(-1), family.reshape(-1), num_families)


def standardize_by_family(
    x: Float[Array, "*batch"], family: Int[Array, "*batch"], num_families: int, epsilon: float = 1e-3
) -> Float[Array, "*batch"]:
    """`x` with mean 0 and standard deviation 1 within each family of the batch.

    Args:
      x: for example advantages, already in units of the family's return.
      family: the family of each entry.
      num_families: how many there are.
      epsilon: added to the standard deviation, so that a family in which nothing matters is not blown up.
    """
    count = jnp.maximum(family_sum(jnp.ones_like(x), family, num_families), 1.0)
    x = x - (family_sum(x, family, num_families) / count)[family]
    deviation = jnp.sqrt(family_sum(x**2, family, num_families) / count)
    return x / (deviation[family] + epsilon)
