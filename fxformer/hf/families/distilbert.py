"""DistilBERT. Sanh et al. 2019: BERT without token types; its norms have a fixed epsilon."""

from fxformer.hf.config_map import Choice, Config, Ignored, Value
from fxformer.hf.families.bert import ACTS, NO_LM_HEAD, OLD_NORMS, labelled
from fxformer.hf.family import Family, HeadVariant, multiple_choice, untied
from fxformer.hf.weight_map import WeightEntry, linear, norm, table, tensor

FIELDS = (
    Value("dim", "model.dim", 768),
    Value("n_layers", "model.layers", 6),
    Value("n_heads", "model.heads", 12),
    Value("hidden_dim", "model.ffn.hidden", 3072),
    Value("max_position_embeddings", "model.position.length", 512),
    Choice("activation", "model/act", ACTS, "gelu"),
    Value("dropout", "model.dropout", 0.1, free=True),
    Value("attention_dropout", "model.attention.dropout", 0.1, free=True),
    # sinusoidal_pos_embds: how the table began; files hold it either way
    Ignored(("initializer_range", "qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds")),
)


def weight_map(config: Config) -> list[WeightEntry]:
    """The body and the heads."""
    embed, stack = "distilbert.embeddings", "transformer/stack/blocks"
    layer = "distilbert.transformer.layer.{i}"
    return [
        *table(f"{embed}.word_embeddings", "token_embedding", copies=("vocab_projector",)),
        *table(f"{embed}.position_embeddings", "transformer/position/table"),
        *norm(f"{embed}.LayerNorm", "transformer/input/norm"),
        *linear(f"{layer}.attention.q_lin", f"{stack}/attention/q"),
        *linear(f"{layer}.attention.k_lin", f"{stack}/attention/k"),
        *linear(f"{layer}.attention.v_lin", f"{stack}/attention/v"),
        *linear(f"{layer}.attention.out_lin", f"{stack}/attention/o"),
        *norm(f"{layer}.sa_layer_norm", f"{stack}/residual/norms/attention"),
        *linear(f"{layer}.ffn.lin1", f"{stack}/ffn/up"),
        *linear(f"{layer}.ffn.lin2", f"{stack}/ffn/down"),
        *norm(f"{layer}.output_layer_norm", f"{stack}/residual/norms/ffn"),
        *linear("vocab_transform", "head/transform/dense"),
        *norm("vocab_layer_norm", "head/transform/norm"),
        *tensor("vocab_projector.bias", "head/bias"),
        *tensor("vocab_projector.weight", "head/output/embedding"),
        *linear("pre_classifier", "task_heads/classification/dense"),
        *linear("pre_classifier", "task_heads/multiple_choice/dense"),
        *linear("classifier", "task_heads/classification/output"),
        *linear("classifier", "task_heads/token_classification/output"),
        *linear("classifier", "task_heads/multiple_choice/output"),
        *linear("qa_outputs", "task_heads/span/output"),
    ]


DISTILBERT = Family(
    types=("distilbert",),
    model="distilbert",
    base="distilbert.",
    config_map=FIELDS,
    weight_map=weight_map,
    variants=(
        HeadVariant(
            "DistilBertForMaskedLM",
            required_tensors=("vocab_transform.weight",),
            overrides=("model/head=untied_mlm",),
            when=untied("vocab_projector.weight", "distilbert.embeddings.word_embeddings.weight"),
            config={"tie_word_embeddings": False},
        ),
        HeadVariant("DistilBertForMaskedLM", required_tensors=("vocab_transform.weight",)),
        multiple_choice("DistilBertForMultipleChoice", "pre_classifier.weight"),
        labelled(
            "DistilBertForSequenceClassification",
            "classification",
            "classifier.weight",
            required_tensors=("pre_classifier.weight",),
        ),
        labelled("DistilBertForTokenClassification", "token_classification", "classifier.weight"),
        HeadVariant(
            "DistilBertForQuestionAnswering",
            required_tensors=("qa_outputs.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=span"),
        ),
        HeadVariant("DistilBertModel", overrides=NO_LM_HEAD, base=""),
    ),
    ignored_tensors=(r"embeddings\.position_ids$",),
    legacy_names=OLD_NORMS,
    positions="row",
)
