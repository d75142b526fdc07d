"""Pegasus. Zhang et al. 2020: pre-norm with fixed positions, which its files hold all the same."""

import functools

import numpy as np

from fxformer.hf.config_map import Config
from fxformer.hf.families import bart
from fxformer.hf.family import Family
from fxformer.hf.weight_map import WeightEntry, tensor
from fxformer.nn.position import sinusoids


def weight_map(config: Config) -> list[WeightEntry]:
    """BART's, and both tables of positions."""
    length, dim = config.get("max_position_embeddings", 1024), config.get("d_model", 1024)
    fill = {"constant": functools.partial(positions, length, dim), "shape": (length, dim)}
    fixed = [f"model.{side}.embed_positions.weight" for side in ("encoder", "decoder")]
    return [
        *(entry for entry in bart.weight_map(config) if entry.file not in fixed),
        *(entry for file in fixed for entry in tensor(file, "", **fill)),
    ]


def positions(length: int, dim: int) -> np.ndarray:
    """[length dim] float32: all sines, then all cosines."""
    return sinusoids(length, dim, 10_000.0, "concat").astype(np.float32)


PEGASUS = Family(
    types=("pegasus",),
    model="pegasus",
    base="model.",
    config_map=bart.fields("gelu", before=True, normed=False, static=True, scaled=False),
    weight_map=weight_map,
    variants=bart.variants("Pegasus", answers=False),
    when=lambda config: not bart.alone(config),
)
