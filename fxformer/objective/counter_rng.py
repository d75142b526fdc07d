"""Random numbers that are a pure function of (seed, epoch, example, stream, position).

No generator is kept and nothing advances: the number for a token is computed from where the token
stands in its own piece of text, so it is the same in whatever batch, row, process or order the
piece is met. All methods work on whole arrays.
"""

import dataclasses
import functools
import hashlib
import math

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd: consecutive counters spread out
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)


def mix(words: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit words in which every input bit reaches every output bit.

    The finaliser of SplitMix64 (Steele, Lea, Flood 2014, with Stafford's constants, variant 13).
    words: uint64, any shape; returns uint64 of that shape.
    """
    words = np.array(words, dtype=np.uint64)  # a copy: the rest is in place
    words ^= words >> np.uint64(30)
    words *= _MIX_A
    words ^= words >> np.uint64(27)
    words *= _MIX_B
    words ^= words >> np.uint64(31)
    return words


def chain(state: np.ndarray | np.integer, words: np.ndarray | np.integer) -> np.ndarray:
    """Absorb `words` into `state`; both uint64, broadcast together. Order matters."""
    with np.errstate(over="ignore"):  # scalars warn of the wrap-around that is meant here
        return mix(
            np.asarray(state, np.uint64)
            + (np.asarray(words).astype(np.uint64) + np.uint64(1)) * _STEP
        )


@functools.lru_cache(maxsize=1024)
def stream_word(name: str) -> int:
    """The 64-bit word of a stream's name; the same on every machine and Python."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


@functools.lru_cache(maxsize=256)
def poisson_table(mean: float) -> np.ndarray:
    """P(X <= k) for k = 0, 1, … until the tail is below 2**-53. float64."""
    top = int(mean + 12 * math.sqrt(mean) + 40)
    logs = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(top)]
    return np.cumsum(np.exp(logs))


@dataclasses.dataclass(frozen=True)
class CounterRNG:
    """The random numbers of some pieces of text.

    keys: uint64, one word for each piece, token or span that is to be drawn for; the axes of the
    draws are the axes of `keys`. The same (keys, stream, position) gives the same number, always.
    """

    keys: np.ndarray

    @classmethod
    def of(cls, seed: int, epoch: int, examples: np.ndarray) -> "CounterRNG":
        """The draws of these examples. examples: integers of any shape."""
        start = chain(chain(np.uint64(0), np.int64(seed)), np.int64(epoch))
        return cls(chain(start, np.asarray(examples, np.int64)))

    def within(self, stream: str) -> "CounterRNG":
        """Streams that are independent of these: a noise's own, however often it is listed."""
        return CounterRNG(chain(self.keys, np.uint64(stream_word(stream))))

    def at(self, index: np.ndarray) -> "CounterRNG":
        """The draws of piece index[i], for each i: one key a piece becomes one a token."""
        return CounterRNG(self.keys[index])

    def bits(self, stream: str, position: np.ndarray | int = 0) -> np.ndarray:
        """64 random bits for each key. position: integers that broadcast with the keys. uint64."""
        return chain(
            chain(self.keys, np.uint64(stream_word(stream))), np.asarray(position, np.int64)
        )

    def uniform(self, stream: str, position: np.ndarray | int = 0) -> np.ndarray:
        """Uniform on [0, 1), multiples of 2**-53. float64."""
        return (self.bits(stream, position) >> np.uint64(11)) * 2.0**-53

    def below(
        self, stream: str, bound: np.ndarray | int, position: np.ndarray | int = 0
    ) -> np.ndarray:
        """Uniform on 0 … bound-1; 0 where the bound is 0. bound < 2**31, broadcasts. int64.

        The largest difference between two probabilities is 2**-53, which no test could see.
        """
        return (self.uniform(stream, position) * bound).astype(np.int64)

    def poisson(self, stream: str, mean: float, position: np.ndarray | int = 0) -> np.ndarray:
        """Poisson(mean), by inversion of its distribution function; zeros included. int64."""
        table = poisson_table(float(mean))
        return np.searchsorted(table, self.uniform(stream, position), side="right")

    def geometric(self, stream: str, success: float, position: np.ndarray | int = 0) -> np.ndarray:
        """1, 2, 3 … with P(k) = success (1-success)**(k-1). success in (0, 1]. int64."""
        if success == 1:
            return np.ones(np.broadcast_shapes(self.keys.shape, np.shape(position)), np.int64)
        spare = 1 - self.uniform(stream, position)  # in (0, 1], so the logarithm is finite
        return 1 + np.floor(np.log(spare) / math.log1p(-success)).astype(np.int64)
