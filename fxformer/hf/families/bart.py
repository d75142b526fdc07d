"""BART. Lewis et al. 2020. Its names are those of mBART, Marian, Pegasus and M2M100 too."""

from fxformer.hf.config_map import Choice, Config, Ignored, RequiredValue, Value
from fxformer.hf.families.bert import ACTS
from fxformer.hf.family import Family, HeadVariant, untied
from fxformer.hf.weight_map import WeightEntry, linear, logits_bias, norm, table, tensor


def fields(act: str, *, before: bool, normed: bool, static: bool, scaled: bool) -> tuple:
    """config.json's fields.

    act: the activation that is meant where none is said; before: norms before each sublayer and
    after the last; normed: a norm of the embeddings; static: positions are not learned;
    scaled: whether words are scaled where it is not said"""
    return (
        Value("d_model", "model.dim", 1024),
        Value("encoder_layers", "model.encoder.layers", 12),
        Value("decoder_layers", "model.decoder.layers", 12),
        Value("encoder_attention_heads", "model.encoder.heads", 16),
        Value("decoder_attention_heads", "model.decoder.heads", 16),
        Value("encoder_ffn_dim", "model.encoder.hidden", 4096),
        Value("decoder_ffn_dim", "model.decoder.hidden", 4096),
        Value("max_position_embeddings", "model.position.length", 1024),
        Value("scale_embedding", "model.input.scaled", scaled),
        Choice("activation_function", "model/act", ACTS, act),
        Value("dropout", "model.dropout", 0.1, free=True),
        Value("attention_dropout", "model.attention.dropout", 0.0, free=True),
        Value("activation_dropout", "model.ffn.dropout", 0.0, free=True),
        Ignored(("encoder_layerdrop", "decoder_layerdrop", "classifier_dropout", "init_std")),
        Ignored(("classif_dropout", "num_hidden_layers", "extra_pos_embeddings")),
        Ignored(("force_bos_token_to_be_generated", "do_blenderbot_90_layernorm")),
        RequiredValue("normalize_before", before, write=False),
        RequiredValue("add_final_layer_norm", before, write=False),
        RequiredValue("normalize_embedding", normed, write=False),
        RequiredValue("static_position_embeddings", static, write=False),
        RequiredValue("add_bias_logits", False, write=False),
    )


def alone(config: Config) -> bool:
    """Whether a config.json is that of the decoder without the encoder."""
    stated = config.get("architectures")
    if not stated:
        return config.get("is_encoder_decoder") is False
    return any(name.endswith("ForCausalLM") for name in stated)


COPIES = ("model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head")


def weight_map(config: Config) -> list[WeightEntry]:
    """Both stacks and the heads."""
    return [
        *table("model.shared", "token_embedding", copies=COPIES),
        *stack("encoder"),
        *stack("decoder"),
        *attention("decoder", "encoder_attn", "cross_attention"),
        *tensor("lm_head.weight", "head/output/embedding"),
        *linear("classification_head.dense", "task_heads/classification/dense"),
        *linear("classification_head.out_proj", "task_heads/classification/output"),
        *linear("qa_outputs", "task_heads/span/output"),
    ]


def stack(side: str) -> list[WeightEntry]:
    """One stack; final_layer_norm is the feed-forward's norm, layer_norm the stack's."""
    file, layer, blocks = f"model.{side}", f"model.{side}.layers.{{i}}", f"{side}/stack/blocks"
    return [
        *table(f"{file}.embed_positions", f"{side}/position/table"),
        *norm(f"{file}.layernorm_embedding", f"{side}/input/norm"),
        *attention(side, "self_attn", "attention"),
        *linear(f"{layer}.fc1", f"{blocks}/ffn/up"),
        *linear(f"{layer}.fc2", f"{blocks}/ffn/down"),
        *norm(f"{layer}.final_layer_norm", f"{blocks}/residual/norms/ffn"),
        *norm(f"{file}.layer_norm", f"{side}/norm"),
    ]


def attention(side: str, file: str, part: str) -> list[WeightEntry]:
    """One attention of every layer, with its norm."""
    layer, path = f"model.{side}.layers.{{i}}.{file}", f"{side}/stack/blocks/{part}"
    return [
        *linear(f"{layer}.q_proj", f"{path}/q"),
        *linear(f"{layer}.k_proj", f"{path}/k"),
        *linear(f"{layer}.v_proj", f"{path}/v"),
        *linear(f"{layer}.out_proj", f"{path}/o"),
        *norm(f"{layer}_layer_norm", f"{side}/stack/blocks/residual/norms/{part}"),
    ]


def bias(config: Config) -> list[WeightEntry]:
    """The buffer that the class with a head over words saves."""
    return logits_bias(config.get("decoder_vocab_size") or config.get("vocab_size", 50265))


def variants(
    family: str,
    generation: str | None = None,
    words: str = "model.shared.weight",
    *,
    answers: bool = True,
) -> tuple[HeadVariant, ...]:
    """The classes that BART and its like come as: Bart, MBart …

    generation: the class with a head over words, where it is not FAMILYForConditionalGeneration
    words: the name of the word table; answers: whether there are classes that classify"""
    own = untied("lm_head.weight", words)
    generation = generation or f"{family}ForConditionalGeneration"
    biased = ("model.head.bias=true",)
    loose = {"tie_word_embeddings": False}
    answering = (
        HeadVariant(
            f"{family}ForSequenceClassification",
            required_tensors=("classification_head.dense.weight",),
            overrides=("model/head=none", "model/task_head=classification"),
            labels=("classification_head.out_proj.weight", "classification"),
        ),
        HeadVariant(
            f"{family}ForQuestionAnswering",
            required_tensors=("qa_outputs.weight",),
            overrides=("model/head=none", "model/task_head=span"),
        ),
    )
    return (
        *(answering if answers else ()),
        HeadVariant(
            generation,
            required_tensors=("final_logits_bias",),
            overrides=("model/head=untied", *biased),
            when=lambda names, config: own(names, config) and not names.zero("final_logits_bias"),
            config=loose,
            weight_map=bias,
        ),
        HeadVariant(
            generation,
            required_tensors=("final_logits_bias",),
            overrides=biased,
            when=lambda names, config: not names.zero("final_logits_bias"),
            weight_map=bias,
        ),
        HeadVariant(
            generation, overrides=("model/head=untied",), when=own, config=loose, weight_map=bias
        ),
        HeadVariant(generation, required_tensors=("final_logits_bias",), weight_map=bias),
        HeadVariant(generation, required_tensors=("lm_head.weight",), weight_map=bias),
        HeadVariant(  # tied, and saved without its copies and without a bias that is zero
            generation,
            when=lambda names, config: generation in (config.get("architectures") or []),
            weight_map=bias,
        ),
        HeadVariant(f"{family}Model", overrides=("model/head=none",), base=""),
    )


BART = Family(
    types=("bart",),
    model="bart",
    base="model.",
    config_map=fields("gelu", before=False, normed=True, static=False, scaled=False),
    weight_map=weight_map,
    variants=variants("Bart"),
    when=lambda config: not alone(config),
    ignored_tensors=(r"^(model\.)?(encoder|decoder)\.version$",),
)
