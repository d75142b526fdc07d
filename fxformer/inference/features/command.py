"""`fxformer features MODEL FILE… -o features.npz`: hidden states of texts, written to a file."""

import dataclasses
import itertools
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from fxformer.arguments import Parser
from fxformer.config.type_check import nearest, type_problem
from fxformer.data.labelled.corpus import LabelledData
from fxformer.data.progress import Slow
from fxformer.errors import UserError
from fxformer.files import check_output
from fxformer.inference.features.files import assemble, check_suffix
from fxformer.inference.features.parts import FeatureParts
from fxformer.track.formatting import plural

if TYPE_CHECKING:
    from fxformer.inference.features.inputs import FeatureInput
    from fxformer.inference.model import Model

NO_SPLITS = ("valid_files", "test_files", "valid_share", "test_share", "train_rows", "group_by")


@dataclasses.dataclass(frozen=True)
class FeatureFileOptions:
    """layers: numbers from 0; single: whether one was asked for, so that arrays have no axis of
        layers
    pooling: of the vector of each row; None: no such vector
    tokens: whether the states of all tokens are written
    length: tokens of an input at most; None: as many as the model reads
    packing: see compute.input_states
    """

    layers: tuple[int, ...]
    single: bool
    pooling: Any
    tokens: bool
    length: int | None
    packing: Any


def features_parser() -> Parser:
    """The arguments of `fxformer features`."""
    parser = Parser(
        "features",
        "Write the hidden states of the texts of files: a vector for each row, the states of its "
        "tokens, or both, with ids and labels beside. Pairs, lists of words, and questions with "
        "their contexts are read as their tasks read them.",
        overrides="an option of data=labelled, e.g. 'data.columns={text: sentence, label: stars}'",
        examples=[
            ("RUN train.csv -o features.npz", "a vector for each row, pooled as the family does"),
            ("DIR texts.txt --layer 0,6 --pooling mean -o f.parquet", "two layers, as Parquet"),
            ("DIR train.conll --tokens --pooling none -o tokens.npz", "the states of all tokens"),
        ],
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a run, a Hugging Face folder, or an id of the hub"
    )
    parser.add_argument(
        "files", metavar="FILE", nargs="*", default=(), help="any format of data=labelled, or text"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="a new .npz or .parquet file")
    parser.add_argument(
        "--layer", default="-1", metavar="N", help="-1: the last; 0: the embeddings; 3,6; all"
    )
    parser.add_argument(
        "--pooling",
        metavar="HOW",
        help="mean, first, last, max, or none (default: that of the family's classification head)",
    )
    parser.add_argument("--tokens", action="store_true", help="also the states of all tokens")
    parser.add_argument("--length", type=int, help="cut inputs to so many tokens")
    parser.add_argument(
        "--packing",
        default="segments",
        help="segments: several inputs in a row of the forward pass (default); padded: one",
    )
    parser.add_argument("--step", type=int, help="checkpoint of a run (default: the last)")
    parser.add_argument(
        "--resume", action="store_true", help="go on where a killed command stopped"
    )
    return parser


def features_command(argv: Sequence[str]) -> None:
    """`fxformer features`. Raises UserError."""
    given = features_parser().parse(argv)
    if given.output is None:
        raise UserError("write -o features.npz: where the features go")
    path = check_output(given.output, "--output", stream=False)
    check_suffix(path)
    if path.exists():
        raise UserError(f"--output {path} exists: delete it, or write another name")
    data = labelled_data(given.files, given.overrides)
    from fxformer.inference.load import load

    model = load(given.model, step=given.step, runs=given.runs)
    options = feature_options(model, given)
    write_features(model, data, options, path, resume=given.resume)


def feature_options(model: "Model", given: Any) -> FeatureFileOptions:
    """The options of a command. Raises UserError for what the model does not have."""
    from fxformer.inference.features.compute import PACKINGS, check_choice
    from fxformer.inference.features.pooling import POOLINGS, default_pooling
    from fxformer.inference.structure import layer_numbers, stack_of

    check_choice("--packing", given.packing, PACKINGS)
    check_choice("--pooling", given.pooling, (*POOLINGS, "none", None))
    pooling = given.pooling or default_pooling(model)
    pooling = None if pooling == "none" else pooling
    if pooling is None and not given.tokens:
        raise UserError("--pooling none leaves nothing to write: add --tokens")
    count = stack_of(model.module, model.architecture == "seq2seq").layers
    try:
        wanted = [*range(count + 1)] if given.layer == "all" else [
            int(one) for one in given.layer.split(",")
        ]  # fmt: skip
    except ValueError:
        raise UserError(f"--layer {given.layer}: write numbers, as in 0,6, or all") from None
    layers = layer_numbers(wanted, count, model.name)
    if given.length is not None and given.length < 1:
        raise UserError(f"--length {given.length}: at least 1")
    return FeatureFileOptions(
        layers, len(layers) == 1, pooling, given.tokens, given.length, given.packing
    )


def labelled_data(files: Sequence[str], overrides: Sequence[str]) -> LabelledData:
    """The rows that files and words data.OPTION=VALUE name. Raises UserError."""
    hints = typing.get_type_hints(LabelledData)
    known = {name: kind for name, kind in hints.items() if name not in NO_SPLITS}
    options: dict[str, Any] = {"files": list(files)} if files else {}
    for word in overrides:
        key, _, text = word.partition("=")
        name = key.removeprefix("data.")
        if not key.startswith("data.") or name not in known:
            raise UserError(f"{key} is no option{nearest(key, [f'data.{n}' for n in known])}")
        try:
            options[name] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UserError(f"{word}: cannot be read as a value") from None
        if wrong := type_problem(options[name], known[name]):
            raise UserError(f"{key}: {wrong}")
    if not options.get("files") and not options.get("path"):
        raise UserError("name files with texts, or data.path=DATASET")
    return LabelledData(**options)


def write_features(
    model: "Model",
    data: LabelledData,
    options: FeatureFileOptions,
    path: Path,
    *,
    resume: bool = False,
) -> None:
    """Write the features of all rows of `data.files` to a file, a chunk of rows at a time.

    resume: go on with the parts that an interrupted call left beside the file
    """
    from fxformer.inference.features.compute import CHUNK
    from fxformer.inference.features.inputs import feature_inputs
    from fxformer.train.weights_hash import weights_hash

    key = {
        "weights": weights_hash(model.params),
        "tokenizer": None if model.tokenizer is None else model.tokenizer.hash,
        "data": data.fingerprint(),
        "options": dataclasses.asdict(options),
    }
    parts = FeatureParts(path.with_name(f"{path.name}.parts"), key)
    done = parts.open(resume)
    rows, cut = parts.rows(done), 0
    inputs = feature_inputs(model, itertools.islice(data.stream(), rows, None), options.length)
    with Slow("features", "rows") as work:
        work.advance(rows)
        for number in itertools.count(done):
            some = list(itertools.islice(inputs, CHUNK))
            if not some:
                break
            parts.write(number, _arrays(model, some, options))
            work.advance(len(some))
            rows, cut = rows + len(some), cut + sum(one.cut > 0 for one in some)
    if not rows:
        parts.delete()
        raise UserError("the files have no usable row")
    assemble(parts, path)
    parts.delete()
    said = f"{path}: {plural(rows, 'row')}"
    if cut:
        said += f", of which {cut:,} were cut to {options.length or model.max_tokens} tokens"
    print(said)


def _arrays(
    model: "Model", some: Sequence["FeatureInput"], options: FeatureFileOptions
) -> dict[str, np.ndarray]:
    """The arrays of a part: features [n, D] or [n, L, D], tokens [t, D] or [t, L, D], lengths [n]
    (tokens of each row), token_ids [t], id [n], label [n] ("": none) and layers [L]."""
    from fxformer.inference.features.compute import input_states
    from fxformer.inference.features.pooling import pooled

    states = input_states(model, [one.row for one in some], options.layers, options.packing)
    found: dict[str, np.ndarray] = {}
    if options.pooling is not None:
        found["features"] = np.stack([pooled(one, options.pooling) for one in states])
    if options.tokens:
        found["tokens"] = np.concatenate([np.moveaxis(one, 0, 1) for one in states])
        read = [one.row.tokens if one.row.source is None else one.row.source for one in some]
        found["token_ids"] = np.concatenate([one[0] for one in read])
        found["lengths"] = np.array([one.shape[1] for one in read], np.int64)
    if options.single:
        for name in ("features", "tokens"):
            if name in found:
                found[name] = found[name][:, 0]
    found["id"] = np.array([one.id for one in some])
    found["label"] = np.array([one.label or "" for one in some])
    return found | {"layers": np.array(options.layers)}
