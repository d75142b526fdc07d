"""Which layer of a student is compared with which of its teacher."""

from collections.abc import Sequence

from fxformer.errors import UserError

LayerMap = str | Sequence[Sequence[int]]


def layer_pairs(rule: LayerMap, student: int, teacher: int, where: str) -> list[tuple[int, int]]:
    """(layer of the student, layer of the teacher), counted from 1; 0 is the input of the first.

    rule: "last": the last with the last (Sanh et al. 2019); "uniform": student layer i with teacher
        layer ⌈i · teacher / student⌉ (Jiao et al. 2020, sec. 3.1); or the pairs
    student, teacher: their numbers of layers
    where: config key of the rule, for messages
    """
    if rule == "last":
        return [(student, teacher)]
    if rule == "uniform":
        return [(i, -(-i * teacher // student)) for i in range(1, student + 1)]
    if isinstance(rule, str):
        raise UserError(f"{where}={rule}: write last, uniform, or pairs of layers as in [[1, 2]]")
    pairs = []
    for pair in rule:
        if len(pair) != 2:
            raise UserError(f"{where}: {list(pair)} is no pair (layer of student, of teacher)")
        own, other = pair
        for name, layer, layers in (("student", own, student), ("teacher", other, teacher)):
            if not 0 <= layer <= layers:
                raise UserError(
                    f"{where}: the {name} has no layer {layer}; its layers are 1 … {layers}, and 0 "
                    "is the input of the first"
                )
        pairs.append((own, other))
    if not pairs:
        raise UserError(f"{where} is empty: write last, uniform, or pairs as in [[1, 2]]")
    return pairs
