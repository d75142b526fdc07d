"""Evaluation of a teacher on the validation rows of its student, once at the beginning of a run."""

from collections.abc import Mapping
from typing import Any

from fxformer.distillation.teacher import Teacher
from fxformer.track import formatting
from fxformer.track.run import Run
from fxformer.train.callbacks import Callback
from fxformer.train.evaluation import EvaluationAborted, evaluate_batches
from fxformer.train.loop_state import LoopState
from fxformer.train.mesh import replicated
from fxformer.train.placement import put_tree
from fxformer.train.setup import Setup
from fxformer.train.split_batches import SplitBatches
from fxformer.train.state import count_parameters
from fxformer.train.step import make_eval

SCORES = ("accuracy", "f1", "exact_match")  # higher is better, and 0 is nothing


class EvaluateTeacher(Callback):
    """Stores the numbers of the teacher in run.json under `teacher`, unless they are there."""

    def __init__(self, setup: Setup, teacher: Teacher, run: Run) -> None:
        super().__init__(0)
        self.setup, self.teacher, self.run = setup, teacher, run

    def begin(self, loop: LoopState) -> None:
        if self.run.facts.get("teacher"):
            return
        with loop.meter.phase("evaluate"):
            try:
                numbers = self._numbers(loop)
            except EvaluationAborted:  # the resumed run does it
                return
        parameters = count_parameters(self.teacher.abstract)
        self.run.update(
            teacher={"name": self.teacher.name, "parameters": parameters, "valid": numbers}
        )

    def lines(self, ended: LoopState) -> list[tuple[str, str]]:
        """Lines of the summary; see `teacher_lines`."""
        return teacher_lines(self.run.facts.get("teacher"), self.setup.parameters, ended.valid)

    def _numbers(self, loop: LoopState) -> dict[str, float]:
        batches = SplitBatches(self.setup)
        numbers = evaluate_batches(
            self.setup.jitted(make_eval(self.teacher.graphdef, precision=self.teacher.precision)),
            put_tree(self.teacher.params, replicated(self.setup.mesh)),
            batches,
            observe=batches.observe,
            stop_requested=loop.stop_requested,
        )
        results = batches.results()
        return numbers | ({} if results is None else results.values) | batches.derive(numbers)


def teacher_lines(
    teacher: Mapping[str, Any] | None, parameters: int, valid: Mapping[str, float]
) -> list[tuple[str, str]]:
    """Lines of the summary: the teacher's numbers, and what its student keeps of them.

    teacher: as stored in run.json; parameters, valid: of the student
    """
    if not teacher:
        return []
    numbers = teacher["valid"]
    told = [f"loss {formatting.loss(numbers['loss'])}"]
    told += [f"{name} {numbers[name]:.3g}" for name in SCORES if name in numbers]
    share = parameters / teacher["parameters"]
    whole = formatting.count(teacher["parameters"])
    words = f"the student has {share:.0%} of its {whole} parameters"
    kept = [
        f"{valid[name] / numbers[name]:.1%} of its {name}"
        for name in SCORES
        if name in valid and numbers.get(name)
    ]
    if kept:
        words += f" and keeps {', '.join(kept)}"
    lines = [("teacher", f"{', '.join(told)} on the same held-out text"), ("", words)]
    if "nll" in valid and "nll" in numbers:
        above = valid["nll"] - numbers["nll"]
        lines.append(("", f"its nll is the teacher's {above:+.4f}"))
    return lines
