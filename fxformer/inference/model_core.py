"""Core of a model with weights and tokenizer: texts to rows, rows through the network."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Vocabulary
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError
from fxformer.inference.forward import Compute, TargetLogProbs, run_rows
from fxformer.inference.structure import position_lengths
from fxformer.inference.text_encoding import Texts, as_list, encode_texts
from fxformer.nn.head import ReplacedTokenHead
from fxformer.objective.infilling import ScoringRequest, scoring_batch, shifted
from fxformer.train.state import bind


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ModelCore:
    """A LanguageModel or Seq2Seq with weights, and what is needed to use it on texts.

    name: a run's id, or a folder's name
    tokenizer: None where there is none that can be read
    vocabulary: special ids of the tokenizer; pad is what rows are padded with
    graphdef, params: structure and weights; nnx.merge(graphdef, params) is the module. params is a
        nested dict of arrays, on which jax.grad and jax.jit work
    config: the `model`, `objective` and, of a labelled task, `task` nodes of the config
    start: id of the first decoder token of an encoder-decoder
    generation_settings: defaults of `generate`, by the names of generation_config.json
    bidirectional_prompt: whether a decoder encodes prompts bidirectionally (prefix LM)
    step: of the checkpoint; None: not of a run
    published: folder with the original config.json and tokenizer files of an imported model
    generator: of an ELECTRA run, whose model is the discriminator; a masked language model
    """

    name: str
    tokenizer: Tokenizer | None
    vocabulary: Vocabulary
    graphdef: nnx.GraphDef
    params: dict
    config: dict[str, Any]
    start: int | None = None
    generation_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    bidirectional_prompt: bool = False
    step: int | None = None
    published: Path | None = None
    generator: Self | None = None

    def replace(self, **changes: Any) -> Self:
        """A copy with other fields, such as `params`."""
        return dataclasses.replace(self, **changes)

    @functools.cached_property
    def module(self) -> Any:
        """The nnx module (LanguageModel or Seq2Seq) with these weights."""
        return bind(self.graphdef, self.params)

    @property
    def architecture(self) -> str:
        """`encoder`, `decoder` or `seq2seq`."""
        return self.module.architecture

    @functools.cached_property
    def max_tokens(self) -> int | None:
        """Most tokens of a text (of seq2seq: of source and target each); None: no bound."""
        return min(position_lengths(self.module), default=None)

    def encode(
        self, texts: Texts, *, closed: bool | None = None, target: bool = False
    ) -> list[np.ndarray]:
        """Token ids with the template's special tokens around each text. [n] int32.

        Names of special tokens in a text (<mask>, or the tokenizer's own) are encoded as those.
        closed: whether what ends a text (eos, [SEP]) follows; None: not for a decoder, which
            continues it
        target: encode for the decoder of an encoder-decoder; False: for its encoder
        Raises UserError, with the number of the text, for one that is empty or too long.
        """
        return self.encode_parts(texts, closed=closed, target=target)

    def encode_parts(
        self,
        texts: Texts,
        *,
        opened: bool = True,
        closed: bool | None = None,
        target: bool = False,
        what: str = "texts",
    ) -> list[np.ndarray]:
        """As `encode`; opened: whether the template's prefix precedes; what: for messages."""
        tokenizer, table = self.tokenizer, None
        if self.architecture == "seq2seq" and not target:
            tokenizer = None if tokenizer is None else tokenizer.of_source
            table = self.module.source_embedding
        return encode_texts(
            texts,
            tokenizer,
            opened=opened,
            closed=self.architecture != "decoder" if closed is None else closed,
            rows=self.module.vocab if table is None else table.embedding.shape[0],
            max_tokens=self.max_tokens,
            name=self.name,
            what="targets" if target else what,
        )

    def decode(self, ids: np.ndarray | Sequence[np.ndarray]) -> Any:
        """The text of a row of ids, or the list of texts of several; special tokens left out."""
        if self.tokenizer is None:
            raise UserError(f"{self.name} has no tokenizer that can be read")
        if np.ndim(ids[0] if len(ids) else 0) == 0:
            return self.tokenizer.decode(np.asarray(ids, np.int32))
        return [self.tokenizer.decode(np.asarray(row, np.int32)) for row in ids]

    def rows(self, texts: Texts, targets: Texts | None = None) -> list[Batch]:
        """The input of each text as a batch [1, t] without padding, for `run_rows`.

        targets: of an encoder-decoder: what its decoder reads, shifted right
        """
        if self.architecture != "seq2seq":
            if targets is not None:
                raise UserError(f"{self.name} is no encoder-decoder: leave out targets")
            return [_row(ids) for ids in self.encode(texts)]
        if targets is None:
            pad = np.array([self.vocabulary.pad], np.int32)
            return [_row(pad, ids) for ids in self.encode(texts)]
        pairs = zip(self.encode(texts), self.encode_targets(texts, targets), strict=True)
        return [_row(shifted(target, self.start_id), source) for source, target in pairs]

    def run_rows(self, compute: Compute, rows: Sequence[Batch], width: int = 1) -> list[Any]:
        """compute(module, batch) of each row; see forward.run_rows. width: floats per token"""
        return run_rows(
            self.graphdef,
            self.params,
            rows,
            compute,
            self.vocabulary,
            max_tokens=self.max_tokens,
            floats_per_token=width,
        )

    def encode_targets(
        self, texts: Texts, targets: Texts, eos: bool | None = None
    ) -> list[np.ndarray]:
        """The targets' ids, one for each text."""
        count, given = len(as_list(texts)), len(as_list(targets, "targets"))
        if count != given:
            raise UserError(f"{count} texts and {given} targets: give one target for each text")
        return self.encode(targets, target=True, closed=eos)

    def log_probs(self, requests: Sequence[ScoringRequest]) -> list[np.ndarray]:
        """log p of the scored targets of each request, in nats. [k] float32."""
        rows = [scoring_batch([one], self.vocabulary.pad, round_to=1) for one in requests]
        made = self.run_rows(TargetLogProbs(), rows, self.module.vocab)
        return [x[: len(one.scored)] for x, one in zip(made, requests, strict=True)]

    @property
    def start_id(self) -> int:
        """Id of the first decoder token of an encoder-decoder."""
        if self.start is None:
            raise UserError(f"{self.name} names no first decoder token (decoder_start_token_id)")
        return self.start

    @property
    def detects_replaced(self) -> bool:
        """Whether the model is ELECTRA's discriminator."""
        return isinstance(self.module.head, ReplacedTokenHead)

    def check_head(self) -> None:
        """Raise UserError without a language-model head."""
        if hasattr(self.module.head, "score"):
            return
        has = ""
        if self.detects_replaced:
            has = "; it is ELECTRA's discriminator, whose logits say which tokens were replaced"
            if self.generator is not None:
                has += ": its generator, `.generator`, has such a head"
        elif self.module.task_heads:
            has = f"; it has the task heads {', '.join(self.module.task_heads)}"
        raise UserError(
            f"{self.name} has no language-model head, so it gives no token a probability{has}"
        )


def _row(tokens: np.ndarray, source: np.ndarray | None = None) -> Batch:
    """Ids as a batch of one row, without targets."""
    row = Batch(tokens[None], np.ones_like(tokens)[None])
    if source is None:
        return row
    return row.replace(source=source[None], source_segments=np.ones_like(source)[None])
