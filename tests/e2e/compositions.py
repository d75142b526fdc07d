"""Valid compositions, drawn at random over all groups that decide what is computed.

    python tests/e2e/compositions.py COUNT [SEED] > tests/configs/valid.txt    writes the list anew

A draw that the gates refuse is no composition and is left out; an error that is no refusal is
printed to stderr: a bug of the gates.
"""

import functools
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

import jax
import numpy as np
import yaml
from config_judgement import CHAIN, TINY, composed, refusal, text
from jax import Array

from fxformer.config.compatibility import architecture
from fxformer.config.folders import conf_folder, pretraining_objectives
from fxformer.config.target import locate
from fxformer.train.setup import set_up
from tests.first_state import compiled_step, first_state

GROUPS = ("model/position", "model/residual", "model/ffn", "model/norm", "model/attention")
GROUPS += ("tokenizer", "optimizer", "schedule", "precision")
OF_PAIRS = ("objective=seq2seq", "objective=tokenlabel")  # synthetic pairs, no text
NEEDS = {  # values that options want of others
    "objective=electra_base": ["model.dim=48", "model.heads=3"],
    "model/position=relative_shared": ["model.attention.per_layer_bias=false"],
}
PLAIN = {"encoder": "mlm", "decoder": "clm", "seq2seq": "denoise"}
TEXT = "\n\n".join(
    f"Line {n} of the text. It has {n % 7} words more! Has it? {'more ' * (n % 7)}"
    for n in range(300)
)


def options(group: str) -> list[str]:
    """The choices of a group that a composition may have."""
    without = {"tokenizer": {"none", "file", "pair"}}.get(group, set())
    if group == "objective":
        return sorted(pretraining_objectives())
    return sorted({p.stem for p in (conf_folder() / group).glob("*.yaml")} - without)


@functools.cache
def architecture_of(model: str) -> str:
    """encoder, decoder or seq2seq."""
    return str(architecture(composed([f"model={model}"])))


@functools.cache
def objectives(kind: str) -> list[str]:
    """The objectives of an architecture."""
    return [o for o in options("objective") if kind in getattr(objective(o), "legal", (kind,))]


def objective(option: str) -> type:
    """The class of an objective, which its yaml or the one that it starts from names."""
    node = yaml.safe_load((conf_folder() / "objective" / f"{option}.yaml").read_text())
    return locate(node["_target_"]) if "_target_" in node else objective(node["defaults"][0])


def drawn(seed: int, used: Mapping[str, float]) -> str:
    """The words of a composition: a model, an objective, and some of the other groups.

    An option is the likelier the less it was `used`, so that a short list has every one.
    """
    draw = random.Random(seed)

    def pick(group: str, choices: list[str]) -> str:
        words = [f"{group}={choice}" for choice in choices]
        return draw.choices(words, [(1 + used.get(word, 0)) ** -2 for word in words])[0]

    words = [pick("model", options("model"))]
    kind = architecture_of(words[0].removeprefix("model="))
    words.append(pick("objective", objectives(kind)))
    if words[1] in OF_PAIRS:
        words.append(pick("data", ["copy", "reverse", "sort"]))
    words += [pick(group, options(group)) for group in draw.sample(GROUPS, draw.randint(3, 6))]
    if draw.random() < 0.3:
        words.append(draw.choice(["trainer.accumulate=2", "trainer.ema=0.9", "model.remat=true"]))
    return " ".join(words)


def command(words: str, file: Path) -> list[str]:
    """The command line of a composition, small, on the text of `file`."""
    chosen = words.split()
    if any(word in OF_PAIRS for word in chosen):
        chain = [word for word in CHAIN if word != "data=markov" and word not in chosen]
        return [*chain, *TINY, "data.shortest=3", "data.length=24", *chosen]
    more = ["data/packing=sentence_pairs"] * ("nsp" in words or "sop" in words)
    more += ["data.code=file"] * ("objective=ctrl" in chosen)
    more += ["tokenizer.specials.sentinels=40", "data.length=64"]
    return [*text(file), "energy=tdp", "data.document_is=paragraph", *more, *chosen]


def two_steps(argv: list[str]) -> list[float]:
    """The losses of the first two steps; the second is that of updated weights."""
    setup = set_up(composed(argv))
    batches = setup.data.train(setup.corpus.batch, setup.cfg.seed)
    state, step, losses = first_state(setup), compiled_step(setup), []
    for n in range(2):
        state, sums = step(state, setup.put(setup.objective.corrupt(batches[n])))
        losses.append(ratio(sums["loss"]))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    return losses


def ratio(pair: tuple[Array, Array]) -> float:
    """sum / weight."""
    return float(pair[0]) / float(pair[1])


def accepted(words: str, file: Path) -> bool:
    """Whether the gates let a composition pass; what they say, and a bug of theirs, is printed."""
    try:
        said = refusal(command(words, file))
    except Exception as error:  # noqa: BLE001 - what the gates should have refused
        print(f"BUG {words}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return False
    if said is not None:
        print(f"refused {words}: {said}", file=sys.stderr, flush=True)
    return said is None


def compositions(count: int, file: Path, seed: int = 0) -> Iterator[str]:
    """So many different compositions that the gates let pass; the draws begin with `seed`."""
    seen: set[str] = set()
    used: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    while len(seen) < count:
        words = drawn(seed, {word: used[word] + refused[word] / 4 for word in used | refused})
        seed += 1
        if words in seen:
            continue
        if accepted(words, file):
            seen.add(words)
            used.update(words.split())
            yield words
        else:
            refused.update(words.split())


def supplement(lines: Iterable[str], file: Path, seed: int = 0) -> Iterator[str]:
    """A composition for each option that no line has: it alone in the first model that it fits."""
    used = {word for line in lines for word in line.split()}
    models = options("model")
    random.Random(seed).shuffle(models)
    for group in ("model", "objective", *GROUPS):
        for word in [f"{group}={option}" for option in options(group)]:
            tried = () if word in used else (alone(word, model) for model in models)
            if found := next((words for words in tried if words and accepted(words, file)), None):
                used.update(found.split())
                yield found


def alone(word: str, model: str) -> str | None:
    """A composition of a model, a choice, and an objective; None: the choice is none of its."""
    group, _, option = word.partition("=")
    model = option if group == "model" else model
    kind = architecture_of(model)
    if group == "objective" and option not in objectives(kind):
        return None
    learned = word if group == "objective" else f"objective={PLAIN[kind]}"
    data = ["data=sort"] * (learned in OF_PAIRS)
    own = [word] * (group in GROUPS)
    return " ".join([f"model={model}", learned, *data, *own, *NEEDS.get(word, [])])


def main(count: int, seed: int = 0) -> None:
    """Print the list."""
    print("# Valid compositions, one a line, drawn by tests/e2e/compositions.py.")
    print("# tests/e2e/test_accepted.py puts each after small data and lets it make two steps.")
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "text.txt"
        file.write_text(TEXT)
        for line in chain(compositions(count, file, seed), supplement(lines, file)):
            lines.append(line)
            print(line, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
