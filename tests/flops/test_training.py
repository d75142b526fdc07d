"""Model FLOPs against the matrix products of the traced program, and against the closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Batch
from fxformer.flops.attention_pairs import (
    cross_attention_pairs,
    pairs,
    predicting_pairs,
    self_attention_pairs,
)
from fxformer.flops.jaxpr_flops import executed_flops
from fxformer.flops.training import tokens_read, training_flops, transformer_flops
from fxformer.nn.ngram import StreamContext
from fxformer.ops.attention.mask import AttentionMask
from tests.models import abstract, choices, network


def batch(model, length: int = 64) -> Batch:
    tokens = np.ones((4, length), np.int32)
    both = {"source": tokens, "source_segments": tokens}
    return Batch(
        tokens=tokens,
        segments=tokens,
        targets=tokens,
        weights=np.ones((4, length), np.float32),
        **(both if model.architecture == "seq2seq" else {}),
    )


@pytest.mark.parametrize("kind", ["encoder", "decoder", "seq2seq"])
@pytest.mark.sample(3)
def test_a_forward_pass_costs_the_matrix_products_of_its_program(kind):
    model = abstract(kind, "model/head=tied", "model.layers=3", "model/ffn=gated")
    shape, state = nnx.split(model)
    given = batch(model, 16)

    def forward(state):
        bound = nnx.merge(shape, state)
        return bound.logits(bound(given))

    counted = executed_flops(forward, state)
    ours = training_flops(model, given) / 3
    hidden = 0  # what a causal mask hides is multiplied all the same, and is no work
    if kind != "encoder":
        stack = model.decoder if kind == "seq2seq" else model.transformer
        attention = stack.stack.blocks.attention
        hidden = 4 * attention.heads * attention.head_dim * stack.layers * 4 * (16 * 15 // 2)
    assert counted == ours + hidden


WIDE = ("model.dim=1024", "model.heads=8", "model.ffn.hidden=4096", "model.layers=2",
        "model.dropout=0")  # fmt: skip
FEW = {  # distances
    "deberta": ["model.position.max_distance=32"],
    "deberta_v3": ["model.position.num_buckets=32", "model.position.max_distance=64"],
}
QUICK = ("bert", "gpt2", "bart")
FAMILIES = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in choices("model")
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.sample(3)
def test_flops_of_every_family_are_those_of_xlas_own_analysis(family):
    """Of the gradient, layers laid out and rows full; it also counts what is done number by number,
    under 2 % at this width. 64 tokens lie in every window, and distances are as many as there are
    vectors for."""
    build = network(family, "+size=tiny", *WIDE, *FEW.get(family, []))
    model = nnx.eval_shape(lambda: build(vocab=1024, rngs=nnx.Rngs(0)))
    shape, state = nnx.split(model)
    given = batch(model)

    def loss(state):
        bound = nnx.merge(shape, state)
        return jnp.square(bound.logits(bound(given))).sum()

    theirs = jax.jit(jax.grad(loss)).lower(state).cost_analysis()["flops"]
    assert abs(executed_flops(jax.grad(loss), state) / theirs - 1) < 0.02
    assert abs(training_flops(model, given) / theirs - 1) < 0.02


SEGMENTS = np.array([[1] * 9 + [2] * 5 + [0] * 2, [1] * 3 + [2] * 13])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 1, 4, 99])
def test_pairs_are_those_the_mask_shows(causal, window):
    mask = AttentionMask(SEGMENTS, SEGMENTS, causal=causal)
    seen = np.asarray(mask.to_dense()) & np.asarray(mask.within(window or 99))
    counted = self_attention_pairs(SEGMENTS, causal=causal, window=window)
    assert counted.pairs == (seen & (SEGMENTS > 0)[:, None, :, None]).sum()
    assert counted.queries == counted.keys == 30 and list(counted.segment_lengths) == [9, 5, 3, 13]


def test_pairs_of_a_prefix_are_those_the_mask_shows():
    prefix = np.array([[1] * 4 + [0] * 5 + [1] * 5 + [0] * 2, [0] * 3 + [1] * 7 + [0] * 6]) > 0
    seen = np.asarray(AttentionMask(SEGMENTS, SEGMENTS, causal=True, prefix=prefix).to_dense())
    counted = self_attention_pairs(SEGMENTS, causal=True, prefix=prefix)
    assert counted.pairs == (seen & (SEGMENTS > 0)[:, None, :, None]).sum()


def test_pairs_of_streams_are_those_they_see_and_themselves():
    for n in (1, 2, 7):
        row = np.ones((1, n), int)
        seen = np.asarray(StreamContext.of(AttentionMask(row, row, causal=True), 3).mask)
        assert predicting_pairs(n, 3) == seen[:, 1:].sum() + 3 * n


def test_pairs_across_are_those_of_the_same_piece():
    source = np.array([[1] * 4 + [2] * 6, [1] * 8 + [2] * 2])
    seen = np.asarray(AttentionMask(SEGMENTS, source).to_dense()) & (SEGMENTS > 0)[:, None, :, None]
    counted = cross_attention_pairs(SEGMENTS, source, 2)
    assert (counted.queries, counted.keys, counted.pairs) == (60, 20, 2 * seen.sum())


def test_global_tokens_see_all_and_windows_save_work():
    """Two pieces of 9 and 5, a window of 2, the first token of each global: by hand."""
    row = SEGMENTS[:1]
    first = np.zeros_like(row, bool)
    first[0, [0, 9]] = True
    counted = self_attention_pairs(row, causal=False, window=2, global_tokens=first)
    near = (3 * 9 - 2) + (3 * 5 - 2)
    far = 2 * (9 - 2) + 2 * (5 - 2)  # from the first token and to it, beyond the window
    assert (counted.pairs, counted.global_queries, counted.global_keys) == (near + far, 2, 14)
    part = abstract(
        "longformer", "model.windows=[2]", "model.attention.first_global=true"
    ).transformer
    plain = abstract("longformer", "model.windows=[2]").transformer
    attention = part.stack.blocks.attention
    own = 2 * 14 * 2 * attention.q.kernel.shape[-1] * 24
    gap = transformer_flops(part, row) - transformer_flops(plain, row)
    assert gap == part.layers * (own + 4 * 24 * far)


def test_distances_beyond_what_a_row_has_are_no_work():
    """Of 2 · 512 vectors a row of 8 asks for 15; each query for 8 of them."""
    part, row = abstract("deberta").transformer, np.ones((2, 8), int)
    bare = abstract("deberta", "model.attention.content_to_position=false",
                "model.attention.position_to_content=false").transformer  # fmt: skip
    each = 2 * (2 * 8 * 8 * 24 + 15 * 24 * 24)
    gap = transformer_flops(part, row) - transformer_flops(bare, row)
    assert gap == part.layers * 2 * each


def test_loops_count_as_often_as_they_run_and_recomputation_is_no_work():
    scanned = abstract("encoder", "model.layers=3", "model.unroll=1", "model.remat=true")
    laid = abstract("encoder", "model.layers=3")
    counts = []
    for model in (scanned, laid):
        shape, state = nnx.split(model)
        given = batch(model, 16)

        def loss(state, shape=shape, given=given):
            bound = nnx.merge(shape, state)
            return bound.logits(bound(given)).sum()

        counts.append(executed_flops(jax.grad(loss), state))
    again, once = counts
    assert training_flops(scanned, given) == training_flops(laid, given) <= once < again


def test_padding_is_no_work_and_packing_saves_pairs():
    whole, halves = np.ones((1, 8), int), np.array([[1] * 4 + [2] * 4])
    assert pairs(8, False) == 64 and pairs(8, True) == 36
    assert (
        self_attention_pairs(halves, causal=False).pairs == 32
        and self_attention_pairs(halves, causal=True).pairs == 20
    )
    padded = np.array([[1] * 8 + [0] * 8])
    assert self_attention_pairs(padded, causal=False) == self_attention_pairs(whole, causal=False)
    part = abstract("encoder").transformer
    assert transformer_flops(part, padded) == transformer_flops(part, whole)


def test_tokens_of_both_sides_are_read():
    model = abstract("seq2seq")
    assert tokens_read(batch(model, 8)) == 64
