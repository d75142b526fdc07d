"""`fxformer completion`: verbs, options, names of runs, and Hydra's own completion of overrides."""

import os
from collections.abc import Sequence
from pathlib import Path

from fxformer.arguments import Parser
from fxformer.cli.verbs import VERBS

BASH = """\
_fxformer() {
    local IFS=$' \\n'
    export COMP_LINE COMP_POINT
    COMPREPLY=($(fxformer completion query 2>/dev/null))
    # a complete word gets its space; after = . / the word goes on
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} != *[=./] ]] && compopt +o nospace 2>/dev/null
    return 0
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _fxformer fxformer
"""
ZSH = "autoload -Uz bashcompinit && bashcompinit\n" + BASH
FISH = """\
function _fxformer
    set -lx COMP_LINE (commandline -cp)
    fxformer completion query 2>/dev/null | string split ' '
end
complete -c fxformer -f -a '(_fxformer)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def completion_parser() -> Parser:
    """The arguments of `fxformer completion`."""
    parser = Parser(
        "completion",
        "Print a script that completes the words of fxformer in a shell.",
        examples=[("bash", 'eval "$(fxformer completion bash)" in ~/.bashrc')],
    )
    shells = [*SCRIPTS, "query"]  # query: for the scripts themselves
    parser.add_argument("shell", choices=shells, metavar="SHELL", help=", ".join(SCRIPTS))
    return parser


def completion(argv: Sequence[str]) -> None:
    """Print the script of a shell, or, for `query`, the words that may follow $COMP_LINE."""
    shell = completion_parser().parse(argv).shell
    if shell == "query":
        query()
    else:
        print(SCRIPTS[shell], end="")


def query() -> None:
    """Print the completions of $COMP_LINE up to $COMP_POINT, separated by spaces."""
    line = os.environ.get("COMP_LINE", "")
    line = line[: int(os.environ.get("COMP_POINT", len(line)))]
    words = line.split()
    typed = "" if line.endswith(" ") or not words else words[-1]
    before = len(words) - bool(typed)  # words that are complete
    if before <= 1:
        found = list(VERBS)
    elif (verb := VERBS.get(words[1])) is None:
        found = []
    elif not verb.parser:
        os.environ["COMP_LINE"] = "fxformer " + line.split(words[1], 1)[1].lstrip()
        verb.function()(["-sc", "query=bash"])
        return
    elif typed.startswith("-"):
        found = sorted(verb.make_parser().options())
    else:
        found = _names(words[1], words)
    print(" ".join(word for word in found if word.startswith(typed)))


def _names(verb: str, words: Sequence[str]) -> list[str]:
    """What a verb's arguments may be called: shells, studies, or runs."""
    folders = [word.partition("=")[2] for word in words if word.startswith("runs=")]
    root = Path(folders[-1] if folders else "runs").expanduser()
    if verb == "completion":
        return list(SCRIPTS)
    if verb == "search":
        names = sorted(path.parent.name for path in (root / ".searches").glob("*/study.json"))
        return [*names, "serve", "runs="]
    runs = sorted(path.name for path in root.glob("*/") if path.name[0] != ".")
    takes_runs = verb not in ("runs", "dashboard", "import")
    return [*(runs if takes_runs else ()), "runs="]
