"""Valid compositions, drawn at random over all groups that decide what is computed.

    python tests/e2e/compositions.py COUNT [SEED] > tests/configs/valid.txt    writes the list anew

A draw that the gates refuse is no composition and is left out; an error that is no refusal is
printed to stderr: a bug of the gates.
"""

import functools
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from gate import CHAIN, TINY, composed, refusal, text
from jax import Array

from fxformer.config.folders import conf_folder
from fxformer.config.legal import architecture
from fxformer.config.legal_parts import options as fitting
from fxformer.train.setup import set_up

GROUPS = ("model/position", "model/residual", "model/ffn", "model/norm", "model/attention")
GROUPS += ("tokenizer", "optimizer", "schedule", "precision")
TEXT = "\n\n".join(
    f"Line {n} of the text. It has {n % 7} words more! Has it? {'more ' * (n % 7)}"
    for n in range(300)
)
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def options(group: str) -> list[str]:
    """The choices of a group that a composition may have."""
    without = {"model": {"common"}, "tokenizer": {"none", "file"}}.get(group, set())
    return sorted({p.stem for p in (conf_folder() / group).glob("*.yaml")} - without)


@functools.cache
def architecture_of(model: str) -> str:
    """encoder, decoder or seq2seq."""
    return str(architecture(composed([f"model={model}"])))


@functools.cache
def objectives(kind: str) -> list[str]:
    """The objectives of an architecture."""
    return fitting("objective", lambda part: kind in getattr(part, "legal", (kind,)))


def drawn(seed: int) -> str:
    """The words of a composition: a model, an objective, and some of the other groups."""
    draw = random.Random(seed)
    model = draw.choice(options("model"))
    words = [f"model={model}", f"objective={draw.choice(objectives(architecture_of(model)))}"]
    if words[1] == "objective=seq2seq":
        words.append(f"data={draw.choice(['copy', 'reverse', 'sort'])}")
    words += [f"{g}={draw.choice(options(g))}" for g in draw.sample(GROUPS, draw.randint(3, 6))]
    if draw.random() < 0.3:
        words.append(draw.choice(["trainer.accumulate=2", "trainer.ema=0.9", "model.remat=true"]))
    return " ".join(words)


def command(words: str, file: Path) -> list[str]:
    """The command line of a composition, small, on the text of `file`."""
    chosen = words.split()
    if "objective=seq2seq" in chosen:
        chain = [word for word in CHAIN if word != "data=markov" and word not in chosen]
        return [*chain, *TINY, "data.shortest=3", "data.length=24", *chosen]
    more = ["data/packing=sentence_pairs"] * ("nsp" in words or "sop" in words)
    more += ["data.code=file"] * ("objective=ctrl" in chosen)
    more += ["tokenizer.specials.sentinels=40", "data.length=64"]
    return [*text(file), "energy=model", "data.document_is=paragraph", *more, *chosen]


def two_steps(argv: list[str]) -> list[float]:
    """The losses of the first two steps; the second is that of updated weights."""
    setup = set_up(composed(argv))
    batches = setup.data.train(setup.corpus.batch, setup.cfg.seed)
    state, losses = jax.jit(setup.start)(jax.random.key(0)), []
    step = jax.jit(lambda state, batch: setup.step(state, batch))
    for n in range(2):
        batch = setup.put(setup.objective.corrupt(batches[n]))
        if n == 0:
            step = step.lower(state, batch).compile(compiler_options=QUICK)
        state, sums = step(state, batch)
        losses.append(ratio(sums["loss"]))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    return losses


def ratio(pair: tuple[Array, Array]) -> float:
    """sum / weight."""
    return float(pair[0]) / float(pair[1])


def compositions(count: int, folder: Path, seed: int = 0) -> Iterator[str]:
    """So many different compositions that the gates let pass; the draws begin with `seed`."""
    file, seen = folder / "text.txt", set()
    file.write_text(TEXT)
    while len(seen) < count:
        words = drawn(seed)
        seed += 1
        try:
            said = refusal(command(words, file))
        except Exception as error:  # noqa: BLE001 - what the gates should have refused
            print(f"BUG {words}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            continue
        if said is None and words not in seen:
            seen.add(words)
            yield words
        elif said is not None:
            print(f"refused {words}: {said}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print("# Valid compositions, one a line, drawn by tests/e2e/compositions.py.")
        print("# tests/e2e/test_accepted.py puts each after small data and lets it make two steps.")
        for line in compositions(int(sys.argv[1]), Path(place), *map(int, sys.argv[2:])):
            print(line, flush=True)
