"""Checks of the values of a GenerationConfig: {field: value -> what is wrong with it, or ""}."""

import math
from typing import Any


def _whole(low: int):
    """Check of an integer of at least `low`."""

    def check(value: Any) -> str:
        right = isinstance(value, int) and not isinstance(value, bool) and value >= low
        return "" if right else f"expected an integer of at least {low}; write {low}"

    return check


def _number(low: float, high: float = math.inf, *, open_low: bool = False):
    """Check of a finite number in [low, high], or (low, high]."""

    def check(value: Any) -> str:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and (low < value if open_low else low <= value) and value <= high:
            return "" if math.isfinite(value) else "expected a finite number"
        span = f"above {low}" if open_low else f"of at least {low}"
        span += f" and at most {high}" if high < math.inf else ""
        near = high if number and value > high else 1.0 if open_low else low
        return f"expected a number {span}; write {near}"

    return check


def _boolean(value: Any) -> str:
    return "" if isinstance(value, bool) else "expected true or false"


def _ids(value: Any) -> str:
    ids = value if isinstance(value, tuple) else (value,)
    right = all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in ids)
    return "" if right else "expected token ids: integers of at least 0"


def _words(value: Any) -> str:
    right = isinstance(value, tuple) and all(isinstance(w, tuple) and w for w in value)
    return (
        ""
        if right and not any(map(_ids, value))
        else "expected lists of ids, such as [[5], [3, 7]]"
    )


def _texts(value: Any) -> str:
    right = isinstance(value, tuple) and all(isinstance(text, str) and text for text in value)
    return "" if right else "expected texts that are not empty"


def _choice(*options: Any):
    def check(value: Any) -> str:
        right = any(value is o or (isinstance(o, str) and value == o) for o in options)
        names = ", ".join(str(o).lower() for o in options)
        return "" if right else f"expected one of {names}"

    return check


CHECKS = {
    "max_new_tokens": _whole(1),
    "min_new_tokens": _whole(0),
    "max_length": _whole(1),
    "min_length": _whole(0),
    "do_sample": _boolean,
    "temperature": _number(0, open_low=True),
    "top_k": _whole(0),
    "top_p": _number(0, 1),
    "min_p": _number(0, 1),
    "typical_p": _number(0, 1),
    "penalty_alpha": _number(0, 1),
    "num_beams": _whole(1),
    "num_beam_groups": _whole(1),
    "diversity_penalty": _number(0),
    "length_penalty": _number(-100, 100),
    "length_penalty_kind": _choice("power", "gnmt"),
    "early_stopping": _choice(True, False, "never"),
    "num_return_sequences": _whole(1),
    "repetition_penalty": _number(0, open_low=True),
    "repetition_penalty_prompt": _boolean,
    "no_repeat_ngram_size": _whole(0),
    "bad_words_ids": _words,
    "suppress_tokens": _ids,
    "begin_suppress_tokens": _ids,
    "forced_bos_token_id": _whole(0),
    "forced_eos_token_id": _whole(0),
    "seed": _whole(0),
    "stop_strings": _texts,
    "eos_token_id": _ids,
    "pad_token_id": _whole(0),
    "decoder_start_token_id": _whole(0),
}
