"""Position encodings: learned, sinusoidal, rotary, ALiBi and relative buckets."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer import memory
from fxformer.errors import UserError
from fxformer.nn.core import Embedding
from fxformer.types import Count, Natural, Positive, Range


@dataclasses.dataclass(frozen=True)
class RelativeEmbeddings:
    """Embeddings of relative distances.

    table: one embedding for each distance or bucket of distances
    rows: row of the table for each query and key
    """

    table: Float[Array, "R D"]
    rows: Int[Array, "T S"]


class Position(nnx.Module):
    """Base of all position encodings. Each method does nothing by default; subclasses override
    those they need.

    length: maximum length of a row; None: any
    needs_relative_attention: whether the encoding requires an attention that uses its distances
    """

    length: int | None = None
    needs_relative_attention: ClassVar[bool] = False

    @property
    def num_distances(self) -> int:
        """Number of embeddings that `relative` has; 0: none."""
        return 0

    def embed(
        self, x: Float[Array, "B T E"], positions: Int[Array, "B T"]
    ) -> Float[Array, "B T E"]:
        """Token embeddings with absolute positions added."""
        return x

    def rotate(
        self,
        x: Float[Array, "B T H K"],
        positions: Int[Array, "B T"],
        window: int | None = None,
    ) -> Float[Array, "B T H K"]:
        """Queries or keys rotated by position, in a layer with this window (None: no window)."""
        return x

    def bias(self, distances: Int[Array, "T S"]) -> Float[Array, "H T S"] | None:
        """Added to the attention logits; distances: index of the query minus that of the key."""
        return None

    def relative(self, distances: Int[Array, "T S"]) -> RelativeEmbeddings | None:
        """Embeddings of distances, for an attention that uses them (nn/disentangled.py)."""
        return None


class NoPosition(Position):
    """No position encoding: order is known from the causal mask only. Kazemnejad et al. 2023."""

    def __init__(self, dim: int, *, heads: int, causal: bool, rngs: nnx.Rngs):
        pass


class Learned(Position):
    """Learned absolute positions: x + table[position + offset]. Gehring et al. 2017; Devlin et al.
    2019.

    length: maximum length of a row
    offset: rows at the top of the table that are never used (2 in BART and RoBERTa, where they
        belong to padding)
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
        self.table = Embedding(length + offset, dim, rngs=rngs)
        self.length, self.offset = length, offset

    def embed(self, x, positions):
        return x + self.table(positions + self.offset)


class Sinusoidal(Position):
    """Sinusoidal absolute positions: x + [sin(p/f) | cos(p/f)], f = base^(2j/dim). Vaswani et al.
    2017, sec. 3.5.

    length: maximum length of a row
    layout: `concat` puts all sines first (Marian, Pegasus), `interleaved` alternates (the paper),
        `fairseq` is concat with f = base^(j/(dim/2 - 1)) (M2M100)
    offset: number of the first position
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        length: Count = 4096,
        base: Positive = 10_000.0,
        layout: Literal["concat", "interleaved", "fairseq"] = "interleaved",
        offset: Natural = 0,
        rngs: nnx.Rngs,
    ):
        self.length, self.base, self.layout, self.offset = length, base, layout, offset

    def embed(self, x, positions):
        assert self.length is not None
        table = sinusoids(self.length + self.offset, x.shape[-1], self.base, self.layout)
        return x + jnp.take(jnp.asarray(table, x.dtype), positions + self.offset, axis=0)


def sinusoids(length: int, dim: int, base: float, layout: str) -> Float[np.ndarray, "T E"]:
    """The table of `Sinusoidal`, computed on the host in float64; `fairseq` in float32, as there.
    UserError where there is no memory for it."""
    memory.require(3 * 8 * length * dim, "model.position.length", f"a table of {length} x {dim}")
    if layout == "fairseq":
        step = np.float32(-np.log(base) / (dim // 2 - 1))
        rate = np.exp(np.arange(dim // 2, dtype=np.float32) * step)
        angle = np.arange(length, dtype=np.float32)[:, None] * rate
        return np.concatenate([np.sin(angle), np.cos(angle), np.zeros((length, dim % 2))], axis=1)
    angle = np.arange(length)[:, None] / base ** (2 * np.arange((dim + 1) // 2) / dim)
    sin, cos = np.sin(angle), np.cos(angle)
    if layout == "concat":
        return np.concatenate([sin, cos[:, : dim // 2]], axis=1)
    return np.stack([sin, cos], axis=2).reshape(length, -1)[:, :dim]


class Rotary(Position):
    """Rotary embedding: rotates each pair of a head's channels by position · base^(-2j/K). Su et
    al. 2021, eq. 34.

    local_base: base in layers with a window (ModernBERT: 10000); null: the same
    rotary_fraction: fraction of the channels that are rotated (GPT-NeoX: 0.25)
    layout: pairs channel j with j + K/2 (`halves`: Llama, NeoX) or 2j with 2j + 1 (`interleaved`:
        GPT-J, the paper)
    scaling: changes the frequencies for texts longer than those of pretraining:
        `linear_scaling` or `llama3`
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        base: Positive = 10_000.0,
        local_base: Positive | None = None,
        rotary_fraction: Annotated[float, Range(0, 1, open_low=True)] = 1.0,
        layout: Literal["halves", "interleaved"] = "halves",
        scaling: Callable | None = None,
        rngs: nnx.Rngs,
    ):
        self.base, self.rotary_fraction, self.layout, self.scaling = (
            base,
            rotary_fraction,
            layout,
            scaling,
        )
        self.local_base = local_base

    def rotate(self, x, positions, window=None):
        width = int(x.shape[-1] * self.rotary_fraction)
        if width % 2:
            raise UserError(
                f"rotary embedding rotates pairs of channels: {self.rotary_fraction} of a "
                f"head width of {x.shape[-1]} is {width}, which is odd; choose heads so that "
                "dim / heads is even"
            )
        local = None if window is None else self.local_base
        frequency = self.frequencies(self.base if local is None else local, width)
        angle = positions[..., None].astype(jnp.float32) * frequency  # [B T K/2]
        sin, cos = jnp.sin(angle)[:, :, None], jnp.cos(angle)[:, :, None]
        rotated, rest = x[..., :width].astype(jnp.float32), x[..., width:]
        if self.layout == "halves":
            a, b = jnp.split(rotated, 2, axis=-1)
            y = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
        else:
            a, b = rotated[..., ::2], rotated[..., 1::2]
            y = jnp.stack([a * cos - b * sin, b * cos + a * sin], axis=-1).reshape(rotated.shape)
        return jnp.concatenate([y.astype(x.dtype), rest], axis=-1)

    def frequencies(self, base: float, width: int) -> Float[Array, "K"]:
        """Rotation of each pair from one position to the next, in radians."""
        # In float32, as checkpoints were trained: a more exact value changes distant angles.
        frequency = 1.0 / jnp.float32(base) ** (jnp.arange(0, width, 2, dtype=jnp.float32) / width)
        return frequency if self.scaling is None else self.scaling(frequency)


def linear_scaling(frequency: Float[Array, "K"], factor: Positive) -> Float[Array, "K"]:
    """Position interpolation: frequency / factor. Chen et al. 2023."""
    return frequency / factor


def llama3(
    frequency: Float[Array, "K"], factor: Positive, low: Positive, high: Positive, length: Count
) -> Float[Array, "K"]:
    """Llama 3's frequencies: those with a wavelength above length / low are divided by factor,
    those with one below length / high kept, the others interpolated. Dubey et al. 2024, sec. 3.1.

    length: of the texts of the original pretraining
    """
    wave = 2 * np.pi / frequency
    share = (length / wave - low) / (high - low)
    between = (1 - share) * frequency / factor + share * frequency
    scaled = jnp.where(wave > length / low, frequency / factor, frequency)
    return jnp.where((wave <= length / low) & (wave >= length / high), between, scaled)


class Alibi(Position):
    """ALiBi: logits - slope · |distance|. Press et al. 2022, with their slopes for any number of
    heads."""

    def __init__(self, dim: int, *, heads: int, causal: bool, rngs: nnx.Rngs):
        self.heads = heads

    def slopes(self) -> np.ndarray:
        """One slope a head, float32 [H]: a geometric series from 2^(-8/H)."""
        whole = 2 ** int(np.log2(self.heads))
        series = 2.0 ** (-8 * np.arange(1, whole + 1) / whole)
        between = 2.0 ** (-4 * np.arange(1, 2 * (self.heads - whole), 2) / whole)
        return np.concatenate([series, between]).astype(np.float32)

    def bias(self, distances):
        return -self.slopes()[:, None, None] * jnp.abs(distances)[None]


class RelativeBuckets(Position):
    """T5's relative bias: logits + table[bucket(distance)]. Raffel et al. 2020, sec. 2.1.

    An encoder uses half of the buckets for keys after the query; a decoder has no such keys.

    num_buckets: half of them hold one distance each, the width of the others grows logarithmically
    max_distance: distance from which on all share the last bucket
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        num_buckets: Count = 32,
        max_distance: Count = 128,
        rngs: nnx.Rngs,
    ):
        near = num_buckets // 2 if causal else num_buckets // 4
        if near < 1 or max_distance <= near:
            raise UserError(
                f"{num_buckets} buckets hold distances up to {near} one by one; "
                f"max_distance must be larger than {max(near, 1)}, got {max_distance}"
            )
        self.table = Embedding(num_buckets, heads, rngs=rngs)
        self.num_buckets, self.max_distance, self.causal = num_buckets, max_distance, causal

    def bias(self, distances):
        sided = self.num_buckets if self.causal else self.num_buckets // 2
        later = 0 if self.causal else (distances < 0) * sided
        distance = jnp.maximum(distances, 0) if self.causal else jnp.abs(distances)
        bucket = later + relative_bucket(distance, sided, self.max_distance)
        return jnp.moveaxis(self.table(bucket), -1, 0)


def relative_bucket(
    distance: Int[Array, "T S"], num_buckets: int, max_distance: int
) -> Int[Array, "T S"]:
    """Bucket of a distance >= 0: one each for the first half, then logarithmically wider ones up to
    `max_distance`, and the last for all larger distances. Raffel et al. 2020."""
    near = num_buckets // 2
    stretch = jnp.log(jnp.maximum(distance, 1) / near) / np.log(max_distance / near)
    far = jnp.minimum(near + (stretch * (num_buckets - near)).astype(jnp.int32), num_buckets - 1)
    return jnp.where(distance < near, distance, far)
