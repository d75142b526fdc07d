"""Training step and evaluation step, with gradient accumulation over micro-batches."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from fxformer.distillation.teacher import Teacher
from fxformer.nn.memory import CarriedMemory
from fxformer.rules import DISTILLATION, named
from fxformer.train.adapter import Adapter
from fxformer.train.gradient_transforms import global_norm
from fxformer.train.micro_batches import Found, Read, Sums, gradient_of_rows
from fxformer.train.precision import Precision
from fxformer.train.state import State, bind
from fxformer.train.step_sharding import StepSharding
from fxformer.train.update import Updated, norm_of_updates, updated_where

Loss = Callable[..., Found]  # (objective, what is read, key, parameters) -> sums, memory


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
        grads, sums, memory = gradients(state, batch, key, taught)
        loss, weight = sums["loss"]
        scale = 1 / jnp.where(weight > 0, weight, 1)  # XLA fuses a product, but stores a quotient
        norm = global_norm(grads) * scale

        more = {"budget_used": state.budget_used, "gradient_norm": norm, **hyperparams}
        shown = (state.step + 1) % log_every == 0

        def change(old: Updated, scale: jax.Array) -> tuple[Any, Any]:
            mean = jax.tree.map(lambda g: g * scale, grads)
            return tx.update(mean, old.opt, old.params, **more)

        def update(old: Updated, one: jax.Array) -> Updated:
            update_norm, one = norm_of_updates(lambda one: change(old, scale * one)[0], shown, one)
            updates, opt = change(old, scale * one)
            params, average = cast(dict, optax.apply_updates(old.params, updates)), old.ema
            if (decay := ema) is not None:
                average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
            return Updated(params, opt, average, update_norm)

        old = Updated(state.params, state.opt, state.ema, jnp.float32(0))
        fine = jnp.bool_(True)
        if skip_nonfinite:
            sound = jnp.isfinite(loss) & jnp.isfinite(norm)
            fine = sound & (weight > 0)
            memory = memory and memory.cleared_unless(sound)
        chosen = updated_where(fine, update, old) if skip_nonfinite else update(old, jnp.float32(1))
        new = State(
            step=state.step + 1,
            params=chosen.params,
            opt=chosen.opt,
            ema=chosen.ema,
            key=state.key,
            skipped=state.skipped + ~fine,
            streak=jnp.where(fine, 0, state.streak + 1),
            budget_used=state.budget_used,
            memory=memory,
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
        state: State, batch: Any, key: jax.Array, taught: dict | None
    ) -> tuple[dict, Sums, CarriedMemory | None]:
        with (
            precision.matmul_context()
        ):  # stated gradients (custom VJPs) are traced here, not in `sums`
            loss = _own_loss
            if teacher is not None:
                whole = batch if accumulate > 1 else None
                loss = _taught_loss(teacher, taught, bound, state.params, whole)
            local = gradient_of_rows(_sums(bound, precision, frozen, loss), accumulate)
            read = (batch, state.memory)
            if sharding is None or not sharding.manual:
                return local(state.params, read, 0, key)
            return sharding.gradients(local, state.params, read, key, frozen)

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


def make_eval_with_memory(
    graphdef: nnx.GraphDef,
    *,
    precision: Precision,
    sharding: StepSharding | None = None,
    adapter: Adapter | None = None,
) -> Callable[[dict, Read], tuple[Sums, CarriedMemory]]:
    """Evaluation step (params, (batch, memory)) -> (sums, memory after the batch)."""
    bound = _bound(graphdef, precision, sharding, adapter)

    def local(params: dict, read: Read) -> tuple[Sums, CarriedMemory]:
        with precision.matmul_context():
            sums, memory = bound(params, None).with_memory(*read)
        return precision.output(sums), memory

    return local if sharding is None else functools.partial(sharding.evaluation, local)


def _own_loss(objective, read: Read, key: jax.Array | None, params: dict) -> Found:
    """The sums of the objective itself, and the memory after the batch."""
    batch, memory = read
    if memory is None:
        return objective(batch, key=key), None
    return objective.with_memory(batch, memory, key=key)


def _taught_loss(teacher: Teacher, taught, bound, params: dict, whole: Any) -> Loss:
    """The sums of the objective with the terms of a teacher.

    taught: parameters of the teacher; params: of the state
    whole: the batch of which micro-batches are cut; None: it is not cut
    """
    ratios = None
    if whole is not None:
        objective, other = bound(params, None), teacher.reader(taught)
        ratios = teacher.loss.ratios(objective, other, whole, params.get(DISTILLATION, {}))

    def loss(objective, read: Read, key: jax.Array | None, params: dict) -> Found:
        known = {"projections": params.get(DISTILLATION, {}), "ratios": ratios}
        return teacher.sums(objective, taught, read[0], key=key, **known), None

    return loss


def _sums(bound, precision, frozen, loss: Loss) -> Callable[..., Found]:
    """A loss as a function of (params, what is read, key). loss: as `_own_loss`"""

    def sums(params: dict, read: Read, key: jax.Array | None) -> Found:
        if frozen is not None:
            params = jax.tree.map(
                lambda stop, leaf: jax.lax.stop_gradient(leaf) if stop else leaf, frozen, params
            )
        with precision.matmul_context():
            found, memory = loss(bound(params, key), read, key, params)
            return precision.output(found), memory

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


def _tokens(batch: Any) -> jax.Array:
    read = [batch.segments, getattr(batch, "source_segments", None)]
    return cast(jax.Array, sum((s > 0).sum() for s in read if s is not None))
