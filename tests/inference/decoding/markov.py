"""A Markov chain with the methods of a decoder, and all its texts by enumeration."""

import dataclasses
import itertools
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
from flax import nnx

from fxformer.nn.cache import KVCache, StackCache


class MarkovChain(nnx.Module):
    """p(next | last) = softmax(table[last]): the cache holds no more than how much was read."""

    def __init__(self, table: np.ndarray):
        self.table = nnx.Param(jnp.asarray(table, jnp.float32))
        self.vocab = len(table)

    @property
    def transformer(self):
        return SimpleNamespace(position=SimpleNamespace(length=None))

    def init_cache(self, batch: int, length: int, dtype=jnp.float32) -> StackCache:
        return StackCache.empty(KVCache.empty(batch, length, 1, 1, dtype), 1)

    def decode_step(self, tokens, segments, cache, *, prefix=None):
        cache = dataclasses.replace(cache, length=cache.length + tokens.shape[1])
        return jnp.asarray(tokens)[..., None], cache

    def logits(self, x):
        return self.table[...][x[..., 0]]


def chain(vocab: int, seed: int = 0) -> tuple[MarkovChain, np.ndarray]:
    """(a chain, its log-probabilities [V V])."""
    table = np.random.default_rng(seed).normal(0, 1.5, (vocab, vocab))
    return MarkovChain(table), table - np.log(np.exp(table).sum(1, keepdims=True))


def all_texts(log_p: np.ndarray, start: int, eos: int | None, longest: int) -> list[tuple]:
    """(log-probability, ids) of every text after `start`: those that end with eos, and those
    without it of the longest length."""
    vocab = [i for i in range(len(log_p)) if i != eos]
    found = []
    for length in range(1, longest + 1):
        last = [*([eos] if eos is not None else []), *(vocab if length == longest else [])]
        for ids in itertools.product(*[vocab] * (length - 1), last):
            total = sum(log_p[a, b] for a, b in itertools.pairwise((start, *ids)))
            found.append((total, ids))
    return found
