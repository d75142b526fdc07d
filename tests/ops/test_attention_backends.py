"""Every backend of attention against the reference, forward and backward."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.errors import UserError
from fxformer.ops.attention import attend as package
from fxformer.ops.attention import choice
from fxformer.ops.attention.attend import attend
from fxformer.ops.attention.mask import AttentionMask
from fxformer.ops.attention.pallas import pallas_attention
from fxformer.ops.attention.splash import splash_attention
from fxformer.ops.attention.tiled import tiled_attention
from tests.models import close

KEY = jax.random.key(7)


def segments_of(length, rows=2):
    """Packed rows: several segments each, padding at the end; one row with padding first."""
    cuts = np.sort(np.random.default_rng(length).integers(1, length, (rows, 3)), axis=1)
    made = 1 + (np.arange(length)[None, :, None] >= cuts[:, None]).sum(-1)
    made[0, -max(1, length // 6) :] = 0
    made[1, : length // 8] = 0
    return jnp.asarray(made)


def masks(length):
    """{name: mask} of every kind."""
    s = segments_of(length)
    index = jnp.arange(length)[None]
    prefix = index % (length // 2) < jnp.array([[3], [1]])
    exempt = index % 9 == jnp.array([[1], [4]])
    near = max(2, length // 5)
    return {
        "segments": AttentionMask(s, s),
        "causal": AttentionMask(s, s, causal=True),
        "window": AttentionMask(s, s, window=near),
        "causal window": AttentionMask(s, s, causal=True, window=near),
        "prefix": AttentionMask(s, s, causal=True, prefix=prefix),
        "global keys": AttentionMask(s, s, window=2, window_exempt=exempt),
        "causal global keys": AttentionMask(s, s, causal=True, window=near, window_exempt=exempt),
        "global queries": AttentionMask(s, s, queries=exempt),
        "cross": AttentionMask(s, segments_of(length + 3)),
    }


def given(mask, heads=4, groups=2, width=8, bias=0, dtype=jnp.float32):
    """q, k, v, bias (of so many dimensions; 0: none) and weights of the outputs that are used."""
    rows, queries = mask.query_segments.shape
    keys, keys_of = mask.key_segments.shape[1], iter(jax.random.split(KEY, 5))

    def draw(*shape):
        return jax.random.normal(next(keys_of), shape, dtype)

    q, w = draw(rows, queries, heads, width), draw(rows, queries, heads, width)
    k, v = draw(rows, keys, groups, width), draw(rows, keys, groups, width)
    shape = (rows, heads, queries, keys)[4 - bias :]
    used = mask.to_dense().any(-1)[:, 0]  # queries with a key
    used = used if mask.queries is None else used & mask.queries
    return q, k, v, draw(*shape) if bias else None, w * used[:, :, None, None]


def values_and_gradients(backend, mask, arrays, dropout=0.0):
    *inputs, w = arrays
    inputs = [x for x in inputs if x is not None]

    def loss(q, k, v, bias=None):
        key = KEY if dropout else None
        known = {"scale": 0.4, "dropout": dropout, "key": key, "backend": backend}
        y = attend(q, k, v, mask, bias=bias, **known)
        return (y.astype(jnp.float32) * w).sum(), jnp.where(w != 0, y, 0)

    return jax.jit(jax.grad(loss, tuple(range(len(inputs))), has_aux=True))(*inputs)


def compare(backend, mask, arrays, dropout=0.0, tolerance=2e-5):
    wanted = values_and_gradients("reference", mask, arrays, dropout)
    got = values_and_gradients(backend, mask, arrays, dropout)
    for left, right in zip(jax.tree.leaves(wanted), jax.tree.leaves(got), strict=True):
        assert right.dtype == left.dtype and np.isfinite(np.asarray(right, np.float32)).all()
        close(left, right, tolerance)


def small_tiles(monkeypatch, sizes=(5, 4)):
    """Tiles that small arrays have several of; no length is a multiple."""

    def tiled(*arguments):
        return tiled_attention(*arguments, sizes=sizes)

    monkeypatch.setitem(package.BACKENDS, "cpu", tiled)


@pytest.mark.parametrize("kind", masks(18))
def test_tiles_are_the_reference(kind, monkeypatch):
    """Packed segments first; dropout makes the same decisions, in blocks of any order."""
    small_tiles(monkeypatch)
    mask = masks(18)[kind]
    compare("cpu", mask, given(mask), dropout=0.3)


@pytest.mark.parametrize("ndim", [3, 4])
def test_tiles_with_a_bias_are_the_reference(ndim, monkeypatch):
    small_tiles(monkeypatch)
    mask = masks(18)["causal"]
    compare("cpu", mask, given(mask, bias=ndim))


@pytest.mark.slow
@pytest.mark.parametrize("length", [64, 192, 130, 320, 257])
@pytest.mark.parametrize("kind", masks(18))
def test_tiles_of_their_own_size_are_the_reference(kind, length):
    """Also at lengths of 64 modulo 128, where a kernel of cuDNN gives gradients that are NaN."""
    mask = masks(length)[kind]
    biases = [0] if "global" in kind else [0, 3, 4]
    for bias, dropout in itertools.product(biases, [0, 0.2]):
        for groups in (1, 4):
            compare("cpu", mask, given(mask, groups=groups, bias=bias), dropout, 1e-4)
    compare("cpu", mask, given(mask, dtype=jnp.bfloat16), 0.0, 0.05)


def test_no_gradient_crosses_segments(monkeypatch):
    small_tiles(monkeypatch)
    s = segments_of(18)
    q, k, v, _, _ = given(mask := AttentionMask(s, s, causal=True))

    def second_segment(k, v):
        y = attend(q, k, v, mask, scale=0.4, backend="cpu")
        return jnp.where((s == 2)[:, :, None, None], y, 0).sum()

    for grad in jax.grad(second_segment, (0, 1))(k, v):
        crossed = np.abs(grad).max((-2, -1))
        assert crossed[np.asarray(s) == 2].max() > 0
        assert (crossed[np.asarray(s) != 2] == 0).all()


def test_a_row_of_padding_is_finite(monkeypatch):
    small_tiles(monkeypatch)
    s = jnp.zeros((2, 9), jnp.int32)
    q, k, v, _, _ = given(mask := AttentionMask(s, s, causal=True))
    y, pull = jax.vjp(lambda *a: attend(*a, mask, scale=1.0, backend="cpu"), q, k, v)
    assert all(np.isfinite(x).all() for x in (y, *pull(jnp.ones_like(y))))


KERNELS = {
    "pallas": functools.partial(pallas_attention, interpret=True),
    "splash": functools.partial(splash_attention, interpret=True),
}


def interpreted(monkeypatch, name):
    """The kernel of another platform, as jax operations on this one."""
    where = next(platform for platform, names in choice.BACKENDS.items() if name in names)
    monkeypatch.setattr(choice, "platform", lambda: where)
    monkeypatch.setitem(package.BACKENDS, name, KERNELS[name])


@pytest.mark.slow
@pytest.mark.parametrize("length", [64, 192])
@pytest.mark.parametrize(
    "name, kind",
    [(name, kind) for name in KERNELS for kind in ("segments", "causal")]
    + [("splash", "window"), ("splash", "causal window"), ("splash", "cross")],
)
def test_interpreted_kernels_are_the_reference(name, kind, length, monkeypatch):
    """Packed segments, and lengths of 64 modulo 128, which are filled up."""
    interpreted(monkeypatch, name)
    mask = masks(length)[kind]
    compare(name, mask, given(mask, width=128 if name == "splash" else 16), tolerance=1e-4)


@pytest.mark.parametrize(
    "kind, length", [("segments", 64), ("causal", 64), ("prefix", 64), ("window", 130)]
)
def test_what_cudnn_is_given_is_the_reference(kind, length, monkeypatch):
    """The same arguments, computed by XLA instead of cuDNN's kernel."""
    monkeypatch.setattr(choice, "platform", lambda: "gpu")
    original, seen = jax.nn.dot_product_attention, []

    def by_xla(*arguments, implementation, **known):
        seen.append(implementation)
        return original(*arguments, implementation="xla", **known)

    monkeypatch.setattr(jax.nn, "dot_product_attention", by_xla)
    mask = masks(length)[kind]
    compare("cudnn", mask, given(mask, dtype=jnp.bfloat16), tolerance=0.1)
    assert set(seen) == {"cudnn"}


def test_cudnn_is_lowered_with_its_kernel_and_the_segments(monkeypatch):
    """Abstractly, for a machine that is not here; nothing is run."""
    monkeypatch.setattr(choice, "platform", lambda: "gpu")
    from jax._src.cudnn import fused_attention_stablehlo as inside

    monkeypatch.setattr(inside, "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(inside, "check_compute_capability", lambda capability: True)
    monkeypatch.setattr(inside, "is_cuda_compute_capability_equal", lambda capability: False)
    mask = masks(192)["causal"]
    *inputs, _, w = given(mask, width=64, dtype=jnp.bfloat16)

    def loss(q, k, v, segments):
        own = AttentionMask(segments, segments, causal=True)
        return (attend(q, k, v, own, scale=0.1, backend="cudnn") * w).sum()

    traced = jax.jit(jax.grad(loss, (0, 1, 2))).trace(*inputs, mask.query_segments)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert "__cudnn$fmhaScaleBiasSoftmax" in text and "__cudnn$fmhaScaleBiasSoftmaxBackward" in text
    assert "tensor<2x1x256x256xbf16>" in text  # the mask, as a bias


def test_what_a_backend_cannot_compute_is_refused_while_a_run_is_set_up(monkeypatch):
    mask = masks(18)["causal"]
    q, k, v, _, _ = given(mask)

    def ask(backend, **known):
        with choice.recorded() as found:
            attend(q, k, v, mask, scale=1.0, backend=backend, **known)
        return found

    with pytest.raises(UserError, match="cudnn runs on gpu, and this is cpu.*backend=auto"):
        ask("cudnn")
    (auto,) = ask("auto")
    assert auto.backend == "reference" and "cpu is faster from 1024 tokens on" in auto.reason
    monkeypatch.setattr(choice, "platform", lambda: "gpu")
    with pytest.raises(UserError, match="cudnn takes bfloat16 and float16, not float32"):
        ask("cudnn")
    (auto,) = ask("auto", dropout=0.1, key=KEY)
    assert auto.backend == "reference"
    assert "cudnn takes bfloat16" in auto.reason and "pallas has no dropout" in auto.reason
    q, k, v = (one.astype(jnp.bfloat16) for one in (q, k, v))
    (auto,) = ask("auto")
    assert auto.backend == "reference" and "cudnn was never verified on a gpu" in auto.reason
    assert choice.choose("cudnn", choice.Call.of(q, k, mask, None, False, None)) == "cudnn"
