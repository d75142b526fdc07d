"""The GPU benchmark without a GPU: its figures, its limits of time, its stages in tiny shapes."""

import json
import sys
from types import SimpleNamespace

import pytest

from benchmarks import gpu, gpu_report
from benchmarks.gpu_models import MODELS, model_of


def done(kind, of, **result):
    return {"name": f"{kind} {of}", "kind": kind, "of": of, "status": "done", "result": result}


def test_rates_are_those_of_the_median_step():
    found = gpu_report.rates([0.4, 0.5, 0.6], tokens=1000, flops=2e12, peak=1e13)
    assert found["step_seconds"] == 0.5 and found["tokens_per_second"] == 2000
    assert found["mfu"] == pytest.approx(0.4) and found["steps"] == 3
    assert gpu_report.rates([1, 1], 1, 1.0, None)["mfu"] is None


def test_square_buffers_are_those_of_rows_and_heads_alone():
    program = """
      %a = bf16[2,4,64,64]{3,2,1,0} dot(f32[8,64,64]{2,1,0} %b, pred[2,1,64,64] %mask)
      %weights = f32[12,64,64] parameter(0), f32[64,64] %kernel, f32[2,64,32] %x, s32[64] %i
    """
    found = gpu_report.square_buffers(program, length=64, rows=2, heads=4)
    assert found == ["bf16[2,4,64,64]", "f32[8,64,64]", "pred[2,1,64,64]"]
    hidden = "f32[2,64,64] %x, f32[2,4,64,64] %y"
    assert gpu_report.square_buffers(hidden, 64, 2, 4, widths=(64,)) == ["f32[2,4,64,64]"]
    assert gpu_report.square_buffers(program, length=32, rows=2, heads=4) == []


def test_the_summary_names_ratios_and_what_is_missing():
    ours, theirs = {"step_seconds": 0.5}, {"step_seconds": 0.75}
    assert gpu_report.ratio(ours, theirs) == 1.5 and gpu_report.ratio(None, theirs) is None
    stages = [
        done("ours", "bert_base", **ours),
        {"name": "peer bert_base", "status": "timed out", "reason": "its limit was 75 s"},
    ]
    assert gpu_report.missing(stages) == ["peer bert_base: timed out, its limit was 75 s"]
    assert gpu_report.results(stages[:1], "ours") == {"bert_base": ours}


def script(words: str) -> gpu.Stage:
    stage = gpu.Stage("ours", "x", 60)
    stage.command = lambda: [sys.executable, "-c", words]
    return stage


def test_a_stage_that_fails_or_hangs_loses_only_itself(monkeypatch):
    monkeypatch.setattr(gpu, "LEAST", 0.1)
    assert gpu.run(script("print('{\"a\": 1}')"), 60)["result"] == {"a": 1}
    failed = gpu.run(script("import sys; sys.exit('no kernel')"), 60)
    assert failed["status"] == "failed" and failed["reason"] == "code 1: no kernel"
    words = """import time; print('{"a": 2}'); print('{', end='', flush=True); time.sleep(60)"""
    late = gpu.run(script(words), 1.5)
    assert late["status"] == "timed out" and late.get("result", {"a": 2}) == {"a": 2}
    assert gpu.run(script(""), 0.0)["reason"] == "the time was used up"


def test_a_kernel_is_used_once_it_equals_the_reference():
    given = SimpleNamespace(models=["gpt2_124m", "t5_base"], tiny=False, peer="python")
    found: list[dict] = []
    stages = gpu.plan(given, "gpu", found, None)
    checked = [next(stages), next(stages)]
    assert [(one.kind, one.of) for one in checked] == [
        ("correctness", "cudnn"),
        ("correctness", "pallas"),
    ]
    found.append(done("correctness", "cudnn", cases=[{"equal": False}], equal=False))
    found.append(
        done("correctness", "pallas", cases=[{"equal": True}, {"refused": "x"}], equal=True)
    )
    rest = list(stages)
    assert [one.options.get("backend") for one in rest[:2]] == ["pallas", "auto"]  # T5 has a bias
    assert [one.kind for one in rest] == ["ours", "ours", "energy", "peer", "peer"]
    assert not [one for one in gpu.plan(given, "cpu", [], "no torch") if one.kind == "peer"]


def test_models_have_their_published_sizes_and_words_that_compose():
    from benchmarks.ours import config

    assert set(gpu.parsed([]).models) == set(MODELS)
    for name in MODELS:
        cfg = config("", None, model_of(name, tiny=True).overrides("auto"))
        assert cfg.precision.compute == "bfloat16" and cfg.data.length == 192
    assert MODELS["modernbert_base"].length == 8192 and MODELS["gpt2_350m"].layers == 24


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "platform_of", lambda: "cpu")
    assert gpu.main([]) == 2 and "JAX sees no GPU" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        gpu.parsed(["gpt5"])


@pytest.mark.slow
def test_every_model_runs_in_tiny_shapes_and_tiles_leave_no_square_buffer(tmp_path):
    file = tmp_path / "gpu.json"
    gpu.main(["--tiny", "--minutes", "30", "--json", str(file)])
    stages = json.loads(file.read_text())["stages"]
    ours = gpu_report.results(stages, "ours")
    assert set(ours) == set(MODELS) and gpu_report.results(stages, "correctness")["cpu"]["equal"]
    for name, one in ours.items():
        assert one["mfu"] > 0 and one["compiled_bytes"]["temp"] > 0
        if MODELS[name].attention:
            assert one["backends"] == ["cpu"] and not one["square_buffers"]
