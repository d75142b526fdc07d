"""A small vocabulary, a toy model, rows of random text, and a way to ask whether checks hold."""

import dataclasses
import functools

import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Rows, Vocabulary
from fxformer.data.documents import Documents, join
from fxformer.data.packing import Template
from fxformer.data.packing_sentences import SentencePairs
from fxformer.evaluate.audit.check import judge
from fxformer.nn.head import Head
from fxformer.spelling import Letters, Spelling

WORDS = 200
PAD, UNK, BOS, EOS, MASK = range(5)


class ToyHead(Head):
    needs_embedding = nnx.Embed

    def __init__(self, vocab: int):
        self.bias = nnx.Param(np.zeros(vocab, np.float32))


class Toy(nnx.Module):
    """An embedding that is also the output table; the mean of the source joins every position."""

    dim, num_types = 8, 2

    def __init__(self, *, architecture: str, vocab: int, rngs: nnx.Rngs):
        self.architecture = architecture
        self.embed = nnx.Embed(vocab, 8, rngs=rngs)
        self.mix = nnx.Linear(8, 8, rngs=rngs)
        self.head = ToyHead(vocab)

    def __call__(self, batch, *, key=None):
        hidden = self.mix(self.embed(batch.tokens))
        if batch.source is None:
            return hidden
        return hidden + self.embed(batch.source).mean(1, keepdims=True)

    @property
    def token_embedding(self):
        return self.embed

    def logits(self, hidden):
        return hidden @ self.embed.embedding[...].T + self.head.bias[...]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """200 ids, five of them special; one ordinary id in fifteen ends a sentence."""
    special, ends = np.zeros(WORDS, bool), np.zeros(WORDS, bool)
    special[:5], ends[5:18] = True, True
    return Vocabulary(WORDS, PAD, special, ~special, ends, unk=UNK, bos=BOS, eos=EOS, mask=MASK)


@pytest.fixture(scope="session")
def wordy(vocabulary) -> Vocabulary:
    """The same ids; two ordinary ids in five begin a word, so words have 2.5 tokens on average."""
    starts = (np.arange(WORDS) % 5 < 2) & ~vocabulary.special
    return dataclasses.replace(vocabulary, starts_word=starts)


@pytest.fixture(scope="session")
def marked(vocabulary) -> Vocabulary:
    """The same ids and 100 sentinels behind them, which no text contains."""
    more = np.arange(WORDS, WORDS + 100)
    fields = {
        name: np.append(getattr(vocabulary, name), np.full(100, name == "special"))
        for name in ("special", "starts_word", "ends_sentence")
    }
    sentinels = tuple(int(i) for i in more)
    return dataclasses.replace(
        vocabulary, size=WORDS + 100, sentinels=sentinels, spelling=spelling(), **fields
    )


def spelling() -> Spelling:
    """The first 26 ordinary ids are letters, the others two letters; of two that make an id, that
    is taken."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = (list(letters) + [a + b for a in letters for b in letters])[: WORDS - 5]
    ids = {word: 5 + i for i, word in enumerate(words)}

    def encode(text: str) -> np.ndarray:
        found = []
        while text:
            word = text[:2] if text[:2] in ids else text[0]
            found.append(ids[word])
            text = text[len(word) :]
        return np.array(found, np.int32)

    return Spelling([None] * 5 + [w.encode() for w in words] + [None] * 100, Letters(encode))


@pytest.fixture(scope="session")
def toy():
    """toy(architecture) -> a model partial."""
    return lambda architecture: functools.partial(Toy, architecture=architecture)


@pytest.fixture(scope="session")
def build(toy, vocabulary):
    """build(Class, **knobs) -> the objective on a toy model it is legal for."""

    def make(objective, *, words=vocabulary, seed=0, **knobs):
        model = toy(sorted(objective.legal)[0])
        return objective(model, vocabulary=words, rngs=nnx.Rngs(seed), **knobs)

    return make


@pytest.fixture(scope="session")
def text():
    """text(length, example) -> the tokens of a piece, always the same, [bos] … [eos] included."""

    def piece(length: int, example: int) -> np.ndarray:
        body = np.random.default_rng([7, example]).integers(5, WORDS, length)
        body[0], body[-1] = BOS, EOS
        return body.astype(np.int32)

    return piece


@pytest.fixture(scope="session")
def pack(text):
    """pack([[(example, length), …], …], width) -> Rows, one list of pieces for each row."""

    def packed(plan, width, seed=0, epoch=0) -> Rows:
        tokens = np.full((len(plan), width), PAD, np.int32)
        segments = np.zeros((len(plan), width), np.int32)
        examples = np.full((len(plan), width), -1, np.int64)
        for row, pieces in enumerate(plan):
            at = 0
            for number, (example, length) in enumerate(pieces, start=1):
                here = slice(at, at + length)
                tokens[row, here] = text(length, example)
                segments[row, here], examples[row, here] = number, example
                at += length
        return Rows(tokens, segments, examples, seed, epoch)

    return packed


@pytest.fixture(scope="session")
def corpus(pack):
    """More than 100,000 tokens: batches of long pieces, short ones and mixed ones, some padding."""
    batches, example = [], 0
    for lengths in ([500], [60] * 8, [3, 4, 5, 9, 17, 33, 64, 128, 200], [250, 250]) * 3:
        plan = []
        for _ in range(24):
            plan.append([(example + i, length) for i, length in enumerate(lengths)])
            example += len(lengths)
        batches.append(pack(plan, 512))
    return batches


@pytest.fixture(scope="session")
def packed(vocabulary):
    """Sixty documents as pairs of texts, in rows of 96."""
    rng = np.random.default_rng(3)
    tokens, bounds = join([rng.integers(5, WORDS, rng.integers(20, 300)) for _ in range(60)])
    template = Template(PAD, np.array([BOS]), np.array([EOS]), BOS, EOS, vocabulary)
    return SentencePairs()(Documents(tokens, bounds), 96, template)


@pytest.fixture(scope="session")
def broken():
    """broken(checks, pairs) -> the names of the checks that do not hold."""

    def names(checks, pairs, alpha=1e-6) -> set[str]:
        pairs = list(pairs)
        return {check.name for check in checks if not judge(check, pairs, alpha=alpha).holds}

    return names


@pytest.fixture(scope="session")
def corrupt_with(vocabulary):
    """corrupt_with(noise, batches) -> [(pieces before, pieces after)]."""
    from fxformer.objective.pieces import pieces_of

    def run(noise, batches):
        pairs = []
        for rows in batches:
            before = pieces_of(rows, vocabulary)
            draws = before.draws(rows.seed, rows.epoch)
            pairs.append((before, noise(before, draws, vocabulary)))
        return pairs

    return run


def lacking(vocabulary: Vocabulary, name: str) -> Vocabulary:
    """The vocabulary without one of its special tokens."""
    return dataclasses.replace(vocabulary, **{name: None})
