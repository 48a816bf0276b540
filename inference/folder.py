"""The model folder: everything that predict needs, with a manifest that names and hashes every file.

The manifest's own hash lies beside it, in the form that ``sha256sum --check`` reads.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from inference.calibration import Calibration
from inference.errors import ModelFolderError
from inference.taxonomy import Taxonomy
from inference.text import NORMALISER_VERSION

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
SEAL = "manifest.json.sha256"
# The two parts of a cascade, each a model folder of its own within it.
FIRST, SECOND = "fast", "encoder"
_ENCODER = ("model.onnx", "tokenizer.json", "functions.json")
# What the engine of each kind loads: a file that no hash covers is not to be trusted.
LOADED = {
    "encoder": _ENCODER,
    "tfidf": ("model.skops",),
    "weak": ("weak.json",),
    "cascade": tuple(f"{part}/{name}" for part in (FIRST, SECOND) for name in (*_ENCODER, MANIFEST, SEAL)),
}
KINDS = tuple(LOADED)


@dataclass(frozen=True)
class Manifest:
    """What a model folder says of itself.

    Args:
        kind: ``encoder``, ``tfidf``, ``weak`` or ``cascade``.
        name: the model's name, for people.
        base: the pretrained encoder it was made from, or what else it is made of.
        taxonomy: the topics.
        calibration: from raw scores to decisions.
        engine: what the engine of this kind needs beside the files.
        training: run id, seed, library versions and counts.
        data_sha256: digest of the training corpus.
        files: file name to its sha256.
        normaliser: version of the text normaliser that it was trained with.
        format_version: version of this layout.
    """

    kind: str
    name: str
    base: str
    taxonomy: Taxonomy
    calibration: Calibration
    engine: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    data_sha256: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    normaliser: int = NORMALISER_VERSION
    format_version: int = FORMAT_VERSION

    @property
    def whole(self) -> tuple[str, ...]:
        """The names of all that makes up the folder, the manifest and its seal among them."""
        return (MANIFEST, SEAL, *self.files)

    def to_json(self) -> dict[str, Any]:
        """Give the manifest as it is written."""
        return {
            "format_version": self.format_version,
            "kind": self.kind,
            "name": self.name,
            "base": self.base,
            "normaliser": self.normaliser,
            "taxonomy": self.taxonomy.to_json(),
            "calibration": self.calibration.to_json(),
            "engine": dict(self.engine),
            "training": dict(self.training),
            "data_sha256": self.data_sha256,
            "files": dict(self.files),
        }


def sha256_file(path: Path) -> str:
    """Give the sha256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_folder(target: str | Path, manifest: Manifest, fill: Callable[[Path], None]) -> Path:
    """Write a model folder so that it is whole or absent, whatever happens meanwhile.

    Args:
        target: where the folder shall stand; one that stands there is replaced.
        manifest: its manifest; ``files`` is filled in here.
        fill: writes the model's files into the empty folder that it is given.

    Returns:
        the folder.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        fill(work)
        names = sorted(p.relative_to(work).as_posix() for p in work.rglob("*") if p.is_file())
        data = manifest.to_json() | {"files": {n: sha256_file(work / n) for n in names}}
        (work / MANIFEST).write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
        (work / SEAL).write_text(f"{sha256_file(work / MANIFEST)}  {MANIFEST}\n", "ascii")
        for path in [*(work / n for n in names), work / MANIFEST, work / SEAL]:
            with path.open("rb+") as handle:
                os.fsync(handle.fileno())
        work.chmod(0o755)
        swap_in(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that it is whole or absent."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def swap_in(work: Path, target: Path) -> None:
    """Give a finished folder its name; one that stands there goes when the new one is in place."""
    if not target.exists():
        work.rename(target)
        return
    old = target.with_name(f".{target.name}-old-{os.getpid()}")
    target.rename(old)
    try:
        work.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def amend_folder(target: str | Path, *, texts: Mapping[str, str], training: Mapping[str, Any]) -> Path:
    """Replace texts of a model folder, such as its card; it is the whole old one or the whole new one at any moment.

    Args:
        target: the model folder.
        texts: file name to what it shall hold.
        training: what the manifest says of the training beside what it said before.

    Raises:
        ModelFolderError: where the folder is not whole.
    """
    target = Path(target)
    manifest = read_manifest(target)

    def fill(folder: Path) -> None:
        for name in manifest.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if name not in texts:
                link_or_copy(str(target / name), str(folder / name))
        for name, text in texts.items():
            (folder / name).write_text(text, "utf-8")

    return write_folder(target, replace(manifest, training={**manifest.training, **training}), fill)


def link_or_copy(source: str, target: str) -> str:
    """Give a file of a model folder a second name, or copy it where the file system has no second names."""
    # Model folders are replaced as a whole and never written into, so a second name is as good as a copy.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def read_manifest(folder: str | Path, *, check_files: bool = True) -> Manifest:
    """Read and check a model folder's manifest, and the hash of every file that it names.

    Args:
        folder: the model folder.
        check_files: whether the files are hashed too.

    Raises:
        ModelFolderError: where anything is missing, altered or of another version; the file is named.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such model folder; train one with `rasd train`")
    try:
        raw = path.read_bytes()
        _check_seal(folder, raw)
        data = json.loads(raw.decode("utf-8"))
    except FileNotFoundError:
        raise ModelFolderError(f"{path}: missing, so {folder} is no model folder") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path}: cannot be read ({error})") from None
    if not isinstance(data, dict) or data.get("format_version") != FORMAT_VERSION:
        found = data.get("format_version") if isinstance(data, dict) else None
        raise ModelFolderError(f"{path}: format version {found!r}; this Rasd reads {FORMAT_VERSION}; train again")
    if data.get("normaliser") != NORMALISER_VERSION:
        raise ModelFolderError(
            f"{path}: made with text normaliser {data.get('normaliser')!r}, this Rasd has {NORMALISER_VERSION}; "
            "train again"
        )
    if data.get("kind") not in KINDS:
        raise ModelFolderError(f"{path}: unknown kind {data.get('kind')!r}")
    try:
        manifest = _parse(data)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelFolderError(f"{path}: a field is missing or wrong ({type(error).__name__}: {error})") from None
    if check_files:
        _check_files(folder, manifest)
    return manifest


def _check_seal(folder: Path, manifest: bytes) -> None:
    seal = folder / SEAL
    try:
        found = seal.read_bytes()
    except OSError as error:
        raise ModelFolderError(f"{seal}: cannot be read ({error.strerror}); the folder is incomplete") from None
    if found != f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n".encode("ascii"):
        raise ModelFolderError(
            f"{folder / MANIFEST}: its sha256 is not the one in {SEAL}; one of the two was altered or cut short"
        )


def _parse(data: Mapping[str, Any]) -> Manifest:
    manifest = Manifest(
        kind=str(data["kind"]),
        name=str(data["name"]),
        base=str(data["base"]),
        taxonomy=Taxonomy.from_json(data["taxonomy"]),
        calibration=Calibration.from_json(data["calibration"]),
        engine=dict(data["engine"]),
        training=dict(data["training"]),
        data_sha256=str(data["data_sha256"]),
        files={str(k): str(v) for k, v in data["files"].items()},
    )
    # Numbers for another count of topics would be spread over these by numpy, or fail far from here.
    plain = Calibration.identity(len(manifest.taxonomy))
    for name in ("topic_scale", "topic_shift", "stance_scale", "stance_shift", "thresholds"):
        found, wanted = getattr(manifest.calibration, name), getattr(plain, name).shape
        if found.shape != wanted or not np.isfinite(found).all():
            raise ValueError(f"calibration.{name} must hold finite numbers of shape {wanted}")
    return manifest


def _check_files(folder: Path, manifest: Manifest) -> None:
    if not manifest.files:
        raise ModelFolderError(f"{folder / MANIFEST}: names no files")
    for name in LOADED[manifest.kind]:
        if name not in manifest.files:
            raise ModelFolderError(
                f"{folder / MANIFEST}: does not name {name!r}, which a model of its kind is read from"
            )
    root = folder.resolve()
    for name, digest in manifest.files.items():
        path = folder / name
        pure = PurePosixPath(name)
        odd = pure.is_absolute() or ".." in pure.parts or "\0" in name
        if odd or not path.resolve().is_relative_to(root):
            raise ModelFolderError(f"{folder / MANIFEST}: the file name {name!r} leaves the folder")
        if not path.is_file():
            raise ModelFolderError(f"{path}: missing, though the manifest names it; the folder is incomplete")
        if sha256_file(path) != digest:
            raise ModelFolderError(f"{path}: its sha256 is not the manifest's; the file was altered or cut short")
