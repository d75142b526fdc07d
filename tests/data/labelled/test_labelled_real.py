"""Every row of published data sets is read, and its entities are those of an independent count."""

import json
import re
from collections import Counter

import pytest

from fxformer.data.labelled.corpus import LabelledData
from fxformer.data.labelled.label_schemes import entities
from fxformer.data.labelled.labels import LabelSet


def sizes(rows):
    return {split: len(some) for split, some in rows.items()}


def everything(rows):
    return [row for some in rows.values() for row in some]


def test_clinc150(real_data):
    rows = LabelledData(
        files=str(real_data / "cls/clinc150/data_full.json"), columns={"text": 0, "label": 1}
    ).open_rows()
    assert sizes(rows) == {"train": 15_000, "valid": 3_000, "test": 4_500}
    known = LabelSet.of(rows["train"])
    assert len(known) == 150
    for split, each in (("train", 100), ("valid", 20), ("test", 30)):
        counts = Counter(known.id_of(row.value("label"), row.where) for row in rows[split])
        assert set(counts.values()) == {each}


@pytest.mark.parametrize(
    ("files", "each"),
    [
        ({"pos": "sentence_polarity/rt-polarity.pos", "neg": "sentence_polarity/rt-polarity.neg"},
         5331),
        ({"obj": "subjectivity/plot.*", "subj": "subjectivity/quote.*"}, 5000),
    ],
)  # fmt: skip
def test_sentences_of_two_files(real_data, files, each):
    patterns = {label: str(real_data / "cls" / name) for label, name in files.items()}
    data = LabelledData(files=patterns, valid_share=0.1, test_share=0.1)
    rows = data.open_rows()
    assert sizes(rows)["valid"] == round(0.2 * each) == sizes(rows)["test"]
    assert Counter(row.value("label") for row in everything(rows)) == dict.fromkeys(files, each)
    counts = Counter(row.value("label") for row in rows["valid"])
    assert max(counts.values()) - min(counts.values()) <= 1
    assert data.opened.facts["shared_inputs"] == {"valid": 0, "test": 0}


def counted(path, begins):
    """(sentences, entities by type) of a CoNLL file, from a regular expression on its labels.

    begins: prefix of the first word of an entity
    """
    text = path.read_text(encoding="utf-8").replace("\t\n", "\n")
    blocks = [one for one in text.split("\n\n") if one.strip() and "-DOCSTART-" not in one]
    found = Counter()
    for block in blocks:
        tags = " ".join(re.split(r"[\t ]", line)[-1] for line in block.strip().split("\n"))
        runs = re.finditer(rf"(?<!\S){begins}-(\S+)(?: I-\1(?!\S))*", tags)
        found.update(one[1] for one in runs)
    return len(blocks), found


CONLL = {
    "ner/wnut17/train.conll": (3394, 1975),
    "ner/wnut17/dev.conll": (1009, 836),
    "ner/wnut17/test.conll": (1287, 1079),
    "ner/wikigold/wikigold.conll.txt": (1696, 3558),
    **{f"ner/btc/{part}.conll": None for part in "abefgh"},
}


@pytest.mark.parametrize("name", CONLL)
def test_conll_files(real_data, name):
    rows = everything(LabelledData(files=str(real_data / name)).open_rows())
    read = Counter(kind for row in rows for kind, _, _ in entities(row.value("labels")))
    assert (len(rows), read) == counted(real_data / name, "I" if "wikigold" in name else "B")
    if CONLL[name] is not None:  # as published
        assert (len(rows), read.total()) == CONLL[name]


@pytest.mark.parametrize("language", ["en", "de", "es"])
def test_xquad(real_data, language):
    path = real_data / f"qa/xquad/xquad.{language}.json"
    rows = LabelledData(files=str(path)).open_rows()
    assert sum(sizes(rows).values()) == 1190
    assert len({row.value("id") for row in everything(rows)}) == 1190
    for row in everything(rows):
        (answer,) = row.value("answers")
        assert row.value("context")[answer["start"] :].startswith(answer["text"])
    contexts = [{row.value("context") for row in rows[split]} for split in ("train", "valid")]
    assert len(contexts[0] | contexts[1]) == 240 and not contexts[0] & contexts[1]


def test_scitldr(real_data):
    names = {"files": "train", "valid_files": "dev", "test_files": "test"}
    rows = LabelledData(
        **{knob: str(real_data / f"sum/scitldr/{name}.jsonl") for knob, name in names.items()}
    ).open_rows()
    assert sizes(rows) == {"train": 1992, "valid": 619, "test": 618}
    counts = Counter(len(row.value("target")) for row in rows["valid"])
    assert counts == {3: 267, 2: 237, 1: 94, 4: 21}
    first = json.loads((real_data / "sum/scitldr/train.jsonl").open().readline())
    assert rows["train"][0].value("source") == " ".join(first["source"])
