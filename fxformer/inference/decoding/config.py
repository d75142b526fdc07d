"""GenerationConfig: how a model's output is decoded, with the names of transformers."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, Literal, Self

from fxformer.errors import UserError
from fxformer.inference.decoding.config_checks import CHECKS

DEFAULT_NEW_TOKENS = 64  # where neither max_new_tokens nor max_length is given


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """Decoding strategy, logits processors and limits.

    The strategy is beam search where num_beams > 1, sampling where do_sample, contrastive search
    where penalty_alpha > 0, else greedy search.

    max_new_tokens: most tokens generated; null: as many as `max_length` allows, else 64 after a
        prompt and 256 for a source (64 where `generate` is called with arrays), or what fits
    min_new_tokens: no end of sequence before so many generated tokens
    max_length, min_length: the same, counting the prompt of a decoder, or the start tokens of an
        encoder-decoder; `max_new_tokens` and `min_new_tokens` come first
    do_sample: draw each token instead of choosing the most probable
    temperature: divides the logits before sampling
    top_k: sample from the k most probable tokens; 0: from all. Of contrastive search: candidates
    penalty_alpha: α of contrastive search (Su et al. 2022): among the top_k candidates the one with
        the largest (1 - α) · probability - α · likeness to a token of the text; 0: not used
    top_p: sample from the fewest tokens whose probabilities sum to p or more (Holtzman et al. 2020)
    min_p: sample from tokens with at least this fraction of the largest probability
    typical_p: sample from the tokens with information nearest to the entropy whose probabilities
        sum to p or more (Meister et al. 2023)
    num_beams: beams a prompt; num_beam_groups: groups that they are split into
    diversity_penalty: subtracted from a token's log-probability for each beam of an earlier group
        that chose it in the same step (Vijayakumar et al. 2018)
    length_penalty: α; the score of a sequence of L generated tokens, the end included, is its
        log-probability divided by a power of L
    length_penalty_kind: `power`: L^α (transformers), `gnmt`: ((5 + L) / 6)^α (Wu et al. 2016)
    early_stopping: true: a prompt ends with its first num_beams finished sequences; false: when no
        beam would be better than the worst of them if it ended now; "never": when none can become
        better, at any length
    num_return_sequences: sequences returned for each prompt, by descending score
    repetition_penalty: divides positive and multiplies negative logits of each id that has occurred
        (Keskar et al. 2019); repetition_penalty_prompt: whether the prompt's ids count
    no_repeat_ngram_size: no n-gram occurs twice; 0: no limit
    bad_words_ids: sequences of ids that are never generated
    suppress_tokens: ids that are never generated; begin_suppress_tokens: not as the first one
    forced_bos_token_id, forced_eos_token_id: the first token, and the last where a row reaches its
        limit
    seed: of sampling
    stop_strings: a text ends with the first of them that it contains; for texts, not for arrays
    eos_token_id: id or ids that end a sequence; null: none, so that a row ends at its limit
    pad_token_id: id that follows the end; null: the first eos, or 0
    decoder_start_token_id: first input of an encoder-decoder's decoder
    """

    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    max_length: int | None = None
    min_length: int = 0
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    penalty_alpha: float = 0.0
    num_beams: int = 1
    num_beam_groups: int = 1
    diversity_penalty: float = 0.0
    length_penalty: float = 1.0
    length_penalty_kind: Literal["power", "gnmt"] = "power"
    early_stopping: bool | Literal["never"] = False
    num_return_sequences: int = 1
    repetition_penalty: float = 1.0
    repetition_penalty_prompt: bool = True
    no_repeat_ngram_size: int = 0
    bad_words_ids: tuple[tuple[int, ...], ...] = ()
    suppress_tokens: tuple[int, ...] = ()
    begin_suppress_tokens: tuple[int, ...] = ()
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | None = None
    seed: int = 0
    stop_strings: tuple[str, ...] = ()
    eos_token_id: int | tuple[int, ...] | None = None
    pad_token_id: int | None = None
    decoder_start_token_id: int | None = None

    def __post_init__(self):
        for name in ("bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "eos_token_id"):
            object.__setattr__(self, name, _tuples(getattr(self, name)))
        stops = self.stop_strings
        object.__setattr__(
            self, "stop_strings", (stops,) if isinstance(stops, str) else _tuples(stops or ())
        )
        for name, check in CHECKS.items():
            value = getattr(self, name)
            if value is not None and (message := check(value)):
                raise UserError(f"generation.{name}={_shown(value)}: {message}")
        self._check_combinations()

    def _check_combinations(self) -> None:
        """Raises UserError for values that do not go together."""
        beams, groups, returned = self.num_beams, self.num_beam_groups, self.num_return_sequences
        if beams % groups:
            nearest = min((n for n in range(1, beams + 1) if not beams % n), key=_near(groups))
            raise UserError(
                f"generation.num_beam_groups={groups}: {beams} beams do not split into {groups} "
                f"groups; write generation.num_beam_groups={nearest}"
            )
        if self.diversity_penalty and groups == 1:
            raise UserError(
                "generation.diversity_penalty has an effect between groups of beams only: write "
                f"generation.num_beam_groups={beams if beams > 1 else 2}"
            )
        if beams > 1 and returned > beams:
            raise UserError(
                f"generation.num_return_sequences={returned}: {beams} beams end in at most {beams} "
                f"sequences; write generation.num_beams={returned}"
            )
        if beams > 1 and self.do_sample:
            raise UserError(
                "generation.do_sample=true samples one sequence at a time: write "
                f"generation.num_beams=1 generation.num_return_sequences={beams}"
            )
        if beams > 1 and self.stop_strings:
            raise UserError(
                "generation.stop_strings: beams have no final text before their end; write "
                "generation.num_beams=1"
            )
        if self.penalty_alpha and (beams > 1 or self.do_sample):
            raise UserError(
                f"generation.penalty_alpha={self.penalty_alpha} is of contrastive search: write "
                "generation.penalty_alpha=0, or generation.num_beams=1 generation.do_sample=false"
            )
        if self.penalty_alpha and self.top_k < 2:
            raise UserError(
                f"generation.top_k={self.top_k}: contrastive search chooses among top_k "
                "candidates; write generation.top_k=4"
            )
        if beams == 1 and not self.do_sample and returned > 1:
            raise UserError(
                f"generation.num_return_sequences={returned}: greedy search finds one sequence; "
                f"write generation.do_sample=true or generation.num_beams={returned}"
            )

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """The ids that end a sequence; empty: none."""
        eos = self.eos_token_id
        return () if eos is None else eos if isinstance(eos, tuple) else (eos,)

    @property
    def pad_id(self) -> int:
        """The id that follows the end of a sequence."""
        return self.pad_token_id if self.pad_token_id is not None else (*self.eos_ids, 0)[0]

    def replace(self, **values: Any) -> Self:
        """The same settings with these changed. UserError for a name that is none of them."""
        check_names(values)
        return dataclasses.replace(self, **values)

    @classmethod
    def from_hf(cls, settings: Mapping[str, Any]) -> Self:
        """Settings of a generation_config.json. Its other keys have no effect on the output of one
        model and are ignored, unless they name a strategy that is not implemented: UserError."""
        known = {f.name for f in dataclasses.fields(cls)}
        given: dict[str, Any] = {k: v for k, v in settings.items() if k in known and v is not None}
        for name, neutral in UNSUPPORTED.items():
            if settings.get(name) not in (None, False, neutral):
                raise UserError(
                    f"generation_config.json asks for {name}={settings[name]!r}, which is not "
                    "implemented: remove it, or give other generation settings"
                )
        sampled = bool(given.get("do_sample"))
        if sampled or given.get("num_beams", 1) > 1:  # transformers ignores it then
            given.pop("penalty_alpha", None)
        if sampled or given.get("penalty_alpha"):
            given = HF_DEFAULTS | given
        if not sampled:  # nor do these have an effect there
            kept = ("top_k",) if given.get("penalty_alpha") else ()
            given = {k: v for k, v in given.items() if k not in SAMPLING or k in kept}
        if given.get("penalty_alpha") and given["top_k"] < 2:  # greedy search there
            given = {k: v for k, v in given.items() if k not in ("penalty_alpha", "top_k")}
        return cls(**given)

    def to_hf(self) -> dict[str, Any]:
        """The settings that differ from the defaults of transformers, for generation_config.json.
        Raises UserError for those that transformers has not."""
        if self.length_penalty_kind != "power" and self.num_beams > 1 and self.length_penalty:
            raise UserError(
                "transformers has no GNMT length penalty: write "
                "generation.length_penalty_kind=power"
            )
        found = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            unused = field.name in OURS or (field.name in SAMPLING and not self.do_sample)
            unused = unused and not (field.name == "top_k" and self.penalty_alpha)
            if not unused and value != HF_DEFAULTS.get(field.name, field.default):
                found[field.name] = _lists(value)
        return found


OURS = ("length_penalty_kind", "repetition_penalty_prompt", "seed")  # transformers has not
HF_DEFAULTS = {"top_k": 50}  # where they differ from ours
SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p")
UNSUPPORTED = {  # {setting: value without effect}
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "constraints": None,
    "force_words_ids": None,
    "guidance_scale": 1.0,
    "dola_layers": None,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "exponential_decay_length_penalty": None,
    "sequence_bias": None,
    "watermarking_config": None,
}


def check_names(values: Mapping[str, Any]) -> None:
    """UserError for a name that is no field of GenerationConfig, with the nearest that is."""
    known = [f.name for f in dataclasses.fields(GenerationConfig)]
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UserError(f"there is no generation setting {name!r}: {hint}")


def _tuples(value: Any) -> Any:
    """Lists, also those of OmegaConf, as tuples."""
    if value is None or isinstance(value, (int, str)):
        return value
    return tuple(_tuples(v) for v in value)


def _lists(value: Any) -> Any:
    return [_lists(v) for v in value] if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    return str(_lists(value)) if isinstance(value, tuple) else str(value).lower()


def _near(value: float):
    return lambda other: abs(other - value)
