"""Published tokenizers: read as an import reads them, written, and read again by transformers.

Golden encodings and the published files lie in the folder that FXFORMER_DATA names.
"""

import json
import shutil

import numpy as np
import pytest

from fxformer.hf.tokenizer_export import write_tokenizer
from fxformer.hf.tokenizer_files import read_tokenizer
from tests.hf.test_tokenizer_files import HARD, RECIPES, TEXT
from tests.hf.test_transformers import ask, pythons

SPECIAL = "[CLS]"  # a text of names of special tokens: those who know them read them as such
NAMES = (
    "bert-base-uncased",
    "gpt2",
    "roberta-base",
    "t5",
    "sp_bpe_bytefallback",
    "sp_unigram_1k",
    "sp_unigram_ja",
)


def laid(data, name, folder):
    """The files as a folder of a published model has them."""
    folder.mkdir()
    for file in (data / "tokenizers" / name).iterdir():
        target = "spiece.model" if file.suffix == ".model" else file.name
        shutil.copyfile(file, folder / target)
    if name == "roberta-base":
        shutil.copyfile(data / "tokenizers" / "gpt2" / "merges.txt", folder / "merges.txt")
    return folder


def golden(data, name):
    """[(text, ids)] without the texts that others read otherwise."""
    found = json.loads((data / "tokenizers" / "golden.json").read_text())
    pairs = zip(found["texts"], found["encodings"][name], strict=True)
    return [(text, one["ids"]) for text, one in pairs if SPECIAL not in text]


@pytest.mark.parametrize("name", NAMES)
def test_what_an_import_reads_encodes_as_published(name, real_data, tmp_path):
    ours = read_tokenizer(laid(real_data, name, tmp_path / name))
    for text, ids in golden(real_data, name):
        assert ours.encode(text).tolist() == ids, text


@pytest.mark.slow
def test_transformers_encodes_as_published_with_what_we_write(real_data, tmp_path):
    wanted = {name: golden(real_data, name) for name in NAMES}
    texts = [text for text, _ in wanted[NAMES[0]]]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    folders, made = [], {}
    for name in NAMES:
        ours = made[name] = read_tokenizer(laid(real_data, name, tmp_path / f"{name}-published"))
        (tmp_path / name).mkdir()
        assert "tokenizer.json" in write_tokenizer(ours, tmp_path / name), name
        folders.append(str(tmp_path / name))
    for python in pythons():
        said = ask(python, str(tmp_path / "texts.json"), *folders, script="ask_tokenizers.py")
        for name, folder in zip(NAMES, folders, strict=True):
            for n, (text, ids) in enumerate(wanted[name]):
                assert said[folder]["plain"][n] == ids, (python, name, text)
                if made[name].ids.unk not in ids:
                    back = made[name].decode(np.array(ids, np.int32))
                    assert said[folder]["decoded"][n] == back, (python, name, text)
                if "pieces" in said[folder]:
                    assert said[folder]["pieces"][n] == ids, (python, name, text)


@pytest.mark.slow
def test_transformers_encodes_as_here_with_a_tokenizer_trained_here(tmp_path):
    asking = pythons()
    texts = [text for text in HARD if "<s>" not in text]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    made = {name: recipe.make(TEXT) for name, recipe in RECIPES.items()}
    for name, ours in made.items():
        (tmp_path / name).mkdir()
        write_tokenizer(ours, tmp_path / name)
    folders = [str(tmp_path / name) for name in made]
    for python in asking:
        said = ask(python, str(tmp_path / "texts.json"), *folders, script="ask_tokenizers.py")
        for (name, ours), folder in zip(made.items(), folders, strict=True):
            for n, text in enumerate(texts):
                ids = ours.encode(text).tolist()
                assert said[folder]["plain"][n] == ids, (python, name, text)
                around = [*ours.prefix.tolist(), *ids, *ours.suffix.tolist()]
                assert said[folder]["around"][n] == around, (python, name, text)
                if ours.ids.unk not in ids:
                    back = ours.decode(np.array(ids, np.int32))
                    assert said[folder]["decoded"][n] == back, (python, name, text)
            own = {slot: getattr(ours.ids, slot) for slot in ("pad", "eos", "mask")}
            assert said[folder]["special"] == own
