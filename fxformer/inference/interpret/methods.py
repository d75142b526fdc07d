"""Methods of a Model that read what it computes: attention, logit lens, importance of heads."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from flax import nnx

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.inference.attention import Attention, attention_of
from fxformer.inference.interpret.examples import loss_rows
from fxformer.inference.interpret.head_importance import HeadGradients, HeadImportance
from fxformer.inference.interpret.head_mask import Masks, checked_masks, current_masks, set_masks
from fxformer.inference.interpret.influence import Influence, flow_of, rollout_of
from fxformer.inference.interpret.logit_lens import LensPredictions, LogitLens
from fxformer.inference.interpret.products import Products, QueriesKeys
from fxformer.inference.model_core import ModelCore
from fxformer.inference.structure import stack_of
from fxformer.inference.text_encoding import Text, Texts


class InterpretableModel(ModelCore):
    """Attention, influence of tokens, logit lens, and importance of heads, of a model on texts."""

    def attention(self, text: Text, target: Text | None = None) -> list[Attention]:
        """Attention weights of all layers and heads for one text, float32 [L, H, n, m].

        One entry for an encoder or decoder; of an encoder-decoder, which needs a target, three:
        encoder, decoder, cross.
        """
        return self.attention_of_row(self._row(text, target))

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

    def rollout(
        self, text: Text, target: Text | None = None, *, residual: float = 0.5
    ) -> list[Influence]:
        """Attention rollout: share of each input token in each position of every layer.

        One entry for an encoder or decoder, two for an encoder-decoder (encoder; decoder, whose
        columns are the source's tokens and then the target's). Abnar and Zuidema 2020.

        residual: share of the residual connections
        """
        return rollout_of(self.attention(text, target), residual)

    def flow(
        self, text: Text, target: Text | None = None, *, residual: float = 0.5
    ) -> list[Influence]:
        """Attention flow: maximum flow from each position of the last layer to each input token,
        each row divided by its sum. Entries as of `rollout`. UserError for long texts."""
        return flow_of(self.attention(text, target), residual)

    def queries_keys(self, text: Text, target: Text | None = None) -> list[QueriesKeys]:
        """Queries and keys of each layer and head, whose products are the attention logits without
        what a position scheme adds; entries as of `attention`."""
        return self.queries_keys_of_row(self._row(text, target))

    def queries_keys_of_row(self, row: Batch) -> list[QueriesKeys]:
        """The same for an input [1, t]."""
        read = row.replace(targets=None, weights=None, picked=None, noise=None, balance=None)
        stack = stack_of(self.module)
        (made,) = self.run_rows(Products(), [read], 6 * stack.layers * stack.dim)
        return [
            QueriesKeys(one, q[:, : len(one.queries)], k[:, : len(one.keys)])
            for one, (q, k) in zip(self.attention_of_row(row), made, strict=True)
        ]

    def logit_lens(
        self, texts: Texts, targets: Texts | None = None, *, k: int = 5
    ) -> list[LogitLens]:
        """The k most probable tokens and the loss at each position, read from every layer by the
        model's own final norm and head. The last layer is the model itself.

        The targets of the loss: of a decoder the next token, of an encoder-decoder the target
        token, of an encoder the token itself, none where it is masked.
        """
        self.check_head()
        if self.architecture == "seq2seq" and targets is None:
            raise UserError("the logit lens of an encoder-decoder needs targets=")
        rows = self.rows(texts, targets)
        right = None if targets is None else self.encode_targets(texts, targets)
        known = [
            _targets(self, row, None if right is None else right[number])
            for number, row in enumerate(rows)
        ]
        return self.logit_lens_of_rows(rows, known, k=k)

    def logit_lens_of_rows(
        self, rows: Sequence[Batch], targets: Sequence[np.ndarray], *, k: int = 5
    ) -> list[LogitLens]:
        """The same for inputs [1, t] with targets [t], -1 where there is none."""
        if not 1 <= k <= self.module.vocab:
            raise UserError(f"k: expected 1 to {self.module.vocab} tokens, got {k}")
        given = [
            row.replace(
                targets=np.maximum(right, 0)[None].astype(np.int32),
                weights=(right >= 0)[None].astype(np.float32),
                **{"picked": None, "noise": None, "balance": None},
            )
            for row, right in zip(rows, targets, strict=True)
        ]
        layers = 1 + stack_of(self.module).layers
        made = self.run_rows(LensPredictions(k), given, layers * self.module.vocab)
        found = []
        for (ids, chances, scores), row, right in zip(made, rows, targets, strict=True):
            n = row.tokens.shape[1]
            losses = np.where(right >= 0, -scores[:, :n].astype(np.float64), np.nan)
            tokens = np.asarray(row.tokens)[0]
            found.append(LogitLens(tokens, right, ids[:, :n], chances[:, :n], losses))
        return found

    def head_importance(
        self,
        texts: Texts,
        targets: Texts | None = None,
        *,
        labels: Sequence[int] | None = None,
        ablation: bool = False,
        seed: int = 0,
    ) -> HeadImportance:
        """Importance of every attention head for the loss of texts. Michel et al. 2019.

        The loss of a text is a mean over what is predicted of it: all tokens but the first by a
        decoder, the target by an encoder-decoder, and by an encoder 15 % of its ordinary tokens (at
        least one), masked at once, a function of seed and the number of the text.

        labels: predict these classes with the classification head instead
        ablation: also measure the loss without each head, one forward pass for each of them
        """
        given = loss_rows(self, texts, targets, labels, seed)
        made = self.run_rows(HeadGradients(given.loss), given.rows, 4 * given.width)
        losses = np.array([float(loss) for loss, _ in made])
        kinds = list(made[0][1])
        gradients = {kind: np.stack([slopes[kind] for _, slopes in made]) for kind in kinds}
        ablations = {kind: np.zeros_like(gradients[kind]) for kind in kinds} if ablation else {}
        own = {kind: np.asarray(mask) for kind, mask in current_masks(self.module).items()}
        for kind in ablations:
            for block, head in np.ndindex(own[kind].shape):
                mask = own[kind].copy()
                mask[block, head] = 0
                without = self.mask_heads({kind: mask})
                after = without.run_rows(given.loss, given.rows, given.width)
                ablations[kind][:, block, head] = np.array(after) - losses
        return HeadImportance(losses, gradients, ablations)

    def mask_heads(self, masks: Masks) -> Self:
        """The model with factors of the output of each head, by kind of attention.

        masks: {"encoder": [blocks, H], …}; 0 removes a head. Blocks are the layers, unless layers
            share them. Kinds that are not given stay as they are
        Raises UserError for another shape.
        """
        module = nnx.merge(self.graphdef, self.params)
        set_masks(module, checked_masks(module, masks, self.name))
        graphdef, state = nnx.split(module)
        return self.replace(graphdef=graphdef, params=nnx.to_pure_dict(state))

    def without_heads(self, heads: Sequence[tuple[str, int, int]]) -> Self:
        """The model with these heads, (kind, block, head) from 0, masked. UserError for others."""
        masks = {kind: np.array(mask) for kind, mask in current_masks(self.module).items()}
        for kind, block, head in heads:
            if kind not in masks or not all(
                0 <= at < size for at, size in zip((block, head), masks[kind].shape, strict=True)
            ):
                sizes = ", ".join(f"{k} {list(m.shape)}" for k, m in masks.items())
                raise UserError(
                    f"{self.name} has no head {head} in block {block} of {kind} attention; "
                    f"blocks and heads, from 0: {sizes}"
                )
            masks[kind][block, head] = 0
        return self.mask_heads(masks)

    def _row(self, text: Text, target: Text | None) -> Batch:
        if self.architecture == "seq2seq" and target is None:
            raise UserError("attention of an encoder-decoder needs target=, the decoder's text")
        (row,) = self.rows([text], None if target is None else [target])
        return row


def _targets(model: ModelCore, row: Batch, target: np.ndarray | None) -> np.ndarray:
    """The right id at each position of a row, -1 where there is none. [t]."""
    tokens = np.asarray(row.tokens)[0]
    if target is not None:
        return target.astype(np.int64)
    if model.architecture == "decoder":
        return np.append(tokens[1:], -1).astype(np.int64)
    return np.where(tokens == model.vocabulary.mask, -1, tokens).astype(np.int64)
