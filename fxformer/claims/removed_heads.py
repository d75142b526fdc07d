"""Measures of attention heads removed from a trained run. Michel et al. 2019."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fxformer.claims.measures import Measure
from fxformer.errors import UserError
from fxformer.inference.interpret.head_mask import current_masks, set_masks
from fxformer.inference.loaded_run import checkpoint_costs, load_run
from fxformer.track.run_reader import StoredRun
from fxformer.train.evaluation import evaluate_batches
from fxformer.train.experiment import open_experiment
from fxformer.train.state import bind
from fxformer.types import Count

Masks = dict[str, np.ndarray]  # {kind of attention: [blocks, heads]}


@dataclasses.dataclass(frozen=True)
class HarmlessHeads(Measure):
    """Share of a run's attention heads that can be removed alone at test time: without it the
    held-out accuracy falls by at most `cost`.

    whole_layers: removes all heads of a layer together instead: the share of layers
    batches: of the held-out split at most, the first
    """

    cost: float = 0.01
    whole_layers: bool = False
    batches: Count = 32

    def of_run(self, run: StoredRun) -> float:
        loaded = load_run(run, checkpoint_costs(run)[-1].step)
        task = open_experiment(loaded.cfg)
        masks = {kind: np.asarray(one) for kind, one in _masks(loaded).items()}

        @jax.jit
        def evaluate(given: Any, batch: Any) -> tuple[dict, Any]:
            params, own = given
            objective = bind(loaded.graphdef, params)
            set_masks(objective.model, own)
            return objective.evaluate(batch)[0], None

        rows = task.data.valid(task.corpus.batch)
        some = range(min(self.batches, len(rows)))
        batches = [loaded.objective.corrupt(rows[n]) for n in some]

        def accuracy(own: Masks) -> float:
            given = loaded.params, {kind: jnp.asarray(one) for kind, one in own.items()}
            numbers = evaluate_batches(evaluate, given, batches)
            if "accuracy" not in numbers:
                raise UserError(f"HarmlessHeads: {run.id} has no accuracy")
            return numbers["accuracy"]

        whole = accuracy(masks)
        found = [whole - accuracy(one) <= self.cost for one in without(masks, self.whole_layers)]
        return sum(found) / len(found)


def without(masks: Masks, whole_layers: bool) -> Iterator[Masks]:
    """Masks without one head each, or without all heads of one layer."""
    for kind, mask in masks.items():
        blocks, heads = mask.shape
        for block in range(blocks):
            for head in [slice(None)] if whole_layers else range(heads):
                made = mask.copy()
                made[block, head] = 0
                yield masks | {kind: made}


def _masks(loaded: Any) -> Masks:
    shapes = jax.eval_shape(
        lambda params: current_masks(bind(loaded.graphdef, params).model), loaded.params
    )
    return {kind: np.ones(one.shape, np.float32) for kind, one in shapes.items()}
