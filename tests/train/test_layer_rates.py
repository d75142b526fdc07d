"""Layer-wise learning rates and gradual unfreezing: by distance from the top of the model."""

import jax
import numpy as np
import pytest
from tiny_training import Parts, batch, same

from fxformer.config.build import build
from fxformer.hf.published_model import parameter_shapes
from fxformer.train.layer_distance import layer_distances
from fxformer.train.optim import AdamW
from tests.composing import composed


def distances_of(model, *overrides):
    cfg = composed([f"model={model}", "size=tiny", "model.layers=3", *overrides])
    shapes = parameter_shapes(build(cfg.model.network), 40)
    leaves = {path: jax.ShapeDtypeStruct(shape, np.float32) for path, shape in shapes.items()}
    return layer_distances(leaves)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("bert", {
            "head/transform/dense/kernel": 0,
            "transformer/stack/blocks/attention/q/kernel": [3, 2, 1],
            "transformer/input/norm/scale": 4,
            "transformer/position/table/embedding": 4,
            "token_embedding/embedding": 4,
        }),
        ("modernbert", {  # its first layer is stored by itself
            "transformer/norm/scale": 0,
            "transformer/stack/blocks/attention/q/kernel": [2, 1],
            "transformer/stack/first_block/attention/q/kernel": 3,
            "token_embedding/embedding": 4,
        }),
        ("llama", {"head/output/embedding": 0, "token_embedding/embedding": 4}),
        ("t5", {
            "decoder/norm/scale": 0,
            "encoder/norm/scale": 0,
            "encoder/stack/blocks/ffn/up/kernel": [3, 2, 1],
            "decoder/stack/blocks/ffn/up/kernel": [3, 2, 1],
            "decoder/position/table/embedding": 4,
            "token_embedding/embedding": 4,
        }),
        ("bart", {  # nothing of its own above the layers: the top ones are nearest
            "encoder/stack/blocks/ffn/up/kernel": [2, 1, 0],
            "token_embedding/embedding": 3,
        }),
    ],
)  # fmt: skip
def test_distance_from_the_top(model, expected):
    found = distances_of(model)
    assert {path: found[path] for path in expected} == expected


def test_what_an_adapter_adds_is_at_the_distance_of_its_matrix():
    shapes = {"model/encoder/stack/blocks/q/kernel": (2, 4, 4), "model/head/kernel": (4, 4),
              "adapter/model/encoder/stack/blocks/q/kernel/a": (2, 4, 1),
              "adapter/model/encoder/stack/first_block/q/kernel/a": (4, 1),
              "model/encoder/stack/first_block/q/kernel": (4, 4),
              "adapter/model/token_embedding/embedding/a": (4, 1)}  # fmt: skip
    leaves = {path: jax.ShapeDtypeStruct(shape, np.float32) for path, shape in shapes.items()}
    assert list(layer_distances(leaves).values()) == [[2, 1], 0, [2, 1], 3, 3, 4]


def test_layer_decay_equals_explicit_multipliers():
    explicit = (("blocks", (0.9**2, 0.9)), ("^embedding", 0.9**3))
    decayed, written = (
        Parts(AdamW(lr=0.1, weight_decay=0.1, **knobs))
        for knobs in ({"layer_decay": 0.9}, {"multipliers": explicit})
    )
    left, right = decayed.state, written.state
    for n in range(3):
        (left, _), (right, _) = decayed.step(left, batch(n)), written.step(right, batch(n))
    assert same(left.params, right.params)
    assert not same(left.params, Parts(AdamW(lr=0.1, weight_decay=0.1)).state.params)


def test_layer_decay_scales_multipliers():
    one = Parts(AdamW(lr=0.1, layer_decay=0.5, multipliers=(("blocks", 2.0),)))
    other = Parts(AdamW(lr=0.1, multipliers=(("blocks", (0.5, 1.0)), ("^embedding", 0.125))))
    assert same(
        one.step(one.state, batch(0))[0].params, other.step(other.state, batch(0))[0].params
    )


def test_gradual_unfreezing_changes_one_more_layer_at_a_time():
    toy = Parts(AdamW(lr=0.1, weight_decay=0.1, unfreeze_every=2))  # two layers: [2, 1], table 3
    state, changed = toy.state, []
    for n in range(8):
        new, _ = toy.step(state, batch(n))
        parts = [
            (new.params["head"], state.params["head"]),
            *(
                [tree["stack"]["blocks"]["kernel"][layer] for tree in (new.params, state.params)]
                for layer in (1, 0)
            ),
            (new.params["embedding"], state.params["embedding"]),
        ]
        changed.append([not same(*pair) for pair in parts])
        state = new
    rows = [[True] * n + [False] * (4 - n) for n in (1, 1, 2, 2, 3, 3, 4, 4)]
    assert changed == rows
