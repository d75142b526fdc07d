"""What a plan says a family's model is, beside the model that is then built."""

import jax
import pytest

from fxformer.config.compatibility import architecture
from fxformer.flops.jaxpr_flops import executed_flops
from fxformer.flops.training import tokens_read
from fxformer.plan.forecast import PlanConfig, forecast
from tests.first_state import first_state
from tests.models import OWN, choices
from tests.physics.training import composed, ready

OBJECTIVE = {"encoder": "mlm", "decoder": "clm", "seq2seq": "denoise"}
MORE = {"electra": "electra", "prophetnet": "prophetnet"}
SMALL = ("model.dim=24", "model.layers=2", "model.heads=4", "model.ffn.hidden=32", "data=markov",
         "tokenizer=none", "data.symbols=64", "data.length=32", "data.batch=8",
         "data.example_length=32", "trainer.steps=5")  # fmt: skip
QUICK = ("electra",)


def words(family: str) -> list[str]:
    objective = MORE.get(family) or OBJECTIVE[architecture(composed(f"model={family}"))]
    return [f"model={family}", f"objective={objective}", *SMALL, *OWN.get(family, ())]


@pytest.mark.parametrize("family", [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in choices("model")
])  # fmt: skip
def test_a_family_has_the_parameters_and_the_arithmetic_that_plan_says(family):
    """The first state is made for real; its arrays are counted, and what a step multiplies."""
    given = words(family)
    setup = ready(*given)
    found = forecast(setup.cfg, PlanConfig(compile=False))
    state = first_state(setup)
    assert found.parameters == sum(leaf.size for leaf in jax.tree.leaves(state.params))
    assert sum(found.parts.values()) == found.parameters
    done = executed_flops(setup.step, state, setup.example_batch)
    read = tokens_read(setup.example_batch)
    assert found.executed == pytest.approx(done / read, rel=0.1)  # rows are packed unlike full
    assert 0.2 < found.flops_per_token / found.executed <= 1.0
