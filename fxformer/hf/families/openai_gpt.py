"""The first GPT. Radford et al. 2018."""

from fxformer.hf.config_map import Choice, Config, Ignored, Value
from fxformer.hf.decoder_variants import Fourfold, heads, variants
from fxformer.hf.family import Family
from fxformer.hf.tensor_layout import columns
from fxformer.hf.weight_map import WeightEntry, conv1d, fused, norm, table

# its "gelu" is the tanh approximation
ACTS = {"gelu": "gelu_tanh", "gelu_new": "gelu_tanh", "relu": "relu", "silu": "silu"}
ACTS |= {"swish": "silu"}

FIELDS = (
    Value("n_embd", "model.dim", 768),
    Value("n_layer", "model.layers", 12),
    Value("n_head", "model.heads", 12),
    Fourfold(),
    Value("n_positions", "model.position.length", 512),
    Choice("afn", "model/act", ACTS, "gelu"),
    Value("layer_norm_epsilon", "model.norm.eps", 1e-5),
    Value("resid_pdrop", "model.dropout", 0.1, free=True),
    Value("attn_pdrop", "model.attention.dropout", 0.1, free=True),
    Value("embd_pdrop", "model.input.dropout", 0.1, free=True),
    Ignored(("initializer_range", "n_ctx", "n_special", "predict_special_tokens")),
    Ignored(("summary_activation", "summary_first_dropout", "summary_proj_to_labels")),
    Ignored(("summary_type", "summary_use_proj")),
)


def weight_map(config: Config) -> list[WeightEntry]:
    """Conv1D throughout, as GPT-2; the norms follow what they normalise."""
    stack, layer = "transformer/stack/blocks", "transformer.h.{i}"
    qkv = tuple(f"{stack}/attention/{part}" for part in "qkv")
    return [
        *table("transformer.tokens_embed", "token_embedding", copies=("lm_head",)),
        *table("transformer.positions_embed", "transformer/position/table"),
        *fused(f"{layer}.attn.c_attn", qkv, columns(3)),
        *conv1d(f"{layer}.attn.c_proj", f"{stack}/attention/o"),
        *norm(f"{layer}.ln_1", f"{stack}/residual/norms/attention"),
        *conv1d(f"{layer}.mlp.c_fc", f"{stack}/ffn/up"),
        *conv1d(f"{layer}.mlp.c_proj", f"{stack}/ffn/down"),
        *norm(f"{layer}.ln_2", f"{stack}/residual/norms/ffn"),
        *heads(),
    ]


OPENAI_GPT = Family(
    types=("openai-gpt",),
    model="openai_gpt",
    base="transformer.",
    config_map=FIELDS,
    weight_map=weight_map,
    variants=variants(
        "OpenAIGPT",
        "transformer.tokens_embed.weight",
        tied=True,
        lm="LMHeadModel",
        lacks=("ForTokenClassification", "ForQuestionAnswering"),
    ),
    ignored_tensors=(r"\.attn\.bias$", r"^(transformer\.)?position_ids$"),
)
