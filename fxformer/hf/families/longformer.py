"""Longformer. Beltagy et al. 2020: RoBERTa's names, and global queries, keys and values.

transformers makes the first token global to classify a row where no global_attention_mask is given;
so does `model.attention.first_global` here. For question answering it takes the question's tokens,
for multiple choice those after the first separator: here the batch has to say so.
"""

from fxformer.hf.config_map import Config, ConfigMismatch, Ignored, RequiredValue, Value
from fxformer.hf.families import roberta
from fxformer.hf.families.bert import NO_LM_HEAD, OLD_NORMS
from fxformer.hf.family import Family, HeadVariant, multiple_choice, untied
from fxformer.hf.weight_map import WeightEntry, linear, renamed

FIELDS = (
    *roberta.FIELDS,
    Value("windows", "model.windows"),
    Value("first_global", "model.attention.first_global"),
    RequiredValue("attention_mode", "longformer", write=False),
    RequiredValue("ignore_attention_mask", False, write=False),
    Ignored(("attention_window", "onnx_export")),
)
CLASSES = "LongformerForSequenceClassification"


def windows(config: Config, layers: int) -> list[int]:
    """Each layer's window of ours, the token and one side; theirs counts both sides."""
    given = config.get("attention_window", 512)
    given = [given] * layers if type(given) is int and layers < 10_000 else given
    if (
        not isinstance(given, list)
        or len(given) != layers
        or any(type(w) is not int or w % 2 or w < 2 for w in given)
    ):
        raise ConfigMismatch(
            f"config.json: attention_window={given} is not an even number for "
            f"each of {layers} layers"
        )
    return [window // 2 + 1 for window in given]


def both_sides(found: list[int | None] | None) -> list[int]:
    """The inverse of `windows`."""
    known = [window for window in found or () if window is not None]
    if not found or len(known) < len(found):
        raise ConfigMismatch(f"a Longformer has a window in every layer, not model.windows={found}")
    return [2 * (window - 1) for window in known]


def normalize(config: Config) -> Config:
    """RoBERTa's positions, and windows."""
    own = {"windows": windows(config, config.get("num_hidden_layers", 12))}
    own["first_global"] = (config.get("architectures") or [None])[0] == CLASSES
    return roberta.normalize({**config, **own})


def serialize(config: Config) -> Config:
    """The inverse."""
    first, classes = config.pop("first_global"), config["architectures"] == [CLASSES]
    if first != classes:
        raise ConfigMismatch(
            "transformers makes a Longformer's first token global to classify rows and only then: "
            f"write model.attention.first_global={str(classes).lower()}"
        )
    config["attention_window"] = both_sides(config.pop("windows"))
    return roberta.serialize(config)


def global_names(file: str, path: str) -> list[WeightEntry]:
    """The projections of global tokens, of every layer."""
    pairs = (("query", "q"), ("key", "k"), ("value", "v"))
    return [e for f, p in pairs for e in linear(f"{file}.{f}_global", f"{path}/{p}_global")]


def weight_map(config: Config) -> list[WeightEntry]:
    """RoBERTa's and those of global tokens."""
    layer = "longformer.encoder.layer.{i}.attention.self"
    return [
        *renamed(roberta.weight_map(config), "roberta.", "longformer."),
        *global_names(layer, "transformer/stack/blocks/attention"),
    ]


WORDS = ("lm_head.dense.weight",)

LONGFORMER = Family(
    types=("longformer",),
    model="longformer",
    base="longformer.",
    config_map=FIELDS,
    weight_map=weight_map,
    normalize=normalize,
    serialize=serialize,
    derived=(*roberta.DERIVED, "windows", "first_global"),
    variants=(
        HeadVariant(
            "LongformerForMaskedLM",
            required_tensors=WORDS,
            overrides=("model/head=untied_mlm_gelu",),
            when=untied("lm_head.decoder.weight", "longformer.embeddings.word_embeddings.weight"),
            config={"tie_word_embeddings": False},
        ),
        HeadVariant(
            "LongformerForMaskedLM", required_tensors=WORDS, overrides=("model/head=mlm_gelu",)
        ),
        multiple_choice("LongformerForMultipleChoice", "longformer.pooler.dense.weight"),
        HeadVariant(
            CLASSES,
            required_tensors=("classifier.out_proj.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=classification"),
            labels=("classifier.out_proj.weight", "classification"),
        ),
        HeadVariant(
            "LongformerForTokenClassification",
            required_tensors=("classifier.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=token_classification"),
            labels=("classifier.weight", "token_classification"),
        ),
        HeadVariant(
            "LongformerForQuestionAnswering",
            required_tensors=("qa_outputs.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=span"),
        ),
        HeadVariant(
            "LongformerModel",
            required_tensors=("longformer.pooler.dense.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=pooler"),
            base="",
        ),
        HeadVariant("LongformerModel", overrides=NO_LM_HEAD, base=""),
    ),
    ignored_tensors=(r"embeddings\.(position|token_type)_ids$", r"^longformer\.pooler\."),
    legacy_names=OLD_NORMS,
)
