"""Character offsets of tokens: as `encode` cuts a text, for every kind of tokenizer."""

from pathlib import Path

import numpy as np
import pytest

from fxformer.data.special_tokens import Specials
from fxformer.data.token_offsets import MappedText
from fxformer.data.tokenizer_basic import Byte, Char, SymbolTokenizer
from fxformer.data.tokenizer_file import File
from fxformer.data.tokenizer_sentencepiece_variants import STEPS, mapped_text, prepared

VOCABULARIES = Path(__file__).parent.parent / "hf" / "vocabularies"
TEXTS = [
    "",
    " ",
    "The ship left the harbour.",
    "  two  spaces\tand\n\nlines ",
    "naïve café Zürich, e\u0301 vs é; Å",
    "1,000,000 ways, 3.14 in 2024,",
    "日本語のテキスト 東京 😀 ﬁne ``so''",
]
FILES = {
    "uncased": {"vocab.txt": "uncased.txt"},
    "gpt2": {"vocab.json": "gpt2.json", "merges.txt": "gpt2.merges"},
    "ctrl": {"vocab.json": "ctrl.json", "merges.txt": "ctrl.merges"},
    "t5": {"spiece.model": "t5.model"},
    "albert": {"spiece.model": "albert.model"},
    "llama": {"tokenizer.model": "llama.model"},
}
KINDS = {"uncased": "bert"}


@pytest.fixture(scope="module", params=[*FILES, "byte", "char"])
def tokenizer(request, tmp_path_factory):
    if request.param == "byte":
        return Byte(specials=Specials()).make([])
    if request.param == "char":
        return Char(specials=Specials()).make(TEXTS)
    folder = tmp_path_factory.mktemp(request.param)
    kind = KINDS.get(request.param, request.param)
    (folder / "config.json").write_text(f'{{"model_type": "{kind}"}}')
    for name, source in FILES[request.param].items():
        (folder / name).write_bytes((VOCABULARIES / source).read_bytes())
    return File(path=str(folder / next(iter(FILES[request.param])))).make([])


@pytest.mark.parametrize("text", TEXTS)
def test_offsets_follow_the_text_and_the_ids_are_those_of_encode(tokenizer, text):
    made = tokenizer.encode_offsets(text)
    np.testing.assert_array_equal(made.ids, tokenizer.encode(text))
    assert len(made.start) == len(made.end) == len(made.word) == len(made.ids)
    assert (made.start <= made.end).all() and (np.diff(made.start) >= 0).all()
    assert not len(made.end) or made.end.max() <= len(text)
    for low, high in zip(made.start, made.end, strict=True):
        part = text[low:high]
        assert part == part.strip() or not part.strip()
    covered = {i for low, high in zip(made.start, made.end, strict=True) for i in range(low, high)}
    assert all(i in covered for i, letter in enumerate(text) if letter.isalnum())


def test_offsets_of_words_point_to_their_letters():
    folder = VOCABULARIES
    made = File(path=str(folder / "uncased.txt")).make([])
    text = "  The NAÏVE harbour\u200b, was"
    found = made.encode_offsets(text)
    words = {}
    for low, high, word in zip(found.start, found.end, found.word, strict=True):
        first, _ = words.get(word, (low, high))
        words[word] = (first, high)
    assert [text[low:high] for low, high in words.values()] == [
        *("The", "NAÏVE", "harbour", ",", "was"),
    ]


def test_symbols_have_offsets():
    made = SymbolTokenizer(30).encode_offsets(" 3  17 4")
    assert list(zip(made.start, made.end, strict=True)) == [(1, 2), (4, 6), (7, 8)]


@pytest.mark.parametrize("text", [*TEXTS, "Straße ΣΑΣ İ ½"])
def test_mapped_text_equals_prepared_text(text):
    for count in range(len(STEPS)):
        steps = STEPS[:count]
        mapped = mapped_text(text, steps)
        assert mapped.text == prepared(text, steps)
        assert len(mapped.text) == len(mapped.start) == len(mapped.end)


def test_mapped_spans_return_to_the_original():
    mapped = MappedText.of("  a ``ﬁ''  É ").squeezed().replaced("``", '"').without_accents()
    assert mapped.text == "a \"fi'' E"
    assert mapped.spans([(0, 1), (2, 3), (3, 5), (8, 9), (0, 0)]) == [
        *((2, 3), (4, 6), (6, 7), (11, 12), (0, 0)),
    ]
