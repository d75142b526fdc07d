"""Decoders of BART, mBART, Pegasus and Marian without their encoders: BartForCausalLM and its like.

Their files hold a cross-attention in every layer, which reads nothing where there is no encoder: it
is skipped on import, and written as zeros on export, since transformers expects the tensors.
"""

import dataclasses
import functools

import numpy as np

from fxformer.hf.config_map import Config, ConfigMismatch, Field, Ignored, Implied, Value
from fxformer.hf.families import bart, marian, mbart, pegasus
from fxformer.hf.family import Family, HeadVariant, untied
from fxformer.hf.weight_map import WeightEntry, table, tensor

WORDS, OUTPUT = "model.decoder.embed_tokens", "lm_head.weight"
OURS = {
    "decoder_layers": "model.layers",
    "decoder_attention_heads": "model.heads",
    "decoder_ffn_dim": "model.ffn.hidden",
}
ENCODER = ("encoder_layers", "encoder_attention_heads", "encoder_ffn_dim")
DERIVED = ("source_vocab",)  # of Marian's two tables
DEEPEST = 10_000
ALONE = {"is_decoder": True, "is_encoder_decoder": False}


def fields(seq2seq: tuple[Field, ...], choices: tuple[str, ...]) -> tuple[Field, ...]:
    """The fields of an encoder-decoder as those of its decoder.

    choices: what makes our plain decoder this one
    """
    kept = [field for field in seq2seq if getattr(field, "name", None) not in (*ENCODER, *DERIVED)]
    renamed = [
        dataclasses.replace(field, key=OURS[field.name])
        if isinstance(field, Value) and field.name in OURS
        else field
        for field in kept
    ]
    return (Implied(words=choices), *renamed, Ignored(ENCODER))


def weight_map(config: Config) -> list[WeightEntry]:
    """The word table and the stack of the decoder, and its output table."""
    stack = [
        dataclasses.replace(
            entry, paths=tuple(path.replace("decoder/", "transformer/", 1) for path in entry.paths)
        )
        for entry in bart.stack("decoder")
    ]
    return [
        *table(WORDS, "token_embedding", copies=("lm_head",)),
        *stack,
        *tensor(OUTPUT, "head/output/embedding"),
        *unread(config),
    ]


def checked_sizes(config: Config, layers: str, width: str) -> tuple[int, int]:
    """(number of layers, width) by these fields. ConfigMismatch for what cannot be."""
    depth, dim = config.get(layers, 12), config.get(width, 1024)
    if type(depth) is not int or type(dim) is not int or depth > DEEPEST:
        raise ConfigMismatch(f"config.json: {layers}={depth!r} of {width}={dim!r} cannot be")
    return depth, dim


def unread(config: Config) -> list[WeightEntry]:
    """The cross-attention of every layer, which a decoder alone does not compute."""
    depth, dim = checked_sizes(config, "decoder_layers", "d_model")
    shapes = {f"encoder_attn.{part}_proj.weight": (dim, dim) for part in ("q", "k", "v", "out")}
    shapes |= {f"encoder_attn.{part}_proj.bias": (dim,) for part in ("q", "k", "v", "out")}
    shapes |= {f"encoder_attn_layer_norm.{part}": (dim,) for part in ("weight", "bias")}
    return [
        entry
        for layer in range(depth)
        for name, shape in shapes.items()
        for entry in tensor(
            f"model.decoder.layers.{layer}.{name}",
            "",
            constant=functools.partial(np.zeros, shape, np.float32),
            shape=shape,
            unread=True,
        )
    ]


def serialize(config: Config) -> Config:
    """As many layers for the absent encoder: transformers makes its cache of so many."""
    return {**config, "encoder_layers": config["decoder_layers"]}


def fixed_names(config: Config) -> list[WeightEntry]:
    """And the table of fixed positions, which files of Pegasus' and Marian's decoders hold."""
    file = "model.decoder.embed_positions.weight"
    fixed = [entry for entry in pegasus.weight_map(config) if entry.file == file]
    return [*(entry for entry in weight_map(config) if entry.file != file), *fixed]


def decoder(family: Family, name: str, choices: tuple[str, ...], weight_map=weight_map) -> Family:
    """The decoder of an encoder-decoder as a family of its own.

    name: what the class begins with; choices: what makes our plain decoder this one
    """
    return Family(
        types=family.types,
        model="decoder",
        base="model.",
        config_map=fields(family.config_map, choices),
        weight_map=weight_map,
        serialize=serialize,
        variants=(
            HeadVariant(
                f"{name}ForCausalLM",
                overrides=("model/head=untied",),
                when=untied(OUTPUT, f"{WORDS}.weight"),
                config={"tie_word_embeddings": False, **ALONE},
            ),
            HeadVariant(f"{name}ForCausalLM", config=ALONE),
        ),
        ignored_tensors=family.ignored_tensors,
        positions="row",
        when=bart.alone,
    )


NORMED, HALVES = "model/input=normed", "model/position=sinusoidal_concat"
POST, PRE = "model/residual=post", "model/residual=pre"
BART = decoder(bart.BART, "Bart", ("model/position=bart", NORMED, POST))
MBART = decoder(mbart.MBART, "MBart", ("model/position=bart", NORMED, PRE))
PEGASUS = decoder(pegasus.PEGASUS, "Pegasus", (HALVES, "model/input=scaled", PRE), fixed_names)
MARIAN = decoder(marian.MARIAN, "Marian", (HALVES, "model/input=scaled", POST), fixed_names)
