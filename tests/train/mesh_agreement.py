"""Losses of real models on several meshes against one device; run with 8 CPU devices.

python mesh_agreement.py FAMILY STEPS [LAYOUT ...]; see LAYOUTS
"""

import sys

import jax
import numpy as np

from fxformer.train.evaluation import evaluate_batches
from fxformer.train.split_batches import SplitBatches
from tests.first_state import compiled_step, first_state
from tests.physics.training import ready

FAMILIES = {
    "bert": ("model=bert", "objective=mlm"),
    "gpt2": ("model=gpt2", "objective=clm"),
    "bart": ("model=bart", "objective=denoise"),
    "transfo_xl": (
        "model=transfo_xl", "objective=clm", "data/packing=contiguous", "data.packing.memory=8",
    ),
}  # fmt: skip
SMALL = (
    "tokenizer=none", "data=markov", "data.symbols=11", "data.valid_examples=32", "data.length=16",
    "data.batch=16", "data.workers=0", "model.dim=16", "model.heads=4", "model.ffn.hidden=32",
    "model.layers=2", "model.dropout=0.1", "trainer.accumulate=2", "trainer.ema=0.9",
    "energy=tdp", "mesh.min_size=64",
)  # fmt: skip
LAYOUTS = {
    "data8": ("mesh=data",),
    "fsdp8": ("mesh=fsdp",),
    "data2fsdp4": ("mesh=fsdp", "mesh.data=2"),
    "tensor4": ("mesh.tensor=4",),
    "data2tensor4": ("mesh=tensor", "mesh.data=2"),
    "fsdp2tensor2": ("mesh.fsdp=2", "mesh.tensor=2"),
    "all2": ("mesh=tensor", "mesh.data=2", "mesh.fsdp=2"),
}


def series(steps: int, *words: str) -> dict[str, np.ndarray]:
    """Loss and gradient norm of each step, tokens read, and the loss of the moving average."""
    setup = ready(*words, f"trainer.steps={steps}")
    state, batches = first_state(setup), setup.data.train(setup.corpus.batch, 0)
    step = compiled_step(setup).lower(state, setup.put(setup.example_batch)).compile()
    found = {"loss": [], "gradient_norm": [], "tokens": []}
    for n in range(steps):
        state, sums = step(state, setup.put(setup.objective.corrupt(batches[n])))
        for name, values in found.items():
            total, weight = jax.device_get(sums[name])
            values.append(total / weight)
    average = evaluate_batches(setup.evaluation(), state.ema, SplitBatches(setup))["loss"]
    return {name: np.array(values) for name, values in found.items()} | {
        "average": np.array([average])
    }


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, relative where values are above 1."""
    return float(np.max(np.abs(a - b) / np.maximum(np.abs(a), 1)))


def main(family: str, steps: str, *layouts: str) -> None:
    """Compare; each layout's differences are printed."""
    words = (*FAMILIES[family], *SMALL)
    one = series(int(steps), *words)
    for name in layouts or LAYOUTS:
        other = series(int(steps), *words, *LAYOUTS[name])
        apart = {key: difference(one[key], other[key]) for key in one}
        print(family, name, " ".join(f"{key} {value:.1e}" for key, value in apart.items()))
        sys.stdout.flush()
        assert apart["loss"] < 1e-6 and apart["average"] < 1e-6 and apart["tokens"] == 0
        assert apart["gradient_norm"] < 1e-5
    print("all equal")


if __name__ == "__main__":
    assert len(jax.devices()) == 8
    main(*sys.argv[1:])
