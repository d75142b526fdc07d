"""Weight maps: correspondence between tensor names of a checkpoint and parameter paths.

A weight map is a list of WeightEntry, built by the functions below. `{i}` in a tensor name stands
for the layer; here all layers of a stack are one array, stacked on the first axis. One map serves
every variant of a family: entries whose path the model does not have (a bias, a head) are skipped.
"""

import dataclasses
import re
from collections.abc import Callable

import numpy as np

from fxformer.hf.tensor_layout import FLATTENED, SAME, TRANSPOSED, TensorLayout


@dataclasses.dataclass(frozen=True)
class WeightEntry:
    """One tensor of the checkpoint and the parameters it corresponds to.

    file: tensor name, with `{i}` for the layer if the paths are in a stack
    paths: parameter paths of its parts
    layout: how the tensor is split and transposed into the parameters
    copies: other names of the same tensor in old files; their values must be equal
    kept: whether exports contain the copies too
    constant: computes a tensor that is not a parameter here: checked on import, written on export
    shape: shape of the constant, known before it is computed
    unread: whether any value of the constant is accepted, since nothing is computed from it
    numbers: layer index -> values of the placeholders of `file`, if it is not just {i}
    """

    file: str
    paths: tuple[str, ...]
    layout: TensorLayout = SAME
    copies: tuple[str, ...] = ()
    kept: bool = False
    constant: Callable[[], np.ndarray] | None = None
    shape: tuple[int, ...] | None = None
    unread: bool = False
    numbers: Callable[[int], dict[str, int]] | None = None

    @property
    def stacked(self) -> bool:
        """Whether there is one tensor per layer."""
        return "{" in self.file

    def name(self, layer: int, pattern: str | None = None) -> str:
        """Tensor name of a layer."""
        at = {"i": layer} if self.numbers is None else self.numbers(layer)
        return (pattern or self.file).format(**at)


def tensor(file: str, path: str, layout: TensorLayout = SAME, **more) -> list[WeightEntry]:
    """One tensor, one parameter."""
    return [WeightEntry(file, (path,), layout, **more)]


def table(file: str, path: str, copies: tuple[str, ...] = ()) -> list[WeightEntry]:
    """Embedding: file.weight -> path/embedding."""
    weights = tuple(f"{copy}.weight" for copy in copies)
    return [WeightEntry(f"{file}.weight", (f"{path}/embedding",), copies=weights)]


def linear(file: str, path: str, layout: TensorLayout = TRANSPOSED, **more) -> list[WeightEntry]:
    """Linear: file.weight [out in] -> path/kernel [in out], and its bias if there is one."""
    return [
        WeightEntry(f"{file}.weight", (f"{path}/kernel",), layout, **more),
        WeightEntry(f"{file}.bias", (f"{path}/bias",), **more),
    ]


def conv1d(file: str, path: str) -> list[WeightEntry]:
    """GPT-2's Conv1D, stored [in out] as here."""
    return linear(file, path, SAME)


def fused(file: str, paths: tuple[str, ...], layout: TensorLayout, **more) -> list[WeightEntry]:
    """Several Linear layers fused into one tensor, and their biases into another."""
    return [
        WeightEntry(f"{file}.weight", tuple(f"{path}/kernel" for path in paths), layout, **more),
        WeightEntry(f"{file}.bias", tuple(f"{path}/bias" for path in paths), layout, **more),
    ]


def norm(file: str, path: str, **more) -> list[WeightEntry]:
    """LayerNorm or RMSNorm: weight -> scale, bias -> bias if there is one."""
    return [
        WeightEntry(f"{file}.weight", (f"{path}/scale",), **more),
        WeightEntry(f"{file}.bias", (f"{path}/bias",), **more),
    ]


def logits_bias(vocab: int) -> list[WeightEntry]:
    """BART's final_logits_bias [1 V], saved although zero in all published models."""
    none = lambda: np.zeros((1, vocab), np.float32)  # noqa: E731
    own = {"constant": none, "shape": (1, vocab)}
    return [WeightEntry("final_logits_bias", ("head/bias",), FLATTENED, **own)]


def renamed(entries: list[WeightEntry], old: str, new: str) -> list[WeightEntry]:
    """The same entries with the prefix `old` of tensor names replaced by `new`."""

    def replaced(name: str) -> str:
        return new + name.removeprefix(old) if name.startswith(old) else name

    return [
        dataclasses.replace(e, file=replaced(e.file), copies=tuple(map(replaced, e.copies)))
        for e in entries
    ]


def pattern(name: str) -> re.Pattern:
    """Regex that matches a tensor name with placeholders."""
    return re.compile(re.sub(r"\\\{\w+\\\}", r"\\d+", re.escape(name)) + r"\Z")
