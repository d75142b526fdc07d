"""Two steps of training on real text with every new preset, set up as the command line does it."""

import numpy as np
import pytest

from fxformer.train.setup import set_up
from tests.composing import composed
from tests.first_state import compiled_step, first_state

SMALL = (
    "data=text",
    "tokenizer=char",
    "data.length=32",
    "data.batch=4",
    "data.valid_share=0.3",
    "size=tiny",
    "model.dim=16",
    "model.layers=1",
    "model.heads=2",
    "model.ffn.hidden=16",
    "optimizer=sgd",
    "trainer.steps=2",
)
SENTINELS = "tokenizer.specials.sentinels=40"
SLOW = [
    ("bert", "mlm_words"),
    ("t5", "ul2", SENTINELS),
    ("bert", "mlm_spans"),
    ("t5", "t5", SENTINELS),
    ("bart", "t5_drop"),
    ("bart", "mass"),
    ("bart", "pegasus"),
    ("prophetnet", "prophetnet"),
    ("t5", "t5_prefix"),
    ("gpt2", "fim", SENTINELS),
    ("gpt2", "mixture"),
    ("albert", "sop", "data/packing=sentence_pairs", "data.document_is=paragraph"),
    ("gpt2", "ctrl", "data.code=file"),
]
CASES = [  # the batches that look unlike a plain one
    ("electra", "electra"),
    ("gpt2", "prefix"),
    ("bert", "nsp", "data/packing=sentence_pairs", "data.document_is=paragraph"),
    *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW),
]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A file of forty documents, and a folder for what is made of it."""
    folder = tmp_path_factory.mktemp("text")
    words = "one two three four five six seven eight nine ten eleven twelve. ".split(" ")
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(words, 30)) for _ in range(40)]
    (folder / "text.txt").write_text("\n\n".join(lines))
    return [f"data.files={folder / 'text.txt'}", f"data.cache_dir={folder / 'cache'}"]


def settings(text, model, objective, *more):
    return composed([f"model={model}", f"objective={objective}", *SMALL, *more, *text])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1])
@pytest.mark.sample(3)
def test_two_steps(case, text):
    setup = set_up(settings(text, *case))
    state, step = first_state(setup), compiled_step(setup)
    rows = setup.data.train(4, 0)
    for n in range(2):
        batch = setup.objective.corrupt(rows[n])
        state, sums = step(state, setup.put(batch))
        total, weight = sums["loss"]
        every = batch.weights if batch.balance is None else batch.segments > 0
        assert np.isfinite(total) and weight == every.sum() > 0
    assert state.step == 2 and state.skipped == 0


def test_a_tokenizer_without_sentinels_is_refused_with_the_override(text):
    with pytest.raises(ValueError, match=r"write tokenizer\.specials\.sentinels=100"):
        set_up(settings(text, "t5", "t5", "tokenizer.specials.sentinels=0"))
