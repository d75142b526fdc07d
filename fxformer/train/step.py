"""Training step and evaluation step, with gradient accumulation over micro-batches."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, cast

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import nnx

from fxformer.distillation.teacher import Teacher
from fxformer.rules import DISTILLATION, named
from fxformer.train.adapter import Adapter
from fxformer.train.gradient_transforms import global_norm
from fxformer.train.micro_batches import Sums, gradient_of_rows
from fxformer.train.precision import Precision
from fxformer.train.state import State, bind
from fxformer.train.step_sharding import StepSharding


@dataclasses.dataclass(frozen=True, eq=False)  # eq=False keeps it hashable, for jit
class Step:
    """Training step (state, batch) -> (state, sums).

    function: (state, batch, hyperparams, parameters of the teacher) -> (state, sums)
    hyperparams: scalars that are arguments of the compiled program, not constants in it
    teacher: of distillation, whose parameters are arguments too; None: there is none
    """

    function: Callable[..., tuple[State, Sums]]
    hyperparams: Mapping[str, jax.Array]
    teacher: Teacher | None = None

    def __call__(self, state: State, batch: Any) -> tuple[State, Sums]:
        taught = None if self.teacher is None else self.teacher.params
        return self.function(state, batch, self.hyperparams, taught)


def make_step(
    graphdef: nnx.GraphDef,
    tx: optax.GradientTransformation,
    *,
    precision: Precision,
    accumulate: int = 1,
    ema: float | None = None,
    skip_nonfinite: bool = True,
    log_every: int = 1,
    rate: Callable[..., jax.Array] | None = None,
    hyperparams: Mapping[str, jax.Array] | None = None,
    sharding: StepSharding | None = None,
    adapter: Adapter | None = None,
    frozen: Any = None,
    teacher: Teacher | None = None,
) -> "Step":
    """Training step (state, batch) -> (state, sums), to be jitted (see `compile_step`).

    The loss is the sum of losses divided by the sum of weights over the whole batch: float32
    gradients of sums are added over `accumulate` micro-batches, then divided once. The result does
    not depend on `accumulate`, except by rounding; nor do dropout masks (ops/dropout.py).

    tx: optimizer, from Optimizer.build
    ema: decay of the moving average, avg = ema * avg + (1 - ema) * params; the state must have one
    skip_nonfinite: skip the update (and count it) when the loss or the gradient norm is not finite,
        or no target of the batch is scored. The step count increases; params, optimizer state and
        average stay unchanged
    log_every: steps between those whose update_norm is measured
    rate: learning rate as a function of the number of updates, for the log
    hyperparams: further arguments of `tx` and `rate`, by name; see Optimizer.hyperparams
    sharding: how several devices compute the step; None: there is one
    adapter: what makes the parameters of the objective from those of the state; None: nothing
    frozen: tree of booleans: parameters whose gradient is not computed, and 0; None: there are none
    teacher: what the loss compares the model with; None: nothing

    Adds to the sums of the objective, with weight 1: gradient_norm (before clipping),
    parameter_norm, tokens (read by the model, without padding), skipped (total), streak
    (consecutive), learning_rate; and update_norm, of weight 0 at steps at which it is not measured.
    """

    tx = optax.with_extra_args_support(tx)
    bound = _bound(graphdef, precision, sharding, adapter)

    def step(
        state: State, batch: Any, hyperparams: Mapping[str, jax.Array], taught: dict | None = None
    ) -> tuple[State, Sums]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        grads, sums = gradients(state.params, batch, key, taught)
        loss, weight = sums["loss"]
        scale = 1 / jnp.where(weight > 0, weight, 1)  # XLA fuses a product, but stores a quotient
        norm = global_norm(grads) * scale

        more = {"budget_used": state.budget_used, "gradient_norm": norm, **hyperparams}
        shown = (state.step + 1) % log_every == 0

        def change(old: Updated, scale: jax.Array) -> tuple[Any, Any]:
            mean = jax.tree.map(lambda g: g * scale, grads)
            return tx.update(mean, old.opt, old.params, **more)

        def update(old: Updated, one: jax.Array) -> Updated:
            update_norm, one = _update_norm(lambda one: change(old, scale * one)[0], shown, one)
            updates, opt = change(old, scale * one)
            params, average = cast(dict, optax.apply_updates(old.params, updates)), old.ema
            if (decay := ema) is not None:
                average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
            return Updated(params, opt, average, update_norm)

        old = Updated(state.params, state.opt, state.ema, jnp.float32(0))
        fine = jnp.bool_(True)
        if skip_nonfinite:
            fine = jnp.isfinite(loss) & jnp.isfinite(norm) & (weight > 0)
        chosen = _updated(fine, update, old) if skip_nonfinite else update(old, jnp.float32(1))
        new = State(
            step=state.step + 1,
            params=chosen.params,
            opt=chosen.opt,
            ema=chosen.ema,
            key=state.key,
            skipped=state.skipped + ~fine,
            streak=jnp.where(fine, 0, state.streak + 1),
            budget_used=state.budget_used,
        )
        facts = {
            "gradient_norm": norm,
            "parameter_norm": global_norm(chosen.params),
            "tokens": _tokens(batch),
            "skipped": new.skipped,
            "streak": new.streak,
        }
        if rate is not None:
            facts["learning_rate"] = rate(updates_done(state.opt), state.budget_used, **hyperparams)
        one = jnp.float32(1)
        measured = {name: (jnp.float32(v), one) for name, v in facts.items()}
        return new, sums | measured | {"update_norm": (chosen.update_norm, jnp.float32(shown))}

    def gradients(
        params: dict, batch: Any, key: jax.Array, taught: dict | None
    ) -> tuple[dict, Sums]:
        with (
            precision.matmul_context()
        ):  # stated gradients (custom VJPs) are traced here, not in `sums`
            loss = _own_loss
            if teacher is not None:
                loss = _taught_loss(
                    teacher, taught, bound, params, batch if accumulate > 1 else None
                )
            local = gradient_of_rows(_sums(bound, precision, frozen, loss), accumulate)
            if sharding is None or not sharding.manual:
                return local(params, batch, 0, key)
            return sharding.gradients(local, params, batch, key, frozen)

    return Step(step, dict(hyperparams or {}), teacher)


def updates_done(opt: optax.OptState) -> jax.Array:
    """Number of updates the optimizer has made, which its schedule is a function of."""
    counts = [leaf for path, leaf in named(opt).items() if path.split("/")[-1] == "count"]
    return jnp.max(counts[-1])


def make_eval(
    graphdef: nnx.GraphDef,
    *,
    precision: Precision,
    sharding: StepSharding | None = None,
    adapter: Adapter | None = None,
) -> Callable[[dict, Any], tuple[Sums, Any]]:
    """Evaluation step (params, batch) -> (sums, outputs), deterministic; to be jitted.

    outputs: as in Objective.evaluate
    """
    bound = _bound(graphdef, precision, sharding, adapter)

    def local(params: dict, batch: Any) -> tuple[Sums, Any]:
        with precision.matmul_context():
            sums, outputs = bound(params, None).evaluate(batch)
        return precision.output(sums), outputs

    if sharding is None or not sharding.manual:
        return local
    return functools.partial(sharding.evaluation, local)


def _own_loss(objective, batch: Any, key: jax.Array | None, params: dict) -> Sums:
    """The sums of the objective itself."""
    return objective(batch, key=key)


def _taught_loss(teacher: Teacher, taught, bound, params: dict, whole: Any) -> Callable[..., Sums]:
    """The sums of the objective with the terms of a teacher.

    taught: parameters of the teacher; params: of the state
    whole: the batch of which micro-batches are cut; None: it is not cut
    """
    ratios = None
    if whole is not None:
        objective, other = bound(params, None), teacher.reader(taught)
        ratios = teacher.loss.ratios(objective, other, whole, params.get(DISTILLATION, {}))

    def loss(objective, batch: Any, key: jax.Array | None, params: dict) -> Sums:
        own = params.get(DISTILLATION, {})
        return teacher.sums(objective, taught, batch, key=key, projections=own, ratios=ratios)

    return loss


def _sums(bound, precision, frozen, loss) -> Callable[..., Sums]:
    """A loss as a function of (params, batch, key). loss: as `_own_loss`"""

    def sums(params: dict, batch: Any, key: jax.Array | None) -> Sums:
        if frozen is not None:
            params = jax.tree.map(
                lambda stop, leaf: jax.lax.stop_gradient(leaf) if stop else leaf, frozen, params
            )
        with precision.matmul_context():
            return precision.output(loss(bound(params, key), batch, key, params))

    return sums


def _bound(graphdef, precision, sharding, adapter) -> Callable[..., Any]:
    """The objective as a function of a state's parameters, cast and gathered for the computation,
    and of a key for the dropout of the adapter."""

    def bound(params: dict, key: jax.Array | None) -> Any:
        if sharding is not None:
            params = sharding.whole_if_adapted(params)
        if adapter is not None:
            params = adapter.merged(params, key)
        params = precision.cast(params)
        return bind(graphdef, params) if sharding is None else sharding.bind(graphdef, params)

    return bound


@flax.struct.dataclass
class Updated:
    """What an update changes, and its norm for the log."""

    params: dict
    opt: optax.OptState
    ema: dict | None
    update_norm: jax.Array


def _updated(fine: jax.Array, update: Callable[..., Updated], old: Updated) -> Updated:
    """`update(old, 1.0)` where `fine`, else `old`.

    On CPU a loop of one turn or none: unlike the results of a branch or a selection, what a loop
    carries is changed in place, so that no second copy of parameters and moments is allocated.
    The 1.0 comes from the counter of the loop; without it XLA would compute what depends on the
    gradients alone, two arrays as large as they are, before the loop. Elsewhere each element is
    selected: a loop makes a GPU wait for the host.
    """
    if jax.default_backend() == "cpu":
        turns = fine.astype(jnp.int32)
        return jax.lax.fori_loop(0, turns, lambda n, o: update(o, jnp.float32(1 + n)), old)
    selected = update(old, jnp.float32(1))
    return jax.tree.map(lambda a, b: jnp.where(fine, a, b), selected, old)


def _update_norm(
    updates: Callable[[jax.Array], Any], shown: jax.Array, one: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """(norm of `updates(one)`, `one`); on CPU only where `shown`, else 0.

    The norm needs the state as it was, and the update overwrites it: the `one` that is returned
    depends on the norm, which is never below 0, so that the norm is computed first.
    """
    if jax.default_backend() != "cpu":
        return global_norm(updates(one)), one
    norm = jax.lax.cond(
        shown, lambda one: global_norm(updates(one)), lambda one: jnp.float32(0), one
    )
    return norm, one + jnp.minimum(norm, 0)


def _tokens(batch: Any) -> jax.Array:
    read = [batch.segments, getattr(batch, "source_segments", None)]
    return cast(jax.Array, sum((s > 0).sum() for s in read if s is not None))
