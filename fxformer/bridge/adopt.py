"""The config of a training that begins with a model that exists: that model's, with changes.

`init.from=RUN` takes the run's model and tokenizer unless the command line chooses others with
`model=` or `tokenizer=`; single choices of it (`model.dropout=0`, `model/classifiers=classes`) are
made in what is taken over. `init.layers` leaves some of its layers out (student.py);
`init.encoder` and `init.decoder` make one model of two (pair.py).
"""

from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from fxformer.bridge.importing import multiple
from fxformer.bridge.options import composed
from fxformer.bridge.origin import Origin, opened
from fxformer.bridge.pair import check_of_two, model_of_two
from fxformer.bridge.reading import shapes_of
from fxformer.bridge.sentencepiece_json import PROBES
from fxformer.bridge.student import picked, student
from fxformer.config.build import build
from fxformer.config.check import check
from fxformer.config.folders import top_keys
from fxformer.config.target import ConfigError
from fxformer.data.tokenizer import Tokenizer


def adopted(cfg: DictConfig, overrides: list[str], verb: str = "train") -> DictConfig:
    """The config with the model and the tokenizer of what it begins with.

    overrides: the command line's words; verb: whose config it is
    Raises ConfigError for a choice that contradicts it, ValueError for what cannot be read.
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
    _read_with(made, origin, origin.tokenizer(), keys)


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
    encoder, decoder = (
        opened(str(init[side]), str(cfg.runs), _ignored(init)) for side in ("encoder", "decoder")
    )
    made.init.encoder, made.init.decoder = str(encoder.place), str(decoder.place)
    tokenizer = _common(encoder, decoder) if "tokenizer" not in keys else None
    _check_rows(encoder, decoder, tokenizer, "tokenizer" in keys)
    rows = decoder.rows
    padded = 1 if tokenizer is None else multiple(tokenizer.vocabulary.size, rows)
    _take(made, model_of_two(encoder, decoder, init.share, padded), cfg, keys)
    source = encoder if decoder.tokenizer() is None else decoder
    _read_with(made, source, tokenizer, keys)
    check(made, top_keys(verb))
    try:
        shapes = shapes_of(build(made.model.network), rows)
    except ValueError as error:
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
    made: DictConfig, origin: Origin, tokenizer: Tokenizer | None, keys: list[str]
) -> None:
    """The origin's tokenizer as the config's, unless the command line chooses one."""
    if "tokenizer" in keys or tokenizer is None:
        return
    made.tokenizer = composed("train", ["tokenizer=file"]).tokenizer
    made.tokenizer.path = str(origin.tokens)


def _common(encoder: Origin, decoder: Origin) -> Tokenizer | None:
    """The tokenizer of both. ConfigError where they are two."""
    one, other = encoder.tokenizer(), decoder.tokenizer()
    if one is None or other is None:
        return one or other
    same = one.vocabulary.size == other.vocabulary.size and one.ids == other.ids
    if not same or any(one.encode(t).tolist() != other.encode(t).tolist() for t in PROBES):
        raise ConfigError(
            f"init.encoder has a tokenizer of {one.vocabulary.size} ids and init.decoder another "
            f"of {other.vocabulary.size}, and source and target are read by one: take two "
            "checkpoints of one vocabulary, or write tokenizer= if the ids of one serve both"
        )
    return one


def _check_rows(encoder: Origin, decoder: Origin, tokenizer: Tokenizer | None, own: bool) -> None:
    """Every id has a row in both word tables, and without a tokenizer both have as many."""
    rows = {"encoder": encoder.rows, "decoder": decoder.rows}
    if tokenizer is None and not own and len(set(rows.values())) > 1:
        raise ConfigError(
            f"init.encoder has {rows['encoder']} rows of words and init.decoder {rows['decoder']}, "
            "and source and target are read by one tokenizer: take two checkpoints of one "
            "vocabulary"
        )
    for side, count in rows.items() if tokenizer is not None else ():
        if count < tokenizer.vocabulary.size:
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
