"""Single training steps of tiny but real set-ups, to be compared number by number."""

import jax
import numpy as np

from fxformer.rules import named
from fxformer.train.compile import compile_step
from tests.physics.training import ready

TINY = (
    "tokenizer=none",
    "model.dim=16",
    "model.layers=2",
    "model.heads=2",
    "model.ffn.hidden=32",
    "model.dropout=0",
    "data.batch=16",
    "data.workers=0",
    "optimizer=sgd",  # Adam would blow rounding up: its first step is lr, however small the slope
    "optimizer.lr=1",
    "schedule=constant",
    "trainer.steps=2",
)
# One of each architecture; how many targets a row has differs from row to row.
KINDS = {
    "encoder": ("model=encoder", "objective=mlm", "objective/masking=iid", "data=markov"),
    "decoder": (
        "model=decoder",
        "objective=clm",
        "data=reverse",
        "data/packing=prompted",
        "data.shortest=2",
        "data.length=20",
    ),
    "seq2seq": ("model=seq2seq", "objective=seq2seq", "data=reverse", "data.shortest=2"),
}


def after_two_steps(kind: str, *overrides: str) -> dict[str, np.ndarray]:
    """Parameters by path, and the last step's sums, after two steps from seed 0."""
    setup = ready(*KINDS[kind], *TINY, *overrides)
    placement = jax.tree.map(lambda leaf: leaf.sharding, setup.abstract_state)
    state = jax.jit(setup.init_state, out_shardings=placement)(jax.random.key(0))
    step = compile_step(setup.step, placement, setup.mesh, donate=False)
    batches = setup.data.train(setup.corpus.batch, 0)
    for n in range(2):
        state, sums = step(state, setup.put(setup.objective.corrupt(batches[n])))
    weights = {f"weight of {name}": pair[1] for name, pair in sums.items()}
    totals = {f"mean {name}": total / weight for name, (total, weight) in sums.items()}
    return jax.device_get(named(state.params) | totals | weights)


def equal(a: dict[str, np.ndarray], b: dict[str, np.ndarray], tolerance: float = 1e-6) -> None:
    """AssertionError, with the path, unless all are equal up to `tolerance` of the largest."""
    assert a.keys() == b.keys()
    for path in a:
        scale = max(1.0, float(np.abs(a[path]).max()))
        np.testing.assert_allclose(a[path] / scale, b[path] / scale, 0, tolerance, err_msg=path)
