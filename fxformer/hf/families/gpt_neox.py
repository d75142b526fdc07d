"""GPT-NeoX and Pythia. Black et al. 2022; Biderman et al. 2023."""

from fxformer.hf.config_map import Choice, Config, Ignored, Value
from fxformer.hf.decoder_variants import heads, variants
from fxformer.hf.families.bert import ACTS
from fxformer.hf.family import Family
from fxformer.hf.rope_config import DERIVED, ROPE, from_rope, to_rope
from fxformer.hf.tensor_layout import by_head
from fxformer.hf.weight_map import WeightEntry, fused, linear, norm, table, tensor

FIELDS = (
    Value("hidden_size", "model.dim", 6144),
    Value("num_hidden_layers", "model.layers", 44),
    Value("num_attention_heads", "model.heads", 64),
    Value("intermediate_size", "model.ffn.hidden", 24576),
    Choice("hidden_act", "model/act", ACTS, "gelu"),
    Choice("use_parallel_residual", "model/residual", {True: "parallel", False: "pre"}, True),
    Value("layer_norm_eps", "model.norm.eps", 1e-5),
    Value("attention_bias", "model.attention.qkv_bias", True),
    Value("attention_bias", "model.attention.out_bias", True),
    Value("hidden_dropout", "model.dropout", 0.0, free=True),
    Value("attention_dropout", "model.attention.dropout", 0.0, free=True),
    *ROPE,
    Value("rope_share", "model.position.rotary_fraction", 0.25),
    Ignored(("rotary_emb_base", "rotary_pct")),
    Ignored(("hidden_dropout_prob", "attention_probs_dropout_prob")),  # in the 20B's file, unread
    Ignored(("max_position_embeddings", "initializer_range", "classifier_dropout")),
)
WORDS = {"base": "rotary_emb_base", "share": ("rotary_pct", 0.25)}


def normalize(config: Config) -> Config:
    """Rope's fields in one place."""
    return from_rope(config, **WORDS)


def serialize(config: Config) -> Config:
    """The inverse, in the words of transformers 4 and 5."""
    return to_rope(config, **WORDS)


def weight_map(config: Config) -> list[WeightEntry]:
    """q, k and v of a head lie together; the output table is embed_out in files."""
    stack, layer = "transformer/stack/blocks", "gpt_neox.layers.{i}"
    qkv = tuple(f"{stack}/attention/{part}" for part in "qkv")
    apart = by_head(config.get("num_attention_heads", 64))
    return [
        *table("gpt_neox.embed_in", "token_embedding", copies=("embed_out",)),
        *norm(f"{layer}.input_layernorm", f"{stack}/residual/norms/attention"),
        *fused(f"{layer}.attention.query_key_value", qkv, apart),
        *linear(f"{layer}.attention.dense", f"{stack}/attention/o"),
        *norm(f"{layer}.post_attention_layernorm", f"{stack}/residual/norms/ffn"),
        *linear(f"{layer}.mlp.dense_h_to_4h", f"{stack}/ffn/up"),
        *linear(f"{layer}.mlp.dense_4h_to_h", f"{stack}/ffn/down"),
        *norm("gpt_neox.final_layer_norm", "transformer/norm"),
        *tensor("embed_out.weight", "head/output/embedding"),
        *(entry for entry in heads() if not entry.file.startswith("lm_head")),
    ]


GPT_NEOX = Family(
    types=("gpt_neox",),
    model="gpt_neox",
    base="gpt_neox.",
    config_map=FIELDS,
    weight_map=weight_map,
    normalize=normalize,
    serialize=serialize,
    derived=(*DERIVED, "rope_share"),
    variants=variants("GPTNeoX", "gpt_neox.embed_in.weight", output="embed_out.weight", tied=False),
    ignored_tensors=(r"\.attention\.(bias|masked_bias)$", r"\.rotary_emb\.inv_freq$"),
    legacy_names=(
        (r"^lm_head\.weight$", "embed_out.weight"),
    ),  # as transformers 5 calls the module
)
