"""text2text-generation: a text for a text, by an encoder-decoder or a decoder trained for it."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from fxformer.batch import Batch
from fxformer.inference.pipelines.base import PreparedRow, check_text
from fxformer.inference.pipelines.generating import (
    GeneratingOptions,
    GeneratingPipeline,
    Request,
    check_generator,
)
from fxformer.inference.pipelines.inputs import templates, token_ids, tokenizer_of
from fxformer.inference.text_generation import GeneratedText
from fxformer.task.seq2seq import separator_ids


@dataclasses.dataclass(frozen=True)
class Text2TextOptions(GeneratingOptions):
    """prefix: put in front of every text ("summarize: "); None: that of config.json for the task"""

    prefix: str | None = None


class Text2TextGeneration(GeneratingPipeline):
    """[{"generated_text": …}, …], num_return_sequences of them, the best first; of a list of rows
    with one each, one {"generated_text": …} for a row.

    A row is a text; one that is too long for the model is refused. Options are those of
    GenerationConfig, and prefix. A decoder must be a run of task=seq2seq; it reads what precedes a
    target there: prefix, text and separator.
    """

    task = "text2text-generation"
    Options = Text2TextOptions
    key: ClassVar[str] = "generated_text"

    def check(self) -> None:
        """Raise UserError for a model that does not write a text for a text."""
        joined = ("decoder",) if self.card.writes_targets else ()
        check_generator(self.model, self.task, ("seq2seq", *joined))
        self._templates, self._separator = templates(self.model), np.zeros(0, np.int32)
        if self.model.architecture == "decoder":
            self._separator = separator_ids(tokenizer_of(self.model), self.card.separator)

    def prefix(self, options: Any) -> str:
        """What is put in front of a text."""
        if options.prefix is not None:
            return options.prefix
        return str(self.card.params(self.name).get("prefix", ""))

    def source(self, text: str, options: Any) -> np.ndarray:
        """Ids of what precedes the output, with special tokens and separator. [s] int32."""
        ids = token_ids(tokenizer_of(self.model), self.prefix(options) + text)
        return np.append(self._templates.single(ids).tokens[0], self._separator)

    def prepare(self, row: Any, options: Any) -> PreparedRow:
        text = check_text(row)
        ids = self.source(text, options)
        made = Batch(ids[None], np.ones_like(ids)[None])
        return self.prepared(made, text, options)

    def finish(self, state: Request, outputs: list[GeneratedText], options: Any) -> Any:
        return [{self.key: self._text(made, options)} for made in outputs]

    def _text(self, made: GeneratedText, options: Any) -> str:
        """An output as text. A decoder's is a text of its own, not a continuation of the source."""
        if self.model.architecture == "seq2seq" or self.config(options).stop_strings:
            return made.text
        return tokenizer_of(self.model).decode(made.ids).strip()

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """As `Pipeline.__call__`; a row of a list with one output has it without a list."""
        made = super().__call__(inputs, **options)
        if self.is_row(inputs):
            return made
        alone = all(isinstance(one, dict) or len(one) == 1 for one in made)
        return [one[0] if alone and isinstance(one, list) else one for one in made]
