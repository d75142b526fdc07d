"""The verbs of `fxformer`: what each does, and the functions that run it. Imports nothing heavy."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fxformer.arguments import Parser


@dataclasses.dataclass(frozen=True)
class Verb:
    """summary: one line of `fxformer --help`
    run: `module:function` that takes the words after the verb; it returns an exit code where the
        verb composes a config, and raises UserError where it does not
    parser: function of the same module that makes the verb's Parser; "": it composes a config
    """

    summary: str
    run: str
    parser: str = ""

    def function(self) -> Callable[[list[str]], object]:
        """Import and return what runs the verb."""
        module, _, name = self.run.partition(":")
        return getattr(importlib.import_module(module), name)

    def make_parser(self) -> "Parser":
        """The parser of a verb that has one."""
        module = self.run.partition(":")[0]
        return getattr(importlib.import_module(module), self.parser)()


COMMANDS, DASHBOARD = "fxformer.track.commands", "fxformer.dashboard.main"
VERBS = {
    "train": Verb("train a model", "fxformer.cli.app:train"),
    "launch": Verb(
        "start several processes of this machine that train one model together",
        "fxformer.cli.launch:launch",
        "launch_parser",
    ),
    "plan": Verb(
        "forecast a run or a search: parameters, FLOPs, memory, time, kWh, gCO2e",
        "fxformer.cli.app:plan",
    ),
    "audit": Verb("measure what an objective does to its examples", "fxformer.cli.app:audit"),
    "evaluate": Verb(
        "evaluate a fine-tuned model, or fine-tune one on a suite of tasks",
        "fxformer.cli.evaluate:evaluate",
        "evaluate_parser",
    ),
    "compare": Verb(
        "score runs on the same words, at equal tokens, FLOPs or joules",
        "fxformer.evaluate.compare:main",
        "compare_parser",
    ),
    "reproduce": Verb(
        "run the study of a published claim and print its verdict",
        "fxformer.cli.reproduce:reproduce",
        "reproduce_parser",
    ),
    "bias": Verb(
        "stereotypes of models on CrowS-Pairs, StereoSet and WinoBias",
        "fxformer.evaluate.bias.command:bias_command",
        "bias_parser",
    ),
    "savings": Verb(
        "seconds and joules of a request with a teacher and its student",
        "fxformer.evaluate.savings:savings_command",
        "savings_parser",
    ),
    "search": Verb(
        "what a search tried, found and cost", "fxformer.search.main:main", "search_parser"
    ),
    "energy": Verb(
        "energy of all runs: by run, search, phase and device",
        f"{COMMANDS}:energy",
        "energy_parser",
    ),
    "show": Verb("one run: facts, loss curve, energy", f"{COMMANDS}:show_run", "show_parser"),
    "runs": Verb(
        "list the runs of a folder, or write them as CSV or Parquet",
        f"{COMMANDS}:list_or_export",
        "runs_parser",
    ),
    "dashboard": Verb(
        "a live page over all runs: curves, energy, searches",
        f"{DASHBOARD}:dashboard",
        "dashboard_parser",
    ),
    "report": Verb("the dashboard as one HTML file", f"{DASHBOARD}:report", "report_parser"),
    "attention": Verb(
        "attention, rollout and logit lens of a run on a text, as one HTML file",
        f"{DASHBOARD}:attention",
        "attention_parser",
    ),
    "heads": Verb(
        "importance of attention heads on texts, and export without the least important",
        "fxformer.inference.interpret.heads_command:heads_command",
        "heads_parser",
    ),
    "generate": Verb(
        "generate text from a prompt or a source, streamed to the terminal",
        "fxformer.inference.generate_command:generate_command",
        "generate_parser",
    ),
    "pipeline": Verb(
        "answer a task for texts: masks, classes, entities, questions, summaries, translations",
        "fxformer.inference.pipelines.command:pipeline_command",
        "pipeline_parser",
    ),
    "features": Verb(
        "write hidden states of texts to a file, pooled or by token",
        "fxformer.inference.features.command:features_command",
        "features_parser",
    ),
    "import": Verb(
        "make a run of a published checkpoint", "fxformer.hf.cli:import_", "import_parser"
    ),
    "export": Verb(
        "write a run as a folder for Hugging Face transformers",
        "fxformer.hf.cli:export",
        "export_parser",
    ),
    "completion": Verb(
        "print the completion script of bash, zsh or fish",
        "fxformer.cli.completion:completion",
        "completion_parser",
    ),
}
