"""Resolve the config of a run that starts from pretrained weights (config key `warm_start`).

`warm_start.from=RUN` takes over the source's model, tokenizer and first decoder token unless the
command line chooses others with `model=`, `tokenizer=` or `objective.start=`; overrides of single
choices (`model.dropout=0`, `model/task_head=classification`) and the head of a task apply to the
model taken over.
`warm_start.layers` keeps a subset of its layers (layer_subset.py); `warm_start.encoder` and
`warm_start.decoder` combine two models (encoder_decoder.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf

from fxformer.config.build import build
from fxformer.config.check import check
from fxformer.config.folders import top_keys
from fxformer.config.options import composed
from fxformer.config.target import ConfigError
from fxformer.data.tokenizer import SOURCE, Tokenizer
from fxformer.errors import UserError
from fxformer.hf.import_model import multiple
from fxformer.hf.published_model import parameter_shapes
from fxformer.warmstart.checkpoint_source import CheckpointSource, open_source, same_ids
from fxformer.warmstart.encoder_decoder import (
    check_encoder_decoder,
    encoder_decoder_model,
    source_vocab_rows,
)
from fxformer.warmstart.layer_subset import layers_by_stack, subset_model
from fxformer.warmstart.reinit import check_top

PAIR_OF_FILES = (
    "tokenizer=pair", "tokenizer@tokenizer.source=file", "tokenizer@tokenizer.target=file",
)  # fmt: skip


def resolve_warm_start(cfg: DictConfig, overrides: list[str], verb: str = "train") -> DictConfig:
    """The config with the model, the tokenizer and the decoder's start token of its warm start
    source; `cfg` itself without one.

    overrides: arguments of the command line
    verb: the command whose config this is
    Raises ConfigError if an override contradicts the source, UserError if it cannot be read.
    """
    warm_start = cfg.get("warm_start") or {}
    single, pair = warm_start.get("from"), [warm_start.get("encoder"), warm_start.get("decoder")]
    if single is None and pair == [None, None]:
        _check_unused(warm_start)
        return cfg
    if single is not None and pair != [None, None]:
        raise ConfigError(
            "warm_start.from excludes warm_start.encoder and warm_start.decoder: give one model, "
            "or two of which an encoder-decoder is built"
        )
    keys = [word.partition("=")[0].lstrip("+~").partition("@")[0] for word in overrides]
    if "size" in keys and "model" not in keys:
        raise ConfigError("size: the model of warm_start has its own size; leave out size=")
    if cfg.get("task") and cfg.model.get("task_head"):
        keys += ["model/head", "model/task_head"]  # the task has chosen them
    made = cfg.copy()
    OmegaConf.set_struct(made, False)
    if single is not None:
        source = open_source(str(single), str(cfg.runs), _ignored(warm_start))
        _use_single(made, source, cfg, keys)
    else:
        _use_pair(made, cfg, keys, verb)
    if warm_start.get("reinit_layers") is not None:
        model, options = (OmegaConf.to_container(node) for node in (made.model, made.warm_start))
        check_top(cast(dict[str, Any], model), cast(dict[str, Any], options)["reinit_layers"])
    OmegaConf.set_struct(made, True)
    return made


def resolve_teacher(cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """The config with the tokenizer and the decoder's start token of the teacher of
    `distillation=`, unless the command line or a warm start chooses them; `cfg` itself without one.

    Raises UserError if the teacher cannot be read.
    """
    node = cfg.get("distillation")
    if not node or OmegaConf.is_missing(node, "teacher"):
        return cfg
    keys = [word.partition("=")[0].lstrip("+~").partition("@")[0] for word in overrides]
    source = open_source(
        str(node.teacher), str(cfg.runs), _ignored(node), option="'distillation.ignore=[{}]'"
    )
    made = cfg.copy()
    OmegaConf.set_struct(made, False)
    made.distillation.teacher = str(source.folder)
    if not _has_source(cfg.get("warm_start") or {}):
        _set_tokenizer(made, source.tokenizer_folder, source.tokenizer(), keys)
        if "start" in (made.get("objective") or {}) and "objective.start" not in keys:
            made.objective.start = source.start() or made.objective.start
    OmegaConf.set_struct(made, True)
    return made


def _has_source(warm_start: Mapping[str, Any]) -> bool:
    return any(warm_start.get(key) is not None for key in ("from", "encoder", "decoder"))


def _use_single(
    made: DictConfig, source: CheckpointSource, cfg: DictConfig, keys: list[str]
) -> None:
    """Take over the model of one source, with all its layers or a subset."""
    if made.warm_start.get("random", "none") != "none":
        raise ConfigError(
            "warm_start.random: of two sources only; write warm_start.encoder=A "
            "warm_start.decoder=B instead of warm_start.from"
        )
    made.warm_start["from"] = str(source.folder)
    made.warm_start.labels = source.class_names() if cfg.get("task") else None
    model = source.model
    if cfg.warm_start.get("layers") is not None:
        given = OmegaConf.to_container(cfg.warm_start, resolve=True)
        layers = cast(dict[str, Any], given)["layers"]
        if "model.layers" in keys:
            raise ConfigError("model.layers: follows from warm_start.layers; leave it out")
        picks = layers_by_stack(source.resolved_model, layers)
        made.warm_start.layers, model = picks, subset_model(model, picks)
    if "model" not in keys:
        _set_model(made, model, cfg, keys)
    _set_tokenizer(made, source.tokenizer_folder, source.tokenizer(), keys)
    if "start" in (made.get("objective") or {}) and "objective.start" not in keys:
        made.objective.start = source.start() or made.objective.start


def _use_pair(made: DictConfig, cfg: DictConfig, keys: list[str], verb: str) -> None:
    """Combine two sources into one encoder-decoder; ConfigError if they do not fit."""
    warm_start = cfg.warm_start
    _check_pair(warm_start, keys)
    encoder, decoder = (
        open_source(str(warm_start[side]), str(cfg.runs), _ignored(warm_start))
        for side in ("encoder", "decoder")
    )
    made.warm_start.encoder = str(encoder.folder)
    made.warm_start.decoder = str(decoder.folder)
    reads, writes = (None, None) if "tokenizer" in keys else _tokenizers(encoder, decoder)
    two = reads is not None and writes is not None and not same_ids(reads, writes)
    if reads and writes and two and warm_start.share != "none":
        raise ConfigError(
            f"warm_start.share={warm_start.share}: the tokenizers of warm_start.encoder "
            f"({reads.vocabulary.size} ids) and warm_start.decoder ({writes.vocabulary.size} ids) "
            "differ, so one embedding table cannot serve both; write warm_start.share=none, or "
            "choose two checkpoints with the same vocabulary"
        )
    _check_rows(encoder, decoder, (reads, writes), "tokenizer" in keys)
    rows = decoder.vocab_rows
    vocab_multiple = 1 if writes is None else multiple(writes.vocabulary.size, rows)
    model = encoder_decoder_model(encoder, decoder, warm_start.share, vocab_multiple)
    _set_model(made, model, cfg, keys)
    if two:
        made.tokenizer = composed("train", PAIR_OF_FILES).tokenizer
        made.tokenizer.source.path = str(_source_tokenizer_folder(encoder))
        made.tokenizer.target.path = str(decoder.tokenizer_folder)
    else:
        _set_tokenizer(made, _shared_tokenizer_folder(encoder, decoder), writes, keys)
    check(made, top_keys(verb))
    try:
        shapes = parameter_shapes(build(made.model.network), rows)
    except UserError as error:
        why = str(error).partition("; write model.network")[0]  # that key follows from share
        advice = "" if warm_start.share == "none" else "; write warm_start.share=none"
        raise ConfigError(
            f"warm_start.encoder and warm_start.decoder do not fit: {why}{advice}"
        ) from None
    if warm_start.random == "none":
        check_encoder_decoder(encoder, decoder, shapes, warm_start.share, warm_start.prefer)


def _check_pair(warm_start: DictConfig, keys: list[str]) -> None:
    """Raise ConfigError if a side is missing, or an override contradicts the combined model."""
    for side, other in (("encoder", "decoder"), ("decoder", "encoder")):
        if warm_start.get(side) is None:
            raise ConfigError(
                f"warm_start.{side}: required with warm_start.{other}; write warm_start.{side}= "
                "too (it may be the same checkpoint)"
            )
    if warm_start.get("random") in ("encoder", "decoder") and warm_start.share == "all":
        raise ConfigError(
            f"warm_start.random={warm_start.random}: with warm_start.share=all both sides are one "
            "stack; write warm_start.share=embeddings, or warm_start.random=all"
        )
    if warm_start.get("layers") is not None or "model" in keys:
        wrong = "model" if "model" in keys else "warm_start.layers"
        raise ConfigError(
            f"{wrong}: the model follows from warm_start.encoder and warm_start.decoder; leave it "
            "out"
        )
    for key in ("model.network.source_vocab", "model.network.tie_encoder_decoder"):
        if key in keys:
            raise ConfigError(
                f"{key}: follows from warm_start.share and warm_start.encoder; leave it out"
            )


def _set_model(made: DictConfig, model: dict[str, Any], cfg: DictConfig, keys: list[str]) -> None:
    """Set the config's model, with the overrides of single choices applied to it."""
    raw = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=False))
    made.model = OmegaConf.create(model)
    for key in (k.replace("/", ".") for k in keys if k.startswith(("model.", "model/"))):
        value = raw
        for part in key.split("."):
            value = value[part]
        OmegaConf.update(made, key, value, merge=False, force_add=True)


def _set_tokenizer(
    made: DictConfig, folder: Path, tokenizer: Tokenizer | None, keys: list[str]
) -> None:
    """Set the config's tokenizer to the one in `folder`, unless the command line chooses one."""
    if "tokenizer" in keys or tokenizer is None:
        return
    made.tokenizer = composed("train", ["tokenizer=file"]).tokenizer
    made.tokenizer.path = str(folder)


def _tokenizers(
    encoder: CheckpointSource, decoder: CheckpointSource
) -> tuple[Tokenizer, Tokenizer] | tuple[None, None]:
    """(tokenizer of the source text, of the target text); one for both if only one side has any."""
    one, other = encoder.tokenizer(), decoder.tokenizer()
    reads = other if one is None else one.of_source
    writes = reads if other is None else other
    return (None, None) if reads is None or writes is None else (reads, writes)


def _shared_tokenizer_folder(encoder: CheckpointSource, decoder: CheckpointSource) -> Path:
    """The folder with the one tokenizer of both sides."""
    found = decoder.tokenizer()
    single = found is not None and found.source is None
    return decoder.tokenizer_folder if single else _source_tokenizer_folder(encoder)


def _source_tokenizer_folder(encoder: CheckpointSource) -> Path:
    """The folder with the tokenizer of the text that an encoder reads."""
    found = encoder.tokenizer()
    pair = found is not None and found.source is not None
    return encoder.tokenizer_folder / SOURCE if pair else encoder.tokenizer_folder


def _check_rows(
    encoder: CheckpointSource,
    decoder: CheckpointSource,
    tokenizers: tuple[Tokenizer | None, Tokenizer | None],
    chosen: bool,
) -> None:
    """Raise ConfigError if an id has no embedding row, or the vocabularies cannot be compared.

    chosen: the command line chooses a tokenizer
    """
    rows = {"encoder": source_vocab_rows(encoder), "decoder": decoder.vocab_rows}
    if None in tokenizers and not chosen and len(set(rows.values())) > 1:
        raise ConfigError(
            f"warm_start.encoder has {rows['encoder']} embedding rows and warm_start.decoder "
            f"{rows['decoder']}, and neither has a tokenizer that says which ids are the same: "
            "choose two checkpoints with the same vocabulary, or two with their tokenizers"
        )
    for (side, count), tokenizer in zip(rows.items(), tokenizers, strict=True):
        if tokenizer is not None and count < tokenizer.vocabulary.size:
            raise ConfigError(
                f"warm_start.{side} has {count} embedding rows, but the tokenizer has "
                f"{tokenizer.vocabulary.size} ids: choose two checkpoints with the same vocabulary"
            )


def _ignored(warm_start: Mapping[str, Any]) -> list[str]:
    """The field names in warm_start.ignore."""
    given = warm_start.get("ignore")
    if given is None:
        return []
    names = list(given) if isinstance(given, ListConfig) else [given]
    if not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"warm_start.ignore={given}: expected names of fields of config.json, as in "
            "'warm_start.ignore=[note]'"
        )
    return names


def _check_unused(warm_start: Mapping[str, Any]) -> None:
    """Raise ConfigError if an option of warm_start is set without a source."""
    defaults = {
        "layers": None, "random": "none", "share": "none", "prefer": None, "ignore": None,
        "reinit_layers": None,
    }  # fmt: skip
    for key, default in defaults.items():
        if warm_start.get(key, default) != default:
            single = key in ("layers", "ignore", "reinit_layers")
            needed = (
                "warm_start.from=RUN" if single else "warm_start.encoder=A warm_start.decoder=B"
            )
            raise ConfigError(
                f"warm_start.{key}: has no effect without a source; write {needed} too"
            )
