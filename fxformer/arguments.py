"""Parser: command-line arguments of the verbs that compose no config.

`argparse` with what all verbs of `fxformer` share: `runs=FOLDER`, one layout of `--help` (usage,
arguments, options, examples), and errors that are UserErrors and name the nearest option. The
verbs that compose a config (train, plan, audit) take KEY=VALUE words instead: see cli/app.py.
"""

import argparse
import re
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from fxformer.config.type_check import nearest
from fxformer.errors import UserError

RUN = "a run: its folder, its name, the first letters of it, or last"
WIDTH = 100
KEY = re.compile(r"[A-Za-z_][\w./@]*=")
FOLDER_OPTIONS = ("--root", "--runs", "--run-dir", "--folder", "--dir")


class Parser(argparse.ArgumentParser):
    """Parses the words after a verb.

    verb: its name, as in `fxformer VERB`
    summary: what it does, the first paragraph of its help
    examples: (arguments of a command, what it does)
    overrides: help of the words KEY=VALUE that it takes besides `runs=`; "": it takes none
    """

    def __init__(
        self,
        verb: str,
        summary: str,
        *,
        examples: Sequence[tuple[str, str]] = (),
        overrides: str = "",
    ):
        super().__init__(f"fxformer {verb}", description=summary, allow_abbrev=False)
        self.verb, self.examples, self.overrides = verb, examples, overrides

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The arguments by name; `runs`: the folder of runs; `overrides`: words KEY=VALUE.

        UserError for words that make no sense, with what to write. `--help` prints the help and
        raises SystemExit(0).
        """
        rest, keys = self._split(argv)
        given, unknown = self.parse_known_args(rest)
        if unknown:
            raise UserError(self._superfluous(unknown[0]))
        folders = [word.partition("=")[2] for word in keys if word.startswith("runs=")]
        if "" in folders:
            raise UserError("runs= names no folder; write runs=FOLDER, or leave it out")
        given.runs = folders[-1] if folders else "runs"
        # the packages are declared before any verb runs
        given.overrides = [w for w in keys if not w.startswith(("runs=", "packages="))]
        return given

    def options(self) -> list[str]:
        """All option strings."""
        return list(self._option_string_actions)

    def _split(self, argv: Sequence[str]) -> tuple[list[str], list[str]]:
        """(words for argparse, words KEY=VALUE). UserError for an option that does not exist."""
        rest, keys, values = [], [], 0
        for place, word in enumerate(argv):
            if values:  # the value of the option before it
                values -= 1
            elif word == "--":
                return [*rest, *argv[place:]], keys
            elif word.startswith("-") and word[1:2] not in ("", *".0123456789"):
                values = self._values_of(word, argv[place + 1 :])
            elif word.startswith(("runs=", "packages=")) or (self.overrides and KEY.match(word)):
                keys.append(word)
                continue
            rest.append(word)
        return rest, keys

    def _values_of(self, word: str, following: Sequence[str]) -> int:
        """How many words after an option are its values. UserError for an unknown option."""
        option, given, value = word.partition("=")
        action = self._option_string_actions.get(option)
        if action is None and not word.startswith("--") and word[:2] in self._option_string_actions:
            return 0  # -oFILE
        if action is None:
            value = value or (following[0] if following else "")
            raise UserError(self._no_option(option, value))
        if given or action.nargs == 0:
            return 0
        if action.nargs == "?":
            return int(bool(following) and not following[0].startswith("-"))
        return action.nargs if isinstance(action.nargs, int) else 1

    def _no_option(self, option: str, value: str) -> str:
        said = f"fxformer {self.verb} has no option {option}"
        if option in FOLDER_OPTIONS:
            return f"{said}; write runs={value or 'FOLDER'} for the folder that holds the runs"
        names = [_name(action) for action in self._get_positionals()]
        if option.strip("-").upper() in names:
            return f"{said}; write {value or option.strip('-').upper()} alone"
        if option in ("-m", "--multirun"):
            return f"{said}; -m searches: fxformer train -m, or fxformer plan -m"
        return f"{said}{nearest(option, self._option_string_actions) or self._see_help()}"

    def _superfluous(self, word: str) -> str:
        """What to say of a word that is no argument of the verb."""
        key, given, value = word.partition("=")
        option = f"--{key.replace('_', '-')}"
        if given and option in self._option_string_actions:
            return f"{word}: write {option} {value}"
        if given and option in FOLDER_OPTIONS:
            return f"{word}: write runs={value}"
        if given and KEY.match(word):
            return f"{word}: fxformer {self.verb} composes no config{self._see_help()}"
        arguments = [_name(action) for action in self._get_positionals()]
        takes = f"only {' '.join(arguments)}" if arguments else "no words"
        return f"{word}: fxformer {self.verb} takes {takes}; a folder of runs is runs={word}"

    def _get_positionals(self) -> list[argparse.Action]:
        return [action for action in self._actions if not action.option_strings]

    def _see_help(self) -> str:
        return f"; see fxformer {self.verb} --help"

    def error(self, message: str) -> NoReturn:
        """Raise UserError for argparse's own complaints."""
        message = re.sub(
            r"argument (\S+?)(?:/\S+)?: invalid (\w+) value: '(.*)'", r"\1 \3: expected \2", message
        )
        missing = "the following arguments are required: "
        if message.startswith(missing):
            message = f"{message.removeprefix(missing)} is missing; write {self._usage()}"
            raise UserError(message)
        raise UserError(f"{message.removeprefix('argument ')}{self._see_help()}")

    def _usage(self) -> str:
        words = [_shown(action) for action in self._get_positionals()]
        words += ["[KEY=VALUE ...]"] if self.overrides else []
        return " ".join([self.prog, *words, "[OPTION ...]", "[runs=FOLDER]"])

    def format_usage(self) -> str:
        """The first lines of the help."""
        return f"usage: {self._usage()}\n"

    def format_help(self) -> str:
        """usage, summary, arguments, options, examples."""
        arguments = [(_name(one), one.help or "") for one in self._get_positionals()]
        arguments += [("KEY=VALUE", self.overrides)] if self.overrides else []
        arguments += [("runs=FOLDER", "the folder that holds the runs (default: runs)")]
        options = [(_option(one), one.help or "") for one in self._actions if one.option_strings]
        examples = [(f"{self.prog} {words}".strip(), what) for words, what in self.examples]
        parts = [
            self.format_usage(),
            textwrap.fill(" ".join(str(self.description).split()), WIDTH) + "\n",
            _section("arguments", arguments),
            _section("options", [*options[1:], *options[:1]]),  # --help last
        ]
        return "\n".join(parts + ([_section("examples", examples, 46)] if examples else []))


def _shown(action: argparse.Action) -> str:
    """A positional argument in a usage line: RUN, [RUN], RUN ..."""
    name = _name(action)
    forms = {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}
    return forms.get(str(action.nargs), name)


def _name(action: argparse.Action) -> str:
    return str(action.metavar or action.dest.upper())


def _option(action: argparse.Action) -> str:
    """An option with its values: -o, --output FILE."""
    names = ", ".join(action.option_strings)
    if action.nargs == 0:
        return names
    metavar: Any = action.metavar
    if metavar is None and action.choices is not None:
        metavar = "|".join(map(str, action.choices))
    values = " ".join(metavar) if isinstance(metavar, tuple) else metavar or action.dest.upper()
    return f"{names} [{values}]" if action.nargs == "?" else f"{names} {values}"


def _section(title: str, rows: Sequence[tuple[str, str]], widest: int = 34) -> str:
    """A titled list in two columns; a long left entry has a line of its own."""
    column = min(max(len(left) for left, _ in rows), widest) + 4
    lines = [f"{title}:"]
    for left, right in rows:
        wrapped = textwrap.wrap(right, WIDTH - column) or [""]
        if len(left) > column - 4:
            lines.append(f"  {left}")
            left = ""
        lines.append(f"  {left:<{column - 2}}{wrapped[0]}".rstrip())
        lines += [" " * column + line for line in wrapped[1:]]
    return "\n".join(lines) + "\n"
