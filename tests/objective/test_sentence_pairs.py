"""NSP and SOP: their laws on real rows, what breaks each, texts by hand, and the joint loss."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Pairs
from fxformer.data.documents import Documents, join
from fxformer.data.pack import Frame
from fxformer.data.pack_sentences import SentencePairs
from fxformer.objective.nsp import NextSentence
from fxformer.objective.select_spans import Spans
from fxformer.objective.sop import SentenceOrder
from tests.models import network, tiny
from tests.objective.conftest import BOS, EOS, MASK, PAD, WORDS

BOTH = pytest.mark.parametrize("objective", [NextSentence, SentenceOrder])


def documents(count=60, longest=300):
    """Random text in documents, every fifteenth token the end of a sentence."""
    rng = np.random.default_rng(3)
    tokens, bounds = join([rng.integers(5, WORDS, rng.integers(20, longest)) for _ in range(count)])
    return Documents(tokens, bounds)


@pytest.fixture(scope="module")
def packed(vocabulary):
    frame = Frame(PAD, np.array([BOS]), np.array([EOS]), BOS, EOS, vocabulary.ends_sentence)
    return SentencePairs()(documents(), 96, frame)


@pytest.fixture(scope="module")
def corpus(packed):
    return [packed.rows(np.arange(len(packed)), 0, epoch) for epoch in range(12)]


@pytest.fixture(scope="module")
def made(build):
    """made(Class, **knobs) -> the objective on a toy model with token types."""
    return build


class Seldom(NextSentence):
    def wrong(self, pieces, rows):
        return pieces.draws(rows.seed, rows.epoch).uniform("sentence pair") < 0.3


class Deaf(NextSentence):
    """Broken: the second text is the true one, whatever the class."""

    def spoilt(self, pieces, pairs, wrong):
        return super().spoilt(pieces, pairs, wrong & False)


class Unmoved(SentenceOrder):
    def spoilt(self, pieces, pairs, wrong):
        return super().spoilt(pieces, pairs, wrong & (pieces.segment > 1))


class Untyped(SentenceOrder):
    """Broken: types stay where they were when the texts move."""

    def spoilt(self, pieces, pairs, wrong):
        tokens, _ = super().spoilt(pieces, pairs, wrong)
        return tokens, pairs.types[pairs.documents >= 0]


class Greedy(NextSentence):
    """Broken: hides the eos between the texts."""

    def corrupt(self, rows):
        batch = super().corrupt(rows)
        row, column = np.nonzero(batch.tokens == EOS)
        first = np.unique(row, return_index=True)[1]
        picked, targets, tokens = (x.copy() for x in (batch.picked, batch.targets, batch.tokens))
        picked[row[first], 0], targets[row[first], 0] = column[first], EOS
        tokens[row[first], column[first]] = MASK
        return batch.replace(picked=picked, targets=targets, tokens=tokens)


class Shifted(NextSentence):
    def corrupt(self, rows):
        batch = super().corrupt(rows)
        return batch.replace(labels=batch.labels.replace(at=batch.labels.at + 1))


class Uneven(NextSentence):
    def corrupt(self, rows):
        batch = super().corrupt(rows)
        scale = 1 + np.arange(batch.labels.at.shape[1], dtype=np.float32)
        return batch.replace(labels=batch.labels.replace(weights=batch.labels.weights * scale))


class Joined(NextSentence):
    """Broken: the pieces of a row see each other."""

    def corrupt(self, rows):
        batch = super().corrupt(rows)
        return batch.replace(segments=np.minimum(batch.segments, 1))


@BOTH
@pytest.mark.parametrize("knobs", [{}, {"rate": 0.2}, {"selection": Spans()}])
def test_the_laws_hold(objective, knobs, made, corpus, broken):
    one = made(objective, **knobs)
    assert broken(one.laws(), [(rows, one.corrupt(rows)) for rows in corpus]) == set()
    assert one.tally.counts() == {}


@pytest.mark.parametrize(
    "objective, law",
    [
        (Seldom, "right and wrong pairs"),
        (Deaf, "texts other than their class says"),
        (Unmoved, "texts in another order than their class says"),
        (Untyped, "types other than 0 up to the first eos, 1 behind it"),
        (Greedy, "special tokens or padding selected"),
        (Shifted, "pieces without one class at their first token"),
        (Uneven, "weights of the classes other than the targets'"),
        (Joined, "borders of pieces moved"),
    ],
)
def test_a_broken_rule_breaks_its_law(objective, law, made, corpus, broken):
    one = made(objective)
    assert law in broken(one.laws(), [(rows, one.corrupt(rows)) for rows in corpus[:6]])


def test_a_rival_of_the_same_document_is_seen(made, corpus, broken):
    pairs = corpus[0].pairs
    rows = dataclasses.replace(
        corpus[0], pairs=dataclasses.replace(pairs, rival_documents=pairs.documents)
    )
    one = made(NextSentence)
    law = "wrong second texts from the same document"
    assert broken(one.laws(), [(rows, one.corrupt(rows))]) == {law}


def test_both_by_hand(made, pack):
    rows = pack([[(0, 10)]], 12)
    rows.tokens[0, :10] = [BOS, 11, 12, EOS, 21, 22, 23, 24, 25, EOS]
    types = np.array([[0] * 4 + [1] * 6 + [0] * 2])
    rivals = rows.tokens.copy()
    rivals[0, 4:9] = range(31, 36)
    home = np.array([[0] * 10 + [-1] * 2])
    rows = dataclasses.replace(rows, pairs=Pairs(types, home, rivals, home + types))
    shown = made(NextSentence, rate=1.0).shown(rows)
    assert (shown.tokens == rivals).all() and (shown.pairs.types == types).all()
    shown = made(SentenceOrder, rate=1.0).shown(rows)
    swapped = [BOS, 21, 22, 23, 24, 25, EOS, 11, 12, EOS, PAD, PAD]
    assert shown.tokens[0].tolist() == swapped
    assert shown.pairs.types[0].tolist() == [0] * 7 + [1] * 3 + [0] * 2
    for objective in (NextSentence, SentenceOrder):
        batch = made(objective, rate=0.0).corrupt(rows)
        assert batch.labels.classes.tolist() == [[0, 0]] and batch.types.tolist() == types.tolist()
        assert batch.labels.weights.tolist() == [[batch.weights.sum(), 0]]


@BOTH
def test_a_piece_is_the_same_packed_or_alone(objective, made, packed):
    one, many = made(objective), packed.rows(np.arange(len(packed)), 1, 1)
    whole = one.corrupt(many)
    place = np.argwhere((many.segments == 2) & (np.roll(many.segments, 1, 1) == 1))
    row, at = place[0]
    here = many.segments[row] == 2
    lone = {
        name: np.where(here, value[row], fill)[None][:, np.argsort(~here, kind="stable")]
        for name, value, fill in (
            ("tokens", many.tokens, PAD),
            ("segments", many.segments > 0, 0),
            ("examples", many.examples, -1),
        )
    }
    pairs = {
        name: np.where(here, getattr(many.pairs, name)[row], -1 if "doc" in name else 0)[None][
            :, np.argsort(~here, kind="stable")
        ]
        for name in ("types", "documents", "rivals", "rival_documents")
    }
    rows = dataclasses.replace(many, **lone, pairs=Pairs(**pairs))
    alone, n = one.corrupt(rows), here.sum()
    assert alone.tokens[0, :n].tolist() == whole.tokens[row][here].tolist()
    assert alone.types[0, :n].tolist() == whole.types[row][here].tolist()
    slot = list(whole.labels.at[row]).index(at)
    assert alone.labels.classes[0, 0] == whole.labels.classes[row, slot]


@pytest.fixture(scope="module")
def real(vocabulary):
    """NSP on a real tiny BERT whose every part matters."""

    def model(*, vocab, rngs):
        return tiny("bert", vocab=vocab)

    return NextSentence(model, vocabulary=vocabulary, rngs=nnx.Rngs(0))


def test_packed_and_padded_pieces_get_the_same_answers(real, packed):
    from fxformer.batch import Batch, Labels

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

    grad = jax.jit(jax.grad(score))(model.words(batch.tokens))[0]
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
    from fxformer.batch import Vocabulary

    words[:5] = True
    vocabulary = Vocabulary(30522, 0, words, ~words, ~words, bos=2, eos=3, mask=4)
    sizes = []
    for override in ("model/classifiers=none", "model/classifiers=pairs"):
        build = network("bert", "+size=base", override)
        made = nnx.eval_shape(
            lambda build=build: NextSentence(build, vocabulary=vocabulary, rngs=nnx.Rngs(0))
        )
        sizes.append(sum(x.size for x in jax.tree.leaves(nnx.split(made)[1])))
        answer = made.pairs or made.model.classifiers["pairs"]
        assert sum(x.size for x in jax.tree.leaves(nnx.split(answer.out)[1])) == 1_538
    head = sum(x.size for x in jax.tree.leaves(nnx.split(made.model.head)[1]))
    assert sizes == [110_106_428] * 2 and sizes[0] - head - 1_538 == 109_482_240


def test_single_texts_one_document_and_missing_types_are_refused(made, packed, pack, vocabulary):
    with pytest.raises(ValueError, match="write data/packing=sentence_pairs"):
        made(NextSentence).corrupt(pack([[(0, 10)]], 12))
    rows = packed.rows(np.array([0]))
    rows = dataclasses.replace(rows, pairs=Pairs(rows.pairs.types, rows.pairs.documents))
    with pytest.raises(ValueError, match="objective=sop"):
        made(NextSentence).corrupt(rows)
    assert made(SentenceOrder).corrupt(rows).labels is not None

    def roberta(*, vocab, rngs):
        return tiny("roberta", vocab=vocab)

    with pytest.raises(ValueError, match=r"has 1 token types: write model\.embed\.types=2"):
        NextSentence(roberta, vocabulary=vocabulary, rngs=nnx.Rngs(0))
