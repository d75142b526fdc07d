"""GPT-2. Radford et al. 2019."""

from fxformer.hf.config_map import Choice, Config, Ignored, RequiredValue, Value
from fxformer.hf.decoder_variants import heads, variants
from fxformer.hf.families.bert import ACTS
from fxformer.hf.family import Family
from fxformer.hf.tensor_layout import columns
from fxformer.hf.weight_map import WeightEntry, conv1d, fused, norm, table

FIELDS = (
    Value("n_embd", "model.dim", 768),
    Value("n_layer", "model.layers", 12),
    Value("n_head", "model.heads", 12),
    Value("n_inner", "model.ffn.hidden"),
    Value("n_positions", "model.position.length", 1024),
    Choice("activation_function", "model/act", ACTS, "gelu_new"),
    Value("layer_norm_epsilon", "model.norm.eps", 1e-5),
    Value("scale_attn_by_inverse_layer_idx", "model.attention.scale_by_layer_index", False),
    Value("resid_pdrop", "model.dropout", 0.1, free=True),
    Value("attn_pdrop", "model.attention.dropout", 0.1, free=True),
    Value("embd_pdrop", "model.input.dropout", 0.1, free=True),
    RequiredValue("scale_attn_weights", True, write=False),
    Ignored(("reorder_and_upcast_attn", "initializer_range", "n_ctx", "afn")),
    Ignored(("summary_activation", "summary_first_dropout", "summary_proj_to_labels")),
    Ignored(("summary_type", "summary_use_proj", "predict_special_tokens")),
)


def normalize(config: Config) -> Config:
    """n_inner: null is four times the width."""
    inner = config.get("n_inner") or 4 * config.get("n_embd", 768)
    return {**config, "n_inner": inner}


def weight_map(config: Config) -> list[WeightEntry]:
    """Conv1D throughout: kernels lie as ours do, q, k and v side by side."""
    stack, layer = "transformer/stack/blocks", "transformer.h.{i}"
    qkv = tuple(f"{stack}/attention/{part}" for part in "qkv")
    return [
        *table("transformer.wte", "token_embedding", copies=("lm_head",)),
        *table("transformer.wpe", "transformer/position/table"),
        *norm(f"{layer}.ln_1", f"{stack}/residual/norms/attention"),
        *fused(f"{layer}.attn.c_attn", qkv, columns(3)),
        *conv1d(f"{layer}.attn.c_proj", f"{stack}/attention/o"),
        *norm(f"{layer}.ln_2", f"{stack}/residual/norms/ffn"),
        *conv1d(f"{layer}.mlp.c_fc", f"{stack}/ffn/up"),
        *conv1d(f"{layer}.mlp.c_proj", f"{stack}/ffn/down"),
        *norm("transformer.ln_f", "transformer/norm"),
        *heads(),
    ]


GPT2 = Family(
    types=("gpt2",),
    model="gpt2",
    base="transformer.",
    config_map=FIELDS,
    weight_map=weight_map,
    normalize=normalize,
    variants=variants("GPT2", "transformer.wte.weight", tied=True, lm="LMHeadModel"),
    ignored_tensors=(r"\.attn\.bias$", r"\.attn\.masked_bias$"),
)
