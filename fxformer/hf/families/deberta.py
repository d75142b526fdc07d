"""DeBERTa, and DeBERTa v2 and v3. He et al. 2021, 2023."""

import dataclasses

from fxformer.hf.config_map import (
    Choice,
    Config,
    ConfigMismatch,
    Ignored,
    RequiredValue,
    Switch,
    Value,
)
from fxformer.hf.families.bert import ACTS
from fxformer.hf.family import Family, HeadVariant, multiple_choice, untied
from fxformer.hf.tensor_layout import TensorLayout, by_head
from fxformer.hf.weight_map import WeightEntry, linear, norm, table, tensor

POSITIONS = {False: "disentangled", True: "disentangled_learned"}
FIELDS = (
    Value("hidden_size", "model.dim", 768),
    Value("num_hidden_layers", "model.layers", 12),
    Value("num_attention_heads", "model.heads", 12),
    Value("intermediate_size", "model.ffn.hidden", 3072),
    Choice("hidden_act", "model/act", ACTS, "gelu"),
    Value("layer_norm_eps", "model.norm.eps", 1e-7),
    Value("type_vocab_size", "model.input.types", 0),
    Choice("position_biased_input", "model/position", POSITIONS, True),
    Value("rows", "model.position.length"),
    Value("max_relative_positions", "model.position.max_distance"),
    Value("c2p", "model.attention.content_to_position"),
    Value("p2c", "model.attention.position_to_content"),
    Value("hidden_dropout_prob", "model.dropout", 0.1, free=True),
    Value("attention_probs_dropout_prob", "model.attention.dropout", 0.1, free=True),
    RequiredValue("relative_attention", True),
    RequiredValue("pooler_hidden_act", "gelu"),
    RequiredValue("talking_head", False, write=False),
    Ignored(("max_position_embeddings", "pos_att_type", "embedding_size", "attention_head_size")),
    Ignored(("pooler_hidden_size", "pooler_dropout", "cls_dropout", "initializer_range")),
    Ignored(("legacy", "padding_idx", "position_embedding_type")),
)
V1 = (
    *FIELDS,
    Value("buckets", "model.position.num_buckets"),
    Switch("norm_rel_ebd", "model.position.norm", "layer_norm", "none"),
)
V2 = (
    *FIELDS,
    Value("position_buckets", "model.position.num_buckets"),
    Value("share_att_key", "model.attention.share_projections", False),
    Switch("norm_rel_ebd", "model.position.norm", "layer_norm", "none"),
    Choice("conv", "model/convolution", {"none": "none", "gelu": "gelu", "tanh": "tanh"}),
    RequiredValue("conv_groups", 1, write=False),
    Ignored(("conv_kernel_size", "conv_act")),
)
V2_DEFAULTS = {
    "hidden_size": 1536,
    "num_hidden_layers": 24,
    "num_attention_heads": 24,
    "intermediate_size": 6144,
}


def normalize(config: Config) -> Config:
    """What fields leave to each other, said outright."""
    width, heads = config.get("hidden_size", 768), config.get("num_attention_heads", 12)
    same = {
        "embedding_size": width,
        "pooler_hidden_size": width,
        "attention_head_size": width // max(heads, 1),
    }
    for name, value in same.items():
        if config.get(name, value) != value:
            raise ConfigMismatch(
                f"config.json: {name}={config[name]} has no counterpart, only "
                f"{value} at a width of {width} and {heads} heads"
            )
    terms = config.get("pos_att_type") or []
    terms = [t.strip() for t in terms.lower().split("|")] if isinstance(terms, str) else terms
    if set(terms) - {"c2p", "p2c"} or len(set(terms)) != len(terms):
        raise ConfigMismatch(f"config.json: pos_att_type={terms} has no counterpart, only c2p, p2c")
    length, reach = config.get("max_position_embeddings", 512), config.get("max_relative_positions")
    own = {"relative_attention": config.get("relative_attention", False)}
    own |= {"c2p": "c2p" in terms, "p2c": "p2c" in terms}
    own["rows"] = length if config.get("position_biased_input", True) else None
    own["max_relative_positions"] = length if reach is None or reach < 1 else reach
    return {"buckets": None, **config, **own}


def modern_v2(config: Config) -> Config:
    """And v2's own: buckets, the norm of the table, the convolution."""
    config = normalize({**V2_DEFAULTS, **config})
    buckets, size = config.get("position_buckets", -1), config.get("conv_kernel_size", 0)
    if size not in (0, 3):
        raise ConfigMismatch(f"config.json: conv_kernel_size={size} has no counterpart, only 3")
    words = [w.strip() for w in str(config.get("norm_rel_ebd", "none")).lower().split("|")]
    own = {
        "position_buckets": buckets if buckets is not None and buckets > 0 else None,
        "norm_rel_ebd": words[0] if len(words) == 1 else "|".join(words),
        "conv": config.get("conv_act", "tanh") if size else "none",
    }
    config = {name: value for name, value in config.items() if name != "buckets"}
    return {**config, **own}


def serialize(config: Config) -> Config:
    """Fields as transformers reads them."""
    rows, buckets = config.pop("rows"), config.pop("buckets", None)
    terms = [name for name in ("c2p", "p2c") if config.pop(name)]
    if buckets is not None or config.pop("norm_rel_ebd", "none") != "none":
        raise ConfigMismatch("DeBERTa v1 has no buckets and no norm over its table: v2 has")
    own = {} if rows is None else {"max_position_embeddings": rows}
    return {**config, **own, "pos_att_type": terms, "pooler_hidden_size": config["hidden_size"]}


def written_v2(config: Config) -> Config:
    """And v2's own."""
    conv, norms, buckets = (config.pop(n) for n in ("conv", "norm_rel_ebd", "position_buckets"))
    own = {"norm_rel_ebd": norms, "position_buckets": -1 if buckets is None else buckets}
    own |= {} if conv == "none" else {"conv_kernel_size": 3, "conv_act": conv}
    return {**serialize(config), **own}


# [out in size] of a torch Conv1d -> [size · in, out]; SIZE is that of all published models
SIZE = 3
TAPS = TensorLayout(
    "transposed",
    lambda x: (_taps(x),),
    lambda parts: parts[0].reshape(SIZE, -1, parts[0].shape[-1]).transpose(2, 1, 0),
)


def _taps(x):
    if x.ndim != 3 or x.shape[-1] != SIZE:
        raise ValueError(f"a convolution over {SIZE} neighbours is [out, in, {SIZE}]")
    return x.transpose(2, 1, 0).reshape(-1, x.shape[0])


def body(projections) -> list[WeightEntry]:
    """Embeddings, the relative table and layers; projections: (file, path) -> an attention's."""
    file, path = "deberta.encoder.layer.{i}", "transformer/stack/blocks"
    embed = "deberta.embeddings"
    return [
        *table(f"{embed}.word_embeddings", "token_embedding"),
        *table(f"{embed}.position_embeddings", "transformer/position/table"),
        *table(f"{embed}.token_type_embeddings", "transformer/input/type_embedding"),
        *norm(f"{embed}.LayerNorm", "transformer/input/norm"),
        *table("deberta.encoder.rel_embeddings", "transformer/position/relative_embedding"),
        *projections(f"{file}.attention.self", f"{path}/attention"),
        *linear(f"{file}.attention.output.dense", f"{path}/attention/o"),
        *norm(f"{file}.attention.output.LayerNorm", f"{path}/residual/norms/attention"),
        *linear(f"{file}.intermediate.dense", f"{path}/ffn/up"),
        *linear(f"{file}.output.dense", f"{path}/ffn/down"),
        *norm(f"{file}.output.LayerNorm", f"{path}/residual/norms/ffn"),
    ]


def heads(config: Config) -> list[WeightEntry]:
    """Language-model head: tensors under one of two names; `legacy` says which is written."""
    old, new = "cls.predictions", "lm_predictions.lm_head"
    pairs = [
        (f"{old}.transform.dense.{k}", f"{new}.dense.{k}", f"head/transform/dense/{ours}")
        for k, ours in (("weight", "kernel"), ("bias", "bias"))
    ]
    pairs += [
        (f"{old}.transform.LayerNorm.{k}", f"{new}.LayerNorm.{k}", f"head/transform/norm/{ours}")
        for k, ours in (("weight", "scale"), ("bias", "bias"))
    ]
    pairs += [(f"{old}.bias", f"{new}.bias", "head/bias")]
    turned = linear("", "")[0].layout
    found = []
    for first, second, path in pairs:
        if config.get("legacy", True) is False:
            first, second = second, first
        copies = (second, f"{old}.decoder.bias") if path == "head/bias" else (second,)
        found += tensor(first, path, *([turned] if path.endswith("kernel") else []), copies=copies)
    return [
        *found,
        *tensor(f"{old}.decoder.weight", "head/output/embedding"),
        *linear("pooler.dense", "task_heads/classification/dense"),
        *linear("pooler.dense", "task_heads/multiple_choice/dense"),
        *linear("classifier", "task_heads/classification/output"),
        *linear("classifier", "task_heads/token_classification/output"),
        *linear("classifier", "task_heads/multiple_choice/output"),
        *linear("qa_outputs", "task_heads/span/output"),
    ]


def weight_map(config: Config) -> list[WeightEntry]:
    """v1: one projection for queries, keys and values, ordered by heads."""

    def projections(file: str, path: str) -> list[WeightEntry]:
        kernels = tuple(f"{path}/{part}/kernel" for part in "qkv")
        apart = by_head(config.get("num_attention_heads", 12))
        return [
            WeightEntry(f"{file}.in_proj.weight", kernels, apart),
            *tensor(f"{file}.q_bias", f"{path}/q/bias"),
            *tensor(f"{file}.v_bias", f"{path}/v/bias"),
            *linear(f"{file}.pos_proj", f"{path}/position_k"),
            *linear(f"{file}.pos_q_proj", f"{path}/position_q"),
        ]

    return [*body(projections), *heads(config)]


def names_v2(config: Config) -> list[WeightEntry]:
    """v2 and v3: projections apart, a norm over the table, a convolution."""

    def projections(file: str, path: str) -> list[WeightEntry]:
        pairs = (("query", "q"), ("key", "k"), ("value", "v"))
        pairs += (("pos_key", "position_k"), ("pos_query", "position_q"))
        return [e for n, p in pairs for e in linear(f"{file}.{n}_proj", f"{path}/{p}")]

    conv, local = "deberta.encoder.conv", "transformer/stack/convolution"
    return [
        *body(projections),
        *norm("deberta.encoder.LayerNorm", "transformer/position/norm"),
        *linear(f"{conv}.conv", f"{local}/conv", TAPS),
        *norm(f"{conv}.LayerNorm", f"{local}/norm"),
        *heads(config),
    ]


def variants(family: str) -> tuple[HeadVariant, ...]:
    """The classes of v1 and v2: Deberta, DebertaV2."""
    none, words = "model/head=none", "deberta.embeddings.word_embeddings.weight"
    return (
        HeadVariant(
            f"{family}ForMaskedLM",
            required_tensors=("cls.predictions.bias",),
            overrides=("model/head=untied_mlm",),
            when=untied("cls.predictions.decoder.weight", words),
            config={"legacy": True, "tie_word_embeddings": False},
        ),
        HeadVariant(f"{family}ForMaskedLM", required_tensors=("lm_predictions.lm_head.bias",)),
        HeadVariant(f"{family}ForMaskedLM", required_tensors=("cls.predictions.bias",)),
        HeadVariant(
            f"{family}ForSequenceClassification",
            required_tensors=("classifier.weight", "pooler.dense.weight"),
            overrides=(none, "model/task_head=classification"),
            labels=("classifier.weight", "classification"),
        ),
        HeadVariant(
            f"{family}ForTokenClassification",
            required_tensors=("classifier.weight",),
            overrides=(none, "model/task_head=token_classification"),
            labels=("classifier.weight", "token_classification"),
        ),
        HeadVariant(
            f"{family}ForQuestionAnswering",
            required_tensors=("qa_outputs.weight",),
            overrides=(none, "model/task_head=span"),
        ),
        HeadVariant(f"{family}Model", overrides=(none,), base=""),
    )


DEBERTA = Family(
    types=("deberta",),
    model="deberta",
    base="deberta.",
    config_map=V1,
    weight_map=weight_map,
    normalize=normalize,
    serialize=serialize,
    derived=("rows", "c2p", "p2c", "buckets"),
    variants=variants("Deberta"),
    ignored_tensors=(r"embeddings\.position_ids$", r"^mask_predictions\.", r"^pooler\."),
    legacy_names=(
        (r"LayerNorm\.gamma$", "LayerNorm.weight"),
        (r"LayerNorm\.beta$", "LayerNorm.bias"),
    ),
    positions="row",
)
DEBERTA_V2 = dataclasses.replace(
    DEBERTA,
    types=("deberta-v2",),
    model="deberta_v3",
    config_map=V2,
    weight_map=names_v2,
    normalize=modern_v2,
    serialize=written_v2,
    derived=("rows", "c2p", "p2c", "conv"),
    variants=(
        multiple_choice("DebertaV2ForMultipleChoice", "pooler.dense.weight"),
        *variants("DebertaV2"),
    ),
)
