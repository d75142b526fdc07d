"""BERT. Devlin et al. 2019."""

import dataclasses

from fxformer.hf.config_map import Choice, Config, ConfigMismatch, Knob, Only, Silent
from fxformer.hf.family import Family, Form, untied
from fxformer.hf.weight_map import Entry, linear, norm, table, tensor

ACTS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
ACTS |= {"gelu_fast": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}


@dataclasses.dataclass(frozen=True)
class Types(Knob):
    """Rows of the table of token types, which transformers always looks up."""

    def values(self, model: dict) -> Config:
        found = super().values(model)
        if not found[self.file]:
            raise ConfigMismatch(f"{self.key}=0: a model without token types is a DistilBERT")
        return found


FIELDS = (
    Knob("hidden_size", "model.dim", 768),
    Knob("num_hidden_layers", "model.layers", 12),
    Knob("num_attention_heads", "model.heads", 12),
    Knob("intermediate_size", "model.ffn.hidden", 3072),
    Choice("hidden_act", "model/act", ACTS, "gelu"),
    Knob("layer_norm_eps", "model.norm.eps", 1e-12),
    Types("type_vocab_size", "model.embed.types", 2),
    Knob("hidden_dropout_prob", "model.dropout", 0.1, free=True),
    Knob("attention_probs_dropout_prob", "model.attention.dropout", 0.1, free=True),
    Knob("is_decoder", "model.encoder.causal", False),
    Only("position_embedding_type", "absolute", write=False),
    Silent(("initializer_range", "classifier_dropout", "directionality", "pooler_fc_size")),
    Silent(("pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head")),
    Silent(("pooler_type",)),
)
LENGTH = Knob("max_position_embeddings", "model.position.length", 512)


def body(base: str, copies: tuple[str, ...]) -> list[Entry]:
    """Embeddings and layers as BERT and its descendants name them, under a prefix.

    copies: the names of an output table that is the word table"""
    stack, layer = "transformer/stack/blocks", f"{base}encoder.layer.{{i}}"
    embed = f"{base}embeddings"
    return [
        *table(f"{embed}.word_embeddings", "words", copies=copies),
        *table(f"{embed}.position_embeddings", "transformer/position/table"),
        *table(f"{embed}.token_type_embeddings", "transformer/embed/types"),
        *norm(f"{embed}.LayerNorm", "transformer/embed/norm"),
        *linear(f"{layer}.attention.self.query", f"{stack}/attention/q"),
        *linear(f"{layer}.attention.self.key", f"{stack}/attention/k"),
        *linear(f"{layer}.attention.self.value", f"{stack}/attention/v"),
        *linear(f"{layer}.attention.output.dense", f"{stack}/attention/o"),
        *norm(f"{layer}.attention.output.LayerNorm", f"{stack}/residual/norms/attention"),
        *linear(f"{layer}.intermediate.dense", f"{stack}/ffn/up"),
        *linear(f"{layer}.output.dense", f"{stack}/ffn/down"),
        *norm(f"{layer}.output.LayerNorm", f"{stack}/residual/norms/ffn"),
    ]


def names(config: Config) -> list[Entry]:
    """BERT's body and all its heads."""
    return [
        *body("bert.", ("cls.predictions.decoder",)),
        *linear("cls.predictions.transform.dense", "head/transform/dense"),
        *norm("cls.predictions.transform.LayerNorm", "head/transform/norm"),
        *tensor("cls.predictions.bias", "head/bias", copies=("cls.predictions.decoder.bias",)),
        *tensor("cls.predictions.decoder.weight", "head/output/embedding"),
        *(e for k in ("pooler", "pairs", "classes") for e in _pooler(k)),
        *linear("cls.seq_relationship", "classifiers/pairs/out"),
        *linear("classifier", "classifiers/classes/out"),
        *linear("classifier", "classifiers/tokens/out"),
        *linear("qa_outputs", "classifiers/span/out"),
    ]


def _pooler(classifier: str) -> list[Entry]:
    return linear("bert.pooler.dense", f"classifiers/{classifier}/dense")


def labelled(architecture: str, classifier: str, tensor: str, option: str | None = None, **more):
    """The form of a body with a classifier for labels.

    tensor: its last weight, which has a row for each class; option: of model/classifiers"""
    return Form(
        architecture,
        needs=(tensor, *more.pop("needs", ())),
        overrides=(*NO_WORDS, f"model/classifiers={option or classifier}"),
        labels=(tensor, classifier),
        **more,
    )


def causal(
    architecture: str, needs: tuple[str, ...], loose: tuple[str, ...], own, tied: tuple = ()
) -> tuple[Form, Form]:
    """The forms of an encoder that sees no later token: is_decoder in its config.json.

    loose, own: what it is, and whether, with an output table of its own; tied: without"""
    later = ("model.encoder.causal=true",)

    def reads_on(names, config: Config) -> bool:
        return bool(config.get("is_decoder"))

    return (
        Form(
            architecture,
            needs=needs,
            overrides=(*loose, *later),
            when=lambda names, config: reads_on(names, config) and own(names, config),
            config={"tie_word_embeddings": False},
        ),
        Form(architecture, needs=needs, overrides=(*tied, *later), when=reads_on),
    )


NO_WORDS = ("model/head=none",)
OUTPUT, WORDS = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
UNTIED = ("model/head=untied_mlm",)
PAIRS, POOLER = ("model/classifiers=pairs",), ("model/classifiers=pooler",)
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
    fields=(*FIELDS, LENGTH),
    names=names,
    forms=(
        Form(
            "BertForPreTraining",
            needs=("cls.predictions.transform.dense.weight", "cls.seq_relationship.weight"),
            overrides=UNTIED + PAIRS,
            when=untied(OUTPUT, WORDS),
            config=LOOSE,
        ),
        Form(
            "BertForPreTraining",
            needs=("cls.predictions.transform.dense.weight", "cls.seq_relationship.weight"),
            overrides=PAIRS,
        ),
        *causal("BertLMHeadModel", ("cls.predictions.transform.dense.weight",), UNTIED, LOOSE_OWN),
        Form(
            "BertForMaskedLM",
            needs=("cls.predictions.transform.dense.weight",),
            overrides=UNTIED,
            when=untied(OUTPUT, WORDS),
            config=LOOSE,
        ),
        Form("BertForMaskedLM", needs=("cls.predictions.transform.dense.weight",)),
        Form(
            "BertForNextSentencePrediction",
            needs=("cls.seq_relationship.weight",),
            overrides=NO_WORDS + PAIRS,
        ),
        Form(
            "BertForSequenceClassification",
            needs=("classifier.weight", "bert.pooler.dense.weight"),
            overrides=(*NO_WORDS, "model/classifiers=classes"),
            labels=("classifier.weight", "classes"),
        ),
        Form(
            "BertForTokenClassification",
            needs=("classifier.weight",),
            overrides=(*NO_WORDS, "model/classifiers=tokens"),
            labels=("classifier.weight", "tokens"),
        ),
        Form(
            "BertForQuestionAnswering",
            needs=("qa_outputs.weight",),
            overrides=(*NO_WORDS, "model/classifiers=span"),
        ),
        Form(
            "BertModel",
            needs=("bert.pooler.dense.weight",),
            overrides=NO_WORDS + POOLER,
            base="",
        ),
        Form("BertModel", overrides=NO_WORDS, base=""),
    ),
    ignore=(r"embeddings\.position_ids$", r"embeddings\.token_type_ids$", r"^bert\.pooler\."),
    renames=OLD_NORMS,
    positions="row",
)
