"""Tokens of languages in tokenizers of translation models."""

import json
from pathlib import Path

import pytest

from fxformer.data.language_codes import M2M100, MBART, MBART50
from fxformer.data.tokenizer_file import File

VOCABULARIES = Path(__file__).parent.parent / "hf" / "vocabularies"


def tokenizer(folder, settings, **files):
    for name, source in files.items():
        (folder / name.replace("__", ".")).write_bytes((VOCABULARIES / source).read_bytes())
    (folder / "config.json").write_text('{"model_type": "mbart"}')
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return File(path=str(next(folder.glob("*.model")))).make([])


def test_languages_follow_the_vocabulary_in_the_order_of_the_papers(tmp_path):
    assert len(MBART) == 25 and len(MBART50) == 52 and len(M2M100) == 100
    made = tokenizer(
        tmp_path,
        {"tokenizer_class": "M2M100Tokenizer"},
        sentencepiece__model="plain.model",
        vocab__json="m2m100.json",
    )
    count = len(json.loads((VOCABULARIES / "m2m100.json").read_text()))
    assert made.id_of("__af__") == count and made.id_of("__zu__") == count + 99
    assert made.vocabulary.size == count + 100 and made.vocabulary.special[count]
    assert made.decode([count, 5]) == made.decode([5])


@pytest.mark.parametrize("listed", [False, True])
def test_mbart_50_has_its_languages_whether_the_settings_list_them_or_not(tmp_path, listed):
    settings = {"tokenizer_class": "MBart50Tokenizer"}
    first = 156  # 155 pieces and one id of XLM-R's
    if listed:
        added = {first + i: {"content": code, "special": True} for i, code in enumerate(MBART50)}
        settings["added_tokens_decoder"] = added
    made = tokenizer(tmp_path, settings, sentencepiece__bpe__model="plain.model")
    assert [made.id_of(code) for code in MBART50] == list(range(first, first + 52))
    assert made.name_of(first + 51) == "sl_SI"
