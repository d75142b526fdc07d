"""What a tensor is called in a family's files and what here: the words of a name map.

A name map is a list of Entry made by the functions below. `{i}` in a file's name stands for the
layer; here all layers of a stack lie in one array, on its first axis. One map serves every variant
of a family: an entry whose path a model does not have is not wanted (a bias where there are none),
so heads and options need no maps of their own.
"""

import dataclasses
import re
from collections.abc import Callable

import numpy as np

from fxformer.hf.tensor_layout import ROW, SAME, TURNED, Layout


@dataclasses.dataclass(frozen=True)
class Entry:
    """One tensor of the file, the arrays here it becomes, and how.

    file: its name in the file, `{i}` for the layer where paths lead into a stack
    paths: where its parts lie here
    copies: other names that old files give the same tensor; each must hold the same numbers
    kept: new files have the copies too
    constant: what a file holds although nothing here is trained: checked, and written on export
    shape: of such a constant, known before it is computed
    unread: of such a constant: a file may hold anything there, for nothing is computed from it
    numbers: layer of our stack -> what fills the braces of `file`, where that is not {i}
    """

    file: str
    paths: tuple[str, ...]
    layout: Layout = SAME
    copies: tuple[str, ...] = ()
    kept: bool = False
    constant: Callable[[], np.ndarray] | None = None
    shape: tuple[int, ...] | None = None
    unread: bool = False
    numbers: Callable[[int], dict[str, int]] | None = None

    @property
    def stacked(self) -> bool:
        """Whether it is one of a name for each layer."""
        return "{" in self.file

    def name(self, layer: int, pattern: str | None = None) -> str:
        """The name in the file, of this layer."""
        at = {"i": layer} if self.numbers is None else self.numbers(layer)
        return (pattern or self.file).format(**at)


def tensor(file: str, path: str, layout: Layout = SAME, **more) -> list[Entry]:
    """One tensor, one array."""
    return [Entry(file, (path,), layout, **more)]


def table(file: str, path: str, copies: tuple[str, ...] = ()) -> list[Entry]:
    """An Embedding: file.weight -> path/embedding."""
    weights = tuple(f"{copy}.weight" for copy in copies)
    return [Entry(f"{file}.weight", (f"{path}/embedding",), copies=weights)]


def linear(file: str, path: str, layout: Layout = TURNED, **more) -> list[Entry]:
    """A Linear: file.weight [out in] -> path/kernel [in out], and its bias where there is one."""
    return [
        Entry(f"{file}.weight", (f"{path}/kernel",), layout, **more),
        Entry(f"{file}.bias", (f"{path}/bias",), **more),
    ]


def conv1d(file: str, path: str) -> list[Entry]:
    """GPT-2's Conv1D, which keeps [in out] as we do."""
    return linear(file, path, SAME)


def fused(file: str, paths: tuple[str, ...], layout: Layout, **more) -> list[Entry]:
    """Several Linears in one tensor, and their biases in another."""
    return [
        Entry(f"{file}.weight", tuple(f"{path}/kernel" for path in paths), layout, **more),
        Entry(f"{file}.bias", tuple(f"{path}/bias" for path in paths), layout, **more),
    ]


def norm(file: str, path: str, **more) -> list[Entry]:
    """A LayerNorm or RMSNorm: weight -> scale, bias -> bias where there is one."""
    return [
        Entry(f"{file}.weight", (f"{path}/scale",), **more),
        Entry(f"{file}.bias", (f"{path}/bias",), **more),
    ]


def logits_bias(vocab: int) -> list[Entry]:
    """BART's final_logits_bias [1 V], saved although it is zero in all published models."""
    none = lambda: np.zeros((1, vocab), np.float32)  # noqa: E731
    own = {"constant": none, "shape": (1, vocab)}
    return [Entry("final_logits_bias", ("head/bias",), ROW, **own)]


def renamed(entries: list[Entry], old: str, new: str) -> list[Entry]:
    """The same entries where names in the file begin with `new` in place of `old`."""

    def spelt(name: str) -> str:
        return new + name.removeprefix(old) if name.startswith(old) else name

    return [
        dataclasses.replace(e, file=spelt(e.file), copies=tuple(map(spelt, e.copies)))
        for e in entries
    ]


def pattern(name: str) -> re.Pattern:
    """What a name with braces matches."""
    return re.compile(re.sub(r"\\\{\w+\\\}", r"\\d+", re.escape(name)) + r"\Z")
