"""LED. Beltagy et al. 2020, sec. 7: BART's names, Longformer's attention in the encoder."""

from fxformer.hf.config_map import Config, Ignored, Value
from fxformer.hf.families import bart
from fxformer.hf.families.longformer import both_sides, global_names, windows
from fxformer.hf.family import Family
from fxformer.hf.weight_map import WeightEntry, linear, renamed

OTHERWISE = ("max_position_embeddings", "scale_embedding")
FIELDS = (
    *(
        field
        for field in bart.fields("gelu", before=False, normed=True, static=False, scaled=False)
        if getattr(field, "name", None) not in OTHERWISE
    ),
    Value("max_encoder_position_embeddings", "model.encoder_position.length", 16384),
    Value(
        "max_decoder_position_embeddings",
        "model.position.length",
        1024,
        at="model.decoder.position.length",
    ),
    Value("attention_dropout", "model.encoder_attention.dropout", 0.0, free=True),
    Value("windows", "model.encoder.windows"),
    Ignored(("attention_window", "save_step")),
)


def normalize(config: Config) -> Config:
    """Windows of the encoder's layers."""
    return {**config, "windows": windows(config, config.get("encoder_layers", 12))}


def serialize(config: Config) -> Config:
    """The inverse."""
    made = {**config}
    made["attention_window"] = both_sides(made.pop("windows"))
    return made


def weight_map(config: Config) -> list[WeightEntry]:
    """BART's; the encoder's attention as Longformer calls it."""
    file = "model.encoder.layers.{i}.self_attn"
    inner, path = f"{file}.longformer_self_attn", "encoder/stack/blocks/attention"
    own = ("query", "q"), ("key", "k"), ("value", "v")
    plain = [e for e in bart.weight_map(config) if not e.file.startswith(f"{file}.")]
    found = [
        *plain,
        *(e for f, p in own for e in linear(f"{inner}.{f}", f"{path}/{p}")),
        *global_names(inner, path),
        *linear(f"{file}.output", f"{path}/o"),
    ]
    return renamed(found, "model.", "led.")


LED = Family(
    types=("led",),
    model="led",
    base="led.",
    config_map=FIELDS,
    weight_map=weight_map,
    normalize=normalize,
    serialize=serialize,
    derived=("windows",),
    variants=bart.variants("LED", words="led.shared.weight"),
)
