"""Golden files: the resolved config and the parameters of every model, objective and experiment.

    make goldens     (python tests/golden/write.py [model] [objective] [experiment] [steps]) writes
                     them anew; `git diff` shows what changed

models/NAME.txt, objectives/NAME.txt, experiments/NAME.txt hold the resolved config and a line for
each parameter: path, shape, dtype. steps.txt holds the loss and the gradient norm of three steps of
some of them, bit for bit (hexadecimal floats), and with which instructions they were computed.
"""

import functools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from omegaconf import DictConfig, OmegaConf

from fxformer.batch import Vocabulary
from fxformer.config import folders, options
from fxformer.config.compatibility import architecture
from fxformer.train.experiment import objective_factory
from fxformer.train.setup import set_up
from tests.compiling import OPTIONS

HERE = Path(__file__).parent
PLAIN = {"encoder": "mlm", "decoder": "clm", "seq2seq": "denoise"}
SMALL = ("model.dim=16", "model.heads=2", "model.ffn.hidden=32", "data.length=16", "data.batch=8")
CHAIN = ("data=markov", "tokenizer=none", "data.symbols=8", "data.examples=64", "energy=tdp")
STEPS = {
    "bert": ("model=bert", "objective=mlm"),
    "llama": ("model=llama", "objective=clm"),
    "bart": ("model=bart", "objective=denoise"),
    "electra": ("model=electra", "objective=electra"),
}
NEEDS = {
    "electra_base": ("size=tiny", "model.dim=48", "model.heads=3"),  # a generator of a third
    "electra_large": ("size=tiny",),
    "fim": ("objective.split=token",),  # the vocabulary here has no spelling
}
WITHOUT = {"common"}  # the part that families share


def names(group: str) -> list[str]:
    """The options of a group that goldens are of."""
    if group == "experiment":
        return sorted(p.parent.name for p in folders.experiments_folder().glob("*/recipe.yaml"))
    if group == "objective":
        return folders.pretraining_objectives()
    return sorted(p.stem for p in (folders.conf_folder() / group).glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    """The config of a command line."""
    return options.composed("train", overrides)


def vocabulary(size: int = 200) -> Vocabulary:
    """One with every kind of special token."""
    special = np.zeros(size, bool)
    special[:5] = special[100:150] = True
    return Vocabulary(
        size=size,
        pad=0,
        special=special,
        starts_word=~special,
        ends_sentence=np.arange(size) == 5,
        unk=1,
        bos=2,
        eos=3,
        mask=4,
        sentinels=tuple(range(100, 148)),
        codes=(148, 149),
    )


def parameters(cfg: DictConfig) -> Iterator[str]:
    """Path, shape and dtype of each parameter of an objective and its model."""
    built = nnx.eval_shape(lambda: objective_factory(cfg, vocabulary())(jax.random.key(0)))
    for path, leaf in sorted(nnx.to_flat_state(nnx.state(built))):
        name = ".".join(str(part) for part in path)
        yield f"{name}  {'x'.join(map(str, leaf.shape)) or 'scalar'}  {leaf.dtype}"


def text(cfg: DictConfig, part: str | None) -> str:
    """The golden of a config: part of it, or all, and its parameters."""
    shown = OmegaConf.to_container(cfg, resolve=True)
    shown = {part: shown[part]} if part else shown
    config = OmegaConf.to_yaml(OmegaConf.create(shown), sort_keys=True)
    return f"{config}\nparameters:\n" + "".join(f"  {line}\n" for line in parameters(cfg))


@functools.cache
def plain_objective(kind: str) -> DictConfig:
    """The config of the plain objective of an architecture."""
    return composed(f"objective={PLAIN[kind]}").objective


def of_family(name: str) -> DictConfig:
    """The config of a family with the plain objective of its architecture."""
    cfg = composed(f"model={name}")
    cfg.objective = plain_objective(str(architecture(cfg)))
    return cfg


def model(name: str) -> str:
    """The golden of a family."""
    return text(of_family(name), "model")


def objective(name: str) -> str:
    """A preset with the first of four families that it trains."""
    refused = None
    for family in ("bert", "gpt2", "bart", "prophetnet"):
        cfg = composed(f"model={family}", f"objective={name}", *NEEDS.get(name, ()))
        try:
            return text(cfg, "objective")
        except ValueError as error:
            refused = error
    raise refused


def experiment(name: str) -> str:
    """The whole config of a recipe."""
    return text(composed(f"experiment={name}"), None)


WRITERS = {"model": model, "objective": objective, "experiment": experiment}


def file(group: str, name: str) -> Path:
    """Where a golden lies."""
    return HERE / f"{group}s" / f"{name}.txt"


def instructions() -> str:
    """What the bits of a step depend on beside the sources: processor features, jax."""
    flags = Path("/proc/cpuinfo")
    found = re.search(r"^flags\s*:(.*)$", flags.read_text(), re.M) if flags.is_file() else None
    wide = sorted(f for f in (found[1].split() if found else []) if re.match(r"avx|fma|amx", f))
    return f"jax {jax.__version__}, {' '.join(wide) or 'unknown'}"


def compiled(function: Callable, *arguments: Any) -> Callable:
    """With options of its own, whatever those of the process are."""
    return jax.jit(function).lower(*arguments).compile(compiler_options=OPTIONS)


def steps(name: str) -> list[tuple[float, float]]:
    """Loss and gradient norm of three training steps."""
    setup = set_up(composed(*CHAIN, *SMALL, *STEPS[name], "trainer.steps=8"))
    batches = setup.data.train(setup.corpus.batch, setup.cfg.seed)
    state = compiled(setup.init_state, jax.random.key(0))(jax.random.key(0))
    given = [setup.put(setup.objective.corrupt(batches[n])) for n in range(3)]
    step, found = compiled(setup.step, state, given[0]), []
    for batch in given:
        state, sums = step(state, batch)
        pairs = [sums[key] for key in ("loss", "gradient_norm")]
        found.append(tuple(float(total / weight) for total, weight in pairs))
    return found


def steps_text() -> str:
    """The golden of the steps."""
    lines = [f"instructions: {instructions()}", "name step loss gradient_norm"]
    for name in STEPS:
        for n, pair in enumerate(steps(name)):
            lines.append(f"{name} {n} " + " ".join(value.hex() for value in pair))
    return "\n".join(lines) + "\n"


def main(groups: Sequence[str]) -> int:
    """Write all, or these groups; files of what is no more are deleted."""
    for group, writer in WRITERS.items():
        if groups and group not in groups:
            continue
        kept = {file(group, name) for name in names(group) if name not in WITHOUT}
        for path in sorted(kept):
            path.parent.mkdir(exist_ok=True)
            path.write_text(writer(path.stem), encoding="utf-8")
        for path in set((HERE / f"{group}s").glob("*.txt")) - kept:
            path.unlink()
    if not groups or "steps" in groups:
        (HERE / "steps.txt").write_text(steps_text(), encoding="utf-8")
    return subprocess.run(["git", "diff", "--stat", "--", str(HERE)]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
