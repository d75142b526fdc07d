"""text-generation: a decoder continues prompts."""

import dataclasses
from typing import Any

import numpy as np

from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.pipelines.base import PreparedRow, check_text
from fxformer.inference.pipelines.generating import (
    GeneratingOptions,
    GeneratingPipeline,
    check_generator,
)
from fxformer.inference.pipelines.inputs import templates, token_ids, tokenizer_of


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
    new_tokens = 64

    def check(self) -> None:
        """Raise UserError for a model that is no decoder."""
        check_generator(self.model, self.task, ("decoder",))
        self._templates = templates(self.model, self.card.family)

    def config(self, options: Any) -> GenerationConfig:
        return options.generation

    def prepare(self, row: Any, options: Any) -> PreparedRow:
        text = check_text(row)
        ids = token_ids(tokenizer_of(self.model), text)
        made = self._templates.single(ids)
        prompt = made.tokens[0]
        return PreparedRow([made], (prompt, self.limit(prompt, options), text))

    def finish(self, state: Any, outputs: list[np.ndarray], options: Any) -> Any:
        prompt, _, text = state
        before = text if options.return_full_text else ""
        return [{"generated_text": before + self._continuation(prompt, ids)} for ids in outputs]

    def _continuation(self, prompt: np.ndarray, ids: np.ndarray) -> str:
        """The text of new ids, with the space that their first word has behind the prompt."""
        tokenizer = tokenizer_of(self.model)
        head, whole = tokenizer.decode(prompt), tokenizer.decode(np.append(prompt, ids))
        return whole[len(head) :] if whole.startswith(head) else tokenizer.decode(ids)
