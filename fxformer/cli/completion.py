"""Completion for bash, zsh and fish: verbs, run names, and Hydra's own for the words of `train`."""

import os
import sys
from pathlib import Path

BASH = """\
_fxformer() {
    local IFS=$' \\n'
    export COMP_LINE COMP_POINT
    COMPREPLY=($(fxformer completion query 2>/dev/null))
    # a word that is whole gets its space; after = . / one goes on typing
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
COMPOSED = ("train", "plan", "audit")  # verbs whose words are Hydra's
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def completion(argv: list[str], verbs: tuple[str, ...]) -> int:
    """Print the script of a shell, or, for `query`, the words that may follow $COMP_LINE."""
    if argv == ["query"]:
        return query(verbs)
    usage = "write fxformer completion bash, zsh or fish"
    if argv in (["--help"], ["-h"]):
        print(usage)
        return 0
    if len(argv) != 1 or argv[0] not in SCRIPTS:
        print(f"fxformer: {usage}", file=sys.stderr)
        return 2
    print(SCRIPTS[argv[0]], end="")
    return 0


def query(verbs: tuple[str, ...]) -> int:
    """Print the completions of $COMP_LINE up to $COMP_POINT, separated by spaces."""
    line = os.environ.get("COMP_LINE", "")
    line = line[: int(os.environ.get("COMP_POINT", len(line)))]
    words = line.split()
    typed = "" if line.endswith(" ") or not words else words[-1]
    before = len(words) - bool(typed)  # words that are complete
    if before <= 1:
        print(" ".join(verb for verb in verbs if verb.startswith(typed)))
    elif words[1] in COMPOSED:
        from fxformer.cli import app

        os.environ["COMP_LINE"] = "fxformer " + line.split(words[1], 1)[1].lstrip()
        return getattr(app, words[1])(["-sc", "query=bash"])
    elif words[1] == "completion":
        print(" ".join(shell for shell in SCRIPTS if shell.startswith(typed)))
    elif words[1] == "search":
        names = sorted(path.parent.name for path in Path("runs", ".searches").glob("*/study.json"))
        print(" ".join(name for name in (*names, "serve") if name.startswith(typed)))
    else:
        folders = sorted(path.name for path in Path("runs").glob("*/") if path.is_dir())
        print(" ".join(name for name in folders if name.startswith(typed) and name[0] != "."))
    return 0
