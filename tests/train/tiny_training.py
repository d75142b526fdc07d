"""A tiny objective and everything `fit` wants, so that the tests can train in milliseconds."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fxformer.batch import Batch
from fxformer.ops.dropout import drop
from fxformer.train.optim import AdamW
from fxformer.train.precision import Precision
from fxformer.train.schedule import Constant
from fxformer.train.state import abstract, graphdef_of, make_state, shapes_of
from fxformer.train.step import make_eval, make_step

V, D, L = 16, 8, 2


class Dense(nnx.Module):
    def __init__(self, *shape, rngs):
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), shape) * shape[-2] ** -0.5)
        self.bias = nnx.Param(jnp.zeros((*shape[:-2], shape[-1])))


class Stack(nnx.Module):
    def __init__(self, dim, layers, *, rngs):
        self.blocks = Dense(layers, dim, dim, rngs=rngs)

    def __call__(self, x):
        for kernel, bias in zip(self.blocks.kernel[...], self.blocks.bias[...], strict=True):
            x = x + jnp.tanh(x @ kernel + bias)
        return x


class Toy(nnx.Module):
    """Learns target = f(token). Loss as sums, dropout when there is a key."""

    def __init__(self, dim=D, layers=L, dropout=0.0, *, rngs):
        self.embedding = nnx.Param(jax.random.normal(rngs.params(), (V, dim)))
        self.stack = Stack(dim, layers, rngs=rngs)
        self.head = Dense(dim, V, rngs=rngs)
        self.dropout = dropout

    def __call__(self, batch, *, key=None):
        x = self.stack(self.embedding[...][batch.tokens])
        if key is not None and self.dropout:
            x = drop(x, self.dropout, key)
        logits = (x @ self.head.kernel[...] + self.head.bias[...]).astype(jnp.float32)
        losses = -jnp.take_along_axis(jax.nn.log_softmax(logits), batch.targets[..., None], -1)
        # An infinite weight is how the tests make a step go wrong.
        return {"loss": ((losses[..., 0] * batch.weights).sum(), batch.weights.sum())}

    def evaluate(self, batch):
        return self(batch), None


def maker(**knobs):
    return lambda key: Toy(**knobs, rngs=nnx.Rngs(key))


def batch(n, rows=8, length=6, bad=()):
    """Batch n: a pure function of n, with an unequal number of targets in each row."""
    draw = np.random.default_rng(n)
    tokens = draw.integers(0, V, (rows, length)).astype(np.int32)
    weights = (np.arange(length)[None] < draw.integers(1, length + 1, rows)[:, None]) * 1.0
    weights[0, 0] = np.inf if n in bad else 1.0
    ones = np.ones_like(tokens)
    return Batch(tokens, ones, (tokens * 5 + 3) % V, weights.astype(np.float32))


def batches(start=0, end=10**9, **knobs):
    return ((n, batch(n, **knobs)) for n in range(start, end))


@functools.cache
class Parts:
    """State, step and evaluation of the toy; made and compiled once for each set of knobs."""

    def __init__(
        self, optimizer=None, schedule=None, until=100, seed=0, ema=None, with_budget=False, **knobs
    ):
        model = {k: knobs.pop(k) for k in ("dim", "layers", "dropout") if k in knobs}
        self.make, self.shape = maker(**model), graphdef_of(abstract(maker(**model)))
        optimizer, schedule = optimizer or AdamW(lr=1e-2), schedule or Constant()
        self.tx = optimizer.build(schedule(until), shapes_of(abstract(self.make)))
        precision = knobs.pop("precision", Precision())
        self.knobs = knobs | {"precision": precision, "ema": ema}
        self.raw = make_step(self.shape, self.tx, **self.knobs)
        self.start = make_state(self.make, self.tx, ema=ema is not None, with_budget=with_budget)
        self.step, self.state = jax.jit(self.raw), jax.jit(self.start)(jax.random.key(seed))
        self.evaluate = jax.jit(make_eval(self.shape, precision=precision))


class Tracker:
    """Remembers its lines; `trace` is the training loss of each step, bit for bit."""

    def __init__(self):
        self.lines = []

    def log(self, step, split, metrics):
        self.lines.append({"step": step, "split": split, **metrics})

    def of(self, split):
        return [line for line in self.lines if line["split"] == split]

    @property
    def trace(self):
        return {line["step"]: line["loss"].hex() for line in self.of("train")}


class Meter:
    """Counts phases instead of joules."""

    def __init__(self):
        self.joules, self.phases = 0.0, []

    def read(self):
        return self.joules

    @contextlib.contextmanager
    def phase(self, name):
        self.phases.append(name)
        self.joules += 1.0
        yield


def same(left, right):
    """Whether two trees of arrays are equal bit for bit."""
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


def close(left, right, rtol=1e-5, atol=1e-6):
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=atol)
