"""The config of a training that begins with a model that exists: that model's, with changes.

`init.from=RUN` takes the run's model and tokenizer unless the command line chooses others with
`model=` or `tokenizer=`; single choices of it (`model.dropout=0`, `model/classifiers=classes`) are
made in what is taken over. `init.layers` leaves some of its layers out (student.py);
`init.encoder` and `init.decoder` make one model of two (pair.py).
"""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from fxformer.config.build import build
from fxformer.config.check import check
from fxformer.config.folders import top_keys
from fxformer.config.options import composed
from fxformer.config.target import ConfigError
from fxformer.data.tokenizer import SOURCE, Tokenizer
from fxformer.errors import UserError
from fxformer.hf.import_model import multiple
from fxformer.hf.published_model import shapes_of
from fxformer.hf.sentencepiece_json import PROBES
from fxformer.warmstart.checkpoint_source import Origin, opened
from fxformer.warmstart.encoder_decoder import check_of_two, model_of_two, source_rows
from fxformer.warmstart.layer_subset import picked, student

TWO_FILES = (
    "tokenizer=pair", "tokenizer@tokenizer.source=file", "tokenizer@tokenizer.target=file",
)  # fmt: skip


def adopted(cfg: DictConfig, overrides: list[str], verb: str = "train") -> DictConfig:
    """The config with the model and the tokenizer of what it begins with.

    overrides: the command line's words; verb: whose config it is
    Raises ConfigError for a choice that contradicts it, UserError for what cannot be read.
    """
    init = cfg.get("init") or {}
    whole, two = init.get("from"), [init.get("encoder"), init.get("decoder")]
    if whole is None and two == [None, None]:
        _alone(init)
        return cfg
    if whole is not None and two != [None, None]:
        raise ConfigError("init.from is one model, init.encoder and init.decoder make one of two")
    keys = [word.partition("=")[0].lstrip("+~").partition("@")[0] for word in overrides]
    if "size" in keys and "model" not in keys:
        raise ConfigError("size: init brings a model of its own size; leave out size=")
    made = cfg.copy()
    OmegaConf.set_struct(made, False)
    if whole is not None:
        _one(made, opened(str(whole), str(cfg.runs), _ignored(init)), cfg, keys)
    else:
        _two(made, cfg, keys, verb)
    OmegaConf.set_struct(made, True)
    return made


def _one(made: DictConfig, origin: Origin, cfg: DictConfig, keys: list[str]) -> None:
    """The model of one origin, all its layers or some."""
    made.init["from"] = str(origin.place)
    model = origin.model
    if cfg.init.get("layers") is not None:
        layers = OmegaConf.to_container(cfg.init, resolve=True)["layers"]
        if "model.layers" in keys:
            raise ConfigError("model.layers: init.layers says how many there are; leave it out")
        picks = picked(origin.settled, layers)
        made.init.layers, model = picks, student(model, picks)
    if "model" not in keys:
        _take(made, model, cfg, keys)
    _read_with(made, origin.tokens, origin.tokenizer(), keys)


def _two(made: DictConfig, cfg: DictConfig, keys: list[str], verb: str) -> None:
    """One model of two origins; whatever does not fit is told here."""
    init = cfg.init
    for side, other in (("encoder", "decoder"), ("decoder", "encoder")):
        if init.get(side) is None:
            raise ConfigError(
                f"init.{side}: init.{other} alone is half a model; write init.{side}= too, it may "
                "be the same checkpoint"
            )
    if init.get("layers") is not None or "model" in keys:
        wrong = "model" if "model" in keys else "init.layers"
        raise ConfigError(f"{wrong}: init.encoder and init.decoder bring a model; leave it out")
    for key in ("model.network.source_vocab", "model.network.tie_stacks"):
        if key in keys:
            raise ConfigError(f"{key}: follows from init.share and init.encoder; leave it out")
    encoder, decoder = (
        opened(str(init[side]), str(cfg.runs), _ignored(init)) for side in ("encoder", "decoder")
    )
    made.init.encoder, made.init.decoder = str(encoder.place), str(decoder.place)
    reads, writes = (None, None) if "tokenizer" in keys else _tokenizers(encoder, decoder)
    two = _are_two(reads, writes)
    if two and init.share != "none":
        raise ConfigError(
            f"init.share={init.share}: init.encoder has a tokenizer of {reads.vocabulary.size} ids "
            f"and init.decoder another of {writes.vocabulary.size}, and one word table cannot "
            "serve both; write init.share=none, or take two checkpoints of one vocabulary"
        )
    _check_rows(encoder, decoder, (reads, writes), "tokenizer" in keys)
    rows = decoder.rows
    padded = 1 if writes is None else multiple(writes.vocabulary.size, rows)
    _take(made, model_of_two(encoder, decoder, init.share, padded), cfg, keys)
    if two:
        made.tokenizer = composed("train", TWO_FILES).tokenizer
        made.tokenizer.source.path = str(_source_tokens(encoder))
        made.tokenizer.target.path = str(decoder.tokens)
    else:
        _read_with(made, _tokens(encoder, decoder), writes, keys)
    check(made, top_keys(verb))
    try:
        shapes = shapes_of(build(made.model.network), rows)
    except UserError as error:
        why = str(error).partition("; write model.network")[0]  # that key follows from init.share
        advice = "" if init.share == "none" else "; write init.share=none"
        raise ConfigError(f"init.encoder and init.decoder do not fit: {why}{advice}") from None
    check_of_two(encoder, decoder, shapes, init.share, init.prefer)


def _take(made: DictConfig, model: dict[str, Any], cfg: DictConfig, keys: list[str]) -> None:
    """`model` as the config's, with what the command line says of single choices."""
    raw = OmegaConf.to_container(cfg, resolve=False)
    made.model = OmegaConf.create(model)
    for key in (k.replace("/", ".") for k in keys if k.startswith(("model.", "model/"))):
        value = raw
        for part in key.split("."):
            value = value[part]
        OmegaConf.update(made, key, value, merge=False, force_add=True)


def _read_with(
    made: DictConfig, tokens: Path, tokenizer: Tokenizer | None, keys: list[str]
) -> None:
    """The tokenizer in a folder as the config's, unless the command line chooses one."""
    if "tokenizer" in keys or tokenizer is None:
        return
    made.tokenizer = composed("train", ["tokenizer=file"]).tokenizer
    made.tokenizer.path = str(tokens)


def _tokenizers(
    encoder: Origin, decoder: Origin
) -> tuple[Tokenizer, Tokenizer] | tuple[None, None]:
    """What the source is read with and the target written with; the same one where only one of the
    two has any."""
    one, other = encoder.tokenizer(), decoder.tokenizer()
    reads = other if one is None else one.of_source
    writes = reads if other is None else other
    return (None, None) if reads is None or writes is None else (reads, writes)


def _are_two(one: Tokenizer | None, other: Tokenizer | None) -> bool:
    """Whether they give some text other ids."""
    if one is None or other is None or one is other:
        return False
    same = one.vocabulary.size == other.vocabulary.size and one.ids == other.ids
    return not same or any(one.encode(t).tolist() != other.encode(t).tolist() for t in PROBES)


def _tokens(encoder: Origin, decoder: Origin) -> Path:
    """The folder with the one tokenizer of both."""
    found = decoder.tokenizer()
    alone = found is not None and found.source is None
    return decoder.tokens if alone else _source_tokens(encoder)


def _source_tokens(encoder: Origin) -> Path:
    """The folder with the tokenizer of what an encoder reads."""
    found = encoder.tokenizer()
    two = found is not None and found.source is not None
    return encoder.tokens / SOURCE if two else encoder.tokens


def _check_rows(
    encoder: Origin,
    decoder: Origin,
    tokenizers: tuple[Tokenizer | None, Tokenizer | None],
    own: bool,
) -> None:
    """Every id has a row in the word table of its side; without a tokenizer both have as many."""
    rows = {"encoder": source_rows(encoder), "decoder": decoder.rows}
    if None in tokenizers and not own and len(set(rows.values())) > 1:
        raise ConfigError(
            f"init.encoder has {rows['encoder']} rows of words and init.decoder {rows['decoder']}, "
            "and neither has a tokenizer to tell their ids apart: take two checkpoints of one "
            "vocabulary, or two with their tokenizers"
        )
    for (side, count), tokenizer in zip(rows.items(), tokenizers, strict=True):
        if tokenizer is not None and count < tokenizer.vocabulary.size:
            raise ConfigError(
                f"init.{side} has {count} rows of words and the tokenizer "
                f"{tokenizer.vocabulary.size} ids: take two checkpoints of one vocabulary"
            )


def _ignored(init: DictConfig) -> list[str]:
    """init.ignore: names of fields."""
    given = init.get("ignore")
    names = list(given) if isinstance(given, ListConfig) else [given]
    if given is not None and not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"init.ignore={given}: expected names of fields of config.json, as in "
            "'init.ignore=[note]'"
        )
    return [] if given is None else names


def _alone(init: DictConfig) -> None:
    """Nothing is said of how to begin without saying what with."""
    stated = {"layers": None, "share": "none", "prefer": None, "ignore": None}
    for key, usual in stated.items():
        if init.get(key, usual) != usual:
            whole = key in ("layers", "ignore")
            wanted = "init.from=RUN" if whole else "init.encoder=A init.decoder=B"
            raise ConfigError(f"init.{key}: there is nothing to take it from; write {wanted} too")
