"""T5, T5 v1.1 and Flan-T5, mT5. Raffel et al. 2020; Shazeer 2020; Xue et al. 2021.

v1.1 gates its feed-forward, has an output table of its own and does not scale before it.
"""

import dataclasses

from fxformer.hf.config_map import Choice, Config, ConfigMismatch, Ignored, Value
from fxformer.hf.family import Family, HeadVariant, untied
from fxformer.hf.weight_map import WeightEntry, linear, norm, table, tensor

# relu(x W) W, and act(x W_gate) * x W_up: T5's "gated-gelu" is the tanh approximation
PLAIN = {"relu": "t5", "gelu": "t5", "gelu_new": "t5", "silu": "t5"}
FEED_FORWARD = {**PLAIN, "gated-gelu": "t5_gated", "gated-silu": "t5_gated"}
ACTS = {"relu": "relu", "gelu": "gelu", "gelu_new": "gelu_tanh", "silu": "silu"}

FIELDS = (
    Value("d_model", "model.dim", 512),
    Value("num_layers", "model.encoder.layers", 6),
    Value("num_decoder_layers", "model.decoder.layers", 6),
    Value("num_heads", "model.heads", 8),
    Value("d_kv", "model.attention.head_dim", 64),
    Choice("ffn", "model/ffn", {"plain": "t5", "gated": "t5_gated"}),
    Choice("dense_act_fn", "model/act", ACTS),
    Value("d_ff", "model.ffn.hidden", 2048),
    Value("relative_attention_num_buckets", "model.position.num_buckets", 32),
    Value("relative_attention_max_distance", "model.position.max_distance", 128),
    Value("layer_norm_epsilon", "model.norm.eps", 1e-6),
    Value("dropout_rate", "model.dropout", 0.1, free=True),
    Ignored(("feed_forward_proj", "is_gated_act", "classifier_dropout", "n_positions")),
    Ignored(("initializer_factor", "scale_decoder_outputs")),
)

COPIES = ("encoder.embed_tokens", "decoder.embed_tokens", "lm_head")
LOST = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"  # of old files


def normalize(config: Config) -> Config:
    """feed_forward_proj taken apart; as many decoder layers as encoder layers where unsaid."""
    words = config.get("feed_forward_proj", "relu").split("-")
    if len(words) > 2 or (len(words) == 2 and words[0] != "gated"):
        raise ConfigMismatch(f"config.json: feed_forward_proj={'-'.join(words)!r} is not known")
    act = "gelu_new" if words == ["gated", "gelu"] else words[-1]
    for name, meant in (("dense_act_fn", act), ("is_gated_act", len(words) == 2)):
        if config.get(name) not in (None, meant):
            raise ConfigMismatch(
                f"config.json: {name}={config[name]!r}, and feed_forward_proj={'-'.join(words)!r} "
                f"says {meant!r}"
            )
    depth = config.get("num_decoder_layers") or config.get("num_layers", 6)
    own = {"ffn": "gated" if len(words) == 2 else "plain", "dense_act_fn": act}
    return {**config, **own, "num_decoder_layers": depth}


def serialize(config: Config) -> Config:
    """feed_forward_proj put together again."""
    gated, act = config.pop("ffn") == "gated", config["dense_act_fn"]
    word = "gelu" if gated and act == "gelu_new" else act
    if gated and act == "gelu":
        raise ConfigMismatch("T5 has no gate with the exact gelu: model/act=gelu_tanh is its own")
    config["feed_forward_proj"] = f"gated-{word}" if gated else word
    return {**config, "is_gated_act": gated}


def weight_map(config: Config) -> list[WeightEntry]:
    """Two stacks of the same kind; the first layer keeps the buckets of all."""
    return [
        *table("shared", "token_embedding", copies=COPIES),
        *_stack(config, "encoder", "encoder", ffn=1),
        *_stack(config, "decoder", "decoder", ffn=2),
        *_attention("decoder.block.{i}.layer.1", "EncDecAttention", "decoder", "cross_attention"),
        *tensor("lm_head.weight", "head/output/embedding"),
        *linear("classification_head.dense", "task_heads/classification/dense"),
        *linear("classification_head.out_proj", "task_heads/classification/output"),
        *linear("qa_outputs", "task_heads/span/output"),
    ]


def encoder_names(config: Config) -> list[WeightEntry]:
    """The encoder alone, which is one stack here."""
    return [
        *table("shared", "token_embedding", copies=COPIES[:1]),
        *_stack(config, "encoder", "transformer", ffn=1),
        *linear("classifier", "task_heads/token_classification/output"),
    ]


def _ffn_in(config: Config, file: str, path: str) -> list[WeightEntry]:
    if config["ffn"] == "plain":
        return linear(f"{file}.wi", f"{path}/up")
    return [*linear(f"{file}.wi_0", f"{path}/gate"), *linear(f"{file}.wi_1", f"{path}/up")]


def _stack(config: Config, side: str, path: str, *, ffn: int) -> list[WeightEntry]:
    blocks, layer = f"{path}/stack/blocks", f"{side}.block.{{i}}.layer"
    buckets = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias"
    return [
        *_attention(f"{layer}.0", "SelfAttention", path, "attention"),
        *table(buckets, f"{path}/position/table"),
        *_ffn_in(config, f"{layer}.{ffn}.DenseReluDense", f"{blocks}/ffn"),
        *linear(f"{layer}.{ffn}.DenseReluDense.wo", f"{blocks}/ffn/down"),
        *norm(f"{layer}.{ffn}.layer_norm", f"{blocks}/residual/norms/ffn"),
        *norm(f"{side}.final_layer_norm", f"{path}/norm"),
    ]


def _attention(layer: str, name: str, side: str, part: str) -> list[WeightEntry]:
    blocks = f"{side}/stack/blocks"
    kernels = [linear(f"{layer}.{name}.{x}", f"{blocks}/{part}/{x}") for x in "qkvo"]
    own = norm(f"{layer}.layer_norm", f"{blocks}/residual/norms/{part}")
    return [entry for group in (*kernels, own) for entry in group]


def _scaled(names, config: Config) -> bool:
    """transformers 5 says it in a field; before, tied meant scaled."""
    tied = config.get("tie_word_embeddings", True) is not False
    return config.get("scale_decoder_outputs", tied)


def _own(names, config: Config) -> bool:
    return untied("lm_head.weight", "shared.weight")(names, config)


NO_LM_HEAD = ("model/head=none",)
ALONE = ("T5EncoderModel", "T5ForTokenClassification")


def answering(name: str) -> tuple[HeadVariant, HeadVariant]:
    """The classes that classify."""
    return (
        HeadVariant(
            f"{name}ForSequenceClassification",
            required_tensors=("classification_head.dense.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=classification"),
            labels=("classification_head.out_proj.weight", "classification"),
            base="transformer.",
        ),
        HeadVariant(
            f"{name}ForQuestionAnswering",
            required_tensors=("qa_outputs.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=span"),
        ),
    )


def alone(config: Config) -> bool:
    """Whether a config.json is that of an encoder without a decoder."""
    stated = {name.removeprefix("M") for name in config.get("architectures") or []}
    return bool(stated & set(ALONE)) or config.get("is_encoder_decoder") is False


UNTIED = ("model/head=untied",)
SCALED = {"scale_decoder_outputs": True}
LOOSE = {"tie_word_embeddings": False, "scale_decoder_outputs": False}


def caveats(config: Config) -> list[str]:
    """Logits that transformers 4 scales otherwise than this config.json says."""
    if not config["architectures"][0].endswith("ForConditionalGeneration"):
        return []
    scaled, tied = config.get("scale_decoder_outputs", False), config["tie_word_embeddings"]
    if scaled == tied:  # mT5 never says it, and is never scaled
        return []
    return [
        f"transformers 4 loads this and {'scales' if tied else 'does not scale'} its logits by "
        f"d_model**-0.5, as it does wherever tie_word_embeddings is {str(tied).lower()}; the model "
        f"{'does not' if tied else 'does'}: load it with transformers 5"
    ]


T5 = Family(
    types=("t5",),
    model="t5",
    base="",
    config_map=FIELDS,
    weight_map=weight_map,
    normalize=normalize,
    serialize=serialize,
    derived=("ffn",),
    caveats=caveats,
    when=lambda config: not alone(config),
    variants=(
        *answering("T5"),
        HeadVariant(
            "T5ForConditionalGeneration",
            overrides=("model/head=untied", "model.head.scaled=true"),
            when=lambda names, config: _own(names, config) and _scaled(names, config),
            config=LOOSE | SCALED,
        ),
        HeadVariant("T5ForConditionalGeneration", overrides=UNTIED, when=_own, config=LOOSE),
        HeadVariant("T5ForConditionalGeneration", when=_scaled, config=SCALED),
        HeadVariant(
            "T5ForConditionalGeneration",
            overrides=("model.head.scaled=false",),
            config={"scale_decoder_outputs": False},
        ),
        HeadVariant("T5Model", overrides=NO_LM_HEAD),
    ),
    ignored_tensors=(LOST.replace(".", r"\."),),
)

MT5_DEFAULTS = dict(d_ff=1024, num_layers=8, num_heads=6, feed_forward_proj="gated-gelu")


def modern_mt5(config: Config) -> Config:
    """What MT5Config takes where T5Config takes something else."""
    return normalize({**MT5_DEFAULTS, **config})


MT5 = dataclasses.replace(
    T5,
    types=("mt5",),
    normalize=modern_mt5,
    variants=(
        *answering("MT5"),
        HeadVariant("MT5ForConditionalGeneration", overrides=UNTIED, when=_own, config=LOOSE),
        HeadVariant("MT5ForConditionalGeneration", overrides=("model.head.scaled=false",)),
        HeadVariant("MT5Model", overrides=NO_LM_HEAD),
    ),
)


def encoder_alone(family: Family, name: str) -> Family:
    """The family's encoder without its decoder."""
    fields = [field for field in FIELDS if "layers" not in getattr(field, "name", "")]
    only = {"is_encoder_decoder": False}
    return dataclasses.replace(
        family,
        model="t5_encoder",
        config_map=(
            *fields,
            Value("num_layers", "model.layers", 6),
            Ignored(("num_decoder_layers",)),
        ),
        weight_map=encoder_names,
        when=alone,
        variants=(
            HeadVariant(
                f"{name}ForTokenClassification",
                required_tensors=("classifier.weight",),
                overrides=(*NO_LM_HEAD, "model/task_head=token_classification"),
                labels=("classifier.weight", "token_classification"),
                base="transformer.",
                config=only,
            ),
            HeadVariant(f"{name}EncoderModel", overrides=NO_LM_HEAD, config=only),
        ),
        ignored_tensors=(),
    )


T5_ENCODER, MT5_ENCODER = encoder_alone(T5, "T5"), encoder_alone(MT5, "MT5")
