"""ALBERT. Lan et al. 2020: narrow word vectors, layers that share their blocks, sentence order."""

from typing import Any

from fxformer.hf.config_map import Config, Ignored, Value
from fxformer.hf.families.bert import FIELDS as BERT_FIELDS
from fxformer.hf.families.bert import LENGTH, NO_LM_HEAD, OLD_NORMS, labelled
from fxformer.hf.family import Family, HeadVariant, multiple_choice, untied
from fxformer.hf.weight_map import WeightEntry, linear, norm, table, tensor

OWN = ("hidden_size", "hidden_dropout_prob", "attention_probs_dropout_prob")
FIELDS = (
    *(field for field in BERT_FIELDS if getattr(field, "name", None) not in OWN),
    LENGTH,
    Value("hidden_size", "model.dim", 4096),
    Value("embedding_size", "model.input.width", 128),
    Value("num_hidden_groups", "model.layer_groups", 1),
    Value("inner_group_num", "model.inner_layers", 1),
    Value("hidden_dropout_prob", "model.dropout", 0.0, free=True),
    Value("attention_probs_dropout_prob", "model.attention.dropout", 0.0, free=True),
    Ignored(("classifier_dropout_prob", "net_structure_type", "down_scale_factor", "gap_size")),
    Ignored(("num_memory_blocks",)),
)
DEFAULTS = {"num_attention_heads": 64, "intermediate_size": 16384, "hidden_act": "gelu_new"}


def normalize(config: Config) -> Config:
    """What AlbertConfig takes where BertConfig takes something else."""
    return {**DEFAULTS, **config}


def weight_map(config: Config) -> list[WeightEntry]:
    """One name for each block, not for each layer."""
    inner = config.get("inner_group_num", 1)
    own: dict[str, Any] = {"numbers": lambda block: {"g": block // inner, "k": block % inner}}
    layer = "albert.encoder.albert_layer_groups.{g}.albert_layers.{k}"
    embed, stack = "albert.embeddings", "transformer/stack/blocks"
    return [
        *table(f"{embed}.word_embeddings", "token_embedding", copies=("predictions.decoder",)),
        *table(f"{embed}.position_embeddings", "transformer/position/table"),
        *table(f"{embed}.token_type_embeddings", "transformer/input/type_embedding"),
        *norm(f"{embed}.LayerNorm", "transformer/input/norm"),
        *linear("albert.encoder.embedding_hidden_mapping_in", "transformer/input/projection"),
        *linear(f"{layer}.attention.query", f"{stack}/attention/q", **own),
        *linear(f"{layer}.attention.key", f"{stack}/attention/k", **own),
        *linear(f"{layer}.attention.value", f"{stack}/attention/v", **own),
        *linear(f"{layer}.attention.dense", f"{stack}/attention/o", **own),
        *norm(f"{layer}.attention.LayerNorm", f"{stack}/residual/norms/attention", **own),
        *linear(f"{layer}.ffn", f"{stack}/ffn/up", **own),
        *linear(f"{layer}.ffn_output", f"{stack}/ffn/down", **own),
        *norm(f"{layer}.full_layer_layer_norm", f"{stack}/residual/norms/ffn", **own),
        *linear("predictions.dense", "head/transform/dense"),
        *norm("predictions.LayerNorm", "head/transform/norm"),
        *tensor("predictions.bias", "head/bias", copies=("predictions.decoder.bias",)),
        *tensor("predictions.decoder.weight", "head/output/embedding"),
        *(e for k in POOLED for e in linear("albert.pooler", f"task_heads/{k}/dense")),
        *linear("sop_classifier.classifier", "task_heads/next_sentence/output"),
        *linear("classifier", "task_heads/classification/output"),
        *linear("classifier", "task_heads/token_classification/output"),
        *linear("classifier", "task_heads/multiple_choice/output"),
        *linear("qa_outputs", "task_heads/span/output"),
    ]


POOLED = ("next_sentence", "classification", "multiple_choice", "pooler")
WORDS = ("predictions.dense.weight",)
ORDER = ("sop_classifier.classifier.weight",)
OWN_TABLE = {
    "when": untied("predictions.decoder.weight", "albert.embeddings.word_embeddings.weight"),
    "config": {"tie_word_embeddings": False},
}
PAIRS, LOOSE = ("model/task_head=next_sentence",), ("model/head=untied_mlm",)

ALBERT = Family(
    types=("albert",),
    model="albert",
    base="albert.",
    config_map=FIELDS,
    weight_map=weight_map,
    normalize=normalize,
    variants=(
        HeadVariant(
            "AlbertForPreTraining",
            required_tensors=WORDS + ORDER,
            overrides=LOOSE + PAIRS,
            **OWN_TABLE,
        ),
        HeadVariant("AlbertForPreTraining", required_tensors=WORDS + ORDER, overrides=PAIRS),
        HeadVariant("AlbertForMaskedLM", required_tensors=WORDS, overrides=LOOSE, **OWN_TABLE),
        HeadVariant("AlbertForMaskedLM", required_tensors=WORDS),
        multiple_choice("AlbertForMultipleChoice", "albert.pooler.weight"),
        labelled(
            "AlbertForSequenceClassification",
            "classification",
            "classifier.weight",
            required_tensors=("albert.pooler.weight",),
        ),
        labelled("AlbertForTokenClassification", "token_classification", "classifier.weight"),
        HeadVariant(
            "AlbertForQuestionAnswering",
            required_tensors=("qa_outputs.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=span"),
        ),
        HeadVariant(
            "AlbertModel",
            required_tensors=("albert.pooler.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=pooler"),
            base="",
        ),
        HeadVariant("AlbertModel", overrides=NO_LM_HEAD, base=""),
    ),
    ignored_tensors=(r"embeddings\.(position|token_type)_ids$", r"^albert\.pooler\."),
    legacy_names=OLD_NORMS,
    output_names={"next_sentence": "sop_logits"},
    positions="row",
)
