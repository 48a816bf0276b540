"""Two packages, one direction: inference stands on its own, and predicting never loads what training needs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {"training", "ray", "torch", "transformers", "datasets", "mlflow"}
# An installation that only predicts does not have these at all.
ONLY_WITH_TRAINING = {"pydantic", "yaml", "rich", "tqdm", "datasketch", "pyarrow"}


def _imports(tree: ast.AST) -> Iterator[str]:
    """Give the top-level packages that run when a module is imported; function bodies run later."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0] if not node.level else "inference"
        else:
            yield from _imports(node)


@pytest.mark.parametrize("path", sorted((ROOT / "inference").rglob("*.py")), ids=lambda p: p.name)
def test_no_module_of_inference_imports_what_training_stands_on(path: Path) -> None:
    assert not FORBIDDEN.intersection(_imports(ast.parse(path.read_text("utf-8"))))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch.nn as nn", {"torch"}),
        ("from training.weak import WeakLabels", {"training"}),
        ("try:\n    import mlflow\nexcept ImportError:\n    pass", {"mlflow"}),
        ("class A:\n    import datasets", {"datasets"}),
        ("def f():\n    import torch", set()),
        ("from inference import text", {"inference"}),
    ],
)
def test_the_check_sees_imports_wherever_they_run_at_import_time(source: str, found: set[str]) -> None:
    assert set(_imports(ast.parse(source))) == found


@pytest.mark.parametrize("module", ["inference", "inference.cli", "inference.evaluate"])
def test_importing_the_ground_floor_loads_nothing_that_only_training_needs(module: str) -> None:
    unwanted = sorted(FORBIDDEN | {"sklearn"} | ONLY_WITH_TRAINING)
    code = f"import {module}, sys; print(*[name for name in {unwanted} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == []


def test_at_the_top_stand_only_the_folders_that_were_agreed_on() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    folders = {name.partition("/")[0] for name in tracked if "/" in name and not name.startswith(".")}
    assert folders <= {"training", "inference", "configs", "tests", "seeds", "benchmarks"}
