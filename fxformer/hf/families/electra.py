"""ELECTRA, generator and discriminator. Clark et al. 2020."""

from fxformer.hf.config_map import Config, Ignored, RequiredValue, Value
from fxformer.hf.families.bert import FIELDS as BERT_FIELDS
from fxformer.hf.families.bert import LENGTH, NO_LM_HEAD, OLD_NORMS, body, causal, labelled
from fxformer.hf.family import Family, HeadVariant, multiple_choice, untied
from fxformer.hf.weight_map import WeightEntry, linear, norm, tensor

FIELDS = (
    *BERT_FIELDS,
    LENGTH,
    Value("embedding_size", "model.input.width", 128),
    Ignored(("summary_activation", "summary_last_dropout", "summary_type", "summary_use_proj")),
)
DEFAULTS = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}


def normalize(config: Config) -> Config:
    """What ElectraConfig takes where BertConfig takes something else."""
    return {**DEFAULTS, **config}


def weight_map(config: Config) -> list[WeightEntry]:
    """BERT's body; the generator's words, the discriminator's answer for each token."""
    return [
        *body("electra.", ("generator_lm_head",)),
        *linear("electra.embeddings_project", "transformer/input/projection"),
        *linear("generator_predictions.dense", "head/transform/dense"),
        *norm("generator_predictions.LayerNorm", "head/transform/norm"),
        *tensor("generator_lm_head.bias", "head/bias"),
        *tensor("generator_lm_head.weight", "head/output/embedding"),
        *linear("discriminator_predictions.dense", "head/dense"),
        *linear("discriminator_predictions.dense_prediction", "head/output"),
        *linear("classifier.dense", "task_heads/classification/dense"),
        *linear("classifier.out_proj", "task_heads/classification/output"),
        *linear("classifier", "task_heads/token_classification/output"),
        *linear("classifier", "task_heads/multiple_choice/output"),
        *linear("sequence_summary.summary", "task_heads/multiple_choice/dense"),
        *linear("qa_outputs", "task_heads/span/output"),
    ]


WORDS, LOOSE = ("generator_predictions.dense.weight",), ("model/head=untied_mlm_gelu",)
SUMMARY = (  # of ElectraForMultipleChoice alone
    RequiredValue("summary_type", "first"),
    RequiredValue("summary_use_proj", True),
    RequiredValue("summary_activation", "gelu"),
)
OWN = untied("generator_lm_head.weight", "electra.embeddings.word_embeddings.weight")

ELECTRA = Family(
    types=("electra",),
    model="electra",
    base="electra.",
    config_map=FIELDS,
    weight_map=weight_map,
    normalize=normalize,
    variants=(
        *causal("ElectraForCausalLM", WORDS, LOOSE, OWN, ("model/head=mlm_gelu",)),
        HeadVariant(
            "ElectraForMaskedLM",
            required_tensors=WORDS,
            overrides=LOOSE,
            when=OWN,
            config={"tie_word_embeddings": False},
        ),
        HeadVariant(
            "ElectraForMaskedLM", required_tensors=WORDS, overrides=("model/head=mlm_gelu",)
        ),
        HeadVariant(
            "ElectraForPreTraining",
            required_tensors=("discriminator_predictions.dense.weight",),
            overrides=("model/head=rtd",),
        ),
        labelled(
            "ElectraForSequenceClassification", "classification", "classifier.out_proj.weight"
        ),
        multiple_choice(
            "ElectraForMultipleChoice", "sequence_summary.summary.weight", config_map=SUMMARY
        ),
        labelled("ElectraForTokenClassification", "token_classification", "classifier.weight"),
        HeadVariant(
            "ElectraForQuestionAnswering",
            required_tensors=("qa_outputs.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=span"),
        ),
        HeadVariant("ElectraModel", overrides=NO_LM_HEAD, base=""),
    ),
    ignored_tensors=(r"embeddings\.(position|token_type)_ids$",),
    legacy_names=OLD_NORMS,
    positions="row",
)
