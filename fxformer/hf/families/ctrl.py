"""CTRL. Keskar et al. 2019."""

from fxformer.hf.config_map import Config, Ignored, Value
from fxformer.hf.decoder_variants import heads, variants
from fxformer.hf.family import Family
from fxformer.hf.weight_map import WeightEntry, linear, norm, table

FIELDS = (
    Value("n_embd", "model.dim", 1280),
    Value("n_layer", "model.layers", 48),
    Value("n_head", "model.heads", 16),
    Value("dff", "model.ffn.hidden", 8192),
    Value("n_positions", "model.position.length", 256),
    # of the norm after the last block; inside the layers it is 1e-6
    Value("layer_norm_epsilon", "model.decoder.last_norm.eps", 1e-6),
    Value("resid_pdrop", "model.dropout", 0.1, free=True),
    Value("embd_pdrop", "model.input.dropout", 0.1, free=True),
    Ignored(("attn_pdrop", "n_ctx", "initializer_range", "from_tf", "summary_activation")),
    Ignored(("summary_first_dropout", "summary_proj_to_labels", "summary_type")),
    Ignored(("summary_use_proj",)),
)


def weight_map(config: Config) -> list[WeightEntry]:
    """Sines are computed, the output table is the word table, its bias is not."""
    stack, layer = "transformer/stack/blocks", "transformer.h.{i}"
    attention, ours = f"{layer}.multi_head_attention", f"{stack}/attention"
    return [
        *table("transformer.w", "token_embedding", copies=("lm_head",)),
        *norm(f"{layer}.layernorm1", f"{stack}/residual/norms/attention"),
        *(e for x in "qkv" for e in linear(f"{attention}.W{x}", f"{ours}/{x}")),
        *linear(f"{attention}.dense", f"{ours}/o"),
        *norm(f"{layer}.layernorm2", f"{stack}/residual/norms/ffn"),
        *linear(f"{layer}.ffn.0", f"{stack}/ffn/up"),
        *linear(f"{layer}.ffn.2", f"{stack}/ffn/down"),
        *norm("transformer.layernorm", "transformer/norm"),
        *heads(classes="classifier"),
    ]


CTRL = Family(
    types=("ctrl",),
    model="ctrl",
    base="transformer.",
    config_map=FIELDS,
    weight_map=weight_map,
    variants=variants(
        "CTRL",
        "transformer.w.weight",
        tied=True,
        lm="LMHeadModel",
        bias=True,
        classes="classifier",
        lacks=("ForTokenClassification", "ForQuestionAnswering"),
    ),
    ignored_tensors=(r"^(transformer\.)?pos_encoding$",),
)
