"""Which backend computes a call of attention, and why."""

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator
from typing import Literal

import jax
from jaxtyping import Array

from fxformer.errors import UserError
from fxformer.ops.attention import cudnn, pallas, splash
from fxformer.ops.attention.mask import AttentionMask

Backend = Literal["auto", "reference", "cpu", "cudnn", "pallas", "splash"]
# {platform: backends that run on it, the preferred first}; the reference runs on all
BACKENDS = {"cpu": ("cpu",), "gpu": ("cudnn", "pallas"), "tpu": ("splash",)}
VERIFIED = ("cpu",)  # on the hardware itself; `auto` takes no other

# Query-key pairs of a row from which on tiles are the faster on CPU (docs/performance.md)
TILED_PAIRS, TILED_WINDOW_PAIRS = 1024**2, 512**2


@dataclasses.dataclass(frozen=True)
class Call:
    """What is known of a call of attention while it is traced.

    queries, keys: of a row; width: of a head
    mask: its symbolic form; None: it is dense
    bias: number of dimensions of the bias; 0: none
    capture: whether the attention weights are wanted
    decoding: whether keys come from a cache
    """

    queries: int
    keys: int
    heads: int
    groups: int
    width: int
    dtype: str
    mask: AttentionMask | None
    bias: int
    dropout: bool
    capture: bool
    decoding: bool

    @classmethod
    def of(cls, q: Array, k: Array, mask, bias, dropout: bool, capture) -> "Call":
        """The call with these arguments of `attend`."""
        symbolic = mask if isinstance(mask, AttentionMask) else None
        decoding = q.shape[0] != k.shape[0] or (
            symbolic is not None
            and (symbolic.key_index is not None or not isinstance(symbolic.query_offset, int))
        )
        (queries, heads, width), (keys, groups) = q.shape[1:], k.shape[1:3]
        sizes = (queries, keys, heads, groups, width, str(q.dtype))
        ndim = 0 if bias is None else bias.ndim
        return cls(*sizes, symbolic, ndim, dropout, capture is not None, decoding)

    @property
    def window(self) -> int | None:
        """The attention window; None: there is none, or it is an array."""
        window = None if self.mask is None else self.mask.window
        return window if isinstance(window, int) else None


@dataclasses.dataclass
class BackendChoice:
    """The backend of some calls of a program, for run.json.

    asked: by the config; reason: why it is not another; calls: how many layers were traced with it
    """

    backend: str
    asked: str
    queries: int
    keys: int
    window: int | None
    reason: str
    calls: int = 1


_RECORD: contextvars.ContextVar[list[BackendChoice] | None] = contextvars.ContextVar(
    "record", default=None
)


@contextlib.contextmanager
def recorded() -> Iterator[list[BackendChoice]]:
    """Context for tracing a program: yields the list of the choices that are made, and refuses a
    backend that cannot compute a call. Elsewhere another takes its place."""
    found: list[BackendChoice] = []
    token = _RECORD.set(found)
    try:
        yield found
    finally:
        _RECORD.reset(token)


def choose(asked: str, call: Call) -> str:
    """Name of the backend for a call. Raises UserError as `attend` does."""
    record = _RECORD.get()
    if call.decoding or call.capture:  # few queries; or weights, which only the reference forms
        return "reference"
    if asked not in ("auto", "reference"):
        obstacle = _obstacle(asked, call)
        if obstacle is None:
            return _noted(record, asked, asked, call, "asked for")
        if record is not None:
            raise UserError(
                f"model.attention.backend={asked} {obstacle}; write model.attention.backend=auto"
            )
    if asked == "reference":
        return _noted(record, asked, asked, call, "asked for")
    reasons = []
    for name in BACKENDS.get(platform(), ()):
        obstacle = _obstacle(name, call) or _disadvantage(name, call)
        if obstacle is None:
            return _noted(record, asked, name, call, f"the fastest for such a call on {platform()}")
        reasons.append(f"{name} {obstacle}")
    return _noted(record, asked, "reference", call, "; ".join(reasons) or f"on {platform()}")


def _noted(
    record: list[BackendChoice] | None, asked: str, name: str, call: Call, reason: str
) -> str:
    """`name`, put on record."""
    if record is not None:
        new = BackendChoice(name, asked, call.queries, call.keys, call.window, reason)
        same = [one for one in record if dataclasses.replace(one, calls=1) == new]
        if same:
            same[0].calls += 1
        else:
            record.append(new)
    return name


def platform() -> str:
    """cpu, gpu or tpu."""
    return jax.default_backend()


def _obstacle(name: str, call: Call) -> str | None:
    """Why a backend cannot compute a call, as the end of a sentence; None: it can."""
    if name not in BACKENDS.get(platform(), ()):
        own = next(where for where, names in BACKENDS.items() if name in names)
        return f"runs on {own}, and this is {platform()}"
    mask = call.mask
    if mask is None:
        return "takes a symbolic mask, and this attention makes a dense one"
    if mask.window is not None and not isinstance(mask.window, int):
        return "needs a window that is known when the program is traced"
    biased, dropout = call.bias > 0, call.dropout
    if name == "cudnn":
        return cudnn.obstacle(call.width, call.dtype, biased, dropout)
    if name == "pallas":
        return pallas.obstacle(mask, call.queries, call.keys, biased, dropout)
    if name == "splash":
        return splash.obstacle(mask, biased, dropout)
    if biased and (mask.window_exempt is not None or mask.queries is not None):
        return "has no bias beside global tokens"
    return None


def _disadvantage(name: str, call: Call) -> str | None:
    """Why a backend that can compute a call is not the best; None: it is."""
    if name not in VERIFIED:
        return f"was never verified on a {platform()}: model.attention.backend={name} takes it"
    if jax.device_count() > 1:  # jax would gather all rows on each device
        return f"is not divided among {jax.device_count()} devices"
    if call.bias:
        return "saves no memory beside a bias of queries times keys"
    windowed = call.window is not None and 4 * call.window <= call.keys
    least = TILED_WINDOW_PAIRS if windowed else TILED_PAIRS
    if call.queries * call.keys < least:
        return f"is faster from {round(least**0.5)} tokens on"
    return None
