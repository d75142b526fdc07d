"""Optimizers as optax transformations; they differ in the direction of the update.

    gradient -> clip by global norm -> direction -> + decay * parameter -> * -lr * schedule

Weight decay is decoupled from the direction in all of them and scaled by the learning rate
(Loshchilov & Hutter 2019), so its value has the same meaning for every optimizer.
"""

import abc
import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib

from fxformer.errors import UserError
from fxformer.rules import assign, decide, is_stacked, named, named_map, select
from fxformer.train.gradient_transforms import clip_by_global_norm, per_layer
from fxformer.train.layer_distance import Distance, layer_distances
from fxformer.types import Count, NonNegative, Positive, Range, Rate, Share

Schedule = Callable[..., jax.Array]  # (count of updates, budget_used=None) -> share of lr in [0, 1]


def decays(path: str, leaf: Any) -> bool:
    """Whether a parameter decays: matrices do; biases, norm scales and vectors do not."""
    return path.split("/")[-1] not in ("bias", "scale") and leaf.ndim - is_stacked(path) >= 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer(abc.ABC):
    """Base of optimizers: clipping, weight decay, learning-rate multipliers, frozen parameters.

    lr: learning rate where the schedule is 1
    weight_decay: decoupled weight decay, multiplied by the learning rate
    clip: maximum global norm of the gradient; None: no clipping
    decay: rules [regex, factor on weight_decay], which precede `decays`
    multipliers: rules [regex, factor on lr], or one factor per layer for stacked parameters
    freeze: regexes of parameters that are not trained and have no optimizer state
    layer_decay: factor on lr per layer below the top, e.g. 0.9; the embeddings get the smallest
        learning rate (train/layer_distance.py); on top of `multipliers`. Clark et al. 2020, table 6
    unfreeze_every: gradual unfreezing: at first only the head is trained, then one more layer
        after every so many updates, from the top. Howard & Ruder 2018, sec. 3.3. Layers that are
        not trained yet stay exactly as they are; their gradients already count in the moments and
        in the norm that `clip` limits
    """

    lr: Positive
    weight_decay: NonNegative = 0.0
    clip: Positive | None = 1.0
    decay: Sequence[tuple[str, NonNegative]] = ()
    multipliers: Sequence[tuple[str, NonNegative | Sequence[NonNegative]]] = ()
    freeze: Sequence[str] = ()
    layer_decay: Annotated[float, Range(0, 1, open_low=True)] | None = None
    unfreeze_every: Count | None = None

    @abc.abstractmethod
    def direction(self, params: Any) -> optax.GradientTransformation:
        """Transformation from gradient to direction, before decay, learning rate and sign."""

    def hyperparams(self) -> dict[str, jax.Array]:
        """Scalars that the compiled step takes as arguments, so that runs which differ only in
        these share one program in the compilation cache."""
        return {"lr": jnp.float32(self.lr), "weight_decay": jnp.float32(self.weight_decay)}

    def rate(self, schedule: Schedule) -> Callable[..., jax.Array]:
        """Function (count of updates, budget_used, lr) -> learning rate.

        Without the argument lr, `self.lr` is a constant of the program.
        """

        def rate(count: jax.Array, budget_used: jax.Array | None = None, lr=None, **_) -> jax.Array:
            share = schedule(count) if budget_used is None else schedule(count, budget_used)
            return (self.lr if lr is None else lr) * share

        return rate

    def frozen(self, params: Any) -> Any:
        """Tree of booleans: which parameters `freeze` matches. Raises RuleError for idle rules."""
        return select(self.freeze, params, what="optimizer.freeze")

    def build(
        self, schedule: Schedule, params: Any, frozen: Any = None
    ) -> optax.GradientTransformation:
        """The transformation for (abstract) `params`. Raises RuleError for rules without effect.

        frozen: tree of booleans: parameters without updates and state; None: those of `freeze`
        """
        decay = named(assign(self.decay, params, decays, what="optimizer.decay"))
        factors = decide(self.multipliers, named(params), what="optimizer.multipliers")
        _fit(factors, named(params))
        distances = layer_distances(named(params))
        if self.layer_decay is not None:
            factors = _decayed(factors, distances, self.layer_decay)
        begin = {}  # path: number of updates before the first that changes it
        if (every := self.unfreeze_every) is not None:
            begin = {path: np.multiply(every, distance) for path, distance in distances.items()}
        frozen = self.frozen(params) if frozen is None else frozen
        if all(jax.tree.leaves(frozen)):
            raise UserError("optimizer.freeze matches every parameter: nothing is left to train")
        finish = _finish(
            self.rate(schedule),
            self.weight_decay,
            {path: float(share) for path, share in decay.items()},
            factors,
            begin,
        )
        tx = optax.chain(clip_by_global_norm(self.clip), self.direction(params), finish)
        if not any(jax.tree.leaves(frozen)):
            return tx
        labels = jax.tree.map(lambda stop: "frozen" if stop else "trained", frozen)
        return optax.partition({"trained": tx, "frozen": optax.set_to_zero()}, labels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamW(Optimizer):
    """AdamW: m / (sqrt(v) + eps) with bias-corrected moments. Loshchilov & Hutter 2019, alg. 2."""

    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Positive = 1e-8

    def direction(self, params: Any) -> optax.GradientTransformation:
        return optax.scale_by_adam(*self.betas, eps=self.eps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lion(Optimizer):
    """Lion: sign(b1 m + (1 - b1) g).

    Chen et al. 2023, alg. 2; needs a 3 to 10 times smaller lr than AdamW.
    """

    betas: tuple[Rate, Rate] = (0.9, 0.99)

    def direction(self, params: Any) -> optax.GradientTransformation:
        return optax.scale_by_lion(*self.betas)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum: m = momentum * m + g."""

    momentum: Rate = 0.9
    nesterov: bool = False

    def direction(self, params: Any) -> optax.GradientTransformation:
        return optax.trace(self.momentum, self.nesterov) if self.momentum else optax.identity()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adafactor(Optimizer):
    """Adafactor: g / sqrt(row and column factors of v), clipped by its RMS.

    Shazeer & Stern 2018, alg. 4, 5.

    factor_from: the second moment of a matrix is factored when both sides are at least this long
    decay_rate: exponent c of the moment's decay 1 - t^-c
    clip_rms: largest root mean square of a matrix's direction (the paper's d)
    relative: multiply by the root mean square of the parameter, so that lr is relative (sec. 8)
    """

    factor_from: Count = 128
    decay_rate: Positive = 0.8
    eps: Positive = 1e-30
    clip_rms: Positive = 1.0
    relative: bool = True
    min_rms: Positive = 1e-3

    def direction(self, params: Any) -> optax.GradientTransformation:
        factored = optax.scale_by_factored_rms(
            decay_rate=self.decay_rate,
            min_dim_size_to_factor=self.factor_from,
            epsilon=self.eps,
        )
        scale = optax.scale_by_param_block_rms(self.min_rms) if self.relative else optax.identity()
        return per_layer(optax.chain(factored, optax.clip_by_block_rms(self.clip_rms), scale))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Muon(Optimizer):
    """Muon: orthogonalised momentum for the matrices inside blocks, AdamW for all others.

    Jordan et al. 2024; scaled by rms * sqrt(longer side), so that one lr and one weight decay in
    AdamW's range serve both kinds (Liu et al. 2025, sec. 2.2).

    beta, nesterov: the momentum that is orthogonalised
    ns_steps: Newton-Schulz iterations
    rms: root mean square of a full-rank direction
    betas, eps: of AdamW
    adam: regexes of block matrices to optimize with AdamW instead
    """

    beta: Rate = 0.95
    nesterov: bool = True
    ns_steps: Count = 5
    rms: Share = 0.2
    betas: tuple[Rate, Rate] = (0.9, 0.95)
    eps: Positive = 1e-8
    adam: Sequence[str] = ()

    def direction(self, params: Any) -> optax.GradientTransformation:
        taken = named(select(self.adam, params, what="optimizer.adam"))

        def label(path: str, leaf: Any) -> str:
            matrix = path.endswith("/kernel") and is_stacked(path) and leaf.ndim == 3
            return "muon" if matrix and not taken[path] else "adam"

        axes = optax.contrib.MuonDimensionNumbers()  # [in, out], within a layer
        muon = optax.contrib.scale_by_muon(
            ns_steps=self.ns_steps,
            beta=self.beta,
            nesterov=self.nesterov,
            weight_dimension_numbers=lambda tree: jax.tree.map(lambda _: axes, tree),
        )
        parts: dict[Hashable, optax.GradientTransformation] = {
            "muon": per_layer(optax.chain(muon, optax.stateless(self._scale))),
            "adam": optax.scale_by_adam(*self.betas, eps=self.eps),
        }
        return optax.partition(parts, named_map(label, params))

    def _scale(self, updates: Any, params: Any) -> Any:
        return jax.tree.map(lambda update: update * self.rms * max(update.shape) ** 0.5, updates)


def _fit(factors: dict[str, Any], leaves: dict[str, Any]) -> None:
    """Raise UserError for negative factors and for lists without one factor per layer."""
    for path, factor in factors.items():
        listed = not isinstance(factor, int | float)
        if listed and not is_stacked(path):
            raise UserError(
                f"optimizer.multipliers: {list(factor)} has a factor per layer, but {path} is "
                "not stacked; write one number, or a narrower regex such as blocks"
            )
        if listed and len(factor) != (layers := leaves[path].shape[0]):
            raise UserError(
                f"optimizer.multipliers: {list(factor)} has {len(factor)} factors and {path} "
                f"{layers} layers; write {layers} factors, or one number"
            )
        if min(factor if listed else [factor]) < 0:
            raise UserError(
                f"optimizer.multipliers: {factor} for {path} is negative; write 0 or more"
            )


def _decayed(
    factors: dict[str, Any], distances: dict[str, Distance], decay: float
) -> dict[str, Any]:
    """{path: factor * decay ** distance}; a factor per layer is a list."""

    def decayed(path: str, distance: Distance) -> Any:
        factor = factors.get(path, 1.0)
        if isinstance(distance, int):
            return factor * decay**distance
        each = [factor] * len(distance) if isinstance(factor, int | float) else factor
        return [one * decay**n for one, n in zip(each, distance, strict=True)]

    return {path: decayed(path, distance) for path, distance in distances.items()}


def _finish(
    rate: Callable,
    weight_decay: float,
    shares: dict[str, float],
    factors: dict[str, Any],
    begin: dict[str, np.ndarray],
) -> optax.GradientTransformation:
    """-rate * factor * (direction + weight_decay * share * parameter), by path.

    begin: {path: number of updates, or one per layer, for which the factor is 0}
    """

    def update(updates, state, params=None, *, budget_used=None, **hyperparams):
        values, now = named(params), rate(state.count, budget_used, **hyperparams)
        decay = hyperparams.get("weight_decay", weight_decay)

        def leaf(path, direction):
            factor = factors.get(path, 1.0)
            if not isinstance(factor, int | float):
                factor = per_layer_axis([float(one) for one in factor], direction.ndim)
            if path in begin:
                started = state.count >= per_layer_axis(begin[path], direction.ndim)
                factor = jnp.where(started, factor, 0.0)
            return -now * factor * (direction + decay * shares[path] * values[path])

        counted = optax.ScaleByScheduleState(optax.safe_increment(state.count))
        return named_map(leaf, updates), counted

    def per_layer_axis(each, ndim: int) -> jax.Array:
        """One value for each layer, [L] -> [L, 1, ...]; a single value stays one."""
        each = jnp.asarray(each)
        return each if each.ndim == 0 else each.reshape(-1, *[1] * (ndim - 1))

    return optax.GradientTransformationExtraArgs(
        lambda params: optax.ScaleByScheduleState(jnp.int32(0)), update
    )
