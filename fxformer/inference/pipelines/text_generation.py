"""text-generation: a decoder continues prompts."""

import dataclasses
from typing import Any

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
class TextGenerationOptions(GeneratingOptions):
    """return_full_text: the prompt and what follows it; False: only what follows"""

    return_full_text: bool = True


class TextGeneration(GeneratingPipeline):
    """[{"generated_text": …}, …], num_return_sequences of them, the best first.

    A row is a prompt. Options are those of GenerationConfig, and return_full_text.
    """

    task = "text-generation"
    Options = TextGenerationOptions

    def check(self) -> None:
        """Raise UserError for a model that is no decoder."""
        check_generator(self.model, self.task, ("decoder",))
        self._templates = templates(self.model)

    def prepare(self, row: Any, options: Any) -> PreparedRow:
        text = check_text(row)
        ids = token_ids(tokenizer_of(self.model), text)
        return self.prepared(self._templates.single(ids), text, options)

    def finish(self, state: Request, outputs: list[GeneratedText], options: Any) -> Any:
        before = state.text if options.return_full_text else ""
        return [{"generated_text": before + made.text} for made in outputs]
