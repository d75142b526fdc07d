"""Text from files, safe to print: no control character reaches the terminal."""

import unicodedata

KEPT = "\n\t"
HIDDEN = ("Cc", "Cf", "Zl", "Zp")  # controls, formats (bidirectional marks), separators


def printable(text: str) -> str:
    r"""The text with each control and format character as its escape, \x1b; \n and \t stay."""
    if text.isprintable():
        return text
    return "".join(_shown(letter) for letter in text)


def _shown(letter: str) -> str:
    hidden = letter not in KEPT and unicodedata.category(letter) in HIDDEN
    return letter.encode("unicode_escape").decode() if hidden else letter
