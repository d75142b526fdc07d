"""Llama, Qwen2 and Qwen3. Touvron et al. 2023; Yang et al. 2024; Yang et al. 2025."""

from fxformer.hf.config_map import Choice, Config, ConfigMismatch, Ignored, RequiredValue, Value
from fxformer.hf.families.bert import ACTS, labelled
from fxformer.hf.family import Family, HeadVariant, TensorNames
from fxformer.hf.rope_config import DERIVED, ROPE, from_rope, to_rope
from fxformer.hf.weight_map import WeightEntry, linear, norm, table, tensor

FIELDS = (
    Value("hidden_size", "model.dim", 4096),
    Value("num_hidden_layers", "model.layers", 32),
    Value("num_attention_heads", "model.heads", 32),
    Value("num_key_value_heads", "model.attention.kv_heads"),
    Value("head_dim", "model.attention.head_dim"),
    Value("intermediate_size", "model.ffn.hidden", 11008),
    Choice("hidden_act", "model/act", ACTS, "silu"),
    Value("rms_norm_eps", "model.norm.eps", 1e-6),
    Value("attention_dropout", "model.attention.dropout", 0.0, free=True),
    *ROPE,
    Ignored(("max_position_embeddings", "initializer_range")),
)
BIASES = (
    Value("qkv_bias", "model.attention.qkv_bias", False),
    Value("out_bias", "model.attention.out_bias", False),
    Ignored(("attention_bias",)),
)
LLAMA = (
    *BIASES,
    Value("mlp_bias", "model.ffn.bias", False),
    Ignored(("pretraining_tp",)),  # how old versions split a matmul: the same sums
    RequiredValue("rope_interleaved", False, also=(None,), write=False),
)
DEEPEST = 10_000
WINDOWS = (
    Value("windows", "model.windows"),
    RequiredValue("use_mrope", False, write=False),
    Ignored(("layer_types", "use_sliding_window", "sliding_window", "max_window_layers")),
)


def normalize(config: Config) -> Config:
    """Rope's fields in one place; what null stands for; attention_bias, if any, taken apart."""
    heads, bias = config.get("num_attention_heads", 32), config.get("attention_bias")
    return from_rope(config) | {
        "num_key_value_heads": config.get("num_key_value_heads") or heads,
        "head_dim": config.get("head_dim") or config.get("hidden_size", 4096) // heads,
        **({} if bias is None else {"qkv_bias": bias, "out_bias": bias}),
    }


def serialize(config: Config) -> Config:
    """The inverse; rope in the words of transformers 4 and 5."""
    bias, out = config.pop("qkv_bias", None), config.pop("out_bias", None)
    if bias != out:
        raise ConfigMismatch("this family has biases in all of attention or in none")
    return to_rope(config) | ({} if bias is None else {"attention_bias": bias})


def windowed(config: Config) -> Config:
    """Qwen's sliding windows, layer by layer, from either of the ways to say them."""
    made, depth = normalize(config), config.get("num_hidden_layers", 32)
    if not isinstance(depth, int) or depth > DEEPEST:
        raise ConfigMismatch(f"config.json: num_hidden_layers={depth!r} cannot be")
    width = config.get("sliding_window", 4096) if config.get("use_sliding_window") else None
    first = config.get("max_window_layers", 28)
    kinds = config.get("layer_types")
    if kinds is None:
        kinds = ["sliding_attention" if i >= first else "full_attention" for i in range(depth)]
    if len(kinds) != depth or set(kinds) - {"sliding_attention", "full_attention"}:
        raise ConfigMismatch(f"config.json: layer_types={kinds} is not understood")
    windows = [width if kind == "sliding_attention" else None for kind in kinds]
    return {**made, "windows": windows if any(windows) else None}


def unwindowed(config: Config) -> Config:
    """The inverse."""
    windows = config.pop("windows") or [None] * config["num_hidden_layers"]
    widths = {width for width in windows if width}
    if len(widths) > 1:
        raise ConfigMismatch(f"windows of {sorted(widths)} in one model; Qwen has one width")
    full = [width is None for width in windows]
    first = full.index(False) if widths else len(windows)
    named = ["full_attention" if all_ else "sliding_attention" for all_ in full]
    more = {"layer_types": named, "use_sliding_window": bool(widths)}
    more |= {"sliding_window": max(widths, default=None), "max_window_layers": first}
    if any(full[first:]):
        del more["max_window_layers"]  # only transformers 5 can say this
    return {**serialize(config), **more}


def weight_map(config: Config) -> list[WeightEntry]:
    """The body and the heads."""
    stack, layer = "transformer/stack/blocks", "model.layers.{i}"
    return [
        *table("model.embed_tokens", "token_embedding", copies=("lm_head",)),
        *norm(f"{layer}.input_layernorm", f"{stack}/residual/norms/attention"),
        *linear(f"{layer}.self_attn.q_proj", f"{stack}/attention/q"),
        *linear(f"{layer}.self_attn.k_proj", f"{stack}/attention/k"),
        *linear(f"{layer}.self_attn.v_proj", f"{stack}/attention/v"),
        *linear(f"{layer}.self_attn.o_proj", f"{stack}/attention/o"),
        *norm(f"{layer}.self_attn.q_norm", f"{stack}/attention/q_norm"),
        *norm(f"{layer}.self_attn.k_norm", f"{stack}/attention/k_norm"),
        *norm(f"{layer}.post_attention_layernorm", f"{stack}/residual/norms/ffn"),
        *linear(f"{layer}.mlp.gate_proj", f"{stack}/ffn/gate"),
        *linear(f"{layer}.mlp.up_proj", f"{stack}/ffn/up"),
        *linear(f"{layer}.mlp.down_proj", f"{stack}/ffn/down"),
        *norm("model.norm", "transformer/norm"),
        *tensor("lm_head.weight", "head/output/embedding"),
        *linear("score", "task_heads/classification/output"),
        *linear("score", "task_heads/token_classification/output"),
        *linear("qa_outputs", "task_heads/span/output"),
    ]


def _own(names: TensorNames, config: Config) -> bool:
    both = "lm_head.weight" in names and "model.embed_tokens.weight" in names
    tied = config.get("tie_word_embeddings", False)
    return both and (not tied or names.differ("lm_head.weight", "model.embed_tokens.weight"))


def _tied(names: TensorNames, config: Config) -> bool:
    return bool(config.get("tie_word_embeddings", False))


def family(kind: str, name: str, fields: tuple, read, write, derived: tuple[str, ...]) -> Family:
    """Declaration of a model_type of the LLaMA kind. read, write: its normalize and serialize."""
    return Family(
        types=(kind,),
        model=kind,
        base="model.",
        config_map=(*FIELDS, *fields),
        weight_map=weight_map,
        normalize=read,
        serialize=write,
        derived=derived,
        variants=(
            labelled(f"{name}ForSequenceClassification", "classification", "score.weight"),
            labelled(f"{name}ForTokenClassification", "token_classification", "score.weight"),
            HeadVariant(
                f"{name}ForQuestionAnswering",
                required_tensors=("qa_outputs.weight",),
                overrides=("model/head=none", "model/task_head=span"),
                base="transformer.",
            ),
            HeadVariant(f"{name}ForCausalLM", when=_own, config={"tie_word_embeddings": False}),
            HeadVariant(
                f"{name}ForCausalLM",
                overrides=("model/head=tied",),
                when=_tied,
                config={"tie_word_embeddings": True},
            ),
            HeadVariant(f"{name}Model", overrides=("model/head=none",), base=""),
        ),
        ignored_tensors=(r"rotary_emb\.inv_freq$",),
    )


APART = (*DERIVED, "qkv_bias", "out_bias")
LLAMA1 = family("llama", "Llama", LLAMA, normalize, serialize, APART)
QWEN2 = family("qwen2", "Qwen2", WINDOWS, windowed, unwindowed, (*DERIVED, "windows"))
QWEN3 = family("qwen3", "Qwen3", (*BIASES, *WINDOWS), windowed, unwindowed, (*APART, "windows"))
