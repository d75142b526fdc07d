"""Whatever was imported learns on: twenty steps from its weights, and the loss falls.

A fixture without a head over words gets a new one.
"""

import pytest

from fxformer.bridge.matching import match
from fxformer.model.language_model import LanguageModel
from tests.bridge.fixture import others, own, published
from tests.bridge.test_start import train

QUICK = ("bert", "t5")
NEW = {"mlm": "mlm", "clm": "tied", "denoise": "tied"}  # objective: a head for it


def cases() -> list:
    """All fixtures there are, those of others too; two of them run by default."""
    quick = [f for f in own() if f.name in QUICK]
    rest = [f for f in own() if f not in quick]
    return [
        *(pytest.param(f, id=f.name) for f in quick),
        *(pytest.param(f, id=f.name, marks=pytest.mark.slow) for f in rest),
        *(pytest.param(f, id=f"third-{f.name}", marks=pytest.mark.slow) for f in others()),
    ]


def objective(one) -> str:
    network = one.compose().model.network
    if not network._target_.endswith(LanguageModel.__name__):
        return "denoise"
    return "clm" if network.transformer.causal else "mlm"


@pytest.mark.parametrize("folder", cases())
def test_an_import_learns(folder, tmp_path):
    one = published(folder)
    kind, answers = objective(one), one.form.has_words
    new = "adaptive" if one.family.model == "transfo_xl" else NEW[kind]
    head = () if answers else (f"model/head={new}", "model/classifiers=none")
    run = train(
        folder,
        tmp_path,
        *(f"objective={kind}", "model.dropout=0", f"data.symbols={one.vocab - 5}", *head),
        *("trainer.steps=20", "trainer.log_every=1", "optimizer.lr=1e-2"),
    )
    loss = run.metrics("train")["loss"]
    assert loss[-5:].mean() < loss[:5].mean() - 0.05
    (event,) = [line for line in run.events() if line["event"] == "init"]
    assert all(path.startswith("head/") for path in event["fresh"])
    assert event["fresh"] == [] or not answers
    if answers:
        match(run.config["model"])  # and it can still be exported
