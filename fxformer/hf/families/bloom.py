"""BLOOM. BigScience Workshop 2022."""

from fxformer.hf.config_map import Config, ConfigMismatch, Ignored, RequiredValue, Value
from fxformer.hf.decoder_variants import Fourfold, heads, variants
from fxformer.hf.family import Family
from fxformer.hf.tensor_layout import by_head
from fxformer.hf.weight_map import WeightEntry, fused, linear, norm, table

FIELDS = (
    Value("hidden_size", "model.dim", 64),
    Value("n_layer", "model.layers", 2),
    Value("n_head", "model.heads", 8),
    Fourfold(("n_inner",), width=("hidden_size", 64)),
    Value("layer_norm_epsilon", "model.norm.eps", 1e-5),
    Value("hidden_dropout", "model.dropout", 0.0, free=True),
    Value("attention_dropout", "model.attention.dropout", 0.0, free=True),
    RequiredValue("apply_residual_connection_post_layernorm", False),
    # the same sums in another order, fused kernels, and what its first trainer asked for
    Ignored(("pretraining_tp", "slow_but_exact", "initializer_range", "seq_length")),
    Ignored(("attention_softmax_in_fp32", "masked_softmax_fusion", "bias_dropout_fusion")),
    Ignored(("skip_bias_add", "skip_bias_add_qkv", "offset_alibi")),
)


def normalize(config: Config) -> Config:
    """Sizes under the names that its first files do not use; refuses sums without biases."""
    split = config.get("pretraining_tp", 1)
    if config.get("slow_but_exact") and split not in (None, 1):
        raise ConfigMismatch(
            f"config.json: slow_but_exact=true with pretraining_tp={split!r} has no counterpart: "
            "transformers then leaves out the biases of the output projections; with "
            "slow_but_exact=false or pretraining_tp=1 it adds them, and that can be imported"
        )
    old = {"n_embed": "hidden_size", "num_attention_heads": "n_head"}
    old["num_hidden_layers"] = "n_layer"
    return {old.get(name, name): value for name, value in config.items() if value is not None}


def weight_map(config: Config) -> list[WeightEntry]:
    """q, k and v of a head lie together, as in GPT-NeoX."""
    stack, layer = "transformer/stack/blocks", "transformer.h.{i}"
    qkv = tuple(f"{stack}/attention/{part}" for part in "qkv")
    apart = by_head(config.get("n_head", 8))
    return [
        *table("transformer.word_embeddings", "token_embedding", copies=("lm_head",)),
        *norm("transformer.word_embeddings_layernorm", "transformer/input/norm"),
        *norm(f"{layer}.input_layernorm", f"{stack}/residual/norms/attention"),
        *fused(f"{layer}.self_attention.query_key_value", qkv, apart),
        *linear(f"{layer}.self_attention.dense", f"{stack}/attention/o"),
        *norm(f"{layer}.post_attention_layernorm", f"{stack}/residual/norms/ffn"),
        *linear(f"{layer}.mlp.dense_h_to_4h", f"{stack}/ffn/up"),
        *linear(f"{layer}.mlp.dense_4h_to_h", f"{stack}/ffn/down"),
        *norm("transformer.ln_f", "transformer/norm"),
        *heads(),
    ]


BLOOM = Family(
    types=("bloom",),
    model="bloom",
    base="transformer.",
    config_map=FIELDS,
    weight_map=weight_map,
    normalize=normalize,
    variants=variants("Bloom", "transformer.word_embeddings.weight", tied=True),
    ignored_tensors=(r"\.self_attention\.(bias|masked_bias)$",),
)
