"""Learning-rate schedules: factor on lr in [0, 1] after `count` of `until` updates.

schedule(until) returns a function (count, budget_used=None) -> factor. `budget_used`, the used
share of a budget, replaces the share of updates if it is larger.

All schedules begin with a linear warm-up in which update n (from 0) gets (n + 1) / warmup, so that
the first update is not zero; what follows is a function of the progress x in [0, 1] through the
remaining updates.
"""

import abc
import dataclasses
import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from fxformer.errors import UserError
from fxformer.types import NonNegative, Positive, Share

HELD_DECAY = 0.2  # share of the updates added by trainer.extend=hold over which lr decays


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule(abc.ABC):
    """Base of schedules: linear warm-up.

    warmup: number of warm-up updates if 1 or more, else a share of all updates
    """

    warmup: NonNegative = 0.0

    def __call__(self, until: int) -> Callable[..., jax.Array]:
        """Function (count, budget_used=None) -> factor for a run of `until` updates."""
        rise = self.warmup_steps(until)

        def share(count: jax.Array, budget_used: jax.Array | None = None) -> jax.Array:
            count = jnp.asarray(count, jnp.float32)
            # The last update, until - 1, has x = 1 - 1/span: x = 1 is never reached.
            progress = jnp.clip((count - rise) / max(until - rise, 1), 0, 1)
            if budget_used is not None:
                progress = jnp.maximum(progress, jnp.clip(budget_used, 0, 1))
            warm = (count + 1) / max(rise, 1)
            return jnp.where(count < rise, warm, self.after(progress, count, rise))

        return share

    def warmup_steps(self, until: int) -> int:
        """Number of warm-up updates. Raises UserError if it is not less than `until`."""
        if self.warmup > 1 and self.warmup != int(self.warmup):
            raise UserError(
                f"schedule.warmup={self.warmup:g} is neither a number of updates nor a share; "
                f"write {round(self.warmup)} or a share such as 0.1"
            )
        steps = round(self.warmup if self.warmup >= 1 else self.warmup * until)
        if until > 0 and steps >= until and steps > 0:
            raise UserError(
                f"schedule.warmup={self.warmup:g} is {steps} of {until} steps: nothing is left "
                f"after it; write schedule.warmup={max(until // 10, 0)} or a share such as 0.1"
            )
        return steps

    @abc.abstractmethod
    def after(self, x: jax.Array, count: jax.Array, rise: int) -> jax.Array:
        """Factor at progress x after the warm-up of `rise` updates."""


def extended(schedule: Schedule, ends: Sequence[int]) -> Callable[..., jax.Array]:
    """Schedule of a run that was extended with trainer.extend=hold.

    ends: ascending numbers of updates at which the run ended, the current end last. After each end
        the factor stays at its last value, then decays linearly to 0 over the last fifth of the
        updates up to the next end
    Returns the function (count, budget_used=None) -> factor.
    """
    share = schedule(ends[0])
    for end, until in itertools.pairwise(ends):
        share = _held(share, end, until)
    return share


def _held(share: Callable[..., jax.Array], end: int, until: int) -> Callable[..., jax.Array]:
    """`share` for `end` updates, then its last value with a linear decay to 0 at `until`."""

    def longer(count: jax.Array, budget_used: jax.Array | None = None) -> jax.Array:
        count = jnp.asarray(count, jnp.float32)
        left = (until - count) / max(HELD_DECAY * (until - end), 1)
        kept = share(jnp.minimum(count, end - 1), budget_used)
        return kept * jnp.where(count < end, 1, jnp.clip(left, 0, 1))

    return longer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """Constant schedule: 1 after the warm-up."""

    def after(self, x: jax.Array, count: jax.Array, rise: int) -> jax.Array:
        return jnp.ones_like(x)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearDecay(Schedule):
    """Linear decay: 1 - x, down to `final`. Devlin et al. 2019, app. A.2."""

    final: Share = 0.0

    def after(self, x: jax.Array, count: jax.Array, rise: int) -> jax.Array:
        return 1 - (1 - self.final) * x


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Cosine decay: (1 + cos(pi x)) / 2, down to `final`.

    Loshchilov & Hutter 2017, without restarts.
    """

    final: Share = 0.0

    def after(self, x: jax.Array, count: jax.Array, rise: int) -> jax.Array:
        return self.final + (1 - self.final) * (1 + jnp.cos(jnp.pi * x)) / 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class InverseSqrt(Schedule):
    """Inverse square root: sqrt(warmup / updates).

    Vaswani et al. 2017, sec. 5.3, with its peak set to 1.
    """

    def after(self, x: jax.Array, count: jax.Array, rise: int) -> jax.Array:
        return jnp.sqrt(max(rise, 1) / jnp.maximum(count + 1, max(rise, 1)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class WSD(Schedule):
    """Warm-up, stable, decay (WSD): 1, then 1 - y^power down to `final`; y: decay progress.

    Hu et al. 2024, sec. 4; power 0.5 is the 1-sqrt form that Hägele et al. 2024, sec. 4 prefer.

    decay: share of all updates after the warm-up that the decay takes
    """

    decay: Share = 0.2
    power: Positive = 0.5
    final: Share = 0.0

    def warmup_steps(self, until: int) -> int:
        """As in Schedule. Raises UserError also if the decay, as a share of all updates, would
        begin before the end of the warm-up."""
        steps = super().warmup_steps(until)
        if until and self.decay < 1 and steps / until + self.decay > 1:
            left = 1 - steps / until
            raise UserError(
                f"schedule.decay={self.decay:g} does not fit after a warm-up of {steps} of {until} "
                f"steps; write schedule.decay={left:g} or less, 1 to decay over all that is left, "
                "or a shorter schedule.warmup"
            )
        return steps

    def after(self, x: jax.Array, count: jax.Array, rise: int) -> jax.Array:
        y = jnp.clip((x - (1 - self.decay)) / max(self.decay, 1e-9), 0, 1)
        return 1 - (1 - self.final) * y**self.power


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneCycle(Schedule):
    """One-cycle: from `start` up to 1 and down to `final`, both along half a cosine.

    Smith & Topin 2018.

    rise: share of the updates after the warm-up with a rising factor
    """

    rise: Share = 0.3
    start: Share = 0.04
    final: Share = 1e-4

    def after(self, x: jax.Array, count: jax.Array, rise: int) -> jax.Array:
        up, down = x / max(self.rise, 1e-9), (x - self.rise) / max(1 - self.rise, 1e-9)
        climb = 1 - (1 - self.start) * (1 + jnp.cos(jnp.pi * jnp.clip(up, 0, 1))) / 2
        fall = self.final + (1 - self.final) * (1 + jnp.cos(jnp.pi * jnp.clip(down, 0, 1))) / 2
        return jnp.where(x < self.rise, climb, fall)
