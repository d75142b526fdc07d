"""NSP and SOP on a real model: one joint loss, pieces apart, published sizes, and refusals."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Batch, Labels, Pairs, Vocabulary
from fxformer.objective.nsp import NextSentence
from fxformer.objective.sop import SentenceOrder
from tests.models import network, tiny


@pytest.fixture(scope="module")
def real(vocabulary):
    """NSP on a real tiny BERT whose every part matters."""

    def model(*, vocab, rngs):
        return tiny("bert", vocab=vocab)

    return NextSentence(model, vocabulary=vocabulary, rngs=nnx.Rngs(0))


def test_packed_and_padded_pieces_get_the_same_answers(real, packed):
    batch = real.corrupt(packed.rows(np.arange(len(packed))))
    row = int(np.argmax(batch.segments.max(1)))
    count = int(batch.segments[row].max())
    assert count > 1
    alone = []
    for number in range(1, count + 1):
        order = np.argsort(batch.segments[row] != number, kind="stable")
        here = (batch.segments[row] == number)[order]
        alone.append(
            [np.where(here, x[row][order], 0) for x in (batch.tokens, batch.segments, batch.types)]
        )
    tokens, segments, types = (np.stack(x) for x in zip(*alone, strict=True))
    first = np.zeros((count, 1), np.int32)
    ones = np.ones((count, 1), np.float32)
    classes = batch.labels.classes[row][:count, None]
    padded = Batch(
        tokens, segments, first, 0 * ones, first, types=types, labels=Labels(first, classes, ones)
    )

    def scores(batch):
        return real.judged(real.model(batch), batch.labels.at)

    together = jax.jit(scores)(jax.tree.map(lambda x: x[row : row + 1], batch))[0, :count]
    apart = jax.jit(scores)(padded)[:, 0]
    np.testing.assert_allclose(together, apart, atol=1e-5)


def test_a_class_does_not_see_other_pieces(real, packed):
    batch = real.corrupt(packed.rows(np.arange(len(packed))))
    row = int(np.argmax(batch.segments.max(1)))
    batch = jax.tree.map(lambda x: x[row : row + 1], batch)
    model = real.model

    def score(words):
        hidden = model.transformer(words, batch.segments, types=batch.types)[0]
        return real.judged(hidden, batch.labels.at)[0, 1, 1]

    grad = jax.jit(jax.grad(score))(model.token_embedding(batch.tokens))[0]
    own = batch.segments[0] == 2
    assert (np.abs(grad[~own]) == 0).all() and (np.abs(grad[own]).sum(-1) > 0).all()


def test_the_loss_is_the_sum_of_two_means_however_it_is_cut(real, packed):
    batch = real.corrupt(packed.rows(np.arange(8)))
    score = jax.jit(lambda batch: real(batch))
    whole = {k: (float(a), float(b)) for k, (a, b) in score(batch).items()}
    means = {name: total / weight for name, (total, weight) in whole.items()}
    assert means["loss"] == pytest.approx(means["nll"] + means["sentence_nll"], rel=1e-5)
    assert whole["sentence_nll"][1] == (batch.labels.weights > 0).sum()
    cuts = [score(jax.tree.map(lambda x, i=i: x[i::2], batch)) for i in range(2)]
    for name, (total, weight) in whole.items():
        assert sum(float(cut[name][0]) for cut in cuts) == pytest.approx(total, rel=1e-4)
        assert sum(float(cut[name][1]) for cut in cuts) == weight


def test_berts_pretraining_model_has_its_published_size():
    """The body and pooler have 109,482,240, the word head 622,650, the pair's classes 1,538."""
    words = np.zeros(30522, bool)
    words[:5] = True
    vocabulary = Vocabulary(30522, 0, words, ~words, ~words, bos=2, eos=3, mask=4)
    sizes = []
    for override in ("model/task_head=none", "model/task_head=next_sentence"):
        build = network("bert", "+size=base", override)
        made = nnx.eval_shape(
            lambda build=build: NextSentence(build, vocabulary=vocabulary, rngs=nnx.Rngs(0))
        )
        sizes.append(sum(x.size for x in jax.tree.leaves(nnx.split(made)[1])))
        answer = made.next_sentence or made.model.task_heads["next_sentence"]
        assert sum(x.size for x in jax.tree.leaves(nnx.split(answer.output)[1])) == 1_538
    head = sum(x.size for x in jax.tree.leaves(nnx.split(made.model.head)[1]))
    assert sizes == [110_106_428] * 2 and sizes[0] - head - 1_538 == 109_482_240


def test_single_texts_one_document_and_missing_types_are_refused(build, packed, pack, vocabulary):
    with pytest.raises(ValueError, match="write data/packing=sentence_pairs"):
        build(NextSentence).corrupt(pack([[(0, 10)]], 12))
    rows = packed.rows(np.array([0]))
    rows = dataclasses.replace(rows, pairs=Pairs(rows.pairs.types, rows.pairs.documents))
    with pytest.raises(ValueError, match="objective=sop"):
        build(NextSentence).corrupt(rows)
    assert build(SentenceOrder).corrupt(rows).labels is not None

    def roberta(*, vocab, rngs):
        return tiny("roberta", vocab=vocab)

    with pytest.raises(ValueError, match=r"has 1 token types: write model\.input\.types=2"):
        NextSentence(roberta, vocabulary=vocabulary, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    "words, right",
    [
        (
            ("model=bert", "data/packing=segments"),
            "write data/packing=sentence_pairs, or objective=mlm",
        ),
        (("model=roberta", "data/packing=sentence_pairs"), "write model.input.types=2, model=bert"),
        (("model=gpt2", "data/packing=sentence_pairs"), "or model=bert"),
    ],
)
def test_a_config_that_cannot_work_names_the_one_that_can(words, right):
    from fxformer.config.check import problems
    from tests.composing import composed

    found = problems(composed(["objective=nsp", *words]))
    sound = composed(["objective=nsp", "model=bert", "data/packing=sentence_pairs"])
    assert problems(sound) == []
    assert right in found[0]
