"""text2text-generation: an encoder-decoder writes a text for a text."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from fxformer.inference.pipelines.base import PreparedRow, check_text
from fxformer.inference.pipelines.generating import (
    GeneratingOptions,
    GeneratingPipeline,
    Request,
    check_generator,
)
from fxformer.inference.pipelines.inputs import templates, token_ids, tokenizer_of
from fxformer.inference.text_generation import GeneratedText


@dataclasses.dataclass(frozen=True)
class Text2TextOptions(GeneratingOptions):
    """prefix: put in front of every text ("summarize: "); None: that of config.json for the task"""

    prefix: str | None = None


class Text2TextGeneration(GeneratingPipeline):
    """[{"generated_text": …}, …], num_return_sequences of them, the best first; of a list of rows
    with one each, one {"generated_text": …} for a row.

    A row is a text; one that is too long for the model is refused. Options are those of
    GenerationConfig, and prefix.
    """

    task = "text2text-generation"
    Options = Text2TextOptions
    key: ClassVar[str] = "generated_text"

    def check(self) -> None:
        """Raise UserError for a model that is no encoder-decoder."""
        check_generator(self.model, self.task, ("seq2seq",))
        self._templates = templates(self.model)

    def prefix(self, options: Any) -> str:
        """What is put in front of a text."""
        if options.prefix is not None:
            return options.prefix
        return str(self.card.params(self.name).get("prefix", ""))

    def source(self, text: str, options: Any) -> np.ndarray:
        """Ids of the encoder's input with its special tokens. [s] int32."""
        ids = token_ids(tokenizer_of(self.model), self.prefix(options) + text)
        return self._templates.single(ids).tokens[0]

    def prepare(self, row: Any, options: Any) -> PreparedRow:
        text = check_text(row)
        ids = self.source(text, options)
        made = self._templates.single(ids[:0]).replace(tokens=ids[None])
        return self.prepared(made, text, options)

    def finish(self, state: Request, outputs: list[GeneratedText], options: Any) -> Any:
        return [{self.key: made.text} for made in outputs]

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """As `Pipeline.__call__`; a row of a list with one output has it without a list."""
        made = super().__call__(inputs, **options)
        if self.is_row(inputs):
            return made
        alone = all(isinstance(one, dict) or len(one) == 1 for one in made)
        return [one[0] if alone and isinstance(one, list) else one for one in made]
