"""The corpora every machine has: enough text, clean, and a split without leaks."""

import sys

import pytest

from fxformer.data import stdlib
from fxformer.data.packing import Segments
from fxformer.data.special_tokens import Specials
from fxformer.data.stdlib import StdlibCode, StdlibDocs, clean
from fxformer.data.tokenizer_basic import Byte

KNOBS = dict(tokenizer=Byte(specials=Specials()), packing=Segments(), length=64, batch=4)


@pytest.fixture(scope="module")
def docs():
    before, corpus = set(sys.modules), StdlibDocs(**KNOBS)
    if corpus.missing:
        pytest.skip("this Python comes without its sources")
    corpus.imported = set(sys.modules) - before
    return corpus


def grams(text, n=8):
    words = text.split()
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def test_there_is_enough_of_it_and_a_tenth_is_held_out(docs):
    sizes = {split: sum(map(len, docs.documents(split))) for split in ("train", "valid")}
    assert sum(sizes.values()) > 1_500_000
    assert 0.07 < sizes["valid"] / sum(sizes.values()) < 0.14


def test_what_is_held_out_is_not_in_the_rest(docs):
    train = set().union(*map(grams, docs.documents("train")))
    held = [gram for text in docs.documents("valid") for gram in grams(text)]
    assert sum(gram in train for gram in held) / len(held) < 0.015


def test_no_doctests_and_no_imports(docs):
    text = "\n".join(docs.texts.values())
    assert not {"imaplib", "mailbox", "pydoc_data.topics"} & docs.imported
    assert text.count(">>>") < 100 and "antigravity" not in docs.texts


def test_clean_keeps_prose_only():
    text = (
        "It adds two numbers, and nothing else::\n\n    add(1, 2)\n\n    more.code()\n\n"
        "Then it says so.\n\n>>> add(1, 2)\n3\n\n"
        "=====  =====\nname   size\n=====  =====\n\n  An indented paragraph with words."
    )
    assert clean(text) == (
        "It adds two numbers, and nothing else:\n\nThen it says so.\n\n"
        "An indented paragraph with words."
    )


def test_code_splits_by_the_same_modules():
    corpus = StdlibCode(**KNOBS)
    held = {name.split(".")[0] for name in corpus.texts if corpus.is_held_out(name)}
    assert held == stdlib.HELD_OUT
    assert not {"tkinter", "test", "idlelib"} & {name.split(".")[0] for name in corpus.texts}


def test_without_sources_made_up_text_takes_their_place(tmp_path, monkeypatch):
    monkeypatch.setattr(stdlib, "folder", lambda: tmp_path)
    corpus = StdlibDocs(**KNOBS, cache_dir=str(tmp_path))
    monkeypatch.setattr("fxformer.data.stdlib.folder", lambda: tmp_path)
    with pytest.warns(UserWarning, match="0 bytes of text in the standard library.*synthetic text"):
        facts = corpus.prepare(64).facts
    assert "without its sources" in facts["synthetic_text"]
    assert facts["train"]["bytes"] > 5 * facts["valid"]["bytes"] > 0
