"""`fxformer reproduce NAME`: run the study of a published claim, and print its verdict."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from fxformer import jsonl
from fxformer.arguments import Parser
from fxformer.claims import record, table
from fxformer.claims.cells import FOLDER, MeasuredCells, cells, trials_of
from fxformer.claims.study import ClaimStudy, load_study, study_files
from fxformer.claims.verdict import ClaimResult
from fxformer.cli import app
from fxformer.energy.meter import Meter
from fxformer.errors import UserError
from fxformer.inference.pipelines.cost import open_meter
from fxformer.search import study_io
from fxformer.track.run_lock import utc_now
from fxformer.track.run_reader import StoredRun


def reproduce_parser() -> Parser:
    """The arguments of `fxformer reproduce`."""
    parser = Parser(
        "reproduce",
        "Run the study of a published claim (experiments/NAME/study.yaml): all arms and seeds as "
        "one search, which the same command continues; then print the verdict, each effect with "
        "its interval beside the published one, the controls, joules and minutes. A claim is "
        "reproduced only where every analysis holds and every control fails. Without NAME: list "
        "the claims with their recorded verdicts. Exit code 0: reproduced; 5: not reproduced; 6: "
        "inconclusive (too few seeds, or an interval too wide); 75: interrupted, the same command "
        "continues.",
        examples=[
            ("", "the claims, their recorded verdicts and cost"),
            ("prenorm_gradients", "the whole study"),
            ("prenorm_gradients --quick", "fewer seeds or steps; minutes"),
            ("prenorm_gradients --record", "and write its expected.yaml"),
        ],
        overrides="options of fxformer train for all runs, as data.files=FILE or search.workers=2",
    )
    parser.add_argument(
        "claim", nargs="?", metavar="NAME", help="a folder of experiments/ with a study.yaml"
    )
    parser.add_argument("--quick", action="store_true", help="the quick variant of the study")
    parser.add_argument(
        "--record",
        action="store_true",
        help="write the result into expected.yaml; not with --quick",
    )
    parser.add_argument("--json", metavar="FILE", help="findings and verdict as JSON")
    return parser


def reproduce(argv: Sequence[str], console: Console | None = None) -> None:
    """Reproduce as `argv` says. UserError for what cannot be; SystemExit with the exit code."""
    given, console = reproduce_parser().parse(argv), console or Console()
    if given.claim is None:
        if given.quick or given.record or given.json:
            raise UserError("reproduce: name the claim, as in fxformer reproduce NAME --quick")
        studies = {name: load_study(name) for name in study_files()}
        return table.show_list(studies, record.recorded_studies(), console)
    if given.quick and given.record:
        raise UserError("--record: is for the whole study; leave --quick out")
    study = load_study(given.claim)
    study = study.quickened() if given.quick else study
    result, folder, energy = run(study, given.overrides, given.runs, argv, console)
    result = dataclasses.replace(result, quick=given.quick)
    table.show(result, console)
    facts = record.RecordedStudy.of(result, utc_now()[:10], energy)
    text = json.dumps(jsonl.encode(dataclasses.asdict(facts)), indent=1) + "\n"
    written = [folder / "result.json", *([Path(given.json).expanduser()] if given.json else [])]
    for file in written:
        jsonl.replace(file, text)
    if given.record:
        written.append(record.record(result, utc_now()[:10], energy))
    for file in written:
        console.print(f"wrote {file}", highlight=False, markup=False, soft_wrap=True)
    if result.code:
        raise SystemExit(result.code)


def run(
    study: ClaimStudy, further: list[str], runs: str, argv: Sequence[str], console: Console
) -> tuple[ClaimResult, Path, str]:
    """Run or continue a study; returns (result, folder of its search, how its joules were
    measured). SystemExit where the search is refused or interrupted."""
    words, name = study.search_words(further, runs)
    folder = study_io.study_folder(Path(runs).resolve(), name)
    store = MeasuredCells(study, folder / FOLDER)
    meter = open_meter()
    try:
        if study.trains:
            joules, seconds, unfinished = _trained(words, folder, store, argv, meter)
        else:
            joules, seconds, unfinished = _untrained(words, store, console, meter), 0.0, {}
        provenance = meter.provenance
    finally:
        meter.close()
    result = ClaimResult.of(
        study,
        store.measurements(),
        joules=joules + store.joules,
        seconds=seconds + store.seconds,
        unfinished=unfinished,
    )
    return result, folder, provenance


def _trained(
    words: list[str], folder: Path, store: MeasuredCells, argv: Sequence[str], meter: Meter
) -> tuple[float, float, dict[str, int]]:
    """Train all cells as a search and measure the complete ones; (joules, seconds, {reason: number
    of cells without a complete run})."""
    code = app.train(words, command=("reproduce", *argv))
    if code == app.INTERRUPTED or not (folder / "study.json").is_file():
        raise SystemExit(code)
    trials, lost = trials_of(folder), Counter[str]()
    for slot, one in trials.items():
        if one.state == "complete" and one.run:
            stored = StoredRun(folder.parent.parent / one.run)
            store.add(slot, lambda measure, stored=stored: measure.of_run(stored), meter)
        else:
            lost[f"{one.status}{f': {one.reason}' if one.reason else ''}"] += 1
    joules = sum(one.joules for one in trials.values())
    return joules, sum(one.seconds for one in trials.values()), dict(lost)


def _untrained(words: list[str], store: MeasuredCells, console: Console, meter: Meter) -> float:
    """Measure all cells from their configs; returns no further joules. SystemExit where a config is
    refused."""
    if code := app.run("train", words, ConfigJob(store, console, meter)):
        raise SystemExit(code)
    return 0.0


@dataclasses.dataclass(frozen=True)
class ConfigJob:
    """Job of a sweep: measures the config of each cell that has not been measured."""

    store: MeasuredCells
    console: Console
    meter: Meter

    def sample(self, study, pure: bool) -> list[int]:
        """Slots with missing numbers."""
        return [slot for slot in range(study.total) if self.store.missing(slot)]

    def __call__(self, cfg: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig

        from fxformer.train.compile import use_compile_cache

        use_compile_cache(cfg.trainer.compile_cache)
        slot = int(HydraConfig.get().job.num)
        arm, level, seed = list(cells(self.store.study))[slot]
        with self.console.status(f"measuring {arm} …"):
            self.store.add(slot, lambda measure: measure.of_config(cfg), self.meter)
        at = "" if level is None else f" {self.store.study.key}={level:g}"
        found = self.store.measurements().numbers
        numbers = [
            f"{name} {table.number(own.get((arm, level, seed)))}" for name, own in found.items()
        ]
        self.console.print(f"{arm}{at} seed={seed}: {', '.join(numbers)}", highlight=False)
