"""BERT. Devlin et al. 2019."""

import dataclasses

from fxformer.hf.config_map import Choice, Config, ConfigMismatch, Ignored, RequiredValue, Value
from fxformer.hf.family import Family, HeadVariant, multiple_choice, untied
from fxformer.hf.weight_map import WeightEntry, linear, norm, table, tensor

ACTS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
ACTS |= {"gelu_fast": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}


@dataclasses.dataclass(frozen=True)
class Types(Value):
    """Rows of the table of token types, which transformers always looks up."""

    def values(self, model: dict) -> Config:
        found = super().values(model)
        if not found[self.name]:
            raise ConfigMismatch(f"{self.key}=0: a model without token types is a DistilBERT")
        return found


FIELDS = (
    Value("hidden_size", "model.dim", 768),
    Value("num_hidden_layers", "model.layers", 12),
    Value("num_attention_heads", "model.heads", 12),
    Value("intermediate_size", "model.ffn.hidden", 3072),
    Choice("hidden_act", "model/act", ACTS, "gelu"),
    Value("layer_norm_eps", "model.norm.eps", 1e-12),
    Types("type_vocab_size", "model.input.types", 2),
    Value("hidden_dropout_prob", "model.dropout", 0.1, free=True),
    Value("attention_probs_dropout_prob", "model.attention.dropout", 0.1, free=True),
    Value("is_decoder", "model.encoder.causal", False),
    RequiredValue("position_embedding_type", "absolute", write=False),
    Ignored(("initializer_range", "classifier_dropout", "directionality", "pooler_fc_size")),
    Ignored(("pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head")),
    Ignored(("pooler_type",)),
)
LENGTH = Value("max_position_embeddings", "model.position.length", 512)


def body(base: str, copies: tuple[str, ...]) -> list[WeightEntry]:
    """Embeddings and layers as BERT and its descendants name them, under a prefix.

    copies: the names of an output table that is the word table"""
    stack, layer = "transformer/stack/blocks", f"{base}encoder.layer.{{i}}"
    embed = f"{base}embeddings"
    return [
        *table(f"{embed}.word_embeddings", "token_embedding", copies=copies),
        *table(f"{embed}.position_embeddings", "transformer/position/table"),
        *table(f"{embed}.token_type_embeddings", "transformer/input/type_embedding"),
        *norm(f"{embed}.LayerNorm", "transformer/input/norm"),
        *linear(f"{layer}.attention.self.query", f"{stack}/attention/q"),
        *linear(f"{layer}.attention.self.key", f"{stack}/attention/k"),
        *linear(f"{layer}.attention.self.value", f"{stack}/attention/v"),
        *linear(f"{layer}.attention.output.dense", f"{stack}/attention/o"),
        *norm(f"{layer}.attention.output.LayerNorm", f"{stack}/residual/norms/attention"),
        *linear(f"{layer}.intermediate.dense", f"{stack}/ffn/up"),
        *linear(f"{layer}.output.dense", f"{stack}/ffn/down"),
        *norm(f"{layer}.output.LayerNorm", f"{stack}/residual/norms/ffn"),
    ]


def weight_map(config: Config) -> list[WeightEntry]:
    """BERT's body and all its heads."""
    return [
        *body("bert.", ("cls.predictions.decoder",)),
        *linear("cls.predictions.transform.dense", "head/transform/dense"),
        *norm("cls.predictions.transform.LayerNorm", "head/transform/norm"),
        *tensor("cls.predictions.bias", "head/bias", copies=("cls.predictions.decoder.bias",)),
        *tensor("cls.predictions.decoder.weight", "head/output/embedding"),
        *(
            e
            for k in ("pooler", "next_sentence", "classification", "multiple_choice")
            for e in _pooler(k)
        ),
        *linear("cls.seq_relationship", "task_heads/next_sentence/output"),
        *linear("classifier", "task_heads/classification/output"),
        *linear("classifier", "task_heads/token_classification/output"),
        *linear("classifier", "task_heads/multiple_choice/output"),
        *linear("qa_outputs", "task_heads/span/output"),
    ]


def _pooler(head: str) -> list[WeightEntry]:
    return linear("bert.pooler.dense", f"task_heads/{head}/dense")


def labelled(architecture: str, head: str, tensor: str, **more) -> HeadVariant:
    """The variant with a task head for labels. tensor: its last weight, one row for each class"""
    return HeadVariant(
        architecture,
        required_tensors=(tensor, *more.pop("required_tensors", ())),
        overrides=(*NO_LM_HEAD, f"model/task_head={head}"),
        labels=(tensor, head),
        **more,
    )


def causal(
    architecture: str, needs: tuple[str, ...], loose: tuple[str, ...], own, tied: tuple = ()
) -> tuple[HeadVariant, HeadVariant]:
    """The forms of an encoder that sees no later token: is_decoder in its config.json.

    loose, own: what it is, and whether, with an output table of its own; tied: without"""
    later = ("model.encoder.causal=true",)

    def reads_on(names, config: Config) -> bool:
        return bool(config.get("is_decoder"))

    return (
        HeadVariant(
            architecture,
            required_tensors=needs,
            overrides=(*loose, *later),
            when=lambda names, config: reads_on(names, config) and own(names, config),
            config={"tie_word_embeddings": False},
        ),
        HeadVariant(architecture, required_tensors=needs, overrides=(*tied, *later), when=reads_on),
    )


NO_LM_HEAD = ("model/head=none",)
OUTPUT, WORDS = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
UNTIED = ("model/head=untied_mlm",)
PAIRS, POOLER = ("model/task_head=next_sentence",), ("model/task_head=pooler",)
LOOSE = {"tie_word_embeddings": False}
LOOSE_OWN = untied(OUTPUT, WORDS)

OLD_NORMS = (
    (r"LayerNorm\.gamma$", "LayerNorm.weight"),
    (r"LayerNorm\.beta$", "LayerNorm.bias"),
)

BERT = Family(
    types=("bert",),
    model="bert",
    base="bert.",
    config_map=(*FIELDS, LENGTH),
    weight_map=weight_map,
    variants=(
        HeadVariant(
            "BertForPreTraining",
            required_tensors=(
                "cls.predictions.transform.dense.weight",
                "cls.seq_relationship.weight",
            ),
            overrides=UNTIED + PAIRS,
            when=untied(OUTPUT, WORDS),
            config=LOOSE,
        ),
        HeadVariant(
            "BertForPreTraining",
            required_tensors=(
                "cls.predictions.transform.dense.weight",
                "cls.seq_relationship.weight",
            ),
            overrides=PAIRS,
        ),
        *causal("BertLMHeadModel", ("cls.predictions.transform.dense.weight",), UNTIED, LOOSE_OWN),
        HeadVariant(
            "BertForMaskedLM",
            required_tensors=("cls.predictions.transform.dense.weight",),
            overrides=UNTIED,
            when=untied(OUTPUT, WORDS),
            config=LOOSE,
        ),
        HeadVariant(
            "BertForMaskedLM", required_tensors=("cls.predictions.transform.dense.weight",)
        ),
        HeadVariant(
            "BertForNextSentencePrediction",
            required_tensors=("cls.seq_relationship.weight",),
            overrides=NO_LM_HEAD + PAIRS,
        ),
        multiple_choice("BertForMultipleChoice", "bert.pooler.dense.weight"),
        HeadVariant(
            "BertForSequenceClassification",
            required_tensors=("classifier.weight", "bert.pooler.dense.weight"),
            overrides=(*NO_LM_HEAD, "model/task_head=classification"),
            labels=("classifier.weight", "classification"),
        ),
        HeadVariant(
            "BertForTokenClassification",
            required_tensors=("classifier.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=token_classification"),
            labels=("classifier.weight", "token_classification"),
        ),
        HeadVariant(
            "BertForQuestionAnswering",
            required_tensors=("qa_outputs.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=span"),
        ),
        HeadVariant(
            "BertModel",
            required_tensors=("bert.pooler.dense.weight",),
            overrides=NO_LM_HEAD + POOLER,
            base="",
        ),
        HeadVariant("BertModel", overrides=NO_LM_HEAD, base=""),
    ),
    ignored_tensors=(
        r"embeddings\.position_ids$",
        r"embeddings\.token_type_ids$",
        r"^bert\.pooler\.",
    ),
    legacy_names=OLD_NORMS,
    positions="row",
)
