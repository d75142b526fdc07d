"""Collective operations of real training steps, and their bytes; run with 8 CPU devices.

python mesh_programs.py CASE; see CASES
"""

import collections
import sys

import jax

from fxformer.config.build import build
from fxformer.plan.communication import step_traffic
from fxformer.rules import is_stacked, named
from fxformer.train.setup import Setup
from tests.collectives import Collective, collectives
from tests.first_state import compiled_step
from tests.physics.training import ready

LAYERS, SMALL_SUM = 2, 32
SHAPE = (
    "tokenizer=none", "data=markov", "data.symbols=11", "data.valid_examples=32", "data.length=32",
    "data.batch=16", "data.workers=0", "model.dim=32", "model.heads=4", "model.ffn.hidden=64",
    f"model.layers={LAYERS}", "mesh.min_size=256", "energy=tdp",
)  # fmt: skip
GPT2 = ("model=gpt2", "objective=clm")


def compiled_without_check(*words: str) -> tuple[Setup, list[Collective]]:
    """The set-up, and the collective operations of its step on more than a few numbers."""
    setup = ready(*words, *SHAPE)
    batch = setup.put(setup.example_batch)
    text = compiled_step(setup).lower(setup.abstract_state, batch).compile().as_text()
    return setup, [one for one in collectives(text) if one.elements > SMALL_SUM]


def compiled(*words: str) -> tuple[Setup, list[Collective]]:
    """The same; the bytes are those of the formulas of `fxformer plan` within 5 %, or within 1 % of
    all: the compiler may join the sums of small gradients over rows with those over `tensor`."""
    setup, found = compiled_without_check(*words)
    counted, expected = collections.Counter(), collections.Counter()
    for one in found:
        counted[one.kind, one.devices] += one.moved
    for one in step_traffic(setup, build(setup.cfg.mesh), setup.mesh):
        expected[one.kind, one.devices] += one.sent
    for key in counted | expected:
        print(words[-2:], *key, "counted", counted[key], "formula", expected[key])
        near = max(0.05 * expected[key], 0.01 * sum(expected.values()))
        assert abs(counted[key] - expected[key]) <= near, key
    return setup, found


def kinds(found: list[Collective]) -> collections.Counter:
    """How often each kind runs in a step."""
    counts = collections.Counter()
    for one in found:
        counts[one.kind] += one.times
    return counts


def data() -> None:
    """One sum of all gradients in a step, also where they are accumulated."""
    for more in ((), ("trainer.accumulate=2", "model.unroll=1")):
        setup, found = compiled(*GPT2, "mesh=data", *more)
        assert kinds(found) == {"all-reduce": 1}
        assert 0 <= found[0].elements - setup.parameters < SMALL_SUM


def fsdp() -> None:
    """Parameters are gathered layer by layer inside the loop over layers, in both passes, and
    gradients are scattered there; no operation has a stack of layers."""
    setup, found = compiled(*GPT2, "mesh=fsdp", "mesh.data=2", "model.unroll=1")
    leaves = named(setup.abstract_state.params)
    cut = {path: leaf for path, leaf in leaves.items() if "fsdp" in leaf.sharding.spec}
    layered = [leaf.size // LAYERS for path, leaf in cut.items() if is_stacked(path)]
    others = len(cut) - len(layered)
    assert len(layered) == 6 and others == 2
    gathers = [one for one in found if one.kind == "all-gather"]
    of_layers = sorted(one.elements for one in gathers if one.times == LAYERS)
    assert of_layers == sorted(2 * layered) and len(gathers) == len(of_layers) + others
    assert kinds(found)["reduce-scatter"] == LAYERS * len(layered) + others
    assert kinds(found)["all-reduce"] == 2  # over both axes, and over data of what was scattered


def unrolled() -> None:
    """Without a loop each layer has its gathers too."""
    _, found = compiled_without_check(*GPT2, "mesh=fsdp", "mesh.data=2")
    gathers = [one.elements for one in found if one.kind == "all-gather" and one.times == 1]
    print("gathers", sorted(gathers))
    of_a_layer = [1024] * 4 + [2048] * 2  # q, k, v, o; up, down
    # on CPU the compiler merges those of the backward pass with those of the forward pass
    assert sorted(gathers)[1:-1] == sorted(LAYERS * of_a_layer)


def tensor() -> None:
    """Two sums for each layer in a pass: of attention and feed-forward."""
    setup, found = compiled(*GPT2, "mesh=tensor", "mesh.data=2")
    hidden = setup.example_batch.segments.size // 2 * 32
    of_layers = [one for one in found if one.devices == 4 and "block/dot_general" in one.line]
    backward = [one for one in of_layers if "transpose(" in one.line]
    assert len(of_layers) == 4 * LAYERS and len(backward) == 2 * LAYERS
    # the gradients of what q, k and v read are three arrays of one operation
    assert sorted(one.elements // hidden for one in backward) == [1] * LAYERS + [3] * LAYERS
    assert kinds(found) == {"all-reduce": len(found) + sum(c.times - 1 for c in found)}


def tensor_and_fsdp() -> None:
    """Split matrices are gathered and scattered as parts: the bytes are those of the formulas."""
    compiled(*GPT2, "mesh=tensor", "mesh.data=2", "mesh.fsdp=2", "model.unroll=1")
    compiled("model=llama", "objective=clm", "mesh=tensor", "mesh.fsdp=4", "model.unroll=1")


def seq2seq() -> None:
    """The same with cross-attention."""
    compiled("model=bart", "objective=denoise", "mesh=tensor", "mesh.data=2")


CASES = {one.__name__: one for one in (data, fsdp, unrolled, tensor, tensor_and_fsdp, seq2seq)}

if __name__ == "__main__":
    assert len(jax.devices()) == 8
    CASES[sys.argv[1]]()
    print("as expected")
