"""Runs the study of a claim as a search, measures its cells, prints and writes the result."""

import argparse
import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from fxformer import jsonl
from fxformer.claims import page, record, table
from fxformer.claims.cells import FOLDER, MeasuredCells, cells, trials_of
from fxformer.claims.figure import claim_figure
from fxformer.claims.measures import ConfigMeasure, Measure
from fxformer.claims.study import ClaimStudy, load_study, study_files
from fxformer.claims.verdict import ClaimResult
from fxformer.cli import app
from fxformer.config import folders
from fxformer.energy.meter import Meter
from fxformer.errors import UserError
from fxformer.figures.drawing import check_figure, write_figure
from fxformer.files import check_folder, check_output
from fxformer.inference.pipelines.cost import open_meter
from fxformer.search import study_io
from fxformer.search.space import ARM
from fxformer.search.study import Trial
from fxformer.track.run_lock import utc_now
from fxformer.track.run_reader import StoredRun


def list_claims() -> None:
    """Print the claims with their recorded verdicts and cost."""
    studies = {name: load_study(name) for name in study_files()}
    table.show_list(studies, record.recorded_studies(), Console())


def write_all(runs: str) -> None:
    """Write docs/claims.md beside the experiments, and claims.html into the folder of the runs.
    UserError where fxformer is installed without its sources."""
    docs = folders.experiments_folder().parent / "docs"
    check_folder(docs, f"--all {docs / 'claims.md'}", make=False)
    studies, records = {name: load_study(name) for name in study_files()}, record.recorded_studies()
    files = {
        docs / "claims.md": page.markdown(studies, records),
        Path(runs, "claims.html"): page.html(studies, records),
    }
    Path(runs).mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        jsonl.replace(file, text)
    _tell(list(files), Console())


def reproduce_claim(given: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run or continue the study that the arguments name, print and write its result; returns the
    exit code. UserError for a file that cannot be written."""
    files = [check_output(given.json, "--json")] if given.json else []
    figures = [check_figure(given.figure, "--figure")] if given.figure else []
    study, console = load_study(given.claim), Console()
    study = study.quickened() if given.quick else study
    result, folder, energy = run(study, given.overrides, given.runs, argv, console)
    result = dataclasses.replace(result, quick=given.quick)
    table.show(result, console)
    facts = record.RecordedStudy.of(result, utc_now()[:10], energy)
    text = json.dumps(jsonl.encode(dataclasses.asdict(facts)), indent=1) + "\n"
    files.append(folder / "result.json")
    for file in files:
        jsonl.replace(file, text)
    figures += [folder / "figure.svg", folder / "figure.pdf"]
    if given.record:
        files.append(record.record(facts, study.name))
        figures.append(files[-1].with_name("figure.svg"))
    _tell([*files, *(write_figure(claim_figure(result), file) for file in figures)], console)
    return result.code


def _tell(written: Sequence[Path], console: Console) -> None:
    for file in written:
        console.print(f"wrote {file}", highlight=False, markup=False, soft_wrap=True)


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
            before = _sources(study, further, runs, argv)
            joules, seconds, energy, unfinished = _trained(words, folder, store, argv, meter)
            joules, seconds = joules + before[0], seconds + before[1]
        else:
            _untrained(words, store, console, meter)
            joules, seconds, energy, unfinished = 0.0, 0.0, "", {}
    finally:
        meter.close()
    result = ClaimResult.of(
        study,
        store.measurements(),
        joules=joules + store.joules,
        seconds=seconds + store.seconds,
        unfinished=unfinished,
    )
    return result, folder, energy or store.provenance


def _sources(
    study: ClaimStudy, further: list[str], runs: str, argv: Sequence[str]
) -> tuple[float, float]:
    """Train the runs that arms start from; their (joules, seconds). UserError where one failed."""
    if not study.sources:
        return 0.0, 0.0
    words, name = study.source_words(further, runs)
    trials = _searched(words, study_io.study_folder(Path(runs).resolve(), name), argv)
    for one in trials.values():
        if one.state != "complete":
            what = f"{one.params.get(ARM)}, seed {one.params.get('seed', 0)}"
            raise UserError(
                f"the run that arms start from is {one.status}: {what}"
                f"{f': {one.reason}' if one.reason else ''}; see fxformer search {name}"
            )
    return sum(t.joules for t in trials.values()), sum(t.seconds for t in trials.values())


def _searched(words: list[str], folder: Path, argv: Sequence[str]) -> Mapping[int, Trial]:
    """Run or continue a search; its trials. SystemExit where it is refused or interrupted."""
    code = app.train(words, command=("reproduce", *argv))
    if code == app.INTERRUPTED or not (folder / "study.json").is_file():
        raise SystemExit(code)
    return trials_of(folder)


def _trained(
    words: list[str], folder: Path, store: MeasuredCells, argv: Sequence[str], meter: Meter
) -> tuple[float, float, str, dict[str, int]]:
    """Train all cells as a search and measure the complete ones; (joules, seconds, how the joules
    were measured, {reason: number of cells without a complete run})."""
    trials, lost, energy = _searched(words, folder, argv), Counter[str](), ""
    for slot, one in trials.items():
        if one.state == "complete" and one.run:
            stored = StoredRun(folder.parent.parent / one.run)
            store.add(slot, lambda measure, stored=stored: measure.of_run(stored), meter)
            energy = energy or stored.energy().total.provenance
        else:
            lost[f"{one.status}{f': {one.reason}' if one.reason else ''}"] += 1
    joules = sum(one.joules for one in trials.values())
    return joules, sum(one.seconds for one in trials.values()), energy, dict(lost)


def _untrained(words: list[str], store: MeasuredCells, console: Console, meter: Meter) -> None:
    """Measure all cells from their configs. SystemExit where a config is refused."""
    if code := app.run("train", words, ConfigJob(store, console, meter)):
        raise SystemExit(code)


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

        def number(measure: Measure) -> float:
            assert isinstance(measure, ConfigMeasure)  # of a study that trains nothing
            return measure.of_config(cfg)

        with self.console.status(f"measuring {arm} …"):
            self.store.add(slot, number, self.meter)
        at = "" if level is None else f" {self.store.study.key}={level:g}"
        found = self.store.measurements().numbers
        numbers = [
            f"{name} {table.number(own.get((arm, level, seed)))}" for name, own in found.items()
        ]
        self.console.print(f"{arm}{at} seed={seed}: {', '.join(numbers)}", highlight=False)
