"""Published tokenizers of every family: the ids of transformers' slow tokenizers on hard texts.

vocabularies/golden.json was written by make_vocabularies.py with transformers 4.57.
"""

import json
import re

import numpy as np
import pytest
import tokenizers as tokenizers_library

from fxformer.cli.errors import refusal
from fxformer.data import tokenizer as tokenizers
from fxformer.data.tokenizer_basic import SymbolTokenizer
from fxformer.data.tokenizer_file import File
from fxformer.hf.tokenizer_export import tokenizer_caveats, write_tokenizer
from fxformer.hf.tokenizer_files import read_tokenizer
from tests.hf.make_vocabularies import HERE, laid
from tests.hf.test_transformers import ask, pythons

GOLDEN = json.loads((HERE / "golden.json").read_text())
TEXTS = GOLDEN.pop("texts")
# byte-level vocabularies know everything; NLLB's mask comes after its languages, not before them
OTHERWISE = {
    *((name, "unk") for name in ("gpt2", "gpt2_prefixed", "gpt2_added", "qwen2")),
    ("nllb", "mask"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_ids_are_those_of_the_slow_tokenizer(name, tmp_path):
    case = GOLDEN[name]
    ours = read_tokenizer(laid(case, tmp_path / name))
    for text, ids in zip(TEXTS, case["encoded"], strict=True):
        # GPT-2's slow tokenizer puts its space before other spaces too, its fast one does not
        if name != "gpt2_prefixed" or text.strip() and not text[0].isspace():
            assert ours.of_source.encode(text).tolist() == ids, text
    for slot in ("unk", "mask"):
        if case["special"][slot] is not None and (name, slot) not in OTHERWISE:
            assert getattr(ours.ids, slot) == case["special"][slot], slot
    if case["sentinels"]:
        assert set(ours.ids.sentinels) == set(case["sentinels"])
        assert ours.ids.sentinels[0] == max(case["sentinels"])  # <extra_id_0> is the last
    ours.save(tmp_path / "saved")
    again, ours = tokenizers.load(tmp_path / "saved").of_source, ours.of_source
    assert again.vocabulary.size == ours.vocabulary.size
    for text, ids in zip(TEXTS, case["encoded"], strict=True):
        assert np.array_equal(again.encode(text), ours.encode(text)), text
        assert again.decode(np.array(ids, np.int32)) == ours.decode(np.array(ids, np.int32))


@pytest.mark.parametrize("name", ["marian", "marian_apart"])
def test_marian_encodes_targets_and_decodes_as_the_slow_tokenizer(name, tmp_path):
    case = GOLDEN[name]
    ours = read_tokenizer(laid(case, tmp_path / name))
    assert ours.shares_ids == (name == "marian")
    for text, ids, decoded in zip(TEXTS, case["targets"], case["decoded"], strict=True):
        assert ours.encode(text).tolist() == ids, text
        if not text.startswith(">>"):  # languages are special tokens here
            known = [i for i in ids if i != ours.ids.unk]
            assert ours.decode(np.array(known, np.int32)) == decoded, text
    offsets = ours.of_source.encode_offsets(">>fra<< The ship")
    parts = [">>fra<< The ship"[a:b] for a, b in zip(offsets.start, offsets.end, strict=True)]
    assert "".join(parts).replace(" ", "") == ">>fra<<Theship" and parts[0] == ">>fra<<"
    assert offsets.ids.tolist() == ours.of_source.encode(">>fra<< The ship").tolist()


# written as the files of their class of transformers, which no tokenizer.json replaces (of M2M100
# where its vocab.json lacks pieces)
SLOW = ("ctrl", "albert", "albert_cased", "deberta_v2_lower", "m2m_100", "marian", "marian_apart")


def check_files_of_the_class(case, ours, folder):
    """A folder's tokenizer is `ours` again, by the files that the class of a case reads."""
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == case["class"]
    again = read_tokenizer(folder)
    assert again.ids == ours.ids and again.template == ours.template
    assert type(again) is type(ours) and again.shares_ids == ours.shares_ids
    for text, ids in zip(TEXTS, case["encoded"], strict=True):
        assert again.of_source.encode(text).tolist() == ids, text
        assert np.array_equal(again.encode(text), ours.encode(text)), text


@pytest.mark.parametrize(
    ("name", "template", "said"),
    [
        ("marian", "{bos} {text}", "MarianTokenizer puts its own special tokens"),
        ("m2m_100", None, "M2M100Tokenizer puts its own special tokens"),
        ("albert", None, None),
        ("ctrl", "{text}", None),
    ],
)
def test_a_template_that_the_class_does_not_have_is_said(name, template, said, tmp_path):
    ours = read_tokenizer(laid(GOLDEN[name], tmp_path / name))
    ours.template = template or ours.template
    (tmp_path / "out").mkdir()
    files = write_tokenizer(ours, tmp_path / "out")
    caveats = tokenizer_caveats(ours, tmp_path / "out", files)
    assert len(caveats) == (said is not None) and (said is None or said in caveats[0])


def test_a_tokenizer_without_counterpart_is_said_to_be_missing(tmp_path):
    symbols = SymbolTokenizer(5)
    assert write_tokenizer(symbols, tmp_path) == []
    (said,) = tokenizer_caveats(symbols, tmp_path, [])
    assert "the export has no tokenizer" in said and "SymbolTokenizer" in said


@pytest.mark.slow
def test_the_classes_of_transformers_read_what_is_written(tmp_path):
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    for name in SLOW:
        ours = read_tokenizer(laid(GOLDEN[name], tmp_path / f"{name}-published"))
        (tmp_path / name).mkdir()
        write_tokenizer(ours, tmp_path / name)
    folders = [str(tmp_path / name) for name in SLOW]
    said = ask(pythons()[0], str(tmp_path / "texts.json"), *folders, script="ask_tokenizers.py")
    for name, folder in zip(SLOW, folders, strict=True):
        assert said[folder]["plain"] == GOLDEN[name]["encoded"], name


@pytest.mark.parametrize("name", GOLDEN)
def test_what_was_read_is_exported_with_the_same_ids(name, tmp_path):
    ours = read_tokenizer(laid(GOLDEN[name], tmp_path / name))
    (tmp_path / "out").mkdir()
    files = write_tokenizer(ours, tmp_path / "out")
    if name in SLOW:
        assert files[-1] == "tokenizer_config.json" and "tokenizer.json" not in files
        check_files_of_the_class(GOLDEN[name], ours, tmp_path / "out")
        return
    theirs = tokenizers_library.Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    for text in TEXTS:
        ids = ours.encode(text).tolist()
        assert theirs.encode(text, add_special_tokens=False).ids == ids, text
        known = [i for i in ids if i != ours.ids.unk]
        assert theirs.decode(known) == ours.decode(np.array(known, np.int32)), text


def folder_of(place, **files):
    """A folder with these files: dicts as JSON, texts as they are, names of vocabularies copied."""
    place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        target = place / name.replace("__", ".")
        if isinstance(content, (dict, list)):
            target.write_text(json.dumps(content))
        else:
            source = HERE / content
            target.write_bytes(source.read_bytes() if source.is_file() else content.encode())
    return place


def byte_level_json(**added):
    """tokenizer.json of bytes with these special tokens behind them: {name: id}."""
    vocab = json.loads((HERE / "gpt2.json").read_text())
    fast = tokenizers_library.Tokenizer(tokenizers_library.models.BPE(vocab, []))
    fast.pre_tokenizer = tokenizers_library.pre_tokenizers.ByteLevel(False)
    fast.decoder = tokenizers_library.decoders.ByteLevel()
    fast.add_special_tokens(list(added))
    return json.loads(fast.to_str())


def test_a_cased_vocabulary_is_not_lower_cased_for_want_of_settings(tmp_path):
    cased = read_tokenizer(folder_of(tmp_path / "a", vocab__txt="cased.txt"))
    assert "She" in cased.decode(cased.encode("She looked"))
    plain = read_tokenizer(folder_of(tmp_path / "b", vocab__txt="uncased.txt"))
    assert plain.decode(plain.encode("She looked")) == "she looked"


@pytest.mark.parametrize(
    ("beside", "bos", "eos"),
    [
        ({"special_tokens_map__json": {"bos_token": "<|begin_of_text|>",
                                       "eos_token": {"content": "<|eot_id|>"}}}, 421, 423),
        ({"tokenizer_config__json": {"bos_token": None, "eos_token": "<|eot_id|>"}}, None, 423),
        ({"config__json": {"model_type": "llama", "bos_token_id": 421,
                           "eos_token_id": [422, 423]}}, 421, 422),
        ({}, 421, 422),
    ],
)  # fmt: skip
def test_what_begins_and_ends_a_text_is_named_by_the_files(beside, bos, eos, tmp_path):
    names = ("<|x|>", "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
    card = byte_level_json(**dict.fromkeys(names))
    ours = read_tokenizer(folder_of(tmp_path, tokenizer__json=card, **beside))
    assert (ours.ids.bos, ours.ids.eos) == (bos, eos)
    assert ours.vocabulary.special[[420, 421, 422, 423]].all()


def test_settings_have_precedence_over_a_tokenizer_json(tmp_path):
    bare = read_tokenizer(folder_of(tmp_path / "a", vocab__txt="cased.txt"))
    told = {"do_lower_case": True, "strip_accents": False, "tokenize_chinese_chars": False}
    set_ = read_tokenizer(
        folder_of(
            tmp_path / "b", tokenizer__json=json.loads(bare.text), tokenizer_config__json=told
        )
    )
    want = read_tokenizer(
        folder_of(tmp_path / "c", vocab__txt="cased.txt", tokenizer_config__json=told)
    )
    for text in TEXTS:
        assert set_.encode(text).tolist() == want.encode(text).tolist(), text
    spaced = read_tokenizer(
        folder_of(
            tmp_path / "d",
            tokenizer__json=byte_level_json(),
            tokenizer_config__json={"add_prefix_space": True},
        )
    )
    assert spaced.decode(spaced.encode("a")) == " a"


GPT2 = {"vocab__json": "gpt2.json", "merges__txt": "gpt2.merges"}
WORDS = {"vocab__txt": "uncased.txt"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (WORDS | {"tokenizer_config__json": "{broken"}, "tokenizer_config.json is not JSON"),
        (WORDS | {"tokenizer_config__json": [1]}, "holds a list where an object should be"),
        (WORDS | {"tokenizer_config__json": {"do_lower_case": "no"}}, "'no' is no true or false"),
        (WORDS | {"tokenizer_config__json": {"do_basic_tokenize": False}}, "is not read here"),
        (WORDS | {"tokenizer_config__json": {"tokenizer_class": "XLMTokenizer"}}, "not read here"),
        (WORDS | {"added_tokens__json": {"new": 7}}, "'new' has the id 7 among the added"),
        (WORDS | {"special_tokens_map__json": {"sep_token": "[END]"}}, "has no '[END]'"),
        ({"vocab__txt": "a\nb\n"}, "has no [UNK]"),
        (GPT2 | {"config__json": {"model_type": "xlm"}}, "how xlm reads a vocab.json"),
        ({"vocab__json": "openai.json", "merges__txt": "openai.merges"}, "nothing says whose"),
        ({"vocab__json": {"a": 0, "b": 0}, "merges__txt": "#version: 0.2\n"}, "the same id 0"),
        ({"vocab__json": {"a": -1}, "merges__txt": "#version: 0.2\n"}, "not a whole number"),
    ],
)
def test_what_would_give_other_ids_is_refused(files, said, tmp_path):
    with pytest.raises(ValueError, match=re.escape(said)):
        read_tokenizer(folder_of(tmp_path, **files))


def test_what_is_no_json_is_said_in_a_sentence_of_ours(tmp_path):
    folder = folder_of(tmp_path, tokenizer__json='{"model": ')
    for text in ('{"model": ', "[" * 5000, "[]", '{"model": {"type": "BPE"}}', "\udcff"):
        (folder / "tokenizer.json").write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(ValueError) as caught:
            File(path=str(folder)).make([])
        assert refusal(caught.value), text


def damaged():
    """[(change of a tokenizer.json, what is said)]."""

    def unk(card):
        card["model"]["unk_token"] = "[NONE]"

    def twice(card):
        card["model"]["vocab"]["again"] = 5

    def added(card):
        card["added_tokens"][0]["id"] = 5

    def charsmap(card):
        card["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "////fw=="}

    def pattern(card):
        card["pre_tokenizer"] = {
            "type": "Split",
            "pattern": {"Regex": "("},
            "behavior": "Isolated",
            "invert": False,
        }

    def gone(card):
        del card["model"]["merges"]

    return [
        (unk, "unk_token is '[NONE]'"),
        (twice, "same id 5"),
        (added, "same id 5"),
        (charsmap, "cannot be read"),
        (pattern, "cannot be read"),
        (gone, "cannot be read"),
    ]


@pytest.mark.parametrize(("change", "said"), damaged())
def test_a_damaged_tokenizer_json_is_a_value_error(change, said, tmp_path):
    card = byte_level_json(**{"<|x|>": None})
    change(card)
    with pytest.raises(ValueError, match=re.escape(said)):
        read_tokenizer(folder_of(tmp_path, tokenizer__json=card))
