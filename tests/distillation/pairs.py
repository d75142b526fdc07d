"""Students and teachers of each architecture, tiny, with the weights of published models."""

import jax
import jax.numpy as jnp
from flax import nnx

from fxformer.config.build import build
from fxformer.config.check import check
from fxformer.train.setup import Setup, set_up
from fxformer.warmstart.resolve import resolve_teacher, resolve_warm_start
from tests.composing import composed
from tests.first_state import compiled_step, first_state, placement
from tests.hf.fixture import HERE

DATA = (
    "data=markov",
    "tokenizer=none",
    "data.symbols=18",
    "data.length=6",
    "data.batch=8",
    "data.examples=64",
    "data.valid_examples=16",
    "data.workers=0",
    "optimizer=sgd",
    "optimizer.lr=1",
    "schedule=constant",
    "trainer.steps=2",
)
OBJECTIVES = {
    "bert": ("objective=mlm", "objective/masking=iid"),
    "gpt2": ("objective=clm",),
    "bart": ("objective=denoise",),
}
NO_DROPOUT = ("model.dropout=0", "model.attention.dropout=0", "model.input.dropout=0")


def pair(
    family: str,
    *words: str,
    student: str = "warm_start.from",
    how: str = "distilbert",
    objective: tuple[str, ...] | None = None,
):
    """The set-up of a student of a published model.

    student: warm_start.from: it begins as the teacher; else a choice of the command line
    """
    folder = HERE / family
    own = [f"{student}={folder}"] if student == "warm_start.from" else [student]
    chosen = OBJECTIVES[family] if objective is None else objective
    overrides = [*own, *DATA, *chosen, f"distillation={how}", *words]
    overrides.append(f"distillation.teacher={folder}")
    cfg = resolve_teacher(resolve_warm_start(composed(overrides), overrides), overrides)
    check(cfg)
    return set_up(cfg)


def warm_started(setup: Setup):
    """The state before the first step, with the weights of a warm start."""
    state = first_state(setup)
    start = build(setup.cfg.warm_start)
    params = start.apply(state.params, runs=str(setup.cfg.runs))[0]
    return jax.device_put(state.replace(params=params), placement(setup))


def one_step(setup: Setup, state=None):
    """(state after the first step, {name: mean of its sums})."""
    state = warm_started(setup) if state is None else state
    new, sums = compiled_step(setup)(state, setup.put(setup.example_batch))
    return new, {name: float(total / weight) for name, (total, weight) in sums.items()}


def logits(setup: Setup, state):
    """Logits of the student at the targets of the first batch, and their weights."""
    batch = setup.put(setup.example_batch)

    @jax.jit
    def of(params):
        model = nnx.merge(setup.graphdef, setup.adapter.merged(params)).model
        hidden = model(batch)
        if batch.picked is not None:
            hidden = jnp.take_along_axis(hidden, batch.picked[..., None], axis=1)
        return model.logits(hidden)

    return of(state.params), batch.weights
