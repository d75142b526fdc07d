"""Features of texts: the same alone, padded and packed; in memory and in files; resumed."""

import json

import numpy as np
import pytest

from fxformer.cli.main import main
from fxformer.errors import UserError
from fxformer.inference.features import command, parts
from fxformer.inference.features.pooling import default_pooling, pooled

TEXTS = ["the cat sat on a mat", "the dog", "a red oak ran to its small red house", "a mat"]
CLOSE = {"rtol": 0, "atol": 2e-6}  # XLA adds in another order for another shape


@pytest.mark.parametrize("kind", ["encoder", "decoder", "seq2seq"])
def test_features_are_the_same_alone_padded_and_packed(model_of, kind):
    model = model_of(kind)
    padded = model.features(TEXTS, [0, -1])
    packed = model.features(TEXTS, [0, -1], packing="segments")
    alone = np.concatenate([model.features(text, [0, -1]) for text in TEXTS])
    assert padded.dtype == np.float32 and padded.shape[:2] == (4, 2)
    np.testing.assert_allclose(packed, padded, **CLOSE)
    np.testing.assert_allclose(alone, padded, **CLOSE)


def test_a_vector_is_that_of_the_hidden_states_and_the_default_that_of_the_family(model_of):
    model = model_of("encoder")
    states = model.hidden_states(TEXTS)
    for how, reduce in (("mean", lambda x: x.mean(0)), ("max", lambda x: x.max(0)),
                        ("first", lambda x: x[0]), ("last", lambda x: x[-1])):  # fmt: skip
        expected = np.stack([reduce(one) for one in states])
        np.testing.assert_array_equal(model.features(TEXTS, pooling=how), expected)
        np.testing.assert_array_equal(pooled(states[0], how), expected[0])
    np.testing.assert_array_equal(model.features(TEXTS), model.features(TEXTS, pooling="first"))
    assert default_pooling(model_of("decoder")) == "last"
    assert default_pooling(model_of("seq2seq")) == "mean"
    with pytest.raises(UserError, match="pooling='men'.*did you mean 'mean'"):
        model.features(TEXTS, pooling="men")


@pytest.fixture
def table(tmp_path):
    """A CSV file with ids and labels."""
    lines = ["id,sentence,stars", *(f"r{n},{text},{n}" for n, text in enumerate(TEXTS))]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "a.csv"


COLUMNS = "data.columns={text: sentence, label: stars}"


def test_a_file_has_features_ids_and_labels(model_of, run_folder, table, tmp_path, capsys):
    words = [str(run_folder("encoder")), str(table), COLUMNS]
    assert main(["features", *words, "-o", str(tmp_path / "f.npz")]) == 0
    assert "4 rows" in capsys.readouterr().out
    made = np.load(tmp_path / "f.npz")
    np.testing.assert_allclose(made["features"], model_of("encoder").features(TEXTS), **CLOSE)
    assert list(made["id"]) == ["r0", "r1", "r2", "r3"] and list(made["label"]) == list("0123")
    assert main(["features", *words, "-o", str(tmp_path / "f.npz")]) == 2
    assert "exists" in capsys.readouterr().err


def test_tokens_of_words_and_pairs_as_parquet(model_of, run_folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    model, rows = model_of("encoder"), [{"words": TEXTS[0].split(), "labels": ["O"] * 6}]
    rows += [{"text": "the dog", "pair": "a mat", "label": "x"}]
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "f.parquet"
    words = [str(run_folder("encoder")), str(file), "--tokens", "--layer", "0,-1", "-o", str(out)]
    command.features_command(words)
    found = parquet.read_table(out).to_pylist()
    states = model.hidden_states(TEXTS[0], [0, -1])[0]
    np.testing.assert_allclose(found[0]["tokens_0"], states[0], **CLOSE)
    last = next(name for name in found[0] if name.startswith("tokens_") and name != "tokens_0")
    np.testing.assert_allclose(found[0][last], states[1], **CLOSE)
    assert [row["label"] for row in found] == ["O O O O O O", "x"]
    assert len(found[1]["token_ids"]) > len(model.encode("the dog")[0])


def test_a_killed_command_goes_on_and_a_damaged_part_is_made_again(
    run_folder, table, tmp_path, monkeypatch
):
    monkeypatch.setattr("fxformer.inference.features.compute.CHUNK", 1)
    words, out = [str(run_folder("encoder")), str(table), COLUMNS], tmp_path / "f.npz"
    command.features_command([*words, "-o", str(tmp_path / "whole.npz")])
    write, written = parts.FeatureParts.write, []

    def killed(self, number, arrays):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(number)
        write(self, number, arrays)

    monkeypatch.setattr(parts.FeatureParts, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        command.features_command([*words, "-o", str(out)])
    with pytest.raises(UserError, match="write --resume"):
        command.features_command([*words, "-o", str(out)])
    with pytest.raises(UserError, match="other options"):
        command.features_command([*words, "--pooling", "max", "-o", str(out), "--resume"])
    torn = out.with_name("f.npz.parts") / "000001.npz"
    torn.write_bytes(torn.read_bytes()[:-40])
    written.clear()
    monkeypatch.setattr(
        parts.FeatureParts, "write", lambda *given: (written.append(1), write(*given))
    )
    command.features_command([*words, "-o", str(out), "--resume"])
    assert len(written) == 3  # the damaged part, the one after it, and the one never made
    one, other = np.load(tmp_path / "whole.npz"), np.load(out)
    assert not out.with_name("f.npz.parts").exists()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize(
    "words, said",
    [
        (["-o", "f.txt"], "ends in .npz or .parquet"),
        ([], "write -o features.npz"),
        (["-o", "f.npz", "--layer", "9"], "has layers 1"),
        (["-o", "f.npz", "--pooling", "none"], "add --tokens"),
        (["-o", "f.npz", "data.colums={text: sentence}"], "did you mean 'data.columns'"),
        (["-o", "f.npz", "--packing", "paded"], "did you mean 'padded'"),
        (["-o", "f.npz"], "has no 'text'"),
    ],
)
def test_what_makes_no_sense_is_refused(run_folder, table, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        command.features_command([str(run_folder("encoder")), str(table), *words])
