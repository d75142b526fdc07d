"""docs/objectives.md lists exactly the presets that exist, and says what an audit found."""

import re

from fxformer.cli import objectives_doc

AUDIT = {
    "objective": "x", "holds": False, "alpha": 1e-4, "command": "fxformer audit objective=x",
    "examples_drawn": 100_100, "tokens_drawn": 5_000_000, "left_out": {"marks": 3},
    "data": {"length": 128}, "machine": {"cpu": "a cpu"}, "shape": [32, 512], "ms": 2.0,
    "examples": [{"text": "a b", "reads": "a <mask>", "writes": "b"}],
    "rules": [
        {"name": "hidden share", "kind": "ratio", "nominal": 0.3, "observed": 0.267, "low": 0.266,
         "high": 0.268, "p_value": 0.0, "draws": 1000, "holds": False},
        {"name": "P: moved", "kind": "exact", "nominal": 0.0, "observed": 1.0, "low": 0.99,
         "high": 1.0, "p_value": 1.0, "draws": 77, "holds": True},
        {"name": "P: lost", "kind": "exact", "nominal": 0.0, "observed": 0.5, "low": 0.4,
         "high": 0.6, "p_value": 0.0, "draws": 78, "holds": False},
    ],
}  # fmt: skip


def test_the_docs_list_the_presets_that_exist():
    text = objectives_doc.PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^## `(\w+)`$", text, re.MULTILINE) == objectives_doc.presets()
    assert re.findall(r"^\| \[`(\w+)`\]", text, re.MULTILINE) == objectives_doc.presets()


def test_the_docs_rest_on_enough_draws_and_no_broken_rule():
    text = objectives_doc.PAGE.read_text(encoding="utf-8")
    drawn = [int(n.replace(",", "")) for n in re.findall(r"`: ([\d,]+) examples", text)]
    assert len(drawn) == len(objectives_doc.presets()) and min(drawn) >= 100_000
    assert "broken**" not in text


def test_the_page_says_what_was_found():
    text = objectives_doc.page([AUDIT])
    assert "| hidden share | 0.3000 | 0.2670 | 0.0010 | 1,000 | **broken** |" in text
    assert "Never, in up to 78 values: moved." in text and "**Broken**: P: lost" in text
    assert "left out: marks: 3" in text and "reads   a <mask>" in text
    assert "| 3 | **broken** | 0.3000 | 0.2670 | 2.00 ms for 32 × 512 | 8.2 M |" in text


def test_one_preset_is_renewed_and_the_others_stay(monkeypatch):
    monkeypatch.setattr(objectives_doc, "presets", lambda: ["w", "x", "y"])
    both = objectives_doc.page([AUDIT | {"objective": name} for name in ("x", "y")])
    assert objectives_doc.renewed(both, []) == both
    new = objectives_doc.renewed(both, [AUDIT | {"objective": "w", "ms": 3.0}])
    assert new == objectives_doc.page(
        [AUDIT | {"objective": "w", "ms": 3.0}]
        + [AUDIT | {"objective": name} for name in ("x", "y")]
    )
    assert objectives_doc.renewed(new, [AUDIT | {"objective": "w"}]).count("3.00 ms") == 0


def test_a_preset_gets_a_model_it_fits_and_nothing_else():
    assert objectives_doc.words("mlm") == ["objective=mlm", "model=bert"]
    assert objectives_doc.words("seq2seq")[1:] == ["model=bart"]
