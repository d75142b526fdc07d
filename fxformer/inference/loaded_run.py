"""A trained run loaded for inference: its objective with the weights of one checkpoint."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from omegaconf import DictConfig

from fxformer.batch import Rows
from fxformer.config.build import build
from fxformer.config.stored import opened_config
from fxformer.data.corpus import Corpus
from fxformer.data.tokenizer import Tokenizer, is_saved, load
from fxformer.errors import UserError
from fxformer.hf.published_model import read_config
from fxformer.inference.generation_defaults import own_settings, published_settings
from fxformer.inference.model import Model
from fxformer.model.generator import as_language_model
from fxformer.objective.base import Objective
from fxformer.objective.electra import ReplacedTokenDetection
from fxformer.objective.infilling import ScoringRequest
from fxformer.objective.prefix import PrefixLM
from fxformer.track.run_reader import StoredRun
from fxformer.train.adapter import adapter_of
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.experiment import objective_factory
from fxformer.train.state import abstract, bind, graphdef_of, init, shapes_of


@dataclasses.dataclass(frozen=True)
class CheckpointCost:
    """Cost of a run up to a checkpoint. flops: of the model, without padding tokens."""

    step: int
    tokens: float
    flops: float
    joules: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class LoadedRun:
    """A run with the weights of one checkpoint, for scoring, decoding and inspection.

    tokenizer: the one saved in the run
    objective: abstract (shapes only): for its vocabulary, limits and methods without arrays
    make_objective: PRNG key -> freshly initialised objective
    graphdef: its structure; `bind(graphdef, params)` is the objective with weights
    params: parameters as of `step`, with the change of an adapter merged into them
    """

    run: StoredRun
    cfg: DictConfig
    tokenizer: Tokenizer
    objective: Objective
    make_objective: Callable[[jax.Array], Objective]
    graphdef: nnx.GraphDef
    params: dict
    step: int

    @functools.cached_property
    def corpus(self) -> Corpus:
        """The corpus the run was trained on. UserError if its text has changed or is missing."""
        corpus = corpus_of(self.cfg)
        if corpus.source.tokenizer.hash != self.tokenizer.hash:
            raise UserError(
                f"{self.run.id} was trained with tokenizer {self.tokenizer.hash}, but its config "
                f"now gives {corpus.source.tokenizer.hash}: the training text has changed, so "
                "token ids differ"
            )
        return corpus

    @functools.cached_property
    def model(self) -> Model:
        """The objective's model with its weights, for use on texts."""
        objective, published = self.objective, self.run.folder / "published"
        start = self.start_id() if objective.model.architecture == "seq2seq" else None
        settings = own_settings(objective.vocabulary, start)
        if self.run.facts.get("imported") and (published / "config.json").is_file():
            settings = published_settings(published, read_config(published))
            names = ("decoder_start_token_id", "bos_token_id", "pad_token_id")  # as transformers
            found = next((settings[name] for name in names if name in settings), start)
            start = None if start is None else found
        return Model(
            name=self.run.id,
            tokenizer=self.tokenizer,
            vocabulary=objective.vocabulary,
            graphdef=nnx.split(objective.model)[0],
            params=self.params["model"],
            config={k: self.run.config.get(k) for k in ("model", "objective", "task")},
            start=start,
            generation_settings=settings,
            bidirectional_prompt=isinstance(objective, PrefixLM),
            step=self.step,
            published=published if published.is_dir() else None,
            generator=self._generator(),
        )

    def _generator(self) -> Model | None:
        """The generator of ELECTRA's objective as a model of its own."""
        if not isinstance(self.objective, ReplacedTokenDetection):
            return None
        objective = bind(self.graphdef, self.params)
        graphdef, state = nnx.split(as_language_model(objective.generator, objective.model))
        return Model(
            name=f"the generator of {self.run.id}",
            tokenizer=self.tokenizer,
            vocabulary=self.objective.vocabulary,
            graphdef=graphdef,
            params=nnx.to_pure_dict(state),
            config={},
            step=self.step,
        )

    def start_id(self) -> int:
        """Id of the first decoder token of an encoder-decoder, as the objective puts it."""
        ordinary = self.objective.vocabulary.ordinary[:8]
        ids = np.concatenate([self.tokenizer.prefix, ordinary, self.tokenizer.suffix])
        return int(self.objective.corrupt(self.packed_rows(ids)).tokens[0, 0])

    def packed_rows(self, ids: np.ndarray, seed: int = 0) -> Rows:
        """Ids as one packed row; for an objective on pairs they are both source and target."""
        segments, tokens = np.ones((1, len(ids)), np.int32), ids.astype(np.int32)[None]
        rows = Rows(tokens, segments, np.zeros((1, len(ids)), np.int64), seed=seed)
        if self.objective.reads_pairs:
            rows = dataclasses.replace(rows, source=tokens, source_segments=segments)
        return rows

    def nll(self, requests: list[ScoringRequest]) -> np.ndarray:
        """Negative log-likelihood of the targets of each request, in nats. [requests] float64."""
        found = self.model.log_probs(requests)
        return np.array([-log_probs.sum(dtype=np.float64) for log_probs in found])

    def untrained(self) -> "LoadedRun":
        """The same model with freshly initialised weights."""
        params = jax.jit(lambda key: init(self.make_objective, key))(jax.random.key(0))
        return dataclasses.replace(self, params=params)

    def at_step(self, step: int) -> "LoadedRun":
        """The same model with the weights of another checkpoint."""
        adapter = adapter_of(self.cfg)
        like = adapter.shapes(shapes_of(self.objective))
        params = Checkpoints(self.run.folder / "checkpoints").weights(like, step)
        return dataclasses.replace(self, params=adapter.merged(params), step=step)


def checkpoint_costs(run: StoredRun) -> list[CheckpointCost]:
    """Cost of each checkpoint of a run, ascending by step. UserError if it has none."""
    folder = Path(run.folder, "checkpoints")
    per_token = run.facts.get("flops_per_token", 0.0)
    hosts: dict[int, dict] = {}
    if folder.is_dir():
        checkpoints = Checkpoints(folder)
        hosts = {step: checkpoints.host(step) for step in checkpoints.steps()}
    found = []
    for step, host in hosts.items():
        totals = host["totals"]
        found.append(
            CheckpointCost(
                step=step,
                tokens=totals["tokens"],
                flops=totals["tokens"] * per_token,
                joules=totals["joules"],
                seconds=totals["seconds"],
            )
        )
    if not found:
        raise UserError(f"{run.id} has no checkpoint to compare: continue it with resume={run.id}")
    return found


def load_run(run: StoredRun, step: int, *, looped: bool = False) -> LoadedRun:
    """Load a run with the weights of one checkpoint; its training text is not needed.

    looped: compile one layer in a loop instead of unrolling, which compiles faster
    Raises UserError if the saved tokenizer is not the one the run was trained with, ConfigError if
    its stored config cannot be built.
    """
    cfg = opened_config(run.folder)
    if looped:
        _loop(cfg.model)
    saved = run.folder / "tokenizer"
    tokenizer = load(saved) if is_saved(saved) else corpus_of(cfg).source.tokenizer
    before = run.facts.get("data", {}).get("tokenizer_hash", tokenizer.hash)
    if before != tokenizer.hash:
        raise UserError(
            f"{run.id} was trained with tokenizer {before}, but {saved} holds {tokenizer.hash}: "
            "token ids differ"
        )
    make = objective_factory(cfg, tokenizer.spelt)
    objective = abstract(make)
    loaded = LoadedRun(run, cfg, tokenizer, objective, make, graphdef_of(objective), {}, step)
    return loaded.at_step(step)


def _loop(node: DictConfig) -> None:
    """Set unroll=1 in every stack below this node (nn/stack.py)."""
    for key, value in node.items():
        if key == "unroll":
            node[key] = 1
        elif isinstance(value, DictConfig):
            _loop(value)


def corpus_of(cfg: DictConfig) -> Corpus:
    """The corpus that a run's config describes."""
    return build(cfg.data)(tokenizer=build(cfg.tokenizer))
