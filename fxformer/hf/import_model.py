"""`fxformer import`: convert a published checkpoint to a run that can be trained and exported.

The run's folder has the usual files (config.yaml, tokenizer/, checkpoints/) and, under published/,
the original config and tokenizer files, which an export reuses.
"""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import jax
import numpy as np
from flax import nnx
from omegaconf import DictConfig, OmegaConf

from fxformer import jsonl
from fxformer.config.build import build
from fxformer.config.check import problems
from fxformer.config.options import composed, plain
from fxformer.data.tokenizer import Tokenizer
from fxformer.hf.config_map import ConfigMismatch
from fxformer.hf.conversion_report import REPORT, ReportLine, as_json
from fxformer.hf.convert import Converted
from fxformer.hf.published_model import PublishedModel, parameter_shapes, read_published
from fxformer.hf.tokenizer_files import copy_files, read_tokenizer
from fxformer.model.language_model import round_up
from fxformer.nn.init import reinitialise
from fxformer.rules import named, nested
from fxformer.track.run import Run
from fxformer.train.checkpoint import Checkpoints

SYMBOLS, SPECIALS = 64, 5  # vocabulary of the synthetic data used without a tokenizer
OBJECTIVES = {"encoder": "mlm", "decoder": "clm", "seq2seq": "denoise"}


@dataclasses.dataclass(frozen=True)
class Imported:
    """Result of an import: the run's folder and the conversion report."""

    folder: Path
    published: PublishedModel
    lines: list[ReportLine]
    parameters: int


def import_model(
    folder: str | Path,
    *,
    name: str | None = None,
    runs: str = "runs",
    ignore: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> Imported:
    """Convert the checkpoint in `folder` to a run.

    name: of the run; None: the folder's
    runs: the folder that holds the runs
    ignore: unknown fields of config.json that do not affect the outputs
    overrides: config overrides, also for heads that the files lack
    Raises UserError for anything that cannot be converted exactly; nothing is written then.
    """
    published = read_published(folder, ignore=ignore)
    tokenizer = read_tokenizer(published.folder, published.vocab)
    cfg = compose(published, tokenizer, overrides)
    arrays, lines = weights(published, cfg)
    run = Run.create(runs, name or published.folder.resolve().name, config=cfg)
    try:
        _store(run, published, tokenizer, arrays, lines)
    except BaseException as error:
        run.finish("failed", repr(error))
        raise
    run.finish("done", "imported")
    return Imported(run.folder, published, lines, sum(a.size for a in arrays.values()))


def compose(
    published: PublishedModel, tokenizer: Tokenizer | None, overrides: Sequence[str] = ()
) -> DictConfig:
    """The config of the run. ConfigMismatch if the tokenizer has more ids than embedding rows."""
    symbols = max(1, min(SYMBOLS, published.vocab - SPECIALS))
    size = symbols + SPECIALS if tokenizer is None else tokenizer.vocabulary.size
    words = [f"model={published.family.model}", *published.overrides]
    words.append(f"model.network.vocab_multiple={multiple(size, published.vocab)}")
    none = ["tokenizer=none", "data=markov", f"data.symbols={symbols}"]
    words += none if tokenizer is None else ["tokenizer=file"]
    cfg = composed("train", [*words, *overrides])
    if any(word.startswith("adapter") for word in overrides):
        raise ConfigMismatch(
            "adapter: an import trains nothing; write it after fxformer train warm_start.from=RUN"
        )
    kind = _architecture(cfg)
    if not any(word.startswith("objective=") for word in overrides):
        words.append(f"objective={default_objective(kind, tokenizer)}")
        cfg = composed("train", [*words, *overrides])
    longest = OmegaConf.select(cfg, "model.position.length")
    if isinstance(longest, int) and cfg.data.length > longest:
        cfg.data.length = longest
    wrong = [line for line in problems(cfg) if not line.startswith("model.head: ")]
    if wrong:
        raise ConfigMismatch("\n".join(wrong))
    return cfg


def default_objective(architecture: str, tokenizer: Tokenizer | None) -> str:
    """The objective of an imported run. Denoising needs a mask token: an encoder-decoder whose
    tokenizer has none gets T5's span corruption by its sentinels, else pairs of texts."""
    if architecture != "seq2seq" or tokenizer is None or tokenizer.ids.mask is not None:
        return OBJECTIVES[architecture]
    return "t5" if tokenizer.ids.sentinels else "seq2seq"


def weights(published: PublishedModel, cfg: DictConfig) -> Converted:
    """({path: array}, conversion report); missing parameters are drawn by model.init."""
    network, vocab = build(cfg.model.network), published.vocab
    shapes = parameter_shapes(network, vocab)
    asked = parameter_shapes(build(published.compose().model.network), vocab)
    fresh = [path for path in shapes if path not in asked]
    arrays, lines = published.load(shapes, fresh)
    lost = [path for path in shapes if path not in arrays]
    if lost:
        rules = build(cfg.model.init.rules)

        def draw(key):
            state = nnx.split(network(vocab=vocab, rngs=nnx.Rngs(key)))[1]
            made = named(reinitialise({"model": nnx.to_pure_dict(state)}, rules, key))
            return {path: made[f"model/{path}"] for path in lost}

        drawn = jax.jit(draw)(jax.random.key(cfg.seed))
        arrays |= {path: np.asarray(array) for path, array in drawn.items()}
    return {path: arrays[path] for path in shapes}, lines


def _store(run: Run, published: PublishedModel, tokenizer, arrays, lines: list[ReportLine]) -> None:
    kept = run.folder / "published"
    kept.mkdir()
    for file in ("config.json", "generation_config.json"):
        if (published.folder / file).is_file():
            shutil.copyfile(published.folder / file, kept / file)
    copy_files(published.folder, kept)
    (run.folder / REPORT).write_text(json.dumps(as_json(lines), indent=1) + "\n")
    if tokenizer is not None:
        tokenizer.save(run.folder / "tokenizer")
        stored = OmegaConf.load(run.folder / "config.yaml")
        stored.tokenizer.path = str((run.folder / "tokenizer").resolve())
        jsonl.replace(run.folder / "config.yaml", OmegaConf.to_yaml(stored))
    checkpoints = Checkpoints(run.folder / "checkpoints")
    host = {"imported": {"family": published.family.types[0], "from": str(published.folder)}}
    checkpoints.save(0, {"params": {"model": nested(arrays)}}, host)
    if not checkpoints.wait():
        raise OSError(f"the weights could not be written to {run.folder}")
    facts = {"architecture": published.variant.architecture, **host["imported"]}
    run.update(imported=facts, parameters=sum(array.size for array in arrays.values()))


def multiple(size: int, rows: int) -> int:
    """The vocab_multiple with which `size` ids round up to `rows` embedding rows."""
    if size > rows:
        raise ConfigMismatch(f"the tokenizer has {size} ids, but the embedding only {rows} rows")
    multiples = [1, *(2**k for k in range(1, 12)), rows]
    return next(m for m in multiples if round_up(size, m) == rows)


def _architecture(cfg: DictConfig) -> str:
    from fxformer.config.compatibility import architecture

    return architecture(cast(DictConfig, OmegaConf.create(plain(cfg)))) or "encoder"
