"""Workers that fail as real ones do; a module of their own, for Ray's processes import them by name."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference import Predictor, ray_engine

MARK = "RASD_TEST_MARK"


class KilledOnce(ray_engine._Worker):
    """The first to predict is killed as the kernel kills a process for want of memory."""

    def __call__(self, block: Mapping[str, Any]) -> dict[str, list[bytes]]:
        try:
            Path(os.environ[MARK]).touch(exist_ok=False)
        except FileExistsError:
            return super().__call__(block)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process went on")


class Exhausted(ray_engine._Worker):
    """None of them can get the memory that it needs."""

    def __init__(self, files: Mapping[str, Any]) -> None:
        super().__init__(files)
        self._predictor = _Hungry()


class _Hungry(Predictor):
    def __init__(self) -> None:
        pass

    def predict(self, texts: object) -> object:  # type: ignore[override]
        return [bytes(1 << 62) for _ in texts]  # type: ignore[attr-defined]
