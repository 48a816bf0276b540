"""Rows and rate on standard error while a long run goes on."""

from __future__ import annotations

import sys
import time

_SECONDS_LIVE = 0.2
_SECONDS_ELSE = 10.0


class Progress:
    """A line that renews itself in a terminal, and a new one now and then where standard error is a file.

    Args:
        before: rows that an earlier run had done; they do not count towards the rate.
    """

    def __init__(self, before: int = 0) -> None:
        self._before, self._began, self._shown = before, time.monotonic(), time.monotonic()
        self._live = sys.stderr.isatty()

    def show(self, rows: int) -> None:
        """Tell how far the run is, where it is time to."""
        now = time.monotonic()
        if now - self._shown >= (_SECONDS_LIVE if self._live else _SECONDS_ELSE):
            self._shown = now
            self._write(f"rasd: {rows:,} rows, {self._rate(rows)}", end="" if self._live else "\n")

    def say(self, line: str) -> None:
        """Write a line of its own."""
        self._write(line, end="\n")

    def close(self, rows: int, what: str = "") -> None:
        """Tell what the run came to."""
        self.say(f"rasd: {rows:,} rows in {time.monotonic() - self._began:,.1f} s, {self._rate(rows)}{what}")

    def _rate(self, rows: int) -> str:
        return f"{(rows - self._before) / max(time.monotonic() - self._began, 1e-9):,.0f} rows/s"

    def _write(self, line: str, end: str) -> None:
        print(f"\r{line}\033[K" if self._live else line, end=end, file=sys.stderr, flush=True)
