"""A hash table from 64-bit keys to numbers that is asked for whole arrays at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_FIRST_BITS = 16
_SPREAD = np.uint64(0x9E3779B97F4A7C15)

Keys = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int32]


class KeyTable:
    """Open addressing with linear probing, at most half full; the key 0 stands for an empty place."""

    def __init__(self) -> None:
        self._size = 0
        self._allocate(_FIRST_BITS)

    def __len__(self) -> int:
        return self._size

    def _allocate(self, bits: int) -> None:
        self._bits = bits
        self._keys: Keys = np.zeros(1 << bits, dtype=np.uint64)
        self._numbers: Numbers = np.zeros(1 << bits, dtype=np.int32)

    def _places(self, keys: Keys) -> npt.NDArray[np.int64]:
        return ((keys * _SPREAD) >> np.uint64(64 - self._bits)).astype(np.int64)

    def clear(self) -> None:
        """Forget everything."""
        self._size = 0
        self._allocate(_FIRST_BITS)

    def look_up(self, keys: Keys) -> Numbers:
        """Give the number of every key, -1 where it is not known.

        Args:
            keys: shape ``(keys,)``; a key 0 gives the number 0.
        """
        places = self._places(keys)
        there = self._keys[places]
        numbers = self._numbers[places]
        astray = np.flatnonzero(there != keys)
        while len(astray):
            empty = there[astray] == 0
            numbers[astray[empty]] = -1
            astray = astray[~empty]
            places[astray] = (places[astray] + 1) & (len(self._keys) - 1)
            there[astray] = self._keys[places[astray]]
            numbers[astray] = self._numbers[places[astray]]
            astray = astray[there[astray] != keys[astray]]
        return np.where(keys == 0, np.int32(0), numbers)

    def add(self, keys: Keys, numbers: Numbers) -> None:
        """Take in keys that are not known yet.

        Args:
            keys: shape ``(keys,)``, distinct, none 0.
            numbers: shape ``(keys,)``, not negative.
        """
        self._size += len(keys)
        if 2 * self._size > len(self._keys):
            known = np.flatnonzero(self._keys)
            keys = np.concatenate((self._keys[known], keys))
            numbers = np.concatenate((self._numbers[known], numbers))
            self._allocate(int(2 * self._size).bit_length())
        places = self._places(keys)
        while len(keys):
            # Of several keys that want one empty place, one gets it; the others go on to the next.
            free = self._keys[places] == 0
            self._keys[places[free]] = keys[free]
            settled = self._keys[places] == keys
            self._numbers[places[settled]] = numbers[settled]
            keys, numbers, places = keys[~settled], numbers[~settled], (places[~settled] + 1) & (len(self._keys) - 1)
