"""A narrower encoder made out of a config: its shapes, the published counts, what is refused."""

from functools import partial

import jax
import pytest
from flax import nnx

from fxformer.batch import Vocabulary
from fxformer.model.generator import scale_transformer, scale_width, unwrap_partial
from fxformer.nn.head import ReplacedTokenHead
from fxformer.objective.electra import ReplacedTokenDetection
from fxformer.rules import named
from tests.model.test_families import exact
from tests.models import network

V = 30522
HEAD = partial(ReplacedTokenHead, act=jax.nn.gelu)
# model with its head, as torch counts it; generator as torch counts it, its shared tables included
PUBLISHED = [
    ("small", 0.25, 128, 13_549_057, 4_620_026),
    ("base", 0.3333, 768, 109_483_009, 33_740_602),
    ("large", 0.25, 1024, 335_142_913, 51_295_290),
]


def counted(size, share):
    build = network("electra", f"+size={size}", *exact("electra", size))
    none = jax.numpy.zeros(0, bool)
    words = Vocabulary(V, 0, none, none, none, mask=103)
    knobs = {"head": HEAD, "generator_size": share, "vocabulary": words}
    made = nnx.eval_shape(lambda: ReplacedTokenDetection(build, rngs=nnx.Rngs(0), **knobs))
    return {path: leaf.size for path, leaf in named(nnx.to_pure_dict(nnx.split(made)[1])).items()}


@pytest.mark.parametrize("size, share, width, model, generator", PUBLISHED)
def test_the_published_counts_and_shared_tables_once(size, share, width, model, generator):
    counts = counted(size, share)
    own = sum(n for path, n in counts.items() if path.startswith("generator/"))
    assert sum(counts.values()) - own == model
    assert own == generator - (V + 512 + 2 + 2) * width  # words, positions, types, their norm
    assert sum(n == V * width for n in counts.values()) == 1


def test_what_narrows_and_what_does_not():
    whole = network("electra", "+size=base", "model.attention.kv_heads=4").keywords["transformer"]
    small = scale_transformer(whole, 0.25, 768)(cross=False, rngs=nnx.Rngs(0))
    block = small.stack.blocks
    assert (small.dim, small.heads, small.layers, small.width) == (192, 3, 12, 768)
    assert block.ffn.up.kernel.shape == (12, 192, 768)
    assert block.attention.num_kv_heads == 1 and small.input.projection.kernel.shape == (768, 192)
    assert not [path for path in named(nnx.to_pure_dict(nnx.state(small))) if "position" in path]


def test_a_position_inside_attention_is_the_generators_own():
    whole = network("encoder", "+size=base", "model/position=buckets").keywords["transformer"]
    small = nnx.eval_shape(
        lambda: scale_transformer(whole, 0.25, 768)(cross=False, rngs=nnx.Rngs(0))
    )
    assert small.position.table.embedding.shape == (32, 3)


@pytest.mark.parametrize(
    "shape, size, right",
    [
        ((768, 12), 1 / 3, (256, 4)),
        ((768, 12), 0.333, (256, 4)),
        ((256, 4), 0.25, (64, 1)),
        ((128, 2), 0.25, (32, 1)),  # less than a head is one head
        ((128, 2), 1, (128, 2)),
    ],
)
def test_widths_and_heads(shape, size, right):
    assert scale_width(*shape, size) == right


@pytest.mark.parametrize(
    "shape, size, near",
    [
        ((768, 12), 0.3, r"3\.6 heads.*generator_size=0\.3333 \(256 wide, heads: 4\)"),
        ((128, 2), 0.33, r"42\.24 wide.*generator_size=0\.5 \(64 wide, heads: 1\)"),
        ((128, 2), 0.001, r"generator_size=0\.5"),
    ],
)
def test_a_share_that_does_not_split_is_refused_with_the_nearest(shape, size, near):
    with pytest.raises(ValueError, match=near):
        scale_width(*shape, size)


def test_only_a_transformer_has_a_narrower_one():
    with pytest.raises(ValueError, match="encoder's Transformer"):
        scale_transformer(partial(int), 0.5, 8)


def test_partials_of_partials_are_read_through():
    call, knobs = unwrap_partial(partial(partial(int, "7", base=8), base=9))
    assert call is int and knobs == {"base": 9}
