"""A piece of text has the same loss however it is packed, under every pretraining objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.train.experiment import objective_factory
from fxformer.train.state import init
from tests.physics.training import ready

TINY = ("model.dim=24", "model.layers=2", "model.heads=2", "model.ffn.hidden=32")


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """Two equal files of 24 documents, a line each, of 10 to 45 letters, with some full stops."""
    rng = np.random.default_rng(5)
    letters = np.array(list("abcdefgh  .."))
    text = ["".join(rng.choice(letters, n)).strip(" ") + "a" for n in rng.integers(10, 45, 24)]
    folder = tmp_path_factory.mktemp("text")
    for split in ("train", "valid"):
        (folder / f"{split}.txt").write_text("\n".join(text), encoding="utf-8")
    return folder


def piece_losses(setup, params) -> dict[int, float]:
    """{number of a held-out piece: the sum of its targets' nats}"""

    def nats(params, batch):
        model = setup.objective_with(params).model
        hidden = model(batch)
        if batch.picked is not None:
            hidden = jnp.take_along_axis(hidden, batch.picked[..., None], axis=1)
        checks = jax.nn.log_softmax(model.logits(hidden))
        return -jnp.take_along_axis(checks, batch.targets[..., None], axis=-1)[..., 0]

    losses = {}
    batches = setup.data.valid(setup.corpus.batch)
    for rows in (batches[n] for n in range(len(batches))):
        batch = setup.objective.corrupt(rows)
        found = np.asarray(jax.jit(nats)(params, batch))
        for row, slot in zip(*np.nonzero(batch.weights), strict=True):
            place = slot if batch.picked is None else batch.picked[row, slot]
            inside = rows.segments[row] == batch.segments[row, place]
            example = int(rows.examples[row][inside][0])
            losses[example] = losses.get(example, 0.0) + float(found[row, slot])
    return losses


@pytest.mark.parametrize(
    ("model", "objective"),
    [
        ("encoder", "mlm"),
        pytest.param("decoder", "clm", marks=pytest.mark.slow),
        pytest.param("seq2seq", "denoise", marks=pytest.mark.slow),
    ],
)
def test_packed_or_alone_a_piece_has_the_same_loss(model, objective, lines):
    knobs = (
        f"model={model}",
        f"objective={objective}",
        "tokenizer=char",
        "data=text",
        f"data.files={lines}/train.txt",
        f"data.valid_files={lines}/valid.txt",
        f"data.cache_dir={lines}",
        "data.document_is=line",
        "data.length=128",
        "data.batch=2",
        "model/init=fan_in",  # louder than 0.02, so that a leak would be heard
        *TINY,
    )
    alone, packed = (ready(*knobs, f"data/packing={kind}") for kind in ("padded", "segments"))
    rows = [setup.data.facts["packing"]["valid"]["rows"] for setup in (alone, packed)]
    assert rows[0] == 24 and rows[1] < 12
    params = init(objective_factory(alone.cfg, alone.corpus.vocabulary), jax.random.key(0))
    expected, found = piece_losses(alone, params), piece_losses(packed, params)
    assert expected.keys() == found.keys() == set(range(24))
    for piece, loss in expected.items():
        assert found[piece] == pytest.approx(loss, rel=1e-5), piece
