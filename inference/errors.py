"""Errors meant for people: each says what was wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RasdError(Exception):
    """Base of every error that Rasd raises on purpose; the command line prints it without a traceback."""


class InputError(RasdError):
    """A text, row or file that was handed in cannot be used."""


class ConfigError(RasdError):
    """A configuration file holds something that Rasd does not know or cannot accept."""


class ModelFolderError(RasdError):
    """A model folder is missing, incomplete, altered or of another version."""


class CorpusError(RasdError):
    """A corpus cannot be read, or nothing usable is in it."""


class LabelingFunctionError(RasdError):
    """A labelling function raised, or its definition cannot be compiled."""


class EncoderUnavailableError(RasdError):
    """The encoder that was asked for cannot be had here; the message says how to get it."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Name the closest valid spelling, for the end of an error message.

    Args:
        name: what was written.
        valid: the names that would have been accepted.

    Returns:
        ``"; did you mean 'x'?"`` or, where nothing is close, ``"; valid: a, b"``.
    """
    options = sorted(valid)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; valid: {', '.join(options)}"
