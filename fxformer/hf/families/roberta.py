"""RoBERTa. Liu et al. 2019; XLM-R, Conneau et al. 2020; CamemBERT, Martin et al. 2020.

The first rows of the position table stand for padding: max_position_embeddings counts them.
"""

from fxformer.hf.config_map import Config, ConfigMismatch, Ignored, Value
from fxformer.hf.families.bert import FIELDS as BERT_FIELDS
from fxformer.hf.families.bert import NO_LM_HEAD, OLD_NORMS, Types, body, causal, labelled
from fxformer.hf.family import Family, HeadVariant, multiple_choice, untied
from fxformer.hf.weight_map import WeightEntry, linear, norm, tensor

OWN = ("layer_norm_eps", "type_vocab_size")
FIELDS = (
    *(field for field in BERT_FIELDS if getattr(field, "name", None) not in OWN),
    Value("layer_norm_eps", "model.norm.eps", 1e-12),
    Types("type_vocab_size", "model.input.types", 2),
    Value("positions", "model.position.length"),
    Value("first_position", "model.position.offset"),
    Ignored(("max_position_embeddings",)),
)

DERIVED = ("positions", "first_position")


def normalize(config: Config) -> Config:
    """Positions counted without the rows that stand for padding."""
    rows, pad = config.get("max_position_embeddings", 512), config.get("pad_token_id", 1)
    if type(rows) is not int or type(pad) is not int or rows <= pad + 1:
        raise ConfigMismatch(f"config.json: {rows} positions of which the first is {pad} + 1")
    return {**config, "positions": rows - pad - 1, "first_position": pad + 1}


def serialize(config: Config) -> Config:
    """The inverse. Where the first position is, the padding id says."""
    made = {**config}
    first = made.pop("first_position")
    rows = made.pop("positions") + first
    return {**made, "max_position_embeddings": rows, "pad_token_id": first - 1}


def weight_map(config: Config) -> list[WeightEntry]:
    """The body and the heads."""
    return [
        *body("roberta.", ("lm_head.decoder",)),
        *linear("lm_head.dense", "head/transform/dense"),
        *norm("lm_head.layer_norm", "head/transform/norm"),
        *tensor("lm_head.bias", "head/bias", copies=("lm_head.decoder.bias",)),
        *tensor("lm_head.decoder.weight", "head/output/embedding"),
        *linear("classifier.dense", "task_heads/classification/dense"),
        *linear("classifier.out_proj", "task_heads/classification/output"),
        *linear("classifier", "task_heads/token_classification/output"),
        *linear("classifier", "task_heads/multiple_choice/output"),
        *linear("qa_outputs", "task_heads/span/output"),
        *linear("roberta.pooler.dense", "task_heads/pooler/dense"),
        *linear("roberta.pooler.dense", "task_heads/multiple_choice/dense"),
    ]


def variants(family: str) -> tuple[HeadVariant, ...]:
    """The classes: Roberta, XLMRoberta, Camembert …"""
    own = untied("lm_head.decoder.weight", "roberta.embeddings.word_embeddings.weight")
    pooler = (*NO_LM_HEAD, "model/task_head=pooler")
    loose = {"tie_word_embeddings": False}
    words, loose_head = ("lm_head.dense.weight",), ("model/head=untied_mlm_gelu",)
    return (
        *causal(f"{family}ForCausalLM", words, loose_head, own, ("model/head=mlm_gelu",)),
        HeadVariant(
            f"{family}ForMaskedLM",
            required_tensors=words,
            overrides=loose_head,
            when=own,
            config=loose,
        ),
        HeadVariant(
            f"{family}ForMaskedLM", required_tensors=words, overrides=("model/head=mlm_gelu",)
        ),
        labelled(
            f"{family}ForSequenceClassification", "classification", "classifier.out_proj.weight"
        ),
        multiple_choice(f"{family}ForMultipleChoice", "roberta.pooler.dense.weight"),
        labelled(f"{family}ForTokenClassification", "token_classification", "classifier.weight"),
        HeadVariant(
            f"{family}ForQuestionAnswering",
            required_tensors=("qa_outputs.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=span"),
        ),
        HeadVariant(
            f"{family}Model",
            required_tensors=("roberta.pooler.dense.weight",),
            overrides=pooler,
            base="",
        ),
        HeadVariant(f"{family}Model", overrides=NO_LM_HEAD, base=""),
    )


def family(kind: str, architecture: str) -> Family:
    """A model_type of this family."""
    return Family(
        types=(kind,),
        model="roberta",
        base="roberta.",
        config_map=FIELDS,
        weight_map=weight_map,
        variants=variants(architecture),
        normalize=normalize,
        serialize=serialize,
        derived=DERIVED,
        ignored_tensors=(r"embeddings\.(position|token_type)_ids$", r"^roberta\.pooler\."),
        legacy_names=OLD_NORMS,
    )


ROBERTA = family("roberta", "Roberta")
XLM_ROBERTA = family("xlm-roberta", "XLMRoberta")
CAMEMBERT = family("camembert", "Camembert")
