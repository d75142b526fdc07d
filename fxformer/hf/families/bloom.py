"""BLOOM. BigScience Workshop 2022."""

from fxformer.hf.config_map import Config, ConfigMismatch, Knob, Only, Silent
from fxformer.hf.decoder_variants import Fourfold, forms, heads
from fxformer.hf.family import Family
from fxformer.hf.tensor_layout import by_head
from fxformer.hf.weight_map import Entry, fused, linear, norm, table

FIELDS = (
    Knob("hidden_size", "model.dim", 64),
    Knob("n_layer", "model.layers", 2),
    Knob("n_head", "model.heads", 8),
    Fourfold(("n_inner",), width=("hidden_size", 64)),
    Knob("layer_norm_epsilon", "model.norm.eps", 1e-5),
    Knob("hidden_dropout", "model.dropout", 0.0, free=True),
    Knob("attention_dropout", "model.attention.dropout", 0.0, free=True),
    Only("apply_residual_connection_post_layernorm", False),
    # the same sums in another order, fused kernels, and what its first trainer asked for
    Silent(("pretraining_tp", "slow_but_exact", "initializer_range", "seq_length")),
    Silent(("attention_softmax_in_fp32", "masked_softmax_fusion", "bias_dropout_fusion")),
    Silent(("skip_bias_add", "skip_bias_add_qkv", "offset_alibi")),
)


def modern(config: Config) -> Config:
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


def names(config: Config) -> list[Entry]:
    """q, k and v of a head lie together, as in GPT-NeoX."""
    stack, layer = "transformer/stack/blocks", "transformer.h.{i}"
    qkv = tuple(f"{stack}/attention/{part}" for part in "qkv")
    apart = by_head(config.get("n_head", 8))
    return [
        *table("transformer.word_embeddings", "words", copies=("lm_head",)),
        *norm("transformer.word_embeddings_layernorm", "transformer/embed/norm"),
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
    fields=FIELDS,
    names=names,
    modern=modern,
    forms=forms("Bloom", "transformer.word_embeddings.weight", tied=True),
    ignore=(r"\.self_attention\.(bias|masked_bias)$",),
)
