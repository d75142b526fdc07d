"""Head variants and weight-map entries shared by the decoder families."""

import dataclasses

from fxformer.hf.canonical_config import select
from fxformer.hf.config_map import Config, ConfigMismatch, Ignored, Value, override_value
from fxformer.hf.family import HeadVariant, TensorNames, untied
from fxformer.hf.weight_map import WeightEntry, linear, tensor

NO_LM_HEAD = ("model/head=none",)


def heads(classes: str = "score", tokens: str = "classifier") -> list[WeightEntry]:
    """Entries of a decoder's task heads (names of their last layers) and output projection."""
    return [
        *linear(classes, "task_heads/classification/output"),
        *linear(tokens, "task_heads/token_classification/output"),
        *linear("qa_outputs", "task_heads/span/output"),
        *tensor("lm_head.weight", "head/output/embedding"),
        *tensor("lm_head.bias", "head/bias"),
    ]


def variants(
    name: str,
    words: str,
    *,
    tied: bool,
    lm: str = "ForCausalLM",
    output: str = "lm_head.weight",
    bias: bool = False,
    classes: str = "score",
    tokens: tuple[str, ...] = ("classifier.weight",),
    span_base: str | None = None,
    lacks: tuple[str, ...] = (),
) -> tuple[HeadVariant, ...]:
    """Head variants of a decoder family.

    name: prefix of the class names
    words, output: tensors of the token embedding and of the output projection
    tied: whether these are tied if config.json does not say
    lm: suffix of the language-model class
    bias: whether the output projection has a bias
    classes, tokens: last layers of the task heads
    span_base: HeadVariant.base of question answering
    lacks: suffixes of classes that transformers does not have
    """
    biased = ("model.head.bias=true",) if bias else ()
    loose = {"tie_word_embeddings": False}

    def one_table(names: TensorNames, config: Config) -> bool:
        return output in names or config.get("tie_word_embeddings", tied) is not False

    found = (
        HeadVariant(
            f"{name}ForTokenClassification",
            required_tensors=tokens,
            overrides=(*NO_LM_HEAD, "model/task_head=token_classification"),
            labels=(tokens[0], "token_classification"),
        ),
        HeadVariant(
            f"{name}ForSequenceClassification",
            required_tensors=(f"{classes}.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=classification"),
            labels=(f"{classes}.weight", "classification"),
        ),
        HeadVariant(
            f"{name}ForQuestionAnswering",
            required_tensors=("qa_outputs.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=span"),
            base=span_base,
        ),
        HeadVariant(
            f"{name}{lm}",
            overrides=("model/head=untied", *biased),
            when=untied(output, words),
            config=loose,
        ),
        HeadVariant(f"{name}{lm}", overrides=("model/head=tied", *biased), when=one_table),
        HeadVariant(f"{name}Model", overrides=NO_LM_HEAD, base=""),
    )
    return tuple(
        variant for variant in found if variant.architecture.removeprefix(name) not in lacks
    )


@dataclasses.dataclass(frozen=True)
class Inner(Value):
    """Width of the feed-forward layers: four times the model width if null.

    width: field of the model width, and its default
    """

    width: tuple[str, int] = ("n_embd", 768)

    def overrides(self, config: Config) -> list[str]:
        inner = config.get(self.name)
        width = _fourfold(config, self.width) if inner is None else override_value(inner)
        return [f"{self.key}={width}"]


@dataclasses.dataclass(frozen=True)
class Fourfold(Ignored):
    """Feed-forward width fixed to four times the model width; `names` are ignored fields."""

    names: tuple[str, ...] = ()
    width: tuple[str, int] = ("n_embd", 768)

    def overrides(self, config: Config) -> list[str]:
        return [f"model.ffn.hidden={_fourfold(config, self.width)}"]

    def values(self, model: dict) -> Config:
        hidden, dim = select(model, "model.ffn.hidden"), select(model, "model.dim")
        if hidden != 4 * dim:
            raise ConfigMismatch(
                f"model.ffn.hidden={hidden}, but the family supports only {4 * dim}"
            )
        return {}


def _fourfold(config: Config, width: tuple[str, int]) -> int:
    """Four times the model width. ConfigMismatch if that is not an int."""
    dim = config.get(*width)
    if not isinstance(dim, int):
        raise ConfigMismatch(f"config.json: {width[0]}={dim!r}, expected an int")
    return 4 * dim
