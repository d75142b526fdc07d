"""Marian (OPUS-MT). Junczys-Dowmunt et al. 2018: post-norm, fixed positions, one table or two."""

from fxformer.hf.config_map import Config, Knob, Silent
from fxformer.hf.families import bart
from fxformer.hf.family import Family, Form
from fxformer.hf.weight_map import Entry, table

FIELDS = (
    *bart.fields("gelu", before=False, normed=False, static=True, scaled=False),
    Knob("source_vocab", "model.network.source_vocab"),
    Silent(("decoder_vocab_size", "share_encoder_decoder_embeddings")),
)
SOURCE, TARGET = "model.encoder.embed_tokens", "model.decoder.embed_tokens"


def modern(config: Config) -> Config:
    """The source has a table of its own unless tables are shared."""
    shared = config.get("share_encoder_decoder_embeddings", True)
    return {**config, "source_vocab": None if shared else config.get("vocab_size", 58101)}


def written(config: Config) -> Config:
    """The inverse: vocab_size is the source's."""
    source = config.pop("source_vocab")
    target = config["vocab_size"]
    return {
        **config,
        "vocab_size": source or target,
        "decoder_vocab_size": target,
        "share_encoder_decoder_embeddings": source is None,
    }


def names(config: Config) -> list[Entry]:
    """BART's; two word tables where they are not shared."""
    entries = bart.names(config)
    if config.get("source_vocab") is None:
        return entries
    kept = [entry for entry in entries if entry.paths != ("words/embedding",)]
    return [*kept, *table(SOURCE, "source_words"), *table(TARGET, "words", copies=("lm_head",))]


def _own(names, config: Config) -> bool:
    words = "model.shared.weight" if config["source_vocab"] is None else f"{TARGET}.weight"
    return (
        "lm_head.weight" in names
        and words in names
        and (config.get("tie_word_embeddings") is False or names.differ("lm_head.weight", words))
    )


def _forms() -> tuple[Form, ...]:
    own, biased = {"tie_word_embeddings": False}, ("model.head.bias=true",)
    zero = lambda names: names.zero("final_logits_bias")  # noqa: E731
    return (
        Form(
            "MarianMTModel",
            overrides=("model/head=untied", *biased),
            when=lambda names, config: _own(names, config) and not zero(names),
            config=own,
            names=bart.bias,
        ),
        Form(
            "MarianMTModel",
            overrides=biased,
            when=lambda names, config: not zero(names),
            names=bart.bias,
        ),
        Form(
            "MarianMTModel",
            overrides=("model/head=untied",),
            when=_own,
            config=own,
            names=bart.bias,
        ),
        Form("MarianMTModel", names=bart.bias),
    )


MARIAN = Family(
    types=("marian",),
    model="marian",
    base="model.",
    fields=FIELDS,
    names=names,
    modern=modern,
    written=written,
    derived=("source_vocab",),
    vocabularies={"vocab_size": f"{SOURCE}.weight", "decoder_vocab_size": ""},
    forms=_forms(),
    when=lambda config: not bart.alone(config),
    ignore=(r"embed_positions\.weights?$",),
)
