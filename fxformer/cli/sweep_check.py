"""Judging the configs of a search before any of its trials starts.

Two gates, as for a single run: keys, values and combinations (`problems`); then the abstract build,
which finds what only shapes and data can tell: heads that do not divide a width, a metric that is
not evaluated. The second reads the corpus, which the trials then find prepared.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from fxformer.cli import errors
from fxformer.config import folders

SECONDS = 60.0  # for all configs of a search; those left are judged as their trials start
RECENT = 16  # composed configs kept; composing one takes a third of a second
SHOWN = 10  # refused configs in a message
NO_SHAPE = ("name", "runs", "seed", "tracker", "energy", "search", "resume", "hydra")

Words = Sequence[str]


@dataclasses.dataclass
class Judge:
    """Judges the words of a trial; each distinct config is built once.

    compose: words -> config, or Hydra's errors
    verb: the command whose config it is; deep: whether configs are built abstractly too
    objectives: numbers that an evaluation must give
    maximize: search.maximize: those to be maximized; None: as their names say
    """

    compose: Callable[[Words], DictConfig]
    verb: str
    deep: bool
    objectives: Sequence[str] = ()
    maximize: Sequence[str] | None = None

    def __post_init__(self) -> None:
        self._built: dict[str, str | None] = {}
        self._recent: dict[Words, tuple[DictConfig | None, list[str]]] = {}
        self._top = folders.top_keys(self.verb)

    def problems(self, words: Words) -> list[str]:
        """What is wrong with keys, values and combinations, a line each."""
        return self._config(words)[1]

    def reason(self, words: Words) -> str | None:
        """Why the config cannot run, in one line; None where nothing is wrong with it."""
        cfg, found = self._config(words)
        if found or cfg is None or not self.deep:
            return "; ".join(found) or None
        key = shape_key(cfg)
        if key not in self._built:
            self._built[key] = self._build(cfg, words)
        return self._built[key]

    def _config(self, words: Words) -> tuple[DictConfig | None, list[str]]:
        """(config, its problems); the last RECENT are kept, since a trial is judged in steps."""
        key = tuple(words)
        if key not in self._recent:
            if len(self._recent) == RECENT:
                del self._recent[next(iter(self._recent))]
            self._recent[key] = self._composed(words)
        return self._recent[key]

    def _composed(self, words: Words) -> tuple[DictConfig | None, list[str]]:
        from fxformer.config.check import problems

        try:
            cfg = self.compose(words)
        except (HydraException, OmegaConfBaseException) as error:
            return None, errors.composition(error, list(words), self.verb).splitlines()
        with open_dict(cfg):
            cfg.pop("hydra", None)
        return cfg, problems(cfg, self._top)

    def _build(self, cfg: DictConfig, words: Words) -> str | None:
        from fxformer.train.setup import check_metric, set_up

        try:
            setup = set_up(on_one_device(with_sources(cfg, words, self.verb)))
            check_metric(setup, self.objectives, self.maximize)
        except Exception as error:
            return errors.refusal(error) or errors.sentence(error)
        return None

    def refused(self, trials: Iterable[tuple[int, Words]]) -> dict[int, str]:
        """{slot: why} of those that cannot run: all whose keys, values or combinations are wrong,
        and of those that shapes and data rule out as many as SECONDS allow to find."""
        trials = list(trials)
        with Console(stderr=True).status("") as status:
            status.update(f"validating the configs of the search: {len(trials)} …")
            wrong = {slot: self.problems(words) for slot, words in trials}
            found = {slot: "; ".join(said) for slot, said in wrong.items() if said}
            end = time.monotonic() + SECONDS
            for number, (slot, words) in enumerate(trials):
                if slot in found:
                    continue
                status.update(f"judging the configs of the search: {number} of {len(trials)} …")
                if why := self.reason(words):
                    found[slot] = why
                if time.monotonic() > end:
                    break
        return found


def shape_key(cfg: DictConfig) -> str:
    """The same for configs that differ in nothing that could decide shapes: a float never does."""

    def shapes(node: Any) -> Any:
        if isinstance(node, dict):
            return {str(key): shapes(value) for key, value in node.items()}
        if isinstance(node, list):
            return [shapes(value) for value in node]
        return "float" if isinstance(node, float) else node

    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    kept = {key: value for key, value in plain.items() if key not in NO_SHAPE}
    return json.dumps(shapes(kept), sort_keys=True)


def on_one_device(cfg: DictConfig) -> DictConfig:
    """The config for a process that must not take the accelerators of the trials."""
    import jax

    jax.config.update("jax_platforms", "cpu")  # without effect where this process trains itself
    alone = cfg.copy()
    with open_dict(alone):
        alone.mesh = OmegaConf.load(folders.conf_folder() / "mesh" / "single.yaml")
    return alone


def with_sources(cfg: DictConfig, words: Words, verb: str) -> DictConfig:
    """With the model that `warm_start=` brings and the tokenizer of a teacher."""
    warm_start = cfg.get("warm_start") or {}
    plain = all(value in (None, "none") for key, value in warm_start.items() if key != "_target_")
    if plain and not cfg.get("distillation"):
        return cfg
    from fxformer.warmstart.resolve import resolve_teacher, resolve_warm_start

    if not plain:
        cfg = resolve_warm_start(cfg, list(words), verb)
    return resolve_teacher(cfg, list(words))


def told(words: dict[int, str], reasons: dict[int, str]) -> list[str]:
    """A line for each refused config; equal reasons share one, and many are cut short."""
    of: dict[str, list[str]] = {}
    for slot, why in reasons.items():
        of.setdefault(why, []).append(words[slot])
    lines = []
    for why, which in of.items():
        more = f" and {len(which) - 1} more" if len(which) > 1 else ""
        lines.append(f"{which[0]}{more}: {why}")
    left = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"and {left} other reasons"] if left > 0 else [])
