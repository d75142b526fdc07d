"""Trains the toy on 1, 2 and 8 devices in several layouts and compares; run with 8 CPU devices."""

import math
import re
import tempfile

import jax
from tiny_training import Parts, batch, close

from fxformer.train.checkpoint import Checkpoints
from fxformer.train.compile import compile_step
from fxformer.train.mesh import MeshConfig, replicated, with_shardings
from fxformer.train.placement import put_batch
from fxformer.train.step import make_step


def run(layout, steps=3, **knobs):
    toy = Parts(dim=32, **knobs)
    mesh = layout.mesh()
    like = jax.eval_shape(toy.start, jax.random.key(0))
    place = layout.shardings(like, mesh)
    state = jax.jit(toy.start, out_shardings=place)(jax.random.key(0))
    given = put_batch(batch(0, rows=16), mesh)
    raw = make_step(toy.shape, toy.tx, **toy.knobs, compute_sharding=replicated(mesh))
    step = compile_step(raw, place, mesh).lower(state, given).compile()
    text = step.as_text()
    for n in range(steps):
        state, sums = step(state, put_batch(batch(n, rows=16), mesh))
    return state, jax.device_get((state, sums)), text, place


def reduced(text):
    """Numbers of elements of each sum over devices in a compiled program."""
    sums = [re.search(r"= (.*?) all-reduce\(", line) for line in text.splitlines()]
    shapes = [re.findall(r"f32\[([\d,]*)\]", found[1]) for found in sums if found]
    return [sum(math.prod(map(int, filter(None, s.split(",")))) for s in each) for each in shapes]


one = run(MeshConfig())
assert "all-reduce" not in one[2]
layouts = {
    "data 2": (MeshConfig(data=2), {}),
    "data 8, 2 micro-batches": (MeshConfig(data=-1), {"accumulate": 2}),
    "fsdp 8": (MeshConfig(fsdp=-1, min_size=256), {}),
    "data 2, fsdp 4": (MeshConfig(data=2, fsdp=-1, min_size=256), {}),
}
with tempfile.TemporaryDirectory() as folder:
    checkpoints = Checkpoints(folder)
    checkpoints.save(3, one[0], {})
    checkpoints.wait()
    for name, (layout, knobs) in layouts.items():
        state, numbers, text, place = run(layout, **knobs)
        close(numbers, one[1], rtol=1e-5, atol=1e-6)
        print(
            name, {c: text.count(f" {c}(") for c in ("all-reduce", "all-gather", "reduce-scatter")}
        )
        assert "all-reduce" in text
        if name == "data 2":  # the gradients in one operation, with the sums of the loss
            size = sum(leaf.size for leaf in jax.tree.leaves(state.params))
            large = [elements for elements in reduced(text) if elements > 16]
            assert len(large) == 1 and size <= large[0] < size + 16
        if "fsdp" in name:
            cut = ["fsdp" in leaf.sharding.spec for leaf in jax.tree.leaves(state.params)]
            assert text.count(" all-gather(") == sum(cut) > 0  # each once, and nothing else
            kernel = state.params["stack"]["blocks"]["kernel"]
            moment = state.opt[1].mu["stack"]["blocks"]["kernel"]
            assert "fsdp" in kernel.sharding.spec
            assert kernel.sharding == moment.sharding
        found = checkpoints.restore(with_shardings(state, place)).state
        assert all(
            a.sharding == b.sharding
            for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(state), strict=True)
        )
        close(jax.device_get(found), jax.device_get(one[0]), rtol=0, atol=0)
print("all equal")
