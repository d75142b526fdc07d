"""Upper bounds of numbers in a config: far above any use, and below what hangs or overflows.

A bound is judged from the config alone, before anything is built. What a run needs beside what the
machine has is another question: see fxformer/memory.py.
"""

import math
import re

# (regex that the whole key must match, largest value); the first match counts. A key is written
# without the places of lists: model.windows[0] is model.windows.
BOUNDS: tuple[tuple[str, float], ...] = (
    (r".*\.layers", 10_000),
    (r".*\.(dim|width|word_width|head_dim|hidden)", 2**20),
    (r".*\.(heads|kv_heads|classes|types|shrink|size|inner|groups)", 2**16),
    (r".*\.vocab_multiple", 2**16),
    (r"(tokenizer|objective)\..*sentinels", 2**16),
    (r"tokenizer\.vocab_size|data\.symbols", 2**24),
    (r"tokenizer\.max_piece_length", 2**16),
    (r"data\.(packing\.memory|length|example_length|pairs|shortest|longest)", 2**24),
    (r"model\..*(length|offset|windows|reach|buckets|memory|clamp|cutoffs|ngram)", 2**24),
    (r"objective\..*(longest|shortest|block|modes|ngram)", 2**24),
    (r"data\.batch|trainer\.accumulate", 2**24),
    (r".*\.workers", 1024),
    (r"data\.prefetch|tracker\.queue", 2**20),
    (r"search\.trials", 10**7),
    (r"mesh\.(data|fsdp|tensor)", 2**20),
    (r"optimizer\.ns_steps", 100),
    (r"optimizer\.lr", 1e4),
    (r"(data|trainer|energy|search)\..*(minutes|kwh|gco2e|per_kwh)", 1e12),
    (r"seed|.*\.(data_)?seed", 2**63 - 1),
)
WHOLE = 2**31 - 1  # of any other whole number: what int32 holds
REAL = 3.4e38  # of any other number: what float32 holds
SMALLEST = 1.2e-38  # a number closer to 0 is 0 in float32


def excess(key: str, value: int | float) -> str | None:
    """What is wrong with the size of the number at a dotted key; None: nothing."""
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if value and abs(value) < SMALLEST:
        return f"{value!r} is 0 in float32; write 0 or a number of at least {SMALLEST:g}"
    bound = bound_of(key, whole=isinstance(value, int))
    if abs(value) <= bound:
        return None
    most = int(bound) if bound < 1e20 else f"{bound:g}"
    return f"must be at most {most}, got {_short(value)}"


def bound_of(key: str, *, whole: bool) -> float:
    """The largest magnitude of a number at a dotted key."""
    plain = re.sub(r"\[\d+\]", "", key)
    default = WHOLE if whole else REAL
    return next((most for pattern, most in BOUNDS if re.fullmatch(pattern, plain)), default)


def _short(value: int | float) -> str:
    """A number in at most about 20 letters; Python refuses to print very long ones."""
    if isinstance(value, int) and abs(value) >= 10**15:
        return f"a number of about {value.bit_length() * 0.30103:.0f} digits"
    return repr(value)
