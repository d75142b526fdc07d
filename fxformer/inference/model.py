"""A model with its weights and its tokenizer: encode, logits, hidden states, scores, generation."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fxformer.errors import UserError
from fxformer.hf.export_model import Exported, ExportSource, write_export
from fxformer.hf.pruned_heads import HeadExport, split_masks
from fxformer.inference import summary
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import AllowedFunction
from fxformer.inference.features.compute import Packing, text_features
from fxformer.inference.features.pooling import Pooling
from fxformer.inference.forward import HiddenStates, Logits, ReplacedLogits
from fxformer.inference.generation_defaults import generation_config
from fxformer.inference.interpret.methods import InterpretableModel
from fxformer.inference.scoring import TokenScores, token_scores
from fxformer.inference.structure import layer_numbers, stack_of
from fxformer.inference.text_encoding import Texts
from fxformer.inference.text_generation import GeneratedText, decoding_config, generate_texts
from fxformer.inference.text_stream import OnText
from fxformer.rules import named


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Model(InterpretableModel):
    """A model to ask: what `fxformer.load` returns.

    Methods take a text or a list of texts (or arrays of token ids, which are read as they are) and
    return a list with one entry for each text, in order, without padding. Texts are batched by
    length; no text is cut: one that is too long raises UserError. Immutable; `replace` makes a
    copy with other `params`. For the fields see ModelCore.
    """

    def __repr__(self) -> str:
        return summary.as_text(self)

    def _repr_html_(self) -> str:
        """Shown by notebooks."""
        return summary.as_html(self)

    def logits(self, texts: Texts, targets: Texts | None = None) -> list[np.ndarray]:
        """Logits of the language-model head at each token. float32 [n, V].

        An encoder's at position i are of token i, a decoder's of token i + 1, an encoder-decoder's
        of target token i, whose `targets` are required. V counts the rows of the embedding table.
        ELECTRA's discriminator: of each token's having been replaced, [n]; its generator is
        `self.generator`.
        """
        if self.detects_replaced:
            rows = self.rows(texts, targets)
            made = self.run_rows(ReplacedLogits(), rows)
            return [x[: row.tokens.shape[1]] for x, row in zip(made, rows, strict=True)]
        self.check_head()
        if self.architecture == "seq2seq" and targets is None:
            raise UserError("logits of an encoder-decoder need targets=, the texts of its decoder")
        rows = self.rows(texts, targets)
        made = self.run_rows(Logits(), rows, self.module.vocab)
        return [x[: row.tokens.shape[1]] for x, row in zip(made, rows, strict=True)]

    def hidden_states(
        self, texts: Texts, layers: int | Sequence[int] = -1, targets: Texts | None = None
    ) -> list[np.ndarray]:
        """Hidden states of each text, numbered as in transformers. float32 [layers, n, D].

        layers: 0: the embeddings, i: the output of layer i, -1: of the last (after the final norm);
            one number instead of a sequence gives [n, D]
        targets: of an encoder-decoder: with them, the decoder's states; None: the encoder's
        """
        encoder = self.architecture == "seq2seq" and targets is None
        stack = stack_of(self.module, encoder)
        chosen = layer_numbers(layers, stack.layers, self.name)
        rows = self.rows(texts, targets)
        made = self.run_rows(HiddenStates(chosen, encoder), rows, len(chosen) * stack.dim)
        read = "source" if encoder else "tokens"
        found = [x[:, : getattr(r, read).shape[1]] for x, r in zip(made, rows, strict=True)]
        return [x[0] for x in found] if isinstance(layers, int) else found

    def features(
        self,
        texts: Texts,
        layers: int | Sequence[int] = -1,
        *,
        pooling: Pooling | None = None,
        packing: Packing = "padded",
    ) -> np.ndarray:
        """One vector for each text: hidden states pooled over its tokens. float32 [texts, D].

        Of an encoder-decoder: states of the encoder. Several layers give [texts, layers, D].

        layers: numbered as for `hidden_states`
        pooling: None: that of the family's classification head; an encoder-decoder: mean
        packing: segments: several texts share a row of the forward pass, where they do not see
            each other; padded: each has its own. Equal up to rounding
        """
        return text_features(self, texts, layers, pooling, packing)

    def score(
        self,
        texts: Texts,
        targets: Texts | None = None,
        *,
        bos: bool = False,
        eos: bool | None = None,
    ) -> np.ndarray:
        """Log-likelihood of each text, in nats: the sums of `token_scores`. [texts] float64."""
        found = self.token_scores(texts, targets, bos=bos, eos=eos)
        return np.array([one.total for one in found])

    def token_scores(
        self,
        texts: Texts,
        targets: Texts | None = None,
        *,
        bos: bool = False,
        eos: bool | None = None,
    ) -> list[TokenScores]:
        """Log-probability of each scored token of each text.

        Decoder: log p(token | those before it); of a text's first token only if something precedes
            it, as the template's bos does. With targets: of these, given the texts as prompts.
        Encoder: pseudo-log-likelihood, each ordinary token masked alone (Salazar et al. 2020)
        Encoder-decoder: log p(target token | text, target tokens before it); targets are required
        bos: put the tokenizer's bos before texts whose template has none (GPT-2's <|endoftext|>)
        eos: also score what ends a text by its template; None: only of an encoder-decoder
        """
        self.check_head()
        return token_scores(self, texts, targets, bos=bos, eos=eos)

    @functools.cached_property
    def generation(self) -> GenerationConfig:
        """Defaults of `generate`. UserError for settings that are not implemented."""
        return self.generation_of({})

    def generation_of(self, task: Mapping[str, Any]) -> GenerationConfig:
        """The defaults with what config.json has for a task (`task_specific_params`)."""
        return generation_config(self.generation_settings, self.start, task)

    def generate(self, texts: Texts, **options: Any) -> list[str]:
        """Texts generated from each prompt (decoder) or source (encoder-decoder), in order.

        With num_return_sequences R the R texts of a prompt stand together. Options: those of
        `generate_records`, above all fields of GenerationConfig.
        """
        return [one.text for one in self.generate_records(texts, **options)]

    def generate_records(
        self,
        texts: Texts,
        *,
        generation_config: GenerationConfig | Mapping[str, Any] | None = None,
        allowed: AllowedFunction | None = None,
        on_text: OnText | None = None,
        **options: Any,
    ) -> list[GeneratedText]:
        """As `generate`, with ids and scores.

        generation_config: instead of `self.generation`; a mapping has transformers' names
        allowed: (number of the prompt, ids so far) -> ids that may follow
        on_text: called with (number of the sequence, next piece of its text), not with beams
        options: fields of GenerationConfig, e.g. max_new_tokens=64, num_beams=4, seed=0

        A text does not depend on the others of the call. Prompts are encoded without what ends a
        text; the prompt is not part of what is returned. Raises UserError for options that do not
        exist or go together, and, with its number, for a text that is too long.
        """
        config = decoding_config(self.generation, generation_config, options)
        return generate_texts(self, texts, config, allowed=allowed, on_text=on_text)

    def save_pretrained(
        self, folder: str | Path, *, family: str | None = None, heads: HeadExport = "zero"
    ) -> Exported:
        """Write config.json, model.safetensors and the tokenizer to a new folder, which
        transformers 4 and 5 load; weights as float32.

        family: model_type to use if several families compute the same
        heads: what becomes of masked heads: zero in the output projection, or cut from all weights
            with `pruned_heads` in config.json (BERT, RoBERTa, ELECTRA, DistilBERT; transformers 4)
        Raises UserError, naming what no family has.
        """
        if "model" not in self.config:
            raise UserError(f"save_pretrained is not implemented for {self.name}")
        arrays, masks = split_masks(
            {path: np.asarray(x, np.float32) for path, x in named(self.params).items()}
        )
        source = ExportSource(
            self.name,
            self.config,
            arrays,
            self.tokenizer,
            self.published,
            dict(self.generation_settings),
            masks,
            heads,
        )
        return write_export(source, folder, family=family)
