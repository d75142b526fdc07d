"""Trains the toy on 1, 2 and 8 devices in several layouts and compares; run with 8 CPU devices."""

import tempfile

import jax
from tiny_training import Parts, batch, close

from fxformer.train.checkpoint import Checkpoints
from fxformer.train.compile import compile_step
from fxformer.train.mesh import MeshConfig, with_shardings
from fxformer.train.placement import put_batch
from fxformer.train.step import make_step
from fxformer.train.step_sharding import StepSharding
from tests.collectives import collectives


def run(layout, steps=3, **knobs):
    toy = Parts(dim=32, **knobs)
    mesh = layout.mesh()
    like = jax.eval_shape(toy.start, jax.random.key(0))
    place = layout.shardings(like, mesh)
    state = jax.jit(toy.start, out_shardings=place)(jax.random.key(0))
    given = put_batch(batch(0, rows=16), mesh)
    sharding = StepSharding.of(with_shardings(like, place).params, mesh)
    raw = make_step(toy.shape, toy.tx, **toy.knobs, sharding=sharding)
    step = compile_step(raw, place, mesh).lower(state, given).compile()
    for n in range(steps):
        state, sums = step(state, put_batch(batch(n, rows=16), mesh))
    return state, jax.device_get((state, sums)), collectives(step.as_text()), place


one = run(MeshConfig())
assert not one[2]
layouts = {
    "data 2": (MeshConfig(data=2), {}),
    "data 8, 2 micro-batches": (MeshConfig(data=-1), {"accumulate": 2}),
    "fsdp 8": (MeshConfig(fsdp=-1, min_size=256), {}),
    "data 2, fsdp 4": (MeshConfig(data=2, fsdp=-1, min_size=256), {}),
    "data 2, tensor 4": (MeshConfig(data=2, tensor=-1, tensor_rules=[("kernel$", -1)]), {}),
}
with tempfile.TemporaryDirectory() as folder:
    checkpoints = Checkpoints(folder)
    checkpoints.save(3, one[0], {})
    checkpoints.wait()
    for name, (layout, knobs) in layouts.items():
        state, numbers, found, place = run(layout, **knobs)
        close(numbers, one[1], rtol=1e-5, atol=1e-6)
        print(name, [(each.kind, each.times, each.elements) for each in found])
        large = [each for each in found if each.elements > 16]
        kinds = [each.kind for each in large]
        size = sum(leaf.size for leaf in jax.tree.leaves(state.params))
        if layout.fsdp == layout.tensor == 1:  # the gradients once, with the sums of the loss
            assert kinds == ["all-reduce"] and large[0].times == 1
            assert size <= large[0].elements < size + 16
        if layout.fsdp != 1:
            cut = ["fsdp" in leaf.sharding.spec for leaf in jax.tree.leaves(state.params)]
            assert sum(cut) > 0
            for kind in ("all-gather", "reduce-scatter"):  # each once, and nothing else
                assert kinds.count(kind) == sum(cut)
            kernel = state.params["stack"]["blocks"]["kernel"]
            moment = state.opt[1].mu["stack"]["blocks"]["kernel"]
            assert "fsdp" in kernel.sharding.spec
            assert kernel.sharding == moment.sharding
        restored = checkpoints.restore(with_shardings(state, place)).state
        assert all(
            a.sharding == b.sharding
            for a, b in zip(jax.tree.leaves(restored), jax.tree.leaves(state), strict=True)
        )
        close(jax.device_get(restored), jax.device_get(one[0]), rtol=0, atol=0)
print("all equal")
