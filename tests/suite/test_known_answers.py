"""Template tasks, trained: they reach what the noise of their labels allows, and no more."""

import math

import pytest

from fxformer.track.run_reader import StoredRun
from fxformer.train.main import main
from tests.composing import composed

SMALL = (
    "model=bert", "size=tiny", "model.dim=32", "model.layers=1", "model.heads=2",
    "model.ffn.hidden=64", "model.dropout=0", "tokenizer=word", "tokenizer.vocab_size=300",
    "data=templates", "data.workers=0", "optimizer.lr=3e-3", "schedule=linear",
    "schedule.warmup=0.1", "trainer.eval_every=100000", "trainer.save_every=100000",
    "trainer.milestones=0", "energy=tdp",
)  # fmt: skip


def trained(folder, *words: str) -> tuple[dict, dict, dict]:
    """(scores, last validation line, best values) of a run."""
    main(
        composed([*SMALL, *words, f"data.cache_dir={folder / 'cache'}", f"runs={folder / 'runs'}"])
    )
    (run,) = [one for one in (folder / "runs").iterdir() if (one / "run.json").is_file()]
    stored = StoredRun(run)
    last = [line for line in stored.lines if line["split"] == "valid"][-1]
    return stored.facts["evaluation"]["valid"]["scores"], last, stored.facts["data"]["best"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "task,kind,metric,more",
    [
        ("classification", "classification", "accuracy", ("trainer.epochs=5",)),
        ("token_classification", "entities", "entity_f1", ("trainer.epochs=5",)),
        ("question_answering", "answers", "squad_exact_match",
         ("trainer.epochs=10", "model.layers=2")),
    ],
)  # fmt: skip
def test_a_template_task_reaches_its_best_score_and_loss(tmp_path, task, kind, metric, more):
    words = (f"task={task}", f"data.kind={kind}", "data.noise=0.1", *more)
    scores, last, best = trained(tmp_path, *words)
    assert scores[metric]["low"] <= best[metric] <= scores[metric]["high"]
    # four standard errors of the mean of -log p under the best prediction; 500 rows
    rare, common = -math.log(0.1 / 3), -math.log(0.9)
    spread = 0.3 * (rare - common) / 500**0.5
    assert best["loss"] - 4 * spread < last["loss"] < best["loss"] + 6 * spread


@pytest.mark.slow
def test_labels_that_say_nothing_of_the_text_stay_at_chance(tmp_path):
    words = ("task=classification", "data.noise=0.75", "trainer.epochs=3",
             "+metric@task.metrics.nll=nll")  # fmt: skip
    scores, _, best = trained(tmp_path, *words)
    assert best == {"accuracy": 0.25, "loss": pytest.approx(math.log(4)), "nll": best["loss"]}
    assert scores["accuracy"]["low"] <= 0.25 <= scores["accuracy"]["high"]
    assert scores["nll"]["high"] >= math.log(4)  # not better than chance
