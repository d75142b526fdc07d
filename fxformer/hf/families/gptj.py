"""GPT-J. Wang and Komatsuzaki 2021."""

import dataclasses
import math

from fxformer.hf.canonical_config import select
from fxformer.hf.config_map import (
    Choice,
    Config,
    ConfigMismatch,
    Ignored,
    RequiredValue,
    Value,
    override_value,
)
from fxformer.hf.decoder_variants import Inner, heads, variants
from fxformer.hf.families.bert import ACTS
from fxformer.hf.family import Family
from fxformer.hf.weight_map import WeightEntry, linear, norm, table


@dataclasses.dataclass(frozen=True)
class RotaryDim(Ignored):
    """rotary_dim: channels of a head that turn, where we have their share."""

    names: tuple[str, ...] = ("rotary_dim",)

    def overrides(self, config: Config) -> list[str]:
        channels = config.get("rotary_dim", 64)
        width, heads = config.get("n_embd", 4096), config.get("n_head", 16)
        if not all(isinstance(n, int) and n > 0 for n in (channels, width, heads)):
            raise ConfigMismatch(f"config.json: rotary_dim={channels!r} has no counterpart")
        head = width // heads
        if channels > head:
            raise ConfigMismatch(f"config.json: rotary_dim={channels}, and a head is {head} wide")
        share = channels / head
        while int(head * share) < channels:  # rounded down, as shares are
            share = math.nextafter(share, 1)
        return [f"model.position.rotary_fraction={override_value(share)}"]

    def values(self, model: dict) -> Config:
        head = select(model, "model.dim") // select(model, "model.heads")
        share = select(model, "model.position.rotary_fraction")
        if share is None:
            raise ConfigMismatch("its positions turn channels, and model.position turns none")
        return {"rotary_dim": int(head * share)}


FIELDS = (
    Value("n_embd", "model.dim", 4096),
    Value("n_layer", "model.layers", 28),
    Value("n_head", "model.heads", 16),
    Inner("n_inner", "model.ffn.hidden", width=("n_embd", 4096)),
    Choice("activation_function", "model/act", ACTS, "gelu_new"),
    Value("layer_norm_epsilon", "model.norm.eps", 1e-5),
    Value("resid_pdrop", "model.dropout", 0.0, free=True),
    Value("attn_pdrop", "model.attention.dropout", 0.0, free=True),
    Value("embd_pdrop", "model.input.dropout", 0.0, free=True),
    RotaryDim(),
    RequiredValue("rotary", True, write=False),
    RequiredValue("scale_attn_weights", True, write=False),
    Ignored(("n_positions", "n_ctx", "initializer_range", "summary_activation")),
    Ignored(("summary_first_dropout", "summary_proj_to_labels", "summary_type")),
    Ignored(("summary_use_proj",)),
)


def weight_map(config: Config) -> list[WeightEntry]:
    """One norm a layer, for both of its branches."""
    stack, layer = "transformer/stack/blocks", "transformer.h.{i}"
    attention, ours = f"{layer}.attn", f"{stack}/attention"
    return [
        *table("transformer.wte", "token_embedding", copies=("lm_head",)),
        *norm(f"{layer}.ln_1", f"{stack}/residual/norms/attention"),
        *(e for x in "qkv" for e in linear(f"{attention}.{x}_proj", f"{ours}/{x}")),
        *linear(f"{attention}.out_proj", f"{ours}/o"),
        *linear(f"{layer}.mlp.fc_in", f"{stack}/ffn/up"),
        *linear(f"{layer}.mlp.fc_out", f"{stack}/ffn/down"),
        *norm("transformer.ln_f", "transformer/norm"),
        *heads(),
    ]


GPTJ = Family(
    types=("gptj",),
    model="gptj",
    base="transformer.",
    config_map=FIELDS,
    weight_map=weight_map,
    variants=variants(
        "GPTJ",
        "transformer.wte.weight",
        tied=False,
        bias=True,
        lacks=("ForTokenClassification",),
    ),
    ignored_tensors=(r"\.attn\.(bias|masked_bias)$",),
)
