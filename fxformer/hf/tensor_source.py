"""Tensors of a checkpoint folder, looked up by the names of a family's weight map."""

import re

import numpy as np

from fxformer.errors import UserError
from fxformer.hf.config_map import Config
from fxformer.hf.family import Family, TensorNames
from fxformer.hf.tensor_files import TensorFiles
from fxformer.hf.weight_map import pattern


class WeightMismatch(UserError):
    """Checkpoint and model do not match; the message has one line per problem."""


class TensorSource(TensorNames):
    """A folder's tensors, by the names of a family's weight map.

    raw: {name in the map: name in the files}
    strange: names in the files that the map does not contain
    """

    def __init__(self, files: TensorFiles, family: Family, config: Config):
        self.files, self.ignored = files, []
        forms = [entry for variant in family.variants for entry in variant.weight_map(config)]
        names = {n for e in [*family.weight_map(config), *forms] for n in (e.file, *e.copies)}
        self._literal = {name for name in names if "{" not in name}
        self._known = [pattern(name) for name in sorted(names - self._literal)]
        self._ignore = [re.compile(rule) for rule in family.ignored_tensors]
        self.raw: dict[str, str] = {}
        self.strange: list[str] = []
        for name in files:
            self._place(name, family)

    def _place(self, raw: str, family: Family) -> None:
        name = raw
        for old, new in family.legacy_names:
            name = re.sub(old, new, name)
        forms = {variant.base for variant in family.variants if variant.base} | {family.base} - {""}
        bare = [name.removeprefix(base) for base in forms]
        ours = [family.base + rest for rest in bare]
        for candidate in dict.fromkeys([name, *bare, *(base + name for base in forms), *ours]):
            if candidate in self._literal or any(p.match(candidate) for p in self._known):
                if candidate in self.raw:
                    raise WeightMismatch(f"{raw} and {self.raw[candidate]} are the same tensor")
                self.raw[candidate] = raw
                return
            if self.may_ignore(candidate):
                self.ignored.append(raw)
                return
        self.strange.append(raw)

    def may_ignore(self, name: str) -> bool:
        """Whether the family declares that this tensor carries no weights."""
        return any(rule.search(name) for rule in self._ignore)

    def __contains__(self, name: str) -> bool:
        return name in self.raw

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of the tensor with this name."""
        return self.files[self.raw[name]].shape

    def read(self, name: str) -> np.ndarray:
        """The tensor with this name, validated."""
        return self.files.read(self.raw[name])

    def differ(self, name: str, other: str) -> bool:
        """Whether two tensors differ."""
        return self.shape(name) != self.shape(other) or not np.array_equal(
            self.read(name), self.read(other)
        )

    def zero(self, name: str) -> bool:
        """Whether the tensor is missing or all zeros."""
        return name not in self or not self.read(name).any()
