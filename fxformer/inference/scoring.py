"""Scoring requests of texts: log-likelihood, pseudo-log-likelihood, conditional likelihood."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fxformer.errors import UserError
from fxformer.inference.model_core import ModelCore
from fxformer.inference.text_encoding import Texts, check_length
from fxformer.objective.infilling import ScoringRequest, shifted


@dataclasses.dataclass(frozen=True)
class TokenScores:
    """Log-probabilities of the scored tokens of one text, in nats.

    tokens: [n] int32 ids
    log_probs: [n] float64
    """

    tokens: np.ndarray
    log_probs: np.ndarray

    @property
    def total(self) -> float:
        """Σ log p over the scored tokens."""
        return float(self.log_probs.sum())


def causal_requests(ids: np.ndarray, context: int = 1, prefix: int = 0) -> list[ScoringRequest]:
    """One row that scores ids[context:] of a decoder, each given the tokens before it; none where
    there is nothing to score.

    prefix: number of first tokens with bidirectional attention
    """
    scored = np.arange(context - 1, len(ids) - 1)
    return [ScoringRequest(ids[:-1], ids[1:], scored, prefix=prefix)] if len(scored) else []


def pseudo_requests(ids: np.ndarray, special: np.ndarray, mask: int) -> list[ScoringRequest]:
    """One row for each ordinary token, in which it alone is masked (Salazar et al. 2020, eq. 1).

    special: [V] bool
    """
    rows = []
    for place in np.flatnonzero(~special[ids]):
        tokens = ids.copy()
        tokens[place] = mask
        rows.append(ScoringRequest(tokens, ids, np.array([place])))
    return rows


def conditional_requests(
    source: np.ndarray, target: np.ndarray, start: int
) -> list[ScoringRequest]:
    """One row that scores all tokens of a target given a source (encoder-decoder)."""
    return [ScoringRequest(shifted(target, start), target, np.arange(len(target)), source)]


def collected(
    requests: Sequence[Sequence[ScoringRequest]], log_probs: Sequence[np.ndarray]
) -> list[TokenScores]:
    """The scores of each text, whose requests are one list; log_probs: of all requests in order."""
    found, place = [], 0
    for some in requests:
        own, place = log_probs[place : place + len(some)], place + len(some)
        ids = [np.asarray(one.targets)[one.scored] for one in some] or [np.zeros(0)]
        found.append(
            TokenScores(
                np.concatenate(ids).astype(np.int32),
                np.concatenate([*own, np.zeros(0)]).astype(np.float64),
            )
        )
    return found


def token_scores(
    model: ModelCore, texts: Texts, targets: Texts | None, *, bos: bool, eos: bool | None
) -> list[TokenScores]:
    """The scores of texts by a model's architecture; see `Model.token_scores`."""
    if model.architecture == "encoder":
        requests = _of_encoder(model, texts, targets)
    elif model.architecture == "decoder":
        requests = _of_decoder(model, texts, targets, bos, bool(eos))
    else:
        if targets is None:
            raise UserError("score of an encoder-decoder needs targets=, the texts to score")
        pairs = zip(model.encode(texts), model.encode_targets(texts, targets, eos), strict=True)
        requests = [conditional_requests(*pair, model.start_id) for pair in pairs]
    return collected(requests, model.log_probs([one for some in requests for one in some]))


def _of_encoder(
    model: ModelCore, texts: Texts, targets: Texts | None
) -> list[list[ScoringRequest]]:
    if targets is not None:
        raise UserError(f"{model.name} is an encoder: score takes no targets")
    mask, special = model.vocabulary.mask, model.vocabulary.special
    if mask is None:
        raise UserError(f"{model.name} has no mask token, which a pseudo-log-likelihood needs")
    return [pseudo_requests(ids, special, mask) for ids in model.encode(texts)]


def _of_decoder(
    model: ModelCore, texts: Texts, targets: Texts | None, bos: bool, eos: bool
) -> list[list[ScoringRequest]]:
    first = _bos(model) if bos else np.zeros(0, np.int32)
    given = model.encode_parts(texts, closed=eos and targets is None)
    if targets is None:
        return [causal_requests(np.concatenate([first, ids])) for ids in given]
    rest = model.encode_parts(targets, opened=False, closed=eos, what="targets")
    if len(given) != len(rest):
        raise UserError(f"{len(given)} texts and {len(rest)} targets: give one for each text")
    found = []
    for number, (prompt, target) in enumerate(zip(given, rest, strict=True)):
        ids, context = np.concatenate([first, prompt, target]), len(first) + len(prompt)
        what = f"texts[{number}] with targets[{number}]"
        check_length(len(ids) - 1, model.max_tokens, what, model.name)
        found.append(causal_requests(ids, context, context if model.bidirectional_prompt else 0))
    return found


def _bos(model: ModelCore) -> np.ndarray:
    """The tokenizer's bos, unless the template puts one. [0] or [1] int32."""
    if model.vocabulary.bos is None:
        raise UserError(f"{model.name} has no bos token: leave out bos=True")
    templated = model.tokenizer is not None and len(model.tokenizer.prefix) > 0
    return np.array([] if templated else [model.vocabulary.bos], np.int32)
