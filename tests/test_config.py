"""The gate: no bad config passes, no good one is refused, and each refusal says what to write."""

import math

import pytest
from omegaconf import OmegaConf

from fxformer.config.check import check, problems
from fxformer.config.resume import FREE, differences, resumed
from fxformer.config.stored import opened_config
from fxformer.config.target import ALLOWED, ConfigError, locate, signature
from fxformer.config.type_check import type_problem
from tests.composing import composed

GOOD = {
    "heads": [1, 64],
    "rate": [0, 0.5, 1],
    "kind": ["soft", "hard", None],
    "bias": [True, False],
    "window": [None, 3],
    "betas": [[0.9, 0.99], [0, 1]],
    "files": ["a.txt", ["a", "b"], []],
    "windows": [None, [], [None, 256]],
    "scale": [None, {}, {"a": 1.5}],
    "act": [None, {"_target_": "config_parts.function", "_partial_": True}],
    "name": ["b", ""],
}
BAD = [
    ("heads", 0, "must lie in [1, 64]"),
    ("heads", -3, "must lie in [1, 64]"),
    ("heads", 8.0, "write 8"),
    ("heads", 8.5, "expected int"),
    ("heads", "abc", "expected int"),
    ("heads", "8", "; write 8"),
    ("heads", True, "expected int"),
    ("heads", None, "expected int"),
    ("heads", [8], "expected int"),
    ("heads", {"_target_": "config_parts.Bare"}, "got a part"),
    ("rate", 2, "must lie in [0, 1]"),
    ("rate", -0.1, "must lie in [0, 1]"),
    ("rate", math.nan, "finite"),
    ("rate", math.inf, "finite"),
    ("rate", "3e-4", "write 3.0e-4"),
    ("rate", "oops", "expected float"),
    ("rate", True, "expected float"),
    ("rate", [0.1], "expected float"),
    ("kind", "sofd", "did you mean 'soft'?"),
    ("kind", 1, "expected one of soft, hard, null"),
    ("bias", 1, "write true"),
    ("bias", "true", "true or false"),
    ("bias", None, "true or false"),
    ("window", 0, "must lie in [1, 9]"),
    ("window", "all", "(or null)"),
    ("betas", [0.9], "expected 2 values, got 1"),
    ("betas", 0.9, "expected a list"),
    ("betas", ["a", 0.1], "entry 0"),
    ("betas", [0.9, math.nan], "finite"),
    ("files", 3, "expected"),
    ("files", [1], "expected"),
    ("windows", [None, "x"], "entry 1"),
    ("windows", 3, "expected a list"),
    ("scale", {"a": "b"}, "entry 'a'"),
    ("scale", [1], "expected a mapping"),
    ("act", "gelu", "expected a part"),
    ("name", 5, "in quotes"),
    ("name", None, "expected string"),
    ("haeds", 4, "did you mean 'heads'?"),
    ("wholly_unknown", 4, "it has: heads, rate"),
]


@pytest.fixture(autouse=True)
def fakes_may_run(monkeypatch):
    monkeypatch.setattr("fxformer.config.target.ALLOWED", (*ALLOWED, "config_parts", "flax"))


def judge(node, **rest):
    cfg = OmegaConf.create({"part": node, **rest})
    return problems(cfg, ({"part", *rest}, {"part"}))


def part(**knobs):
    return {"_target_": "config_parts.Part", "_partial_": True, **knobs}


@pytest.mark.parametrize("knob,value", [(k, v) for k, vs in GOOD.items() for v in vs])
def test_good_values_pass(knob, value):
    assert judge(part(**{knob: value})) == []


@pytest.mark.parametrize("knob,value,words", BAD)
def test_bad_values_are_named(knob, value, words):
    (found,) = judge(part(**{knob: value}))
    assert found.startswith(f"part.{knob}") and words in found


def test_all_problems_at_once_and_in_one_error():
    cfg = OmegaConf.create({"part": part(heads=0, rate=9), "list": [part(kind="x")]})
    found = problems(cfg, ({"part", "list"}, set()))
    assert [f.split(":")[0] for f in found] == ["part.heads", "part.rate", "list[0].kind"]
    with pytest.raises(ConfigError, match="(?s)part.heads.*part.rate.*list.0..kind"):
        check(cfg)


def test_a_whole_part_needs_what_has_no_default():
    assert judge({"_target_": "config_parts.Part"}) == ["part.dim: Part needs it"]
    assert judge({"_target_": "config_parts.Record"}) == ["part.steps: Record needs it"]
    assert judge({"_target_": "config_parts.Record", "_args_": [3]}) == []


def test_targets_without_knobs_and_with_any():
    assert judge({"_target_": "config_parts.anything", "x": 1}) == []
    (found,) = judge({"_target_": "config_parts.Bare", "x": 1})
    assert "no such knob; it has: none" in found


def test_foreign_targets_are_judged_by_names_only():
    assert judge({"_target_": "optax.adamw", "learning_rate": 0.1}) == []
    (found,) = judge({"_target_": "optax.adamw", "learning_rate": 0.1, "esp": 1})
    assert "did you mean 'eps'?" in found


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.run",
        "builtins.eval",
        "fxformer",
        "fxformerx.a",
        "fxformer.config.target.importlib.import_module",  # ours by name only
        "fxformer.config.target.inspect.os.system",
        "jax.numpy.zeros",
        "optax.nothing_like_it",
        "fxformer.no_such.thing",
        "fxformer.config.check.problms",
        "",
    ],
)
def test_only_our_code_runs(target):
    (found,) = judge({"_target_": target})
    assert found.startswith("part._target_: ")


def test_a_mistyped_target_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'problems'"):
        locate("fxformer.config.check.problms")


def test_a_reference_is_reported_where_it_can_be_overridden():
    found = judge(part(heads="${heads}"), heads=0, other=part(heads="${part.heads}"))
    assert found == ["heads: must lie in [1, 64], got 0", "part.heads: must lie in [1, 64], got 0"]


def test_a_referenced_part_is_judged_once():
    found = judge(part(heads=0), other={"inner": "${part}"})
    assert found == ["part.heads: must lie in [1, 64], got 0"]


def test_broken_references_and_missing_values():
    assert "part.heads: must be given" in judge(part(heads="???"))
    found = judge(part(heads="${nowhere}"))
    assert len(found) == 1 and "nowhere" in found[0]
    missing = "part.heads: refers to other.heads, which is not in this config; write part.heads="
    for reference in ("${other.heads}", "1${other.heads}"):
        users = {"again": "${part.heads}", "whole": {"inner": ["${part}"]}}
        found = judge(part(heads=reference), other={}, **users)
        assert len(found) == 1 and found[0].startswith(missing)  # not again for what refers to it


def test_top_level_keys():
    cfg = OmegaConf.create({"modle": {}, "seed": -1, "name": 3, "runs": None})
    found = problems(cfg, ({"model", "seed", "name", "runs"}, {"model", "seed"}))
    assert "modle: there is no such group or key; did you mean 'model'?" in found
    assert "model: is missing; choose one with model=NAME" in found
    assert {"seed", "name", "runs"} <= {line.split(":")[0] for line in found}


def test_nan_is_refused_even_where_nothing_is_annotated():
    assert judge({"_target_": "optax.sgd", "learning_rate": math.nan}) == [
        "part.learning_rate: expected a finite number, got nan"
    ]


def test_nnx_modules_show_their_own_knobs():
    flax = pytest.importorskip("flax.nnx")
    assert "use_bias" in signature("flax.nnx.Linear").knobs and flax


def test_a_part_of_ours_must_be_a_mapping_with_a_target():
    from fxformer.types import Range

    assert "expected Range (a mapping with _target_)" in type_problem({"low": 1}, Range | None)
    assert type_problem({"_target_": "fxformer.types.Range"}, Range) is None
    assert type_problem(3, Range).startswith("expected Range")


def test_ranges_of_the_real_alphabet():
    from fxformer.types import Count, Rate

    assert type_problem(0, Count) == "must lie in [1, inf), got 0"
    assert type_problem(1, Rate) == "must lie in [0, 1), got 1"
    assert type_problem(0, Rate) is None


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "old"
    folder.mkdir(parents=True)
    stored = {"seed": 3, "trainer": {"steps": 10, "ema": None}, "schedule": {"steps": 10},
              "tracker": {"token": "<redacted>"}, "model": {"dim": 8}, "resume": None,
              "runs": "runs", "name": "old"}  # fmt: skip
    OmegaConf.save(OmegaConf.create(stored), folder / "config.yaml")
    now = stored | {"seed": 0, "trainer": {"steps": 99, "ema": 0.9}}
    now["schedule"] = {"steps": "${trainer.steps}"}
    now["tracker"] = {"token": "secret"}
    return folder, OmegaConf.create(now)


def test_resume_takes_the_stored_config_and_the_free_changes(run):
    folder, cfg = run
    cfg = resumed(cfg, ["resume=old", "trainer.steps=99"], folder)
    assert (cfg.seed, cfg.trainer.steps, cfg.trainer.ema) == (3, 99, None)
    assert cfg.schedule.steps == 99  # it refers to trainer.steps
    assert cfg.tracker.token == "secret"
    assert (cfg.resume, cfg.runs) == (str(folder), str(folder.parent))


def test_what_may_change_at_resume_is_in_every_config():
    cfg = composed(["model=bert", "data=stdlib_docs"])
    missing = object()
    assert [key for key in FREE if OmegaConf.select(cfg, key, default=missing) is missing] == []


def test_a_stored_part_that_is_no_mapping_is_refused(tmp_path):
    parts = ("data", "tokenizer", "model", "objective", "task")
    (tmp_path / "config.yaml").write_text("".join(f"{part}: x\n" for part in parts))
    with pytest.raises(ConfigError, match="task: expected a mapping with _target_, got 'x'"):
        opened_config(tmp_path)


def test_resume_refuses_what_makes_another_run(run):
    folder, cfg = run
    with pytest.raises(ConfigError) as error:
        resumed(cfg, ["resume=old", "trainer.ema=0.9", "seed=0", "trainer.steps=99"], folder)
    assert "trainer.ema: the run has None, you gave 0.9" in str(error.value)
    assert "seed: the run has 3, you gave 0" in str(error.value)
    assert "trainer.steps: the run" not in str(error.value)
    assert "warm_start.from=old instead of resume=" in str(error.value)


def test_a_run_that_is_extended_by_hold_notes_each_old_end(run):
    folder, cfg = run
    cfg.trainer.extend = "hold"
    more = ["resume=old", "trainer.steps=99", "trainer.extend=hold"]
    once = resumed(cfg, more, folder)
    assert list(once.trainer.held_at) == [10]
    OmegaConf.save(once, folder / "config.yaml")
    cfg.trainer.steps = 200
    again = resumed(cfg, ["resume=old", "trainer.steps=200"], folder)
    assert list(again.trainer.held_at) == [10, 99]
    cfg.trainer.extend = "stretch"
    anew = resumed(cfg, ["resume=old", "trainer.steps=200", "trainer.extend=stretch"], folder)
    assert list(anew.trainer.held_at) == []


def test_resume_refuses_a_recipe_and_a_folder_that_is_no_run(run, tmp_path):
    folder, cfg = run
    with pytest.raises(ConfigError, match="recipe"):
        resumed(cfg, ["experiment=x"], folder)
    with pytest.raises(ConfigError, match="config.yaml is missing"):
        resumed(cfg, [], tmp_path)


def test_differences_names_both_values():
    old, new = OmegaConf.create({"a": {"b": 1}}), OmegaConf.create({"a": {"b": 2}, "c": []})
    assert differences(old, new) == {
        "a.b": "a.b: the run has 1, you gave 2",
        "c": "c: the run has 'nothing', you gave []",
    }


@pytest.mark.parametrize("given", [float("nan"), float("inf"), "nan", "-inf", 1.5, "1.5"])
def test_numbers_that_are_no_whole_ones_are_refused_without_an_example(given):
    why = type_problem(given, int)
    assert why and "; write" not in why
