"""Near-duplicates by MinHash over word 3-grams (Broder, 1997), so that no story counts twice and gold stays unseen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH

from inference.text import WORD, fold

_PERMUTATIONS = 128
_SHINGLE = 3


def shingles(text: str) -> set[str]:
    """Give the text's word 3-grams, folded; of a shorter text the whole."""
    words = WORD.findall(fold(text))
    if len(words) <= _SHINGLE:
        return {" ".join(words)} if words else set()
    return {" ".join(words[i : i + _SHINGLE]) for i in range(len(words) - _SHINGLE + 1)}


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=4).digest(), "little")


def minhash(text: str) -> MinHash:
    """Give the text's MinHash signature."""
    signature = MinHash(num_perm=_PERMUTATIONS, hashfunc=_hash)
    signature.update_batch([s.encode("utf-8", "replace") for s in shingles(text)])
    return signature


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0


class NearDuplicates:
    """An index that tells whether a near-duplicate of a text was seen before.

    Args:
        threshold: Jaccard likeness of word 3-grams from which two texts are one, 0 to 1.
    """

    def __init__(self, *, threshold: float) -> None:
        self._threshold = threshold
        # The index proposes, the exact Jaccard decides: false candidates cost a comparison, missed ones a leak. With a
        # lower threshold and these weights fewer than 1 in 1000 pairs at the threshold itself are missed, not 1 in 6.
        self._index = MinHashLSH(threshold=max(threshold - 0.1, 0.1), num_perm=_PERMUTATIONS, weights=(0.01, 0.99))
        self._texts: dict[str, set[str]] = {}

    def add(self, key: str, text: str) -> None:
        """Remember a text under a key."""
        if key in self._texts:
            return
        self._texts[key] = shingles(text)
        self._index.insert(key, minhash(text))

    def find(self, text: str) -> str | None:
        """Give the key of a remembered near-duplicate, or None."""
        own = shingles(text)
        for key in self._index.query(minhash(text)):
            if _jaccard(own, self._texts[key]) >= self._threshold:
                return str(key)
        return None


def drop_duplicates(
    texts: Sequence[str], *, threshold: float, against: Iterable[str] = (), against_threshold: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Say which texts to keep.

    Args:
        texts: the texts in order; of near-duplicates the first is kept.
        threshold: Jaccard likeness from which two of them are one.
        against: texts that none of them may resemble, such as gold.
        against_threshold: the likeness from which they do.

    Returns:
        two boolean arrays of shape ``(len(texts),)``: repeats an earlier text; resembles one of ``against``.
    """
    banned = NearDuplicates(threshold=against_threshold)
    for i, text in enumerate(against):
        banned.add(str(i), text)
    seen = NearDuplicates(threshold=threshold)
    repeats = np.zeros(len(texts), dtype=bool)
    resembles = np.zeros(len(texts), dtype=bool)
    for i, text in enumerate(texts):
        resembles[i] = banned.find(text) is not None
        repeats[i] = seen.find(text) is not None
        if not repeats[i]:
            seen.add(str(i), text)
    return repeats, resembles
