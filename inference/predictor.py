"""The front door: load a model once, then predict texts with it, from as many threads as you like."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np

from inference.engine import Scores, make_engine
from inference.errors import InputError, ModelFolderError
from inference.folder import MANIFEST, Manifest, read_manifest
from inference.results import Evidence, Prediction, Stance, TopicPrediction
from inference.taxonomy import STANCES
from inference.text import arabic_share, clean

NAMES = ("champion", "encoder", "tfidf", "weak")
CHAMPION_FILE = "champion.json"
_ENV_MODELS = "RASD_MODELS"
_MOSTLY_ARABIC = 0.3


def models_dir() -> Path:
    """Give the folder that models are found in by name.

    It is the environment's ``RASD_MODELS``, else ``models`` below the working directory, else ``models`` beside the
    installed packages (a checkout that was installed with ``pip install -e``).
    """
    if configured := os.environ.get(_ENV_MODELS):
        return Path(configured)
    here = Path("models")
    return here if here.is_dir() else Path(__file__).resolve().parent.parent / "models"


def resolve_model(model: str | Path) -> Path:
    """Give the model folder that a name, a path or an MLflow URI stands for.

    Args:
        model: ``champion``, ``encoder``, ``tfidf``, ``weak``, a folder, or an MLflow URI such as
            ``models:/rasd@champion``.

    Raises:
        ModelFolderError: where there is none, with what to do.
    """
    text = str(model)
    if text.startswith(("models:/", "runs:/", "mlflow-artifacts:/")):
        # Only an MLflow URI asks for MLflow; nothing else on this path loads it.
        from training.registry import download_model

        return download_model(text)
    if text not in NAMES:
        return Path(text)
    root = models_dir()
    if text == "champion":
        pointer = root / CHAMPION_FILE
        try:
            text = str(json.loads(pointer.read_text("utf-8"))["model"])
        except FileNotFoundError:
            raise ModelFolderError(f"{pointer}: no champion yet; run `make train` or `rasd train` first") from None
        except (ValueError, KeyError, TypeError):
            raise ModelFolderError(f"{pointer}: not a readable champion file; run `rasd train` again") from None
        if text not in NAMES[1:]:
            raise ModelFolderError(f"{pointer}: names {text!r}, which is no model of this folder")
    if not (root / text / MANIFEST).exists():
        raise ModelFolderError(f"{root / text}: no such model yet; run `make train` or `rasd train` first")
    return root / text


class Predictor:
    """A loaded model. One instance may serve any number of threads.

    Args:
        model: see :func:`resolve_model`.

    Raises:
        ModelFolderError: where the folder is missing, incomplete or altered.
    """

    def __init__(self, model: str | Path = "champion") -> None:
        folder = resolve_model(model)
        self.manifest: Manifest = read_manifest(folder)
        self._engine = make_engine(folder, self.manifest)

    @property
    def description(self) -> str:
        """The model's kind and what it is made of, as every prediction names it."""
        return f"{self.manifest.kind}: {self.manifest.base}"

    @overload
    def predict(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, texts: Sequence[str]) -> list[Prediction]: ...

    def predict(self, texts: str | Sequence[str]) -> Prediction | list[Prediction]:
        """Say for each text which topics it carries, with which stance, and which words say so.

        Args:
            texts: one text, or several. An empty text, or one without a letter, has no topic and no evidence.

        Returns:
            one prediction for one text; for several a list in the same order. A text's prediction does not depend
            on the others.

        Raises:
            InputError: where something is not a string; its place is named.
        """
        if isinstance(texts, str):
            return self._predict([texts])[0]
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"text {place}: a string is wanted, not {type(text).__name__}")
        return self._predict(list(texts))

    def _predict(self, texts: list[str]) -> list[Prediction]:
        languages = [_language(t) for t in texts]
        scored = [i for i, language in enumerate(languages) if language != "none"]
        scores = dict(zip(scored, self._engine.score([texts[i] for i in scored]), strict=True)) if scored else {}
        return [
            self._read(text, scores[i], languages[i]) if i in scores else self._nothing(text)
            for i, text in enumerate(texts)
        ]

    def _read(self, text: str, scores: Scores, language: str) -> Prediction:
        calibration = self.manifest.calibration
        probability = calibration.topic_probabilities(scores.topics[None])[0]
        stances = calibration.stance_probabilities(scores.stance[None])[0]
        topics: dict[str, TopicPrediction] = {}
        evidence: list[Evidence] = []
        for i, name in enumerate(self.manifest.taxonomy.ids):
            threshold = float(calibration.thresholds[i])
            present = bool(probability[i] >= threshold)
            shares = {s: float(stances[i, j]) for j, s in enumerate(STANCES)}
            stance = Stance(STANCES[int(np.argmax(stances[i]))], shares)
            unsure = abs(float(probability[i]) - threshold) < calibration.abstain_margin
            topics[name] = TopicPrediction(float(probability[i]), present, stance, unsure)
            if present:
                evidence += [Evidence(name, s.start, s.end, text[s.start : s.end], s.weight) for s in scores.spans[i]]
        notes = []
        if language == "other":
            notes.append("hardly any Arabic in this text; the model knows Arabic only")
        if scores.windows > 1:
            notes.append(f"longer than the model's window: read in {scores.windows} overlapping windows")
        evidence.sort(key=lambda e: -e.weight)
        return Prediction(text, topics, tuple(evidence), self.description, language, tuple(notes))

    def _nothing(self, text: str) -> Prediction:
        third = {s: 1 / len(STANCES) for s in STANCES}
        nothing = TopicPrediction(0.0, False, Stance("neutral", third), False)
        topics = {name: nothing for name in self.manifest.taxonomy.ids}
        return Prediction(text, topics, (), self.description, "none", ("no letters in this text",))


def _language(text: str) -> str:
    if not any(c.isalpha() for c in clean(text)):
        return "none"
    return "ar" if arabic_share(text) >= _MOSTLY_ARABIC else "other"


@functools.lru_cache(maxsize=8)
def _cached(folder: str, stamp: int) -> Predictor:
    del stamp  # part of the key only: a retrained folder is loaded anew
    return Predictor(folder)


def load(model: str | Path = "champion") -> Predictor:
    """Give the predictor of a model; one that was loaded before and has not changed since is given again."""
    folder = resolve_model(model).resolve()
    manifest = folder / MANIFEST
    return _cached(str(folder), manifest.stat().st_mtime_ns if manifest.exists() else 0)


@overload
def predict(texts: str, *, model: str | Path = "champion") -> Prediction: ...  # type: ignore[overload-overlap]


@overload
def predict(texts: Sequence[str], *, model: str | Path = "champion") -> list[Prediction]: ...


def predict(texts: str | Sequence[str], *, model: str | Path = "champion") -> Prediction | list[Prediction]:
    """Say for each text which topics it carries, with which stance, and which words say so.

    Args:
        texts: one text, or several.
        model: ``champion``, ``encoder``, ``tfidf``, ``weak``, a model folder, or an MLflow URI.

    Returns:
        one prediction for one text; for several a list in the same order.

    Raises:
        InputError: where something is not a string.
        ModelFolderError: where the model cannot be had, with what to do.
    """
    return load(model).predict(texts)
