"""Random numbers that depend on (seed, number of the sample, place) alone, for whole batches at once.

SplitMix64 (Steele, Lea, Flood 2014) begun anew for each sample: number j of a sample costs the same as number 0, and no
state is kept. Each purpose names a stream of its own, so that numbers for one never tell anything of another.
"""

import numpy as np

from upwell.tokens.batches import TURNS, mix

STEP = TURNS[1]


def keys(seed: int, numbers: np.ndarray, stream: int) -> np.ndarray:
    """A key (uint64) for each sample number (B,)."""
    start = mix(np.array([seed % (1 << 64)], dtype=np.uint64)) + np.uint64(stream)
    return mix(mix(numbers.astype(np.uint64)) ^ mix(start))


def numbers(seed: int, samples: np.ndarray, count: int, stream: int) -> np.ndarray:
    """(B, count) numbers of [0, 1), even, for samples (B,)."""
    return at(keys(seed, samples, stream)[:, None], np.arange(count, dtype=np.uint64))


def at(key: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The numbers of [0, 1) at these places of the streams of these keys, broadcast."""
    return (mix(key + place.astype(np.uint64) * STEP) >> np.uint64(11)) * 2.0**-53
