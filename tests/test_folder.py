"""The model folder: written whole or not at all, and checked file by file before anything is loaded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.calibration import Calibration
from inference.errors import ModelFolderError
from inference.folder import LOADED, MANIFEST, SEAL, Manifest, read_manifest, sha256_file, write_folder
from inference.taxonomy import Taxonomy, Topic
from inference.text import NORMALISER_VERSION
from tests.manifests import edit, seal

TAXONOMY = Taxonomy(
    (Topic("arms_deal", "صفقات السلاح", "Arms deals", "صفقات السلاح"), Topic("diplomacy", "د", "D", "د"))
)
WHOLE = Manifest(
    kind="weak",
    name="نموذج",
    base="3 labelling functions",
    taxonomy=TAXONOMY,
    calibration=Calibration.identity(2),
    engine={"max_tokens": 64},
    training={"run": "r1", "seed": 13},
    data_sha256="ab" * 32,
)
FILES = {"weak.json": b'{"x": 1}', "README.md": "بطاقة".encode(), "parts/model.bin": bytes(range(256))}


def _fill(folder: Path) -> None:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "models" / "weak", WHOLE, _fill)


def _contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _error(folder: Path) -> str:
    with pytest.raises(ModelFolderError) as caught:
        read_manifest(folder)
    return str(caught.value)


# Writing


def test_what_was_written_is_read_back(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.to_json() == {**WHOLE.to_json(), "files": {n: sha256_file(folder / n) for n in sorted(FILES)}}
    assert manifest.taxonomy == TAXONOMY
    assert manifest.calibration.thresholds.tolist() == [0.5, 0.5]


def test_the_manifest_names_every_file_but_itself(folder: Path) -> None:
    assert set(read_manifest(folder).files) == set(_contents(folder)) - {MANIFEST, SEAL} == set(FILES)


def test_the_manifest_is_for_people_too_its_arabic_unescaped(folder: Path) -> None:
    assert "صفقات السلاح" in (folder / MANIFEST).read_text("utf-8")


def test_a_folder_that_stands_there_is_replaced_with_all_that_was_in_it(folder: Path) -> None:
    write_folder(folder, WHOLE, lambda f: (f / "weak.json").write_text("{}"))
    assert set(_contents(folder)) == {"weak.json", MANIFEST, SEAL}
    assert read_manifest(folder).files


def _half_filled(folder: Path) -> None:
    (folder / "weak.json").write_text("half")
    raise RuntimeError("the disk is full")


def test_a_filling_that_fails_leaves_the_old_folder_whole_and_nothing_beside_it(folder: Path) -> None:
    before = _contents(folder)
    with pytest.raises(RuntimeError, match="the disk is full"):
        write_folder(folder, WHOLE, _half_filled)
    assert _contents(folder) == before
    assert [p.name for p in folder.parent.iterdir()] == ["weak"]


def test_a_filling_that_fails_leaves_no_folder_where_none_was(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        write_folder(tmp_path / "weak", WHOLE, _half_filled)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_filling_leaves_the_old_folder_whole(folder: Path) -> None:
    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(folder, WHOLE, interrupted)
    assert [p.name for p in folder.parent.iterdir()] == ["weak"]
    assert read_manifest(folder).name == WHOLE.name


@pytest.mark.parametrize("failing", ["fsync", "second rename"])
def test_a_disk_that_fails_late_leaves_the_old_folder_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    before, rename, calls = _contents(folder), Path.rename, iter(range(9))

    def broken_fsync(_: int) -> None:
        raise OSError("no space left")

    def broken_rename(self: Path, target: Path) -> Path:
        if next(calls) == 1:
            raise OSError("no space left")
        return rename(self, target)

    if failing == "fsync":
        monkeypatch.setattr(os, "fsync", broken_fsync)
    else:
        monkeypatch.setattr(Path, "rename", broken_rename)
    with pytest.raises(OSError, match="no space left"):
        write_folder(folder, WHOLE, lambda f: (f / "new.json").write_text("{}"))
    assert _contents(folder) == before
    assert [p.name for p in folder.parent.iterdir()] == ["weak"]


# Reading


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "grown"])
def test_a_damaged_file_is_named(folder: Path, name: str, damage: str) -> None:
    content = FILES[name]
    if damage == "missing":
        (folder / name).unlink()
    else:
        damaged = {
            "truncated": content[:-1],
            "flipped": bytes([content[0] ^ 1]) + content[1:],
            "grown": content + b"\n",
        }
        (folder / name).write_bytes(damaged[damage])
    what = "missing, though the manifest names it" if damage == "missing" else "its sha256 is not the manifest's"
    assert _error(folder).startswith(f"{folder / name}: {what}")


@settings(max_examples=60)
@given(data=st.data(), name=st.sampled_from([MANIFEST, SEAL, *FILES]), damage=st.sampled_from(["flip", "cut", "add"]))
def test_no_byte_of_any_file_can_change_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str, damage: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any-byte"
    if not folder.exists():
        write_folder(folder, WHOLE, _fill)
    path = folder / name
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    damaged = {
        "flip": whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :],
        "cut": whole[:place],
        "add": whole[:place] + b" " + whole[place:],
    }[damage]
    path.write_bytes(damaged)
    told = _error(folder)
    path.write_bytes(whole)
    assert name in told or (name == SEAL and MANIFEST in told)


def test_a_manifest_without_the_hash_beside_it_is_no_whole_folder(folder: Path) -> None:
    (folder / SEAL).unlink()
    assert _error(folder).startswith(f"{folder / SEAL}: cannot be read")


def test_the_hash_is_in_the_form_that_other_tools_check(folder: Path) -> None:
    assert (folder / SEAL).read_text("ascii") == f"{sha256_file(folder / MANIFEST)}  {MANIFEST}\n"


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, names in LOADED.items() for n in names])
def test_a_file_that_is_loaded_must_have_a_hash(folder: Path, kind: str, name: str) -> None:
    def change(data: dict[str, Any]) -> None:
        data["kind"] = kind
        data["files"] = {n: "0" * 64 for n in LOADED[kind] if n != name} or {"README.md": "0" * 64}

    edit(folder, change)
    assert _error(folder) == f"{folder / MANIFEST}: does not name {name!r}, which a model of its kind is read from"


def test_hashes_can_be_left_unchecked_when_only_the_manifest_is_wanted(folder: Path) -> None:
    (folder / "weak.json").unlink()
    assert read_manifest(folder, check_files=False).kind == "weak"


def test_a_file_that_the_manifest_does_not_name_does_no_harm(folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    assert read_manifest(folder).name == WHOLE.name


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "parts/../../secret", "a\0b"])
def test_a_file_name_that_leaves_the_folder_is_refused(folder: Path, name: str) -> None:
    (folder.parent / "secret").write_text("x")
    edit(folder, lambda d: d["files"].update({name: "0" * 64}))
    assert _error(folder) == f"{folder / MANIFEST}: the file name {name!r} leaves the folder"


def test_a_link_that_leaves_the_folder_is_refused(folder: Path) -> None:
    (folder.parent / "secret").write_bytes(FILES["weak.json"])
    (folder / "weak.json").unlink()
    (folder / "weak.json").symlink_to(folder.parent / "secret")
    assert "'weak.json' leaves the folder" in _error(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format version 2; this Rasd reads 1; train again"),
        ({"format_version": "1"}, "format version '1'; this Rasd reads 1; train again"),
        ({"normaliser": NORMALISER_VERSION + 1}, f"made with text normaliser {NORMALISER_VERSION + 1}, this Rasd has"),
        ({"normaliser": None}, "made with text normaliser None, this Rasd has"),
        ({"kind": "pickle"}, "unknown kind 'pickle'"),
        ({"files": {}}, "names no files"),
        ({"files": ["weak.json"]}, "a field is missing or wrong"),
        ({"taxonomy": [{"id": "arms_deal"}]}, "a field is missing or wrong (KeyError: 'name_ar')"),
        ({"calibration": {}}, "a field is missing or wrong"),
        (
            {"calibration": {**Calibration.identity(2).to_json(), "abstain_margin": 10**400}},
            "a field is missing or wrong",
        ),
        (
            {"calibration": Calibration.identity(3).to_json()},
            "a field is missing or wrong (ValueError: calibration.topic_scale",
        ),
        (
            {"calibration": {**Calibration.identity(2).to_json(), "thresholds": [0.5, float("nan")]}},
            "a field is missing or wrong (ValueError: calibration.thresholds must hold finite numbers of shape (2,))",
        ),
    ],
)
def test_a_manifest_of_another_version_or_with_wrong_fields_is_told(
    folder: Path, change: dict[str, Any], message: str
) -> None:
    edit(folder, lambda d: d.update(change))
    assert _error(folder).startswith(f"{folder / MANIFEST}: {message}")


@pytest.mark.parametrize(
    "key", ["format_version", "kind", "name", "base", "normaliser", "taxonomy", "calibration", "engine", "files"]
)
def test_a_manifest_without_one_of_its_fields_is_told(folder: Path, key: str) -> None:
    edit(folder, lambda d: d.pop(key))
    assert _error(folder).startswith(f"{folder / MANIFEST}: ")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000])
def test_a_manifest_that_is_no_manifest_is_named(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    seal(folder)
    assert _error(folder).startswith(f"{folder / MANIFEST}: ")


def test_a_folder_without_a_manifest_is_no_model_folder(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    assert _error(folder) == f"{folder / MANIFEST}: missing, so {folder} is no model folder"


@pytest.mark.parametrize("kind", ["absent", "file"])
def test_a_path_that_is_no_folder_is_told_with_what_to_do(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "weak"
    if kind == "file":
        path.write_text("x")
    assert _error(path) == f"{path}: no such model folder; train one with `rasd train`"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100)
@given(data=st.data(), value=_JSON)
def test_whatever_stands_in_a_field_the_manifest_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, value: Any
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any-manifest"
    if not folder.exists():
        write_folder(folder, WHOLE, _fill)
    whole = {**WHOLE.to_json(), "files": {n: sha256_file(folder / n) for n in FILES}}
    changed = json.loads(json.dumps(whole))
    key = data.draw(st.sampled_from(sorted(changed)))
    inner = changed[key] if isinstance(changed[key], dict) and data.draw(st.booleans()) else changed
    inner[data.draw(st.sampled_from(sorted(inner))) if inner is not changed and inner else key] = value
    (folder / MANIFEST).write_text(json.dumps(changed), "utf-8")
    seal(folder)
    told = str(folder)
    try:
        read_manifest(folder)
    except ModelFolderError as error:
        told = str(error)
    assert str(folder) in told
