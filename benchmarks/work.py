"""The work both sides do: one shape, and the same random tokens for everybody."""

import dataclasses

import numpy as np

from fxformer.batch import Batch

FAMILIES = {"encoder": ("bert", "mlm"), "decoder": ("gpt2", "clm"), "seq2seq": ("bart", "denoise")}
PEERS = {"encoder": ("hf_bert",), "decoder": ("nanogpt", "hf_gpt2"), "seq2seq": ("hf_bart",)}
MASK, FIRST = 4, 5  # ids below FIRST are special
IGNORED = -100  # what Hugging Face calls a target that does not count


@dataclasses.dataclass(frozen=True)
class Shape:
    """layers: of each stack. Float32, no dropout."""

    batch: int = 4
    length: int = 256
    dim: int = 256
    layers: int = 4
    heads: int = 4
    vocab: int = 8192

    @property
    def hidden(self) -> int:
        """Width inside the feed-forward."""
        return 4 * self.dim

    def of(self, family: str) -> "Shape":
        """A seq2seq model has two stacks: each gets half of the layers."""
        return dataclasses.replace(self, layers=self.layers // (1 + (family == "seq2seq")))


def make_batch(family: str, shape: Shape, seed: int = 0) -> Batch:
    """What a model of this family reads and must answer; every position is a real token."""
    random = np.random.default_rng(seed)
    size = (shape.batch, shape.length)
    text = random.integers(FIRST, shape.vocab, (size[0], size[1] + 1), dtype=np.int32)
    ones, weights = np.ones(size, np.int32), np.ones(size, np.float32)
    if family == "decoder":
        return Batch(text[:, :-1], ones, text[:, 1:], weights)
    if family == "seq2seq":
        source = np.where(random.random(size) < 0.3, MASK, text[:, 1:]).astype(np.int32)
        return Batch(text[:, :-1], ones, text[:, 1:], weights, None, source, ones)
    count = round(0.15 * shape.length)  # BERT's share, the same number in every row
    picked = np.argsort(random.random(size), axis=1)[:, :count]
    picked = np.sort(picked, axis=1).astype(np.int32)
    targets = np.take_along_axis(text, picked, axis=1)
    tokens = text[:, :-1].copy()
    np.put_along_axis(tokens, picked, MASK, axis=1)
    return Batch(tokens, ones, targets, np.ones(picked.shape, np.float32), picked)


def labels(batch: Batch) -> np.ndarray:
    """The targets as Hugging Face wants them: one for each position. int64 [B, T]."""
    if batch.picked is None:
        return batch.targets.astype(np.int64)
    full = np.full(batch.tokens.shape, IGNORED, np.int64)
    np.put_along_axis(full, batch.picked, batch.targets.astype(np.int64), axis=1)
    return full
