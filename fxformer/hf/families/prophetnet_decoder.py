"""ProphetNet's decoder without its encoder: ProphetNetForCausalLM.

Its cross-attention, which config.json may leave out (`add_cross_attention`), reads nothing where
there is no encoder: it is skipped on import.
"""

import dataclasses
import functools

import numpy as np

from fxformer.hf.config_map import Config, Field, Ignored, Implied, Value
from fxformer.hf.families import bart, prophetnet
from fxformer.hf.families.bart_decoder import ALONE, checked_sizes
from fxformer.hf.family import Family, HeadVariant, untied
from fxformer.hf.weight_map import WeightEntry, linear, table, tensor

WORDS, OUTPUT = "prophetnet.word_embeddings", "lm_head.weight"
COPIES = ("prophetnet.decoder.word_embeddings", "lm_head")
KEYS = {
    "num_decoder_layers": "model.layers",
    "num_decoder_attention_heads": "model.heads",
    "decoder_ffn_dim": "model.ffn.hidden",
}
ENCODER = ("num_encoder_layers", "num_encoder_attention_heads", "encoder_ffn_dim")
CHOICES = (
    "model/stack@model.decoder=ngram",
    "+model/attention@model.ngram_attention=prophetnet",
    *("model/position=prophetnet", "model/input=normed", "model/residual=post"),
)
STACK = "transformer/transformer"


def _fields() -> tuple[Field, ...]:
    kept = [f for f in prophetnet.FIELDS if getattr(f, "name", None) not in ENCODER]
    renamed = [
        dataclasses.replace(field, key=KEYS[field.name], at=field.key)
        if isinstance(field, Value) and field.name in KEYS
        else field
        for field in kept
    ]
    return (Implied(words=CHOICES), *renamed, Ignored((*ENCODER, "cross_attention")))


def normalize(config: Config) -> Config:
    """Without the cross-attention, which `weight_map` has to know of."""
    crossed = config.get("add_cross_attention", True)
    made = prophetnet.normalize({**config, "add_cross_attention": True})
    return made | {"cross_attention": crossed}


def serialize(config: Config) -> Config:
    """As many layers for the absent encoder: transformers makes its cache of so many."""
    made = prophetnet.serialize(config)
    return made | {"add_cross_attention": False, "num_encoder_layers": made["num_decoder_layers"]}


def weight_map(config: Config) -> list[WeightEntry]:
    """The word table, the stack inside its streams, and the output table."""
    relative = "prophetnet.decoder.layers.{i}.self_attn.relative_pos_embeddings"
    streams = "prophetnet.decoder.ngram_embeddings.weight"
    return [
        *table(WORDS, "token_embedding", copies=COPIES),
        *prophetnet.stack("decoder", STACK),
        *linear(relative, f"{STACK}/stack/blocks/attention/relative"),
        *tensor(streams, "transformer/ngram_embedding/embedding", prophetnet.TURN),
        *tensor(OUTPUT, "head/output/embedding"),
        *(
            unread(config)
            if config.get("cross_attention", config.get("add_cross_attention"))
            else ()
        ),
    ]


def unread(config: Config) -> list[WeightEntry]:
    """The cross-attention of every layer."""
    depth, dim = checked_sizes(config, "num_decoder_layers", "hidden_size")
    parts = ("query_proj", "key_proj", "value_proj", "out_proj")
    shapes = {f"cross_attn.{part}.weight": (dim, dim) for part in parts}
    shapes |= {f"cross_attn.{part}.bias": (dim,) for part in parts}
    shapes |= {f"cross_attn_layer_norm.{part}": (dim,) for part in ("weight", "bias")}
    return [
        entry
        for layer in range(depth)
        for name, shape in shapes.items()
        for entry in tensor(
            f"prophetnet.decoder.layers.{layer}.{name}",
            "",
            constant=functools.partial(np.zeros, shape, np.float32),
            shape=shape,
            unread=True,
        )
    ]


PROPHETNET_DECODER = Family(
    types=("prophetnet",),
    model="decoder",
    base="prophetnet.",
    config_map=_fields(),
    weight_map=weight_map,
    normalize=normalize,
    serialize=serialize,
    derived=(*prophetnet.PROPHETNET.derived, "cross_attention"),
    variants=(
        HeadVariant(
            "ProphetNetForCausalLM",
            overrides=("model/head=untied",),
            when=untied(OUTPUT, f"{WORDS}.weight"),
            config={"tie_word_embeddings": False, **ALONE},
        ),
        HeadVariant("ProphetNetForCausalLM", config=ALONE),
    ),
    positions="row",
    when=bart.alone,
)
