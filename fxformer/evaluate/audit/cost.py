"""Time of corruption, alone and as a share of a training step."""

import statistics
import time

import jax
from omegaconf import DictConfig

from fxformer.data.loader import Batches
from fxformer.objective.base import Objective

PASSES = 41  # the quickest counts: what else the machine does is no cost of ours


def milliseconds(objective: Objective, batches: Batches) -> float:
    """The quickest of some calls of `corrupt`, each on another batch, the first one aside."""
    times = []
    for n in range(PASSES + 1):
        rows = batches[n]
        began = time.perf_counter()
        objective.corrupt(rows)
        times.append(time.perf_counter() - began)
    return 1e3 * min(times[1:])


def step_milliseconds(cfg: DictConfig, steps: int) -> float:
    """Median time of a compiled training step of this config, on this machine's devices."""
    from fxformer.train.compile import compile_step
    from fxformer.train.setup import set_up

    setup = set_up(cfg)
    placement = jax.tree.map(lambda leaf: leaf.sharding, setup.abstract_state)
    state = jax.jit(setup.init_state, out_shardings=placement)(jax.random.key(cfg.seed))
    step = compile_step(setup.step, placement, setup.mesh)
    batch, times = setup.put(setup.example_batch), []
    for _ in range(steps + 1):
        began = time.perf_counter()
        state, sums = step(state, batch)
        jax.block_until_ready((state, sums))
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times[1:])
