"""Hash of a sequence of documents that can be computed in parts, whatever the parts are."""

import dataclasses
import hashlib

_PRIME = (1 << 127) - 1  # a Mersenne prime
_BASE = 0x6A09E667F3BCC908B2FB1366EA957D3E % _PRIME


@dataclasses.dataclass
class SequenceHash:
    """Polynomial hash of the blake2b hashes of documents, in their order, modulo 2**127 - 1: the
    hash of a sequence follows from those of its parts, so that it depends neither on the files
    that hold the documents nor on who reads them (Karp & Rabin 1987)."""

    count: int = 0
    value: int = 0

    def add(self, content: bytes) -> None:
        """Append a document."""
        own = int.from_bytes(hashlib.blake2b(content, digest_size=16).digest(), "big")
        self.value = (self.value * _BASE + own) % _PRIME
        self.count += 1

    def extend(self, other: "SequenceHash") -> None:
        """Append another sequence."""
        self.value = (self.value * pow(_BASE, other.count, _PRIME) + other.value) % _PRIME
        self.count += other.count

    def hexdigest(self) -> str:
        """32 hexadecimal digits."""
        whole = f"{self.count}:{self.value}".encode()
        return hashlib.blake2b(whole, digest_size=16).hexdigest()
