"""Collective operations of a compiled program: how many of each run in a step, and their bytes."""

import collections
import dataclasses
import math
import re

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "f64": 8}
HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
CALLED = re.compile(r"(?:body|condition|to_apply|calls|(?:true|false)_computation)=%?([\w.\-]+)")
BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
OPERATION = re.compile(rf"= (.*?) ({'|'.join(KINDS)})(-start)?\(")
DEFINED = re.compile(r"(?:ROOT )?%?([\w.\-]+) = ([a-z]+\d*)\[([\d,]*)\]")
PRODUCT = re.compile(r"= [a-z]+\d*\[([\d,]*)\]\S* dot\((?:[a-z]+\d*\[[\d,]*\]\S* )?%?([\w.\-]+)")
CONTRACTED = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")
SHAPE = re.compile(r"([a-z]+\d*)\[([\d,]*)\]")


@dataclasses.dataclass(frozen=True)
class Collective:
    """A collective operation.

    times: how often it runs in a step
    elements, bytes: of its result on one device; devices: that take part
    """

    kind: str
    times: int
    elements: int
    bytes: int
    devices: int
    line: str

    @property
    def moved(self) -> float:
        """Bytes that each device sends in a step, in a ring."""
        share = (self.devices - 1) / self.devices
        whole = self.bytes * (self.devices if self.kind == "reduce-scatter" else 1)
        return self.times * whole * share * (2 if self.kind == "all-reduce" else 1)


def collectives(text: str) -> list[Collective]:
    """Those of the HLO of a compiled program, as `compiled.as_text()` gives it; operations among
    one device alone are left out."""
    partitions = re.search(r"num_partitions=(\d+)", text)
    everyone = int(partitions[1]) if partitions else 1
    found = []
    for line, times in executed(text):
        if operation := OPERATION.search(line):
            one = _collective(operation, line, times, everyone)
            found.extend([one] if one.devices > 1 else [])
    return found


def product_flops(text: str) -> int:
    """FLOPs of the matrix products of one device in a step: two for each multiplication."""
    shapes = {}
    for line in text.splitlines():
        if known := DEFINED.match(line.strip()):
            shapes[known[1]] = [int(n) for n in known[3].split(",") if n]
    total = 0
    for line, times in executed(text):
        product, contracted = PRODUCT.search(line), CONTRACTED.search(line)
        if product and contracted:
            left = shapes[product[2]]
            axes = [int(n) for n in contracted[1].split(",") if n]
            out = math.prod(int(n) for n in product[1].split(",") if n)
            total += 2 * times * out * math.prod(left[axis] for axis in axes)
    return total


def executed(text: str) -> list[tuple[str, int]]:
    """(line, how often it runs) of the operations of a program, those in loops and fusions too."""
    bodies, entry, name = collections.defaultdict(list), "", None
    for line in text.splitlines():
        if header := HEADER.match(line.strip()):
            name = header[2]
            entry = name if header[1] else entry
        elif name is not None:
            bodies[name].append(line.strip())
    found: list[tuple[str, int]] = []

    def visit(name: str, times: int) -> None:
        for line in bodies[name]:
            found.append((line, times))
            if OPERATION.search(line):  # what it applies is a sum of two numbers
                continue
            trips = TRIPS.search(line) if " while(" in line else None
            called = CALLED.findall(line)
            called += [n.strip(" %") for b in BRANCHES.findall(line) for n in b.split(",")]
            for other in called:
                visit(other, times * (int(trips[1]) if trips else 1))

    visit(entry, 1)
    return found


def _collective(operation: re.Match, line: str, times: int, everyone: int) -> Collective:
    shapes = [
        (kind, math.prod(int(n) for n in sizes.split(",") if n))
        for kind, sizes in SHAPE.findall(operation[1])
    ]
    elements, size = sum(n for _, n in shapes), sum(BYTES[kind] * n for kind, n in shapes)
    return Collective(operation[2], times, elements, size, _group_size(line, everyone), line)


def _group_size(line: str, everyone: int) -> int:
    if listed := re.search(r"replica_groups=\{\{([\d,]*)\}", line):
        return len(listed[1].split(","))
    if iota := re.search(r"replica_groups=\[\d+,(\d+)\]<=", line):
        return int(iota[1])
    return 2 if "collective-permute" in line else everyone
