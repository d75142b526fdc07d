"""Pipeline: the base class of all tasks: options, batches, errors by row, energy by answer."""

import dataclasses
import itertools
import typing
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from fxformer.batch import Batch
from fxformer.config.type_check import nearest, type_problem
from fxformer.energy.meter import Meter
from fxformer.errors import UserError
from fxformer.inference.forward import Compute
from fxformer.inference.model import Model
from fxformer.inference.pipelines.cost import RequestCost, charged, request_cost
from fxformer.inference.pipelines.model_card import ModelCard, model_card

CHUNK_ROWS = 256  # rows that are prepared, batched by length and answered together
MAX_CHARACTERS = 1_000_000  # of a text


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a pipeline says of one row.

    value: as the task defines it; None where there is an error
    error: why this row has no answer; None where it has one
    joules, milliseconds: the row's share of its chunk, by tokens; None without a meter
    compile_joules, compile_milliseconds: of them, for compiling programs
    """

    value: Any = None
    error: str | None = None
    joules: float | None = None
    milliseconds: float | None = None
    compile_joules: float | None = None
    compile_milliseconds: float | None = None

    @property
    def plain(self) -> Any:
        """The value, or {"error": message}."""
        return self.value if self.error is None else {"error": self.error}


@dataclasses.dataclass(frozen=True)
class PreparedRow:
    """A row as model inputs.

    rows: batches [1, t], none of them padded; windows of one text are several
    state: what `finish` needs of the row
    number: of the row among all rows, from 0; random numbers depend on it
    """

    rows: Sequence[Batch]
    state: Any = None
    number: int = 0

    @property
    def input_tokens(self) -> int:
        """Tokens of all rows."""
        return sum(row.tokens.size + (0 if row.source is None else row.source.size)
                   for row in self.rows)  # fmt: skip


class Pipeline(ABC):
    """Answers of one task for texts; `Options` of a subclass holds its options and defaults.

    model: see `inference.model.Model`
    name: of the task, as the caller wrote it (translation_en_to_fr); "": that of the class
    meter: charges joules to answers; None: energy is not counted
    options: defaults for all calls
    A subclass prepares a row (UserError: the row's error), runs the model on its inputs and turns
    the outputs into the answer.
    """

    task: ClassVar[str]
    Options: ClassVar[type]
    fields: ClassVar[tuple[str, ...]] = ("text",)  # columns of a row in a file
    required_fields: ClassVar[int] = 1  # of them, from the first

    def __init__(self, model: Model, *, name: str = "", meter: Meter | None = None, **options: Any):
        self.model, self.name, self.meter = model, name or self.task, meter
        self.card: ModelCard = model_card(model)
        self.requests, self.compiling = 0, 0.0  # requests answered, seconds of compilation
        self.options = self.changed(self.default_options(), options)
        self.check()

    def default_options(self) -> Any:
        """The options where the caller gives none."""
        return self.Options()

    def check(self) -> None:  # noqa: B027 - not every task has something to check
        """Raise UserError if the model cannot do the task."""

    @abstractmethod
    def prepare(self, row: Any, options: Any) -> PreparedRow:
        """The model inputs of one row. UserError for a row that makes no sense."""

    @abstractmethod
    def finish(self, state: Any, outputs: list[Any], options: Any) -> Any:
        """The answer of a row from what was computed for each of its model inputs."""

    @abstractmethod
    def run(self, prepared: Sequence[PreparedRow], options: Any) -> list[list[Any]]:
        """The outputs of all model inputs of each row."""

    def changed(self, options: Any, given: Mapping[str, Any]) -> Any:
        """Options with other values. UserError for an option that the task does not have."""
        hints = typing.get_type_hints(self.Options)
        for name, value in given.items():
            if name not in hints:
                raise UserError(
                    f"{self.task} has no option {name}{nearest(name, hints)}; it has "
                    f"{', '.join(hints)}"
                )
            if wrong := type_problem(value, hints[name]):
                raise UserError(f"{self.task}: {name}: {wrong}")
        return dataclasses.replace(options, **given)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """The answer for one row, or the list of answers for a list (or iterator) of rows.

        A row that cannot be answered raises UserError if it is alone; in a list its place holds
        {"error": message}.
        """
        chosen = self.changed(self.options, options)
        if self.is_row(inputs):
            (answer,) = self.answers([inputs], chosen)
            if answer.error is not None:
                raise UserError(answer.error)
            return self.single(answer.value, options)
        if not isinstance(inputs, Iterable):
            raise UserError(f"{self.task}: {type(inputs).__name__} {inputs!r:.60} is no text")
        return [answer.plain for answer in self.answers(inputs, chosen)]

    def is_row(self, inputs: Any) -> bool:
        """Whether the argument of a call is one row."""
        return inputs is None or isinstance(inputs, (str, bytes, Mapping))

    def single(self, value: Any, given: Mapping[str, Any]) -> Any:
        """The answer to a call with one row, where transformers has another form for it."""
        return value

    def answers(self, rows: Iterable[Any], options: Any = None, first: int = 0) -> Iterator[Answer]:
        """The answers of all rows in their order, computed chunk by chunk.

        first: number of the first row, where others were answered before
        """
        options = self.options if options is None else options
        rows = iter(rows)
        while chunk := list(itertools.islice(rows, CHUNK_ROWS)):
            yield from self._chunk(chunk, options, first)
            first += len(chunk)

    def _chunk(self, chunk: list[Any], options: Any, first: int) -> list[Answer]:
        with charged(self.meter) as spent:
            prepared = [
                _attempt(lambda n=n, row=row: self._prepared(row, options, n))
                for n, row in enumerate(chunk, first)
            ]
            values, tokens = self._values(prepared, options)
        self.requests += sum(isinstance(one, PreparedRow) for one in prepared)
        self.compiling += spent.compile_seconds
        total = max(sum(tokens), 1)
        answers = []
        for one, value, count in zip(prepared, values, tokens, strict=True):
            failed = isinstance(value, UserError)
            answer = Answer(error=str(value)) if failed else Answer(value)
            # a row that fails after its computation has its share too: shares add up to the whole
            if isinstance(one, PreparedRow) and self.meter is not None:
                answer = dataclasses.replace(answer, **spent.share(count / total))
            answers.append(answer)
        return answers

    def cost(self) -> RequestCost | None:
        """Cost of a request on average; None without a meter, and before the first request."""
        if self.meter is None:
            return None
        return request_cost(self.meter, self.requests, self.compiling)

    def _prepared(self, row: Any, options: Any, number: int) -> PreparedRow:
        if isinstance(row, UserError):  # it could not even be read
            raise row
        return dataclasses.replace(self.prepare(row, options), number=number)

    def _values(self, prepared: list[Any], options: Any) -> tuple[list[Any], list[int]]:
        """(answer of each prepared row, or its UserError; tokens computed for each)."""
        good = [one for one in prepared if isinstance(one, PreparedRow)]
        outputs = iter(self.run(good, options) if good else [])
        values: list[Any] = []
        tokens: list[int] = []
        for one in prepared:
            tokens.append(0)
            if isinstance(one, PreparedRow):
                made = next(outputs)
                tokens[-1] = self.tokens(one, made, options)
                one = _attempt(lambda one=one, made=made: self.finish(one.state, made, options))
            values.append(one)
        return values, tokens

    def tokens(self, one: PreparedRow, outputs: list[Any], options: Any) -> int:
        """Tokens that were computed for a row, by which costs are shared out."""
        return one.input_tokens


class ForwardPipeline(Pipeline):
    """A task whose answers are computed by forward passes."""

    @abstractmethod
    def compute(self, options: Any) -> tuple[Compute, int]:
        """(function (module, batch) -> tree of [B, ...], floats per token of its result)."""

    def run(self, prepared: Sequence[PreparedRow], options: Any) -> list[list[Any]]:
        """The outputs of all model inputs of each row."""
        compute, width = self.compute(options)
        rows = [row for one in prepared for row in one.rows]
        made = iter(self.model.run_rows(compute, rows, width)) if rows else iter(())
        return [list(itertools.islice(made, len(one.rows))) for one in prepared]


def _attempt(make: Any) -> Any:
    """make(), or the UserError that it raises."""
    try:
        return make()
    except UserError as error:
        return error


def check_text(text: Any, what: str = "text") -> str:
    """A text that can be encoded. UserError for anything else.

    what: its name, for the message
    """
    if not isinstance(text, str):
        kind = "None" if text is None else f"{type(text).__name__} {text!r:.40}"
        raise UserError(f"{what} is {kind}: expected a str")
    if not text.strip():
        raise UserError(f"{what} is empty")
    if len(text) > MAX_CHARACTERS:
        raise UserError(
            f"{what} has {len(text):,} characters, at most {MAX_CHARACTERS:,} are read: cut it "
            "into parts"
        )
    if "\0" in text:
        raise UserError(f"{what} holds a NUL character at {text.index(chr(0))}: remove it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{what} is no valid Unicode: {error}") from None
    return text
