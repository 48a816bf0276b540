"""The files of a bulk run: rows as they come, a journal of how many count, errors, and the output once it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from inference.columns import FORMATS, check_format, write_columns
from inference.errors import InputError
from inference.progress import Progress
from inference.reading import list_files
from inference.records import Answered, to_bytes

CHECKPOINT_SECONDS = 1.0
_TOLD = 10


@dataclass(frozen=True)
class Journal:
    """How far a run has come: what is below these marks is whole, what lies above is cut off on resuming."""

    input: str
    model: str
    done: int = 0
    bad: int = 0
    part_bytes: int = 0
    error_bytes: int = 0


def check_output(output: Path, source: Path | None = None) -> None:
    """Check before any work is done that an output can be written, and is not among the input.

    Raises:
        InputError: where not.
    """
    if output.is_dir():
        raise InputError(f"{output}: is a folder; name a file in it, such as {output / 'predictions.jsonl'}")
    if not output.parent.is_dir():
        raise InputError(f"{output.parent}: no such folder; make it first, or choose another --output")
    check_format(output)
    if source is not None:
        _check_apart(output, source)
    part = _part(output)
    there = part.exists()
    try:
        part.open("ab").close()
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from None
    if not there:
        part.unlink()


def _check_apart(output: Path, source: Path) -> None:
    files = list_files(source)
    for written in (output, _part(output), _errors(output), journal_of(output)):
        place = written.resolve()
        inside = source.is_dir() and place.is_relative_to(source.resolve())
        if inside or any(place == f.resolve() or (written.exists() and written.samefile(f)) for f in files):
            raise InputError(f"{written}: would be written over the input or among it; choose another --output")


class RunFiles:
    """The files of one run, and the marks below which they are whole.

    Args:
        output: what it is to write.
        journal: where it begins.
    """

    def __init__(self, output: Path, journal: Journal) -> None:
        self.output, self.journal = output, journal
        self.resumed_after = journal.done + journal.bad
        self._progress = Progress(self.resumed_after)
        self._saved = 0.0
        self._errors: IO[bytes] | None = None

    def __enter__(self) -> RunFiles:
        part = _part(self.output)
        self._part = part.open("ab")
        _lock(self._part, self.output)
        _cut(self._part, self.journal.part_bytes)
        if self.journal.error_bytes:
            self._errors = _errors(self.output).open("ab")
            _cut(self._errors, self.journal.error_bytes)
        else:
            _errors(self.output).unlink(missing_ok=True)
        self._save()
        return self

    def write(self, answered: Answered) -> None:
        """Write what came of a batch."""
        self._part.write(answered.lines)
        for number, missing in enumerate(answered.bad, self.journal.bad):
            if self._errors is None:
                self._errors = _errors(self.output).open("wb")
            self._errors.write(to_bytes({"place": missing.place, "reason": missing.reason}))
            if number < _TOLD:
                self._progress.say(f"rasd: {missing.place}: {missing.reason}; left out")
        self.journal = replace(
            self.journal,
            done=self.journal.done + answered.rows,
            bad=self.journal.bad + len(answered.bad),
            part_bytes=self._part.tell(),
            error_bytes=self._errors.tell() if self._errors else 0,
        )
        if time.monotonic() - self._saved >= CHECKPOINT_SECONDS:
            self._save()
        self._progress.show(self.journal.done + self.journal.bad)

    def _save(self) -> None:
        # The rows must be on the disk before the journal counts them.
        for handle in (self._part, self._errors):
            if handle is not None:
                handle.flush()
                os.fsync(handle.fileno())
        temporary = journal_of(self.output).with_name(f"{journal_of(self.output).name}.new")
        try:
            temporary.write_text(json.dumps(asdict(self.journal)), "utf-8")
            temporary.replace(journal_of(self.output))
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._saved = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        bad = f"; {self.journal.bad:,} left out, see {_errors(self.output)}" if self.journal.bad else ""
        self._progress.close(self.journal.done + self.journal.bad, bad)
        try:
            # What ended the run, such as a full disk, may end this too; the journal of the last second then stands.
            with suppress(OSError) if kind else nullcontext():
                self._save()
        finally:
            for handle in (self._part, self._errors):
                if handle is not None:
                    with suppress(OSError):
                        handle.close()
        if kind:
            self._leave()

    def _leave(self) -> None:
        if not self.journal.done + self.journal.bad:
            for path in (_part(self.output), journal_of(self.output)):
                path.unlink(missing_ok=True)
        elif self.journal.input:
            self._progress.say("rasd: stopped; the same command with --resume goes on from there")
        else:
            journal_of(self.output).unlink(missing_ok=True)
            self._progress.say(f"rasd: stopped; what was predicted is in {_part(self.output)}")

    def finish(self) -> None:
        """Give the output its name and its format."""
        part = _part(self.output)
        if self.output.suffix.lower() in FORMATS:
            write_columns(part, self.output)
            part.unlink()
        else:
            part.replace(self.output)
        journal_of(self.output).unlink()


def _part(output: Path) -> Path:
    return output.with_name(output.name + ".part")


def _errors(output: Path) -> Path:
    return output.with_name(output.name + ".errors.jsonl")


def journal_of(output: Path) -> Path:
    """Give the place of an output's journal."""
    return output.with_name(output.name + ".journal")


def _lock(handle: IO[bytes], output: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not every system has it
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{output}: another run is writing it now; wait, or choose another --output") from None


def _cut(handle: IO[bytes], length: int) -> None:
    if handle.seek(0, os.SEEK_END) < length:
        raise InputError(f"{handle.name}: shorter than its journal says; start over without --resume")
    handle.truncate(length)
    handle.seek(length)


def fingerprint(source: Path) -> str:
    """Say which files an input is, and in which state."""
    digest = hashlib.sha256()
    for file in list_files(source):
        # A link that leads nowhere is one of the files too.
        state = file.stat() if file.exists() else file.lstat()
        digest.update(repr((str(file.resolve()), state.st_size, state.st_mtime_ns)).encode())
    return digest.hexdigest()


def resumed(output: Path, start: Journal) -> Journal:
    """Give the journal of the run that stopped; the start where there was none.

    Args:
        output: what it was to write.
        start: of the run that is to go on.

    Raises:
        InputError: where it is not a run over that input with that model, or cannot be read.
    """
    path = journal_of(output)
    if not _part(output).exists():
        return start
    try:
        data = json.loads(path.read_text("utf-8"))
        found = Journal(**{k: type(v)(data[k]) for k, v in asdict(start).items()})
    except FileNotFoundError:
        return start
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a readable journal ({error}); start over without --resume") from None
    for part in ("input", "model"):
        if getattr(found, part) != getattr(start, part):
            raise InputError(f"{output}: the {part} has changed since that run began; start over without --resume")
    return found
