"""Marian (OPUS-MT). Junczys-Dowmunt et al. 2018: post-norm, fixed positions, one table or two."""

from fxformer.hf.config_map import Config, Ignored, Value
from fxformer.hf.families import bart
from fxformer.hf.family import Family, HeadVariant
from fxformer.hf.weight_map import WeightEntry, table

FIELDS = (
    *bart.fields("gelu", before=False, normed=False, static=True, scaled=False),
    Value("source_vocab", "model.network.source_vocab"),
    Ignored(("decoder_vocab_size", "share_encoder_decoder_embeddings")),
)
SOURCE, TARGET = "model.encoder.embed_tokens", "model.decoder.embed_tokens"


def normalize(config: Config) -> Config:
    """The source has a table of its own unless tables are shared."""
    shared = config.get("share_encoder_decoder_embeddings", True)
    return {**config, "source_vocab": None if shared else config.get("vocab_size", 58101)}


def serialize(config: Config) -> Config:
    """The inverse: vocab_size is the source's."""
    source = config.pop("source_vocab")
    target = config["vocab_size"]
    return {
        **config,
        "vocab_size": source or target,
        "decoder_vocab_size": target,
        "share_encoder_decoder_embeddings": source is None,
    }


def weight_map(config: Config) -> list[WeightEntry]:
    """BART's; two word tables where they are not shared."""
    entries = bart.weight_map(config)
    if config.get("source_vocab") is None:
        return entries
    kept = [entry for entry in entries if entry.paths != ("token_embedding/embedding",)]
    return [
        *kept,
        *table(SOURCE, "source_embedding"),
        *table(TARGET, "token_embedding", copies=("lm_head",)),
    ]


def _own(names, config: Config) -> bool:
    words = "model.shared.weight" if config["source_vocab"] is None else f"{TARGET}.weight"
    return (
        "lm_head.weight" in names
        and words in names
        and (config.get("tie_word_embeddings") is False or names.differ("lm_head.weight", words))
    )


def _forms() -> tuple[HeadVariant, ...]:
    own, biased = {"tie_word_embeddings": False}, ("model.head.bias=true",)
    zero = lambda names: names.zero("final_logits_bias")  # noqa: E731
    return (
        HeadVariant(
            "MarianMTModel",
            overrides=("model/head=untied", *biased),
            when=lambda names, config: _own(names, config) and not zero(names),
            config=own,
            weight_map=bart.bias,
        ),
        HeadVariant(
            "MarianMTModel",
            overrides=biased,
            when=lambda names, config: not zero(names),
            weight_map=bart.bias,
        ),
        HeadVariant(
            "MarianMTModel",
            overrides=("model/head=untied",),
            when=_own,
            config=own,
            weight_map=bart.bias,
        ),
        HeadVariant("MarianMTModel", weight_map=bart.bias),
    )


MARIAN = Family(
    types=("marian",),
    model="marian",
    base="model.",
    config_map=FIELDS,
    weight_map=weight_map,
    normalize=normalize,
    serialize=serialize,
    derived=("source_vocab",),
    vocab_sizes={"vocab_size": f"{SOURCE}.weight", "decoder_vocab_size": ""},
    variants=_forms(),
    when=lambda config: not bart.alone(config),
    ignored_tensors=(r"embed_positions\.weights?$",),
)
