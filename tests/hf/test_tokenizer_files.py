"""Tokenizers that go out encode as they do here, marks around a text included."""

import json

import numpy as np
import pytest

from fxformer.data.special_tokens import Specials
from fxformer.data.tokenizer_basic import Byte, Char
from fxformer.data.tokenizer_fast import ByteLevelBPE, Word, WordPiece
from fxformer.data.tokenizer_file import File
from fxformer.data.tokenizer_sentencepiece import SentencePiece
from fxformer.hf.sentencepiece_json import tokenizer_json
from fxformer.hf.tokenizer_export import write_tokenizer
from fxformer.hf.tokenizer_files import read_tokenizer

TEXT = ["A small text, of no great meaning; it serves.", "Another one: 12 words  or fewer!"] * 20
HARD = ["Hello  world!", " spaces ", "naïve — £5", "", "a\tb\nc", "<s> is text to us"]
RECIPES = {
    "unigram": SentencePiece(algorithm="unigram", specials=Specials(), vocab_size=330),
    "bpe": SentencePiece(algorithm="bpe", specials=Specials(), vocab_size=330),
    "bytes": ByteLevelBPE(specials=Specials(), vocab_size=300),
    "wordpiece": WordPiece(specials=Specials(), vocab_size=100),
    "word": Word(specials=Specials(), vocab_size=100),
    "char": Char(specials=Specials(sentinels=2)),
    "byte": Byte(specials=Specials()),
    "whitespace": SentencePiece(
        algorithm="unigram", specials=Specials(), vocab_size=330, remove_extra_whitespaces=False
    ),
    "unprefixed": SentencePiece(
        algorithm="bpe", specials=Specials(), vocab_size=330, add_dummy_prefix=False
    ),
    "exact": SentencePiece(
        algorithm="unigram", specials=Specials(), vocab_size=330, normalization="identity",
        remove_extra_whitespaces=False, add_dummy_prefix=False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_written_encodes_as_it_did_here(name, tmp_path):
    import tokenizers

    ours = RECIPES[name].make(TEXT)
    files = write_tokenizer(ours, tmp_path)
    assert "tokenizer.json" in files
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in HARD[:-1]:
        around = [*ours.prefix, *ours.encode(text), *ours.suffix]
        assert theirs.encode(text).ids == around, text
        known = ours.encode(text)[ours.encode(text) != ours.ids.unk]
        assert theirs.decode(known.tolist()) == ours.decode(known), text
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    for slot in ("pad", "eos", "mask"):
        assert theirs.token_to_id(settings[f"{slot}_token"]) == getattr(ours.ids, slot)
    again = read_tokenizer(tmp_path)
    # a unigram vocabulary has "<s>" among its pieces, and the library takes it wherever it fits
    unigram = getattr(RECIPES[name], "algorithm", "") == "unigram"
    for text in HARD[:-1] if unigram else HARD:
        assert np.array_equal(again.encode(text), ours.encode(text)), text
    assert again.ids == ours.ids
    assert np.array_equal(again.suffix, ours.suffix)


def test_a_mask_takes_the_space_before_it(tmp_path):
    import tokenizers

    ours = RECIPES["bytes"].make(TEXT)
    write_tokenizer(ours, tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    wanted = [*ours.encode("A small"), ours.ids.mask, *ours.encode(", of no")]
    assert theirs.encode("A small <mask>, of no", add_special_tokens=False).ids == wanted


def test_names_of_special_tokens_after_those_of_a_sentencepiece_model(tmp_path):
    import tokenizers

    model = tmp_path / "any.model"
    model.write_bytes(RECIPES["unigram"].make(TEXT).model)
    ours = File(path=str(model), added=("<mask2>",), sentinels=2, codes=("poetry",)).make([])
    write_tokenizer(ours, tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for n, i in enumerate(ours.ids.sentinels):
        assert theirs.token_to_id(f"<extra_id_{n}>") == i
    assert theirs.token_to_id("<code_0>") == ours.ids.codes["poetry"]
    assert theirs.get_vocab_size() == ours.vocabulary.size


def test_sentencepiece_models_of_others(real_data):
    import sentencepiece

    golden = json.loads((real_data / "tokenizers" / "golden.json").read_text())
    for name, encodings in golden["encodings"].items():
        files = sorted((real_data / "tokenizers" / name).glob("*.model"))
        if not files:
            continue
        fast = tokenizer_json(files[0].read_bytes(), [])
        slow = sentencepiece.SentencePieceProcessor(model_file=str(files[0]))
        for text, encoding in zip(golden["texts"], encodings, strict=True):
            if "<s>" not in text:  # names of special tokens are special to them
                assert fast.encode(text, add_special_tokens=False).ids == encoding["ids"], text
                known = [i for i in encoding["ids"] if not slow.is_unknown(i)]
                assert fast.decode(known) == slow.decode(known), text
