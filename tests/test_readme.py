"""What the README shows is true: its Python runs, its commands exist, its files are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inference.cli import build_parser
from tests import tiny

README = (tiny.ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", blocks("python"))
def test_its_python_runs(here: Path, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_its_commands_exist() -> None:
    commands = set(re.findall(r"\brasd ([a-z]+)", README))
    known = next(a.choices for a in build_parser()._actions if a.dest == "command")
    assert known is not None
    assert commands
    assert commands <= set(known)


def test_its_make_targets_exist() -> None:
    makefile = (tiny.ROOT / "Makefile").read_text("utf-8")
    for target in set(re.findall(r"`?\bmake ([a-z][a-z-]*)`? ", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_its_files_are_there() -> None:
    for name in set(re.findall(r"`((?:configs|seeds|benchmarks|training|inference)/[\w./-]*)`", README)):
        assert (tiny.ROOT / name).exists(), name
