"""Changes a model folder's manifest as a stranger could who knows how it is sealed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.folder import MANIFEST, SEAL, sha256_file


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the manifest, and seal it again."""
    data = json.loads((folder / MANIFEST).read_text("utf-8"))
    change(data)
    (folder / MANIFEST).write_text(json.dumps(data), "utf-8")
    seal(folder)


def seal(folder: Path) -> None:
    """Write the manifest's hash beside it."""
    (folder / SEAL).write_text(f"{sha256_file(folder / MANIFEST)}  {MANIFEST}\n", "ascii")
