"""Words of other tools' command lines are answered with what to write here."""

import pytest

from fxformer.__main__ import main
from fxformer.cli import app

COMPOSING = [
    ("--lr 3", "write optimizer.lr=3"),
    ("--lr=3", "write optimizer.lr=3"),
    ("--learning-rate 3", "write optimizer.lr=3"),
    ("lr=3", "write optimizer.lr=3"),
    ("--steps 100", "write trainer.steps=100"),
    ("--batch-size 8", "write data.batch=8"),
    ("--model bert", "write model=bert"),
    ("--attention rotary", "write model/attention=rotary"),
    ("position=rotary", "write model/position=rotary"),
    ("bert", "write model=bert"),
    ("-m bert", "-m searches over several values and takes none; write model=bert"),
    ("trainer.learning_rate=3", "write optimizer.lr=3"),
    ("trainer.save_steps=9", "write trainer.save_every=9"),
    ("model.num_hidden_layers=2", "write model.layers=2"),
    ("optimizer.weigth_decay=0", "did you mean 'optimizer.weight_decay'?"),
    (
        "mesh.unheard_of=1",
        "there is no such key; mesh has: data, fsdp, tensor, min_size, rules, tensor_rules",
    ),
    ("trainer.fp16=true", "write precision=bfloat16"),
    ("wandb.project=x", "there is no such key; write tracker=wandb"),
    ("wandb=true", "write tracker=wandb"),
    ("--wandb", "write tracker=wandb"),
    ("--run 2026", "write resume=2026"),
    ("--root elsewhere", "write runs=elsewhere"),
    ("--stepps 3", "did you mean trainer.steps=3?"),
    ("--unheard-of", "there is no such option; see fxformer train --help"),
    ("optimizer.lr=1,2", "to run each of several values, add -m; a list is optimizer.lr=[1,2]"),
    ("model", "write model=NAME"),
]
READING = [
    ("show --root there", "write runs=there"),
    ("show --run bert", "write bert alone"),
    ("show", "RUN is missing; write fxformer show RUN"),
    ("show a b", "b: fxformer show takes only RUN"),
    ("runs there", "there: fxformer runs takes no words; a folder of runs is runs=there"),
    ("runs root=there", "write runs=there"),
    ("runs table=t.csv", "write --table t.csv"),
    ("runs --tabel t.csv", "did you mean '--table'?"),
    ("runs trainer.steps=3", "fxformer runs composes no config"),
    ("runs -m", "-m searches: fxformer train -m"),
    ("runs runs=", "runs= names no folder"),
    ("compare a b --at price", "--at: invalid choice: 'price'"),
    ("compare a b --seed x", "--seed x: expected int"),
    ("export bert", "DIR is missing; write fxformer export RUN DIR"),
    ("import DIR --ignor x", "did you mean '--ignore'?"),
    ("completion tcsh", "invalid choice: 'tcsh'"),
]


@pytest.mark.parametrize("words, said", COMPOSING)
@pytest.mark.sample(3)
def test_a_verb_that_composes_names_the_key(words, said, capsys):
    assert app.train(words.split(), lambda cfg: None) == 2
    lines = capsys.readouterr().err
    assert said in lines and lines.count("\n") == 1


@pytest.mark.parametrize("words, said", READING)
def test_a_verb_that_reads_names_the_option(words, said, capsys):
    assert main(words.split()) == 2
    lines = capsys.readouterr().err
    assert said in lines and lines.count("\n") == 1


def test_each_foreign_word_has_its_line(capsys):
    assert app.plan(["--json", "f.json", "--lr", "3"], lambda cfg: None) == 2
    assert capsys.readouterr().err.splitlines() == [
        "fxformer:",
        "  --json: options are written as key=value: write plan.json=f.json",
        "  --lr: options are written as key=value: write optimizer.lr=3",
    ]
