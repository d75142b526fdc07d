"""Model FLOPs against the matrix products of the traced program, and against the closed form."""

import jax
import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Batch
from fxformer.energy.flops import pairs, tokens_read, training_flops, transformer_flops
from tests.models import tiny


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


def products(jaxpr) -> int:
    """FLOPs of every matrix product in a traced program, loops counted as often as they run."""
    total = 0
    for eqn in jaxpr.eqns:
        times = eqn.params.get("length", 1) if eqn.primitive.name == "scan" else 1
        if eqn.primitive.name == "dot_general":
            (left, _), (batched, _) = eqn.params["dimension_numbers"]
            shape = eqn.invars[0].aval.shape
            inner = int(np.prod([shape[i] for i in left]))
            total += 2 * inner * int(np.prod(eqn.outvars[0].aval.shape))
        for value in eqn.params.values():
            inside = getattr(value, "jaxpr", value)
            total += times * products(inside) if hasattr(inside, "eqns") else 0
    return total


@pytest.mark.parametrize("kind", ["encoder", "decoder", "seq2seq"])
def test_a_forward_pass_costs_the_matrix_products_of_its_program(kind):
    model = tiny(kind, "model/head=tied", "model.layers=3", "model/ffn=gated")
    shape, state = nnx.split(model)
    given = batch(model, 16)

    def forward(state):
        bound = nnx.merge(shape, state)
        return bound.logits(bound(given))

    counted = products(jax.make_jaxpr(forward)(state).jaxpr)
    ours = training_flops(model, given) / 3
    hidden = 0  # what a causal mask hides is multiplied all the same, and is no work
    if kind != "encoder":
        stack = model.decoder if kind == "seq2seq" else model.transformer
        attention = stack.stack.blocks.attention
        hidden = 4 * attention.heads * attention.width * stack.layers * 4 * (16 * 15 // 2)
    assert counted == ours + hidden


def test_padding_is_no_work_and_packing_saves_pairs():
    whole, halves = np.ones((1, 8), int), np.array([[1] * 4 + [2] * 4])
    assert pairs(whole, whole, False) == 64 and pairs(whole, whole, True) == 36
    assert pairs(halves, halves, False) == 32 and pairs(halves, halves, True) == 20
    padded = np.array([[1] * 8 + [0] * 8])
    assert pairs(padded, padded, False) == 64
    part = tiny("encoder").transformer
    assert transformer_flops(part, padded) == transformer_flops(part, whole)


def test_tokens_of_both_sides_are_read():
    model = tiny("seq2seq")
    assert tokens_read(batch(model, 8)) == 64
