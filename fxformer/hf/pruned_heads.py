"""Export of models with masked attention heads: heads set to zero, or cut from the weights.

Zero: the rows of the output projection that read a head are multiplied by its factor, which gives
exactly the output of the masked model, in every family. Cut: the rows of the query, key and value
projections and the columns of the output projection are removed, and config.json lists the heads of
each layer as `pruned_heads`, which the classes below of transformers 4 apply before they load the
weights. Transformers 5 has removed the pruning of heads, and no other family has it.
"""

import re
from collections.abc import Mapping
from typing import Literal

import numpy as np

from fxformer.errors import UserError
from fxformer.hf.config_map import Config
from fxformer.hf.weight_map import WeightEntry

HeadExport = Literal["zero", "cut"]
MASK = "/head_mask"
CUT_FAMILIES = ("bert", "roberta", "electra", "distilbert")
CAVEAT = "pruned_heads is read by transformers 4; transformers 5 cannot load the cut weights"
PROJECTION = re.compile(r"transformer/stack/blocks/attention/([qkvo])/(kernel|bias)")
Arrays = dict[str, np.ndarray]


def split_masks(arrays: Mapping[str, np.ndarray]) -> tuple[Arrays, dict[str, np.ndarray]]:
    """(arrays of a model without its head masks, {path of an attention module: mask})."""
    masks = {p.removesuffix(MASK): np.asarray(x) for p, x in arrays.items() if p.endswith(MASK)}
    return {p: x for p, x in arrays.items() if not p.endswith(MASK)}, masks


def zeroed(arrays: Arrays, masks: Mapping[str, np.ndarray]) -> Arrays:
    """The arrays with each head's rows of the output projection times its factor."""
    found = dict(arrays)
    for module, mask in masks.items():
        path = f"{module}/o/kernel"
        kernel = arrays[path]
        width = kernel.shape[-2] // mask.shape[-1]
        found[path] = kernel * np.repeat(mask, width, axis=-1)[..., None]
    return found


def heads_to_cut(masks: Mapping[str, np.ndarray], name: str, family: str) -> dict[int, list[int]]:
    """{layer: heads whose factor is 0}, for config.json.

    name: of the model, for messages; family: its model_type
    Raises UserError where transformers cannot express it.
    """
    if family not in CUT_FAMILIES:
        raise UserError(
            f"{name}: {family} in transformers cannot have layers with fewer heads (only "
            f"{', '.join(CUT_FAMILIES)} have pruned_heads): write heads='zero'"
        )
    (mask,) = masks.values()
    if not np.isin(mask, (0, 1)).all():
        raise UserError(f"{name}: heads with factors other than 0 and 1 cannot be cut")
    found = {i: np.flatnonzero(row == 0).tolist() for i, row in enumerate(mask)}
    for layer, heads in found.items():
        if len(heads) == mask.shape[1]:
            raise UserError(
                f"{name}: all heads of layer {layer} are masked, and transformers needs one: keep "
                "one, or write heads='zero'"
            )
    return {layer: heads for layer, heads in found.items() if heads}


def layer_names(entries: list[WeightEntry], config: Config) -> dict[str, tuple[str, int]]:
    """{tensor name of the weight map: (parameter path, layer)} of the attention projections."""
    return {
        entry.name(layer): (entry.paths[0], layer)
        for entry in entries
        if PROJECTION.fullmatch(entry.paths[0])
        for layer in range(config.get("num_hidden_layers") or config.get("n_layers") or 0)
    }


def cut_heads(
    tensors: Arrays,
    entries: list[WeightEntry],
    named: Mapping[str, str],
    config: Config,
    masks: Mapping[str, np.ndarray],
    name: str,
) -> None:
    """Cut the masked heads from the tensors of a checkpoint, and list them in its config.

    named: {tensor name of the weight map: name in the files}
    name: of the model, for messages. Raises UserError as `heads_to_cut`.
    """
    heads = heads_to_cut(masks, name, config["model_type"])
    (count,) = {mask.shape[-1] for mask in masks.values()}
    for of_map, (path, layer) in layer_names(entries, config).items():
        part, what = path.split("/")[-2:]
        file, axis = named[of_map], 1 if part == "o" else 0
        if layer in heads and (part, what) != ("o", "bias") and file in tensors:
            tensor = np.moveaxis(tensors[file], axis, 0)
            split = tensor.reshape(count, -1, *tensor.shape[1:])
            kept = np.delete(split, heads[layer], axis=0).reshape(-1, *tensor.shape[1:])
            tensors[file] = np.ascontiguousarray(np.moveaxis(kept, 0, axis))
    config["pruned_heads"] = {str(layer): of for layer, of in heads.items()}
