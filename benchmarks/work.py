"""The work both sides do: one shape, and the same random tokens for everybody."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # the interpreter of the peers has neither JAX nor fxformer
    from fxformer.batch import Batch

FAMILIES = {"encoder": ("bert", "mlm"), "decoder": ("gpt2", "clm"), "seq2seq": ("bart", "denoise")}
PEERS = {"encoder": ("hf_bert",), "decoder": ("nanogpt", "hf_gpt2"), "seq2seq": ("hf_bart",)}
MASK, FIRST = 4, 5  # ids below FIRST are special
IGNORED = -100  # what Hugging Face calls a target that does not count


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of a model and of its batch. Float32.

    layers: of each stack
    dropout: rate on hidden states, embeddings and attention weights; the same for both sides
    """

    batch: int = 4
    length: int = 256
    dim: int = 256
    layers: int = 4
    heads: int = 4
    vocab: int = 8192
    dropout: float = 0.0

    @property
    def hidden(self) -> int:
        """Width inside the feed-forward."""
        return 4 * self.dim

    def of(self, family: str) -> Shape:
        """A seq2seq model has two stacks: each gets half of the layers."""
        return dataclasses.replace(self, layers=self.layers // (1 + (family == "seq2seq")))


SHAPES = {
    "default": Shape(),
    "tiny": Shape(batch=32, length=128, dim=128, layers=2, heads=4, vocab=4096),
    "base": Shape(batch=4, length=128, dim=768, layers=12, heads=12, vocab=30522),
    "long": Shape(batch=1, length=2048, dim=256, layers=4, heads=4, vocab=8192),
}


def arrays(family: str, shape: Shape, seed: int = 0) -> dict[str, np.ndarray]:
    """What a model of this family reads and must answer; every position is a real token."""
    random = np.random.default_rng(seed)
    size = (shape.batch, shape.length)
    text = random.integers(FIRST, shape.vocab, (size[0], size[1] + 1), dtype=np.int32)
    read, following = text[:, :-1], text[:, 1:]
    if family == "decoder":
        return {"tokens": read, "targets": following}
    if family == "seq2seq":
        source = np.where(random.random(size) < 0.3, MASK, following).astype(np.int32)
        return {"tokens": read, "targets": following, "source": source}
    count = round(0.15 * shape.length)  # BERT's share, the same number in every row
    picked = np.argsort(random.random(size), axis=1)[:, :count]
    picked = np.sort(picked, axis=1).astype(np.int32)
    targets = np.take_along_axis(text, picked, axis=1)
    tokens = read.copy()
    np.put_along_axis(tokens, picked, MASK, axis=1)
    return {"tokens": tokens, "targets": targets, "picked": picked}


def make_batch(family: str, shape: Shape, seed: int = 0) -> Batch:
    """The arrays as a batch of ours."""
    from fxformer.batch import Batch

    made = arrays(family, shape, seed)
    ones = np.ones(made["tokens"].shape, np.int32)
    weights = np.ones(made["targets"].shape, np.float32)
    source = made.get("source")
    segments = None if source is None else np.ones(source.shape, np.int32)
    tokens, targets, picked = made["tokens"], made["targets"], made.get("picked")
    return Batch(tokens, ones, targets, weights, picked, source, segments)


def labels(made: dict[str, np.ndarray]) -> np.ndarray:
    """The targets as Hugging Face wants them: one for each position. int64 [B, T]."""
    if "picked" not in made:
        return made["targets"].astype(np.int64)
    full = np.full(made["tokens"].shape, IGNORED, np.int64)
    np.put_along_axis(full, made["picked"], made["targets"].astype(np.int64), axis=1)
    return full
