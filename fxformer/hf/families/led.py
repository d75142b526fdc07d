"""LED. Beltagy et al. 2020, sec. 7: BART's names, Longformer's attention in the encoder."""

from fxformer.hf.config_map import Config, Knob, Silent
from fxformer.hf.families import bart
from fxformer.hf.families.longformer import both_sides, global_names, windows
from fxformer.hf.family import Family
from fxformer.hf.weight_map import Entry, linear, renamed

OTHERWISE = ("max_position_embeddings", "scale_embedding")
FIELDS = (
    *(
        field
        for field in bart.fields("gelu", before=False, normed=True, static=False, scaled=False)
        if getattr(field, "file", None) not in OTHERWISE
    ),
    Knob("max_encoder_position_embeddings", "model.encoder_position.length", 16384),
    Knob(
        "max_decoder_position_embeddings",
        "model.position.length",
        1024,
        at="model.decoder.position.length",
    ),
    Knob("attention_dropout", "model.encoder_attention.dropout", 0.0, free=True),
    Knob("windows", "model.encoder.windows"),
    Silent(("attention_window", "save_step")),
)


def modern(config: Config) -> Config:
    """Windows of the encoder's layers."""
    return {**config, "windows": windows(config, config.get("encoder_layers", 12))}


def written(config: Config) -> Config:
    """The inverse."""
    made = {**config}
    made["attention_window"] = both_sides(made.pop("windows"))
    return made


def names(config: Config) -> list[Entry]:
    """BART's; the encoder's attention as Longformer calls it."""
    file = "model.encoder.layers.{i}.self_attn"
    inner, path = f"{file}.longformer_self_attn", "encoder/stack/blocks/attention"
    own = ("query", "q"), ("key", "k"), ("value", "v")
    plain = [e for e in bart.names(config) if not e.file.startswith(f"{file}.")]
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
    fields=FIELDS,
    names=names,
    modern=modern,
    written=written,
    derived=("windows",),
    forms=bart.forms("LED", words="led.shared.weight"),
)
