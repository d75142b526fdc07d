"""Where a token is. A position may speak in three places; by default it is silent in all."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer import memory
from fxformer.errors import UserError
from fxformer.nn.core import Table
from fxformer.ops.attention_mask import EVERYTHING
from fxformer.types import Count, Natural, Positive, Range


@dataclasses.dataclass(frozen=True)
class Relative:
    """Vectors of distances, and which of them belongs to a query and a key."""

    table: Float[Array, "R D"]
    rows: Int[Array, "T S"]


class Position(nnx.Module):
    """Base of all position schemes. `length` is the longest row it can tell apart, None: any;
    `tells_distances`: whether `relative` says something that an attention must read."""

    length: int | None = None
    tells_distances: ClassVar[bool] = False

    @property
    def distances(self) -> int:
        """How many vectors `relative` has; 0: none."""
        return 0

    def embed(self, x: Float[Array, "B T E"], at: Int[Array, "B T"]) -> Float[Array, "B T E"]:
        """What is added to the word embeddings."""
        return x

    def rotate(
        self,
        x: Float[Array, "B T H K"],
        at: Int[Array, "B T"],
        window: Int[Array, ""] | None = None,
    ) -> Float[Array, "B T H K"]:
        """What is done to queries and keys, in a layer that sees `window` tokens (None: all)."""
        return x

    def bias(self, gap: Int[Array, "T S"]) -> Float[Array, "H T S"] | None:
        """What is added to the attention logits of a query that comes `gap` after a key."""
        return None

    def relative(self, gap: Int[Array, "T S"]) -> Relative | None:
        """Vectors of distances, for an attention that reads them (nn/disentangled.py)."""
        return None


class NoPosition(Position):
    """No information about order but what a causal mask gives. Kazemnejad et al. 2023."""

    def __init__(self, dim: int, *, heads: int, causal: bool, rngs: nnx.Rngs):
        pass


class Learned(Position):
    """x + table[at + offset]. Gehring et al. 2017; Devlin et al. 2019.

    `offset` rows at the top of the table are never read (2 in BART and RoBERTa, whose first rows
    stand for padding).
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        length: Count = 512,
        offset: Natural = 0,
        rngs: nnx.Rngs,
    ):
        self.table = Table(length + offset, dim, rngs=rngs)
        self.length, self.offset = length, offset

    def embed(self, x, at):
        return x + self.table(at + self.offset)


class Sinusoidal(Position):
    """x + [sin(at/f) | cos(at/f)], f = base^(2j/dim). Vaswani et al. 2017, sec. 3.5.

    `layout`: `halves` puts all sines first (Marian, Pegasus), `interleaved` alternates (the paper),
    `fairseq` is halves with f = base^(j/(dim/2 - 1)) (M2M100). `offset`: the number of the first
    position.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        length: Count = 4096,
        base: Positive = 10_000.0,
        layout: Literal["halves", "interleaved", "fairseq"] = "interleaved",
        offset: Natural = 0,
        rngs: nnx.Rngs,
    ):
        self.length, self.base, self.layout, self.offset = length, base, layout, offset

    def embed(self, x, at):
        made = sinusoids(self.length + self.offset, x.shape[-1], self.base, self.layout)
        return x + jnp.take(jnp.asarray(made, x.dtype), at + self.offset, axis=0)


def sinusoids(length: int, dim: int, base: float, layout: str) -> Float[np.ndarray, "T E"]:
    """The table of `Sinusoidal`. Float64 on the host, rounded once; fairseq's in float32 as it is
    there. UserError where there is no memory for it."""
    memory.require(3 * 8 * length * dim, "model.position.length", f"a table of {length} x {dim}")
    if layout == "fairseq":
        step = np.float32(-np.log(base) / (dim // 2 - 1))
        rate = np.exp(np.arange(dim // 2, dtype=np.float32) * step)
        angle = np.arange(length, dtype=np.float32)[:, None] * rate
        return np.concatenate([np.sin(angle), np.cos(angle), np.zeros((length, dim % 2))], axis=1)
    angle = np.arange(length)[:, None] / base ** (2 * np.arange((dim + 1) // 2) / dim)
    sin, cos = np.sin(angle), np.cos(angle)
    if layout == "halves":
        return np.concatenate([sin, cos[:, : dim // 2]], axis=1)
    return np.stack([sin, cos], axis=2).reshape(length, -1)[:, :dim]


class Rotary(Position):
    """Turn each pair of a head's channels by at · base^(-2j/K). Su et al. 2021, eq. 34.

    `share` of the channels are turned (GPT-NeoX: 0.25), the rest left alone. `layout` pairs channel
    j with j + K/2 (`halves`: Llama, NeoX) or 2j with 2j + 1 (`interleaved`: GPT-J, the paper).
    `scaling` changes the rates for texts longer than those of pretraining: `slower` or `llama3`.
    Layers that have a window turn by `local_base` instead; null: by the same (ModernBERT: 10000).
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        base: Positive = 10_000.0,
        local_base: Positive | None = None,
        share: Annotated[float, Range(0, 1, open_low=True)] = 1.0,
        layout: Literal["halves", "interleaved"] = "halves",
        scaling: Callable | None = None,
        rngs: nnx.Rngs,
    ):
        self.base, self.share, self.layout, self.scaling = base, share, layout, scaling
        self.local_base = local_base

    def rotate(self, x, at, window=None):
        width = int(x.shape[-1] * self.share)
        if width % 2:
            raise UserError(
                f"rotary turns pairs of channels: {self.share} of a head width of {x.shape[-1]} "
                f"is {width}, which is odd; choose heads so that dim / heads is even"
            )
        rate = self.rates(self.base, width)
        if self.local_base is not None and window is not None:
            rate = jnp.where(window < EVERYTHING, self.rates(self.local_base, width), rate)
        angle = at[..., None].astype(jnp.float32) * rate  # [B T K/2]
        sin, cos = jnp.sin(angle)[:, :, None], jnp.cos(angle)[:, :, None]
        turned, rest = x[..., :width].astype(jnp.float32), x[..., width:]
        if self.layout == "halves":
            a, b = jnp.split(turned, 2, axis=-1)
            y = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
        else:
            a, b = turned[..., ::2], turned[..., 1::2]
            y = jnp.stack([a * cos - b * sin, b * cos + a * sin], axis=-1).reshape(turned.shape)
        return jnp.concatenate([y.astype(x.dtype), rest], axis=-1)

    def rates(self, base: float, width: int) -> Float[Array, "K"]:
        """How far each pair turns from one position to the next."""
        # In float32, as checkpoints were trained: a rounder rate is another angle far out.
        rate = 1.0 / jnp.float32(base) ** (jnp.arange(0, width, 2, dtype=jnp.float32) / width)
        return rate if self.scaling is None else self.scaling(rate)


def slower(rate: Float[Array, "K"], factor: Positive) -> Float[Array, "K"]:
    """rate / factor: positions interpolated. Chen et al. 2023."""
    return rate / factor


def llama3(
    rate: Float[Array, "K"], factor: Positive, low: Positive, high: Positive, length: Count
) -> Float[Array, "K"]:
    """Rates whose wave is longer than length / low are divided by factor, those shorter than
    length / high kept, and those between interpolated. Dubey et al. 2024, sec. 3.1.

    length: of the texts of the first pretraining
    """
    wave = 2 * np.pi / rate
    share = (length / wave - low) / (high - low)
    between = (1 - share) * rate / factor + share * rate
    scaled = jnp.where(wave > length / low, rate / factor, rate)
    return jnp.where((wave <= length / low) & (wave >= length / high), between, scaled)


class Alibi(Position):
    """logits - slope · |gap|. Press et al. 2022, with their slopes for any number of heads."""

    def __init__(self, dim: int, *, heads: int, causal: bool, rngs: nnx.Rngs):
        self.heads = heads

    def slopes(self) -> np.ndarray:
        """One slope a head, float32 [H]: a geometric series from 2^(-8/H)."""
        whole = 2 ** int(np.log2(self.heads))
        series = 2.0 ** (-8 * np.arange(1, whole + 1) / whole)
        between = 2.0 ** (-4 * np.arange(1, 2 * (self.heads - whole), 2) / whole)
        return np.concatenate([series, between]).astype(np.float32)

    def bias(self, gap):
        return -self.slopes()[:, None, None] * jnp.abs(gap)[None]


class RelativeBuckets(Position):
    """logits + table[bucket(gap)]. Raffel et al. 2020, sec. 2.1: T5's relative bias.

    Half of the buckets hold one distance each, the other half grow logarithmically up to `reach`.
    An encoder spends half of all buckets on keys that come later; a decoder has none of those.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        buckets: Count = 32,
        reach: Count = 128,
        rngs: nnx.Rngs,
    ):
        near = buckets // 2 if causal else buckets // 4
        if near < 1 or reach <= near:
            raise UserError(
                f"{buckets} buckets hold distances up to {near} one by one, "
                f"so reach must be larger than {max(near, 1)}, got {reach}"
            )
        self.table = Table(buckets, heads, rngs=rngs)
        self.buckets, self.reach, self.causal = buckets, reach, causal

    def bias(self, gap):
        sided = self.buckets if self.causal else self.buckets // 2
        later = 0 if self.causal else (gap < 0) * sided
        distance = jnp.maximum(gap, 0) if self.causal else jnp.abs(gap)
        return jnp.moveaxis(self.table(later + bucket(distance, sided, self.reach)), -1, 0)


def bucket(distance: Int[Array, "T S"], buckets: int, reach: int) -> Int[Array, "T S"]:
    """Which of the buckets a distance >= 0 falls into: one each for the near half, then ever
    wider ones up to `reach`, and the last for all beyond. Raffel et al. 2020."""
    near = buckets // 2
    stretch = jnp.log(jnp.maximum(distance, 1) / near) / np.log(reach / near)
    far = jnp.minimum(near + (stretch * (buckets - near)).astype(jnp.int32), buckets - 1)
    return jnp.where(distance < near, distance, far)
