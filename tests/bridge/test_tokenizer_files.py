"""Tokenizers that go out encode as they do here, marks around a text included."""

import json

import numpy as np
import pytest

from fxformer.bridge.sentencepiece_json import tokenizer_json
from fxformer.bridge.tokenizer_files import read_tokenizer, write_tokenizer
from fxformer.data.specials import Specials
from fxformer.data.tokenizer_fast import ByteLevelBPE, WordPiece
from fxformer.data.tokenizer_sentencepiece import SentencePiece

TEXT = ["A small text, of no great meaning; it serves.", "Another one: 12 words  or fewer!"] * 20
HARD = ["Hello  world!", " spaces ", "naïve — £5", "", "a\tb\nc", "<s> is text to us"]
RECIPES = {
    "unigram": SentencePiece(algorithm="unigram", specials=Specials(), vocab_size=330),
    "bpe": SentencePiece(algorithm="bpe", specials=Specials(), vocab_size=330),
    "bytes": ByteLevelBPE(specials=Specials(), vocab_size=300),
    "wordpiece": WordPiece(specials=Specials(), vocab_size=100),
}


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
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    for slot in ("pad", "eos", "mask"):
        assert theirs.token_to_id(settings[f"{slot}_token"]) == getattr(ours.ids, slot)
    again = read_tokenizer(tmp_path)
    # a unigram vocabulary has "<s>" among its pieces, and the library takes it wherever it fits
    for text in HARD if name != "unigram" else HARD[:-1]:
        assert np.array_equal(again.encode(text), ours.encode(text)), text
    assert again.ids == ours.ids
    assert np.array_equal(again.suffix, ours.suffix)


def test_sentencepiece_models_of_others(real_data):
    golden = json.loads((real_data / "tokenizers" / "golden.json").read_text())
    for name, encodings in golden["encodings"].items():
        files = sorted((real_data / "tokenizers" / name).glob("*.model"))
        if not files:
            continue
        fast = tokenizer_json(files[0].read_bytes(), [])
        for text, encoding in zip(golden["texts"], encodings, strict=True):
            if "<s>" not in text:  # names of special tokens are special to them
                assert fast.encode(text, add_special_tokens=False).ids == encoding["ids"], text
