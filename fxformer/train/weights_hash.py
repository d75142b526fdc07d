"""Hash of parameters: tells whether something was computed with the same weights."""

import hashlib

import numpy as np

from fxformer.rules import named


def weights_hash(params: dict) -> str:
    """Hex digest of names, types, shapes and values of a tree of arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for path, leaf in sorted(named(params).items()):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{path} {array.dtype} {array.shape}\n".encode())
        digest.update(array.view(np.uint8).data if array.ndim else array.tobytes())
    return digest.hexdigest()
