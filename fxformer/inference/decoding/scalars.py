"""Numbers of a GenerationConfig that are inputs of a compiled program, not part of it."""

import dataclasses
from typing import Any, Self

import flax.struct
import numpy as np
from jaxtyping import Array, Float

from fxformer.inference.decoding.config import GenerationConfig

# {setting: (value without effect, value that stands for all others in a compiled program)}
STAND_INS = {
    "temperature": (None, 1.0),
    "top_p": (1.0, 0.5),
    "min_p": (0.0, 0.5),
    "typical_p": (1.0, 0.5),
    "penalty_alpha": (0.0, 0.5),
    "repetition_penalty": (1.0, 2.0),
    "length_penalty": (None, 1.0),
    "diversity_penalty": (0.0, 1.0),
}


@flax.struct.dataclass
class Scalars:
    """Settings of the same names, float32: another value needs no other program."""

    temperature: Float[Array, ""] | float
    top_p: Float[Array, ""] | float
    min_p: Float[Array, ""] | float
    typical_p: Float[Array, ""] | float
    penalty_alpha: Float[Array, ""] | float
    repetition_penalty: Float[Array, ""] | float
    length_penalty: Float[Array, ""] | float
    diversity_penalty: Float[Array, ""] | float

    @classmethod
    def of(cls, config: GenerationConfig) -> Self:
        """Those of a config."""
        return cls(**{name: np.float32(getattr(config, name)) for name in STAND_INS})  # type: ignore[arg-type]


def compiled_settings(config: GenerationConfig) -> GenerationConfig:
    """The settings that a compiled program depends on: of its inputs (limits, seed, `Scalars`) no
    more than whether they have an effect."""
    least = bool(config.min_length if config.min_new_tokens is None else config.min_new_tokens)
    values: dict[str, Any] = {
        name: neutral if getattr(config, name) == neutral else other
        for name, (neutral, other) in STAND_INS.items()
    }
    return dataclasses.replace(
        config,
        max_new_tokens=None,
        max_length=None,
        min_new_tokens=int(least),
        min_length=0,
        seed=0,
        decoder_start_token_id=None,
        **values,
    )
