"""`fxformer generate MODEL PROMPT`: generated text, streamed to the terminal."""

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import Any

from fxformer.arguments import RUN, Parser
from fxformer.errors import UserError
from fxformer.track.formatting import safe

# option of GenerationConfig -> (type, help)
NUMBERS: dict[str, tuple[type, str]] = {
    "max_new_tokens": (int, "most tokens to generate (default: of the model, else 64 or 256)"),
    "min_new_tokens": (int, "no end of the text before so many tokens"),
    "num_beams": (int, "beam search with so many beams (default: 1, greedy search)"),
    "num_beam_groups": (int, "groups of beams that --diversity-penalty keeps apart"),
    "diversity_penalty": (float, "subtracted for tokens that an earlier group chose"),
    "length_penalty": (float, "exponent of the length by which a beam's score is divided"),
    "num_return_sequences": (int, "texts to print, best first"),
    "temperature": (float, "divides the logits; with --do-sample"),
    "top_k": (int, "sample from the k most probable tokens; candidates of --penalty-alpha"),
    "top_p": (float, "sample from the fewest tokens whose probabilities sum to p"),
    "min_p": (float, "sample from tokens with this fraction of the largest probability"),
    "typical_p": (float, "locally typical sampling"),
    "penalty_alpha": (float, "contrastive search: weight of the likeness to earlier tokens"),
    "repetition_penalty": (float, "> 1: makes tokens that have occurred less probable"),
    "no_repeat_ngram_size": (int, "no n-gram occurs twice"),
    "forced_bos_token_id": (int, "id of the first generated token"),
    "seed": (int, "of --do-sample"),
}
CHOICES = {
    "length_penalty_kind": (("power", "gnmt"), "L^α, or ((5 + L) / 6)^α"),
    "early_stopping": (("true", "false", "never"), "when beam search ends"),
}
NAMED = re.compile(r"generation\.(\w+)=")


def generate_parser() -> Parser:
    """The arguments of `fxformer generate`."""
    parser = Parser(
        "generate",
        "Continue a prompt with a decoder, or rewrite a source with an encoder-decoder. Greedy "
        "search, unless the model's generation_config.json or an option says otherwise.",
        examples=[
            ("last 'The ship left'", "the newest run"),
            ("DIR 'Once' --do-sample --top-p 0.9 --seed 1", "sampled"),
            ("DIR - --num-beams 4 --max-new-tokens 80 < text.txt", "beam search; standard input"),
        ],
    )
    parser.add_argument("model", metavar="MODEL", help=f"{RUN}; a Hugging Face folder or hub id")
    parser.add_argument("prompt", metavar="PROMPT", help="the text; -: standard input")
    parser.add_argument(
        "--generation", metavar="NAME", help="settings of conf/generation, e.g. sample or beam"
    )
    for name, (kind, what) in NUMBERS.items():
        metavar = "N" if kind is int else "X"
        parser.add_argument(_option(name), type=kind, metavar=metavar, help=what)
    for name, (values, what) in CHOICES.items():
        parser.add_argument(_option(name), choices=values, help=what)
    parser.add_argument(
        "--do-sample", action="store_true", default=None, help="draw each token at random"
    )
    parser.add_argument(
        "--stop",
        dest="stop_strings",
        action="append",
        metavar="TEXT",
        help="end after this text; several may be given",
    )
    parser.add_argument("--step", type=int, metavar="N", help="checkpoint of a run")
    return parser


def generate_command(argv: Sequence[str]) -> None:
    """`fxformer generate`. Raises UserError."""
    given = generate_parser().parse(argv)
    text = sys.stdin.read().rstrip("\n") if given.prompt == "-" else given.prompt
    if not text:
        raise UserError("PROMPT is empty: write at least one word")
    options = _options(given)
    from fxformer.inference.load import load

    model = load(given.model, given.step, runs=given.runs)
    try:
        config = model.generation.replace(**options)
        streamed = config.num_beams == 1 and config.num_return_sequences == 1
        on_text = (lambda _, piece: _put(piece)) if streamed else None
        made = model.generate_records(text, on_text=on_text, **options)
    except UserError as error:
        raise UserError(_as_options(str(error))) from error
    if streamed:
        _put("\n")
        return
    for place, one in enumerate(made):
        head = f"[{place + 1}] score {one.score:.4f}\n" if len(made) > 1 else ""
        _put(f"{head}{one.text}\n")


def _options(given: argparse.Namespace) -> dict[str, Any]:
    """Fields of GenerationConfig that the command line sets; single options come first."""
    names = (*NUMBERS, *CHOICES, "do_sample", "stop_strings")
    found = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    stopping = {"true": True, "false": False}
    if "early_stopping" in found:
        found["early_stopping"] = stopping.get(found["early_stopping"], "never")
    return found if given.generation is None else {**_named(given.generation), **found}


def _named(name: str) -> dict[str, Any]:
    """The settings of a file of conf/generation. UserError with the nearest where there is none."""
    from fxformer.config import folders
    from fxformer.config.options import composed, plain

    names = sorted(path.stem for path in (folders.conf_folder() / "generation").glob("*.yaml"))
    if name not in names:
        (near,) = difflib.get_close_matches(name, names, 1, cutoff=0) or names[:1]
        raise UserError(
            f"--generation {name}: there are {', '.join(names)}; write --generation {near}"
        )
    chosen = plain(composed(None, [f"+generation={name}"]).generation)
    return {key: value for key, value in chosen.items() if key != "_target_" and value is not None}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _as_options(message: str) -> str:
    """A message about settings with the options of the command line in their place."""
    message = message.replace("generation.do_sample=true", "--do-sample")
    message = NAMED.sub(lambda found: f"{_option(found[1])} ", message)
    message = re.sub(r"\bmax_new_tokens=", "--max-new-tokens ", message)
    message = message.replace("generation.stop_strings", "--stop")
    return message.replace("--stop-strings", "--stop").replace("texts[0]", "the prompt")


def _put(text: str) -> None:
    """Print a piece of text at once; to a terminal without escape sequences."""
    sys.stdout.write(safe(text, limit=1_000_000) if sys.stdout.isatty() else text)
    sys.stdout.flush()
