"""What published decoders have in common: the classes they come as and their heads' names."""

import dataclasses

from fxformer.hf.canonical_config import select
from fxformer.hf.config_map import Config, ConfigMismatch, Knob, Silent, spelt
from fxformer.hf.family import Form, Names, untied
from fxformer.hf.weight_map import Entry, linear, tensor

NO_WORDS = ("model/head=none",)


def heads(classes: str = "score", tokens: str = "classifier") -> list[Entry]:
    """Classifiers of a decoder, by the names of their last layers, and its own output table."""
    return [
        *linear(classes, "classifiers/classes/out"),
        *linear(tokens, "classifiers/tokens/out"),
        *linear("qa_outputs", "classifiers/span/out"),
        *tensor("lm_head.weight", "head/output/embedding"),
        *tensor("lm_head.bias", "head/bias"),
    ]


def forms(
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
) -> tuple[Form, ...]:
    """The classes of transformers that a decoder comes as.

    name: what they begin with; lm: how the one with words ends
    words, output: the word table and the output table
    tied: whether they are one where config.json does not say
    bias: whether the output has one
    classes, tokens: the last layers of classifiers; span_base: as Form.base
    lacks: ends of names that transformers has no class of
    """
    biased = ("model.head.bias=true",) if bias else ()
    loose = {"tie_word_embeddings": False}

    def one_table(names: Names, config: Config) -> bool:
        return output in names or config.get("tie_word_embeddings", tied) is not False

    found = (
        Form(
            f"{name}ForTokenClassification",
            needs=tokens,
            overrides=(*NO_WORDS, "model/classifiers=tokens"),
            labels=(tokens[0], "tokens"),
        ),
        Form(
            f"{name}ForSequenceClassification",
            needs=(f"{classes}.weight",),
            overrides=(*NO_WORDS, "model/classifiers=classes_last"),
            labels=(f"{classes}.weight", "classes"),
        ),
        Form(
            f"{name}ForQuestionAnswering",
            needs=("qa_outputs.weight",),
            overrides=(*NO_WORDS, "model/classifiers=span"),
            base=span_base,
        ),
        Form(
            f"{name}{lm}",
            overrides=("model/head=untied", *biased),
            when=untied(output, words),
            config=loose,
        ),
        Form(f"{name}{lm}", overrides=("model/head=tied", *biased), when=one_table),
        Form(f"{name}Model", overrides=NO_WORDS, base=""),
    )
    return tuple(form for form in found if form.architecture.removeprefix(name) not in lacks)


@dataclasses.dataclass(frozen=True)
class Inner(Knob):
    """The width of the feed-forward: four times the model's where it is null.

    width: what the model's is called, and its default
    """

    width: tuple[str, int] = ("n_embd", 768)

    def overrides(self, config: Config) -> list[str]:
        inner = config.get(self.file)
        return [f"{self.key}={_fourfold(config, self.width) if inner is None else spelt(inner)}"]


@dataclasses.dataclass(frozen=True)
class Fourfold(Silent):
    """A feed-forward of four times the model's width, whatever `files` say."""

    files: tuple[str, ...] = ()
    width: tuple[str, int] = ("n_embd", 768)

    def overrides(self, config: Config) -> list[str]:
        return [f"model.ffn.hidden={_fourfold(config, self.width)}"]

    def values(self, model: dict) -> Config:
        hidden, dim = select(model, "model.ffn.hidden"), select(model, "model.dim")
        if hidden != 4 * dim:
            raise ConfigMismatch(f"model.ffn.hidden={hidden}, and only {4 * dim} can be said")
        return {}


def _fourfold(config: Config, width: tuple[str, int]) -> int:
    """Four times the width of the model. ConfigMismatch where that is no number."""
    dim = config.get(*width)
    if not isinstance(dim, int):
        raise ConfigMismatch(f"config.json: {width[0]}={dim!r} is no width")
    return 4 * dim
