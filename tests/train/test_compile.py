"""The compiled step: what is an argument of its program, and what is a constant in it."""

import jax
from tiny_training import Parts, batch, same

from fxformer.objective.base import Objective
from fxformer.train.compile import compile_step
from fxformer.train.mesh import MeshConfig
from fxformer.train.optim import AdamW
from fxformer.train.schedule import Cosine
from fxformer.train.setup import set_up
from fxformer.train.state import abstract, shapes_of
from fxformer.train.step import make_step
from tests.composing import composed
from tests.first_state import compiled_step, first_state
from tests.physics.steps import TINY


def program(toy, optimizer, schedule=None):
    """The compiled form of toy's step with another optimizer, as a run would have it."""
    schedule = (schedule or Cosine(warmup=2))(20)
    tx = optimizer.build(schedule, shapes_of(abstract(toy.make)))
    rate, knobs = optimizer.rate(schedule), optimizer.hyperparams()
    step = make_step(toy.shape, tx, **toy.knobs, rate=rate, hyperparams=knobs)
    layout = MeshConfig()
    mesh = layout.mesh()
    return compile_step(step, layout.shardings(toy.state, mesh), mesh, donate=False), step


def text(compiled, toy):
    return compiled.lower(toy.state, batch(0)).as_text()


def test_runs_that_differ_in_lr_and_decay_share_one_program():
    """And no others: a mutation of anything else is another program."""
    toy = Parts(AdamW(lr=1e-2))
    one = text(program(toy, AdamW(lr=1e-2, weight_decay=0.1))[0], toy)
    assert text(program(toy, AdamW(lr=3e-4, weight_decay=0.0))[0], toy) == one
    assert text(program(toy, AdamW(lr=1e-2, weight_decay=0.1, clip=2.0))[0], toy) != one
    assert text(program(toy, AdamW(lr=1e-2), Cosine(warmup=3))[0], toy) != one


def test_an_argument_is_worth_what_a_constant_is():
    """Bit for bit, and it is the rate that the log shows."""
    toy = Parts()
    compiled, step = program(toy, AdamW(lr=0.25, weight_decay=0.3))
    constant = jax.jit(lambda state, batch: step.function(state, batch, {}))
    mine, theirs = toy.state, toy.state
    for n in range(3):
        mine, sums = compiled(mine, batch(n))
        theirs, other = constant(theirs, batch(n))
        assert float(sums["learning_rate"][0]) == 0.25 * (0.5, 1, 1)[n]
    same((mine, sums), (theirs, other))


def test_a_refused_update_is_a_branch_on_cpu_and_the_state_is_updated_in_place():
    """No pass over the parameters selects between old and new, and no second state exists."""
    toy = Parts()
    lowered = jax.jit(toy.raw.function, donate_argnums=0).lower(toy.state, batch(0), {})
    assert lowered.as_text().count("stablehlo.case") == 1
    compiled = lowered.compile().memory_analysis()
    size = sum(leaf.nbytes for leaf in jax.tree.leaves((toy.state.params, toy.state.opt)))
    assert compiled.alias_size_in_bytes >= size


def test_what_set_up_checks_by_tracing_is_not_traced_again(monkeypatch):
    """The step and the evaluation of a run are traced once, in `set_up`."""
    traced, score = [], Objective.score

    def counted(*given):
        traced.append(given)
        return score(*given)

    monkeypatch.setattr(Objective, "score", counted)
    setup = set_up(composed(["model=gpt2", "objective=clm", *TINY, "data=markov"]))
    assert [one["backend"] for one in setup.facts()["attention"]] == ["reference"]
    before, batch = len(traced), setup.put(setup.example_batch)
    compiled_step(setup).lower(state := first_state(setup), batch)
    jax.jit(setup.evaluate).lower(state.params, batch)
    assert before == len(traced) == 2
