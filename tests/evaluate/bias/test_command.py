"""`fxformer bias`: no text in anything written, a sentence for each error, paired differences."""

import json
import math

import numpy as np
import pytest
from shell import called

from fxformer.errors import UserError
from fxformer.evaluate.bias.files import csv_rows, json_value
from fxformer.evaluate.bias.report import finite
from fxformer.evaluate.bias.requests import SentenceScorer
from fxformer.evaluate.bias.sentences import SentenceTokenizer
from fxformer.evaluate.bias.stereoset import StereoSet
from tests.evaluate.bias.files import MARKER, all_sets


@pytest.fixture(scope="module")
def answered(sets, run_of, tmp_path_factory):
    """(folder, exit code, stdout, stderr) of two models on all sets."""
    folder = tmp_path_factory.mktemp("answered")
    (folder / "runs").mkdir()
    models = [str(run_of(kind).folder) for kind in ("bert", "gpt")]
    words = ("bias", *models, f"data.root={sets}", "--json", "all.json")
    return folder, *called(*words, folder=folder)


def test_no_text_of_the_files_reaches_anything_written(answered):
    folder, code, out, err = answered
    assert code == 0, err
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert {"all.json"} < {path.name for path in written} and len(written) == 2
    for content in (out, err, *(path.read_text() for path in written)):
        assert MARKER not in content and "sat on" not in content


def test_json_has_every_model_category_and_id(answered):
    found = json.loads((answered[0] / "all.json").read_text())["audits"]
    assert [one["audit"] for one in found] == ["crows_pairs", "stereoset", "winobias"]
    for one in found:
        assert [model["architecture"] for model in one["models"]] == ["encoder", "decoder"]
        assert len(one["rows"]) == one["examples"] and not one["left_out"]
        for model in one["models"]:
            scores = model["categories"]["all"]
            assert scores["examples"] == one["examples"]
            assert 0 <= scores["values"]["preferred"]["low"] <= scores["values"]["lm"]["high"] + 100
        (difference,) = one["differences"]
        first, second = (
            m["categories"]["all"]["values"]["log_odds"]["value"] for m in one["models"]
        )
        made = difference["categories"]["all"]["log_odds"]
        assert made["difference"] == pytest.approx(second - first)
        assert made["low"] <= made["difference"] <= made["high"] and "better" not in made
        odds = np.array([row["log_odds"] for row in one["rows"]])
        assert odds.mean(0).tolist() == pytest.approx([first, second])


def test_a_settings_key_goes_to_the_audits_that_have_it(sets, run_of, tmp_path):
    model = str(run_of("bert").folder)
    words = (
        "bias",
        model,
        "--audit",
        "crows_pairs",
        f"data.root={sets}",
        "examples=5",
        "tokens=all",
    )
    code, out, err = called(*words, "--json", "o.json", folder=tmp_path)
    (one,) = json.loads((tmp_path / "o.json").read_text())["audits"]
    assert code == 0 and one["examples"] == 5 and one["settings"]["tokens"] == "all"
    assert "pseudo-log-likelihood of all tokens" in out and not err


BROKEN = {
    "no file": (lambda f: (f / "dev.json").unlink(), "there is no dev.json"),
    "no json": (lambda f: (f / "dev.json").write_text(f"{{'{MARKER}"), "line 1: is no JSON"),
    "no list": (lambda f: (f / "dev.json").write_text("{}"), "no list data.intrasentence"),
    "bytes": (lambda f: (f / "dev.json").write_bytes(b"\xff\xfe{"), "is not UTF-8 text at byte 0"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_missing_or_damaged_file_is_one_sentence(tmp_path, name):
    folder = all_sets(tmp_path / "sets")
    damage, wanted = BROKEN[name]
    damage(folder)
    words = ("bias", "none", "--audit", "stereoset", f"data.root={folder}")
    code, _, err = called(*words, folder=tmp_path)
    assert code == 2 and wanted in err and len(err.strip().splitlines()) == 1
    assert MARKER not in err


@pytest.mark.parametrize(
    "change",
    [
        {"bias_type": MARKER},
        {"sentences": []},
        {"context": MARKER},
        {"id": f"{MARKER} {MARKER}"},
        {"context": None},
    ],
)
def test_a_damaged_example_is_named_by_its_number(tmp_path, change):
    folder = all_sets(tmp_path / "sets")
    content = json_value(folder / "dev.json")
    content["data"]["intrasentence"][4] |= change
    (folder / "dev.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="example 4: ") as caught:
        StereoSet(root=str(folder)).read()
    assert MARKER not in str(caught.value) and caught.value.__cause__ is None


def test_a_damaged_csv_is_named_by_its_row(tmp_path):
    file = tmp_path / "a.csv"
    for text, wanted in (
        (f'x,y\n"{MARKER}', "line 2: is no CSV"),
        (f"x,y\n{MARKER}\n", "row 1: has 1 values, and the header 2"),
        (f"{MARKER},y\n", "no column x"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=wanted) as caught:
            csv_rows(file, ["x", "y"])
        assert MARKER not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--audit", "stereset"), "did you mean 'stereoset'"),
        (("tokenz=all",), "tokenz: no chosen audit has this key; did you mean 'tokens'"),
        (("examples=-1",), "examples"),
        (("--files", "a"), "write --audit NAME too"),
        (("--audit", "winobias"), "winobias needs its published files"),
    ],
)
def test_bad_words_are_one_sentence(tmp_path, words, wanted):
    code, _, err = called("bias", "none", *words, folder=tmp_path)
    assert code == 2 and wanted in err


def test_a_model_that_cannot_be_scored_is_one_sentence(model_of):
    bert, gpt, bart = model_of("bert"), model_of("gpt"), model_of("bart")

    def without(model, *slots):
        import dataclasses

        ids = dataclasses.replace(model.vocabulary, **dict.fromkeys(slots))
        return model.replace(vocabulary=ids, tokenizer=None)

    with pytest.raises(UserError, match="has no mask token"):
        SentenceScorer(without(bert, "mask"))
    with pytest.raises(UserError, match="no bos or eos token"):
        SentenceScorer(without(gpt, "bos", "eos"))
    with pytest.raises(UserError, match="neither a mask token nor sentinels"):
        SentenceScorer(without(bart, "mask"))
    with pytest.raises(UserError, match="has no tokenizer"):
        SentenceTokenizer(bert.replace(tokenizer=None))
    scorer = SentenceScorer(without(gpt, "bos"))
    assert scorer.start.tolist() == [gpt.vocabulary.eos]
    assert scorer.remarks == [
        f"{gpt.name} has no bos token: the first token of a sentence is scored after eos"
    ]


def test_what_the_tokenizer_loses_is_said_once_and_alike_sentences_are_counted(model_of):
    encoder = SentenceTokenizer(model_of("bert"))
    encoder.pair(("the cat sat", "the dog sat"))
    assert encoder.loss.remark("m") is None
    encoder.pair((f"the {MARKER} sat", "the other sat"))
    said = encoder.loss.remark("m")
    assert said == (
        "the tokenizer of m loses characters of 2 of 4 sentences (2 with unknown tokens), and 1 "
        "examples have sentences that it cannot tell apart"
    )
    assert encoder.pair((MARKER * 4000, "the cat")) is not None
    assert encoder.pair(("the cat " * 400, "the cat")) is None and math.isfinite(encoder.loss.texts)


def test_numbers_that_are_not_finite_are_null_in_json():
    given = {"a": [1.5, math.nan], "b": {"c": -math.inf, "d": 2, "e": "nan"}}
    assert finite(given) == {"a": [1.5, None], "b": {"c": None, "d": 2, "e": "nan"}}
