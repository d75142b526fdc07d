"""`runs=FOLDER` in the words of the verbs that Hydra does not compose."""

# The option of each verb's own parser that takes the folder; None: a positional argument.
FORMS = {
    "runs": None,
    "dashboard": None,
    "energy": "--root",
    "show": "--root",
    "compare": "--root",
    "search": "--root",
    "report": "--root",
    "attention": "--root",
}


def told(verb: str, argv: list[str]) -> list[str]:
    """`argv` with `runs=FOLDER` written as the verb's parser wants it. The last one counts."""
    folders = [word.partition("=")[2] for word in argv if word.startswith("runs=")]
    if verb not in FORMS or not folders:
        return argv
    rest = [word for word in argv if not word.startswith("runs=")]
    flag = FORMS[verb]
    return [*rest, folders[-1]] if flag is None else [*rest, flag, folders[-1]]
