"""Every token has its bytes, and any cut of a text gives back the text, whatever the tokenizer."""

import copy
import dataclasses

import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Rows
from fxformer.data.special_tokens import Specials
from fxformer.data.tokenizer_basic import Byte, Char
from fxformer.data.tokenizer_fast import ByteLevelBPE, Word, WordPiece
from fxformer.data.tokenizer_sentencepiece import SentencePiece
from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective.fim import FillInTheMiddle
from tests.objective.conftest import Toy

NAMES = Specials(sentinels=3)
TEXTS = [
    f"The {word} costs {i} €, naïve façade — 日本語 {i * 7}; don't  panic!"
    for i, word in enumerate("house garden window morning understanding of unbelievable".split())
] * 6
RECIPES = {
    "byte": Byte(specials=NAMES),
    "char": Char(specials=NAMES),
    "bytebpe": ByteLevelBPE(specials=NAMES, vocab_size=330),
    "nfkc": ByteLevelBPE(specials=NAMES, vocab_size=330, normalization="nfkc"),
    "unigram": SentencePiece(algorithm="unigram", specials=NAMES, vocab_size=340),
    "bpe": SentencePiece(algorithm="bpe", specials=NAMES, vocab_size=340),
}


@pytest.fixture(scope="module", params=RECIPES)
def tokenizer(request):
    return RECIPES[request.param].make(TEXTS)


def test_bytes_of_the_tokens_are_those_of_the_text(tokenizer):
    spelling = tokenizer.spelling()
    for text in TEXTS[:7]:
        ids = tokenizer.encode(text)
        assert spelling.bytes_of(ids).tobytes().decode().strip() == tokenizer.decode(ids).strip()
        assert spelling.starts[ids].sum() == len(spelling.bytes_of(ids).tobytes().decode())


def test_any_part_comes_back_byte_by_byte(tokenizer):
    spelling = tokenizer.spelling()
    whole = spelling.bytes_of(tokenizer.encode(TEXTS[0])).tobytes()
    parts = [whole[a:b] for a in range(len(whole)) for b in range(a, min(a + 9, len(whole) + 1))]
    coded = spelling.encode_bytes(parts)
    known = [(part, ids) for part, ids in zip(parts, coded, strict=True) if ids is not None]
    assert len(known) > 0.7 * len(parts)
    for part, ids in known:
        assert spelling.bytes_of(ids).tobytes() == part


def test_turned_texts_decode_to_what_they_were(tokenizer):
    vocabulary = dataclasses.replace(tokenizer.vocabulary, spelling=tokenizer.spelling())

    def model(*, vocab, rngs):
        return Toy(architecture="decoder", vocab=vocab, rngs=rngs)

    made = FillInTheMiddle(model, vocabulary=vocabulary, rate=1.0, shortest=3, rngs=nnx.Rngs(0))
    ids = [np.concatenate([[2], tokenizer.encode(text), [3]]) for text in TEXTS[:7]]
    width = max(map(len, ids))
    tokens = np.stack([np.pad(one, (0, width - len(one))) for one in ids]).astype(np.int32)
    segments = (np.arange(width) < np.array([[len(one)] for one in ids])).astype(np.int32)
    for epoch in range(4):
        examples = np.where(segments > 0, np.arange(7)[:, None], -1)
        turned = made.turned(Rows(tokens, segments, examples, 0, epoch))
        pre, suf, mid = made.marks
        for row, old in zip(turned.tokens, ids, strict=True):
            row = row[: np.flatnonzero(row == 3)[-1]].tolist()
            assert row[:2] == [2, pre]
            prefix = row[2 : row.index(suf)]
            suffix, middle = row[row.index(suf) + 1 : row.index(mid)], row[row.index(mid) + 1 :]
            assert tokenizer.decode(np.array(prefix + middle + suffix)) == tokenizer.decode(old)
    checks = [check for check in objective_checks(made) if check.kind == "exact"]
    rows = Rows(tokens, segments, examples)
    batch = made.corrupt(rows)
    assert not any(np.any(check.measure(rows, batch)) for check in checks)
    assert made.tally.counts() == {}


@pytest.mark.parametrize(
    "recipe",
    [
        Word(specials=NAMES),
        WordPiece(specials=NAMES, vocab_size=120),
        ByteLevelBPE(specials=NAMES, vocab_size=330, add_prefix_space=True),
    ],
)
def test_tokenizers_that_lose_or_add_something_have_none(recipe):
    assert recipe.make(TEXTS).spelling() is None


def test_two_spellings_of_one_tokenizer_are_one_key_and_a_copy_is_itself():
    made = RECIPES["unigram"].make(TEXTS)
    assert repr(made.spelling()) == repr(made.spelling())
    assert repr(made.spelling()) != repr(RECIPES["byte"].make(TEXTS).spelling())
    one = made.spelling()
    assert copy.deepcopy(one) is one
