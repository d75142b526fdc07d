"""A model with its weights and its tokenizer: encode, logits, hidden states, scores, generation."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Vocabulary
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError
from fxformer.hf.export_model import Exported, ExportSource, write_export
from fxformer.inference import summary
from fxformer.inference.attention import Attention, attention_of
from fxformer.inference.forward import Compute, HiddenStates, Logits, TargetLogProbs, run_rows
from fxformer.inference.scoring import TokenScores, token_scores
from fxformer.inference.structure import layer_numbers, position_lengths, stack_of
from fxformer.inference.text_encoding import Text, Texts, as_list, encode_texts
from fxformer.objective.infilling import Question, asked, shifted
from fxformer.rules import named
from fxformer.train.state import bind


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A LanguageModel or Seq2Seq with weights, and what is needed to use it on texts.

    Methods take a text or a list of texts (or arrays of token ids, which are read as they are) and
    return a list with one entry for each text, in order, without padding. Texts are batched by
    length; no text is cut: one that is too long raises UserError. Immutable; `replace` makes a
    copy with other `params`.

    name: a run's id, or a folder's name
    tokenizer: None where there is none that can be read
    vocabulary: special ids of the tokenizer; pad is what rows are padded with
    graphdef, params: structure and weights; nnx.merge(graphdef, params) is the module. params is a
        nested dict of arrays, on which jax.grad and jax.jit work
    config: the `model` and `objective` nodes of the config
    start: id of the first decoder token of an encoder-decoder
    bidirectional_prompt: whether a decoder encodes prompts bidirectionally (prefix LM)
    step: of the checkpoint; None: not of a run
    published: folder with the original config.json and tokenizer files of an imported model
    """

    name: str
    tokenizer: Tokenizer | None
    vocabulary: Vocabulary
    graphdef: nnx.GraphDef
    params: dict
    config: dict[str, Any]
    start: int | None = None
    bidirectional_prompt: bool = False
    step: int | None = None
    published: Path | None = None

    def __repr__(self) -> str:
        return summary.as_text(self)

    def _repr_html_(self) -> str:
        """Shown by notebooks."""
        return summary.as_html(self)

    def replace(self, **changes: Any) -> "Model":
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

    def logits(self, texts: Texts, targets: Texts | None = None) -> list[np.ndarray]:
        """Logits of the language-model head at each token. float32 [n, V].

        An encoder's at position i are of token i, a decoder's of token i + 1, an encoder-decoder's
        of target token i, whose `targets` are required. V counts the rows of the embedding table.
        """
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

    def attention(self, text: Text, target: Text | None = None) -> list[Attention]:
        """Attention weights of all layers and heads for one text, float32 [L, H, n, m].

        One entry for an encoder or decoder; of an encoder-decoder, which needs a target, three:
        encoder, decoder, cross.
        """
        if self.architecture == "seq2seq" and target is None:
            raise UserError("attention of an encoder-decoder needs target=, the decoder's text")
        (row,) = self.rows([text], None if target is None else [target])
        return self.attention_of_row(row)

    def attention_of_row(self, row: Batch) -> list[Attention]:
        """The same for an input [1, t]."""
        return attention_of(
            self.graphdef,
            self.params,
            row,
            self.vocabulary,
            architecture=self.architecture,
            max_tokens=self.max_tokens,
        )

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

    def log_probs(self, requests: Sequence[Question]) -> list[np.ndarray]:
        """log p of the scored targets of each request, in nats. [k] float32."""
        rows = [asked([one], self.vocabulary.pad, round_to=1) for one in requests]
        made = self.run_rows(TargetLogProbs(), rows, self.module.vocab)
        return [x[: len(one.scored)] for x, one in zip(made, requests, strict=True)]

    def encode_targets(
        self, texts: Texts, targets: Texts, eos: bool | None = None
    ) -> list[np.ndarray]:
        """The targets' ids, one for each text."""
        count, given = len(as_list(texts)), len(as_list(targets, "targets"))
        if count != given:
            raise UserError(f"{count} texts and {given} targets: give one target for each text")
        return self.encode(targets, target=True, closed=eos)

    def save_pretrained(self, folder: str | Path, *, family: str | None = None) -> Exported:
        """Write config.json, model.safetensors and the tokenizer to a new folder, which
        transformers 4 and 5 load; weights as float32.

        family: model_type to use if several families compute the same
        Raises UserError, naming what no family has.
        """
        arrays = {path: np.asarray(x, np.float32) for path, x in named(self.params).items()}
        source = ExportSource(self.name, self.config, arrays, self.tokenizer, self.published)
        return write_export(source, folder, family=family)

    @property
    def start_id(self) -> int:
        """Id of the first decoder token of an encoder-decoder."""
        if self.start is None:
            raise UserError(f"{self.name} names no first decoder token (decoder_start_token_id)")
        return self.start

    def check_head(self) -> None:
        """Raise UserError without a language-model head."""
        if not hasattr(self.module.head, "score"):
            heads = ", ".join(self.module.classifiers)
            has = f"; it has the classification heads {heads}" if heads else ""
            raise UserError(
                f"{self.name} has no language-model head, so it gives no token a probability{has}"
            )


def _row(tokens: np.ndarray, source: np.ndarray | None = None) -> Batch:
    """Ids as a batch of one row, without targets."""
    row = Batch(tokens[None], np.ones_like(tokens)[None])
    if source is None:
        return row
    return row.replace(source=source[None], source_segments=np.ones_like(source)[None])
