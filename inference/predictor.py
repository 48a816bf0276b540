"""The front door: load a model once, then predict texts with it, from as many threads as you like."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np

from inference.engine import Scores, make_engine
from inference.errors import InputError, ModelFolderError
from inference.folder import MANIFEST, Manifest, read_manifest
from inference.results import ArticlePrediction, Evidence, Paragraph, Prediction, Stance, TopicPrediction
from inference.taxonomy import STANCES
from inference.views import views

NAMES = ("champion", "encoder", "cascade", "fast", "tfidf", "weak")
CHAMPION_FILE = "champion.json"
_ENV_MODELS = "RASD_MODELS"
_MOSTLY_ARABIC = 0.3
_MENDED_SHOWN = 3
_PLAINLY_ARABIC = 0.6
_ARABIC_LETTERS = re.compile("[\u0620-\u063f\u0641-\u064a\u0671-\u06d3]+")
_KEPT_CHAMPION = re.compile(r"champions/[0-9]+")
# What stands between the ends of lines, as str.splitlines knows them, without the white space around it.
_PARAGRAPH = re.compile(r"[^\s](?:[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*[^\s])?")


def models_dir() -> Path:
    """Give the folder that models are found in by name.

    It is the environment's ``RASD_MODELS``, else ``models`` below the working directory, else ``models`` beside the
    installed packages (a checkout that was installed with ``pip install -e``).
    """
    if configured := os.environ.get(_ENV_MODELS):
        return Path(configured)
    here = Path("models")
    return here if here.is_dir() else Path(__file__).resolve().parent.parent / "models"


def resolve_model(model: str | Path, *, models: Path | None = None) -> Path:
    """Give the model folder that a name, a path or an MLflow URI stands for.

    Args:
        model: ``champion``, ``encoder``, ``cascade``, ``fast``, ``tfidf``, ``weak``, a folder, or an MLflow URI such as
            ``models:/rasd@champion``.
        models: the models folder that a name is looked for in; None for the usual one.

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
    root = models_dir() if models is None else models
    if text == "champion":
        pointer = root / CHAMPION_FILE
        try:
            found = json.loads(pointer.read_text("utf-8"))
            text, folder = str(found["model"]), str(found.get("folder", found["model"]))
        except FileNotFoundError:
            raise ModelFolderError(f"{pointer}: no champion yet; run `make train` or `rasd train` first") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelFolderError(f"{pointer}: not a readable champion file; run `rasd train` again") from None
        if text not in NAMES[1:] or not (folder == text or _KEPT_CHAMPION.fullmatch(folder)):
            raise ModelFolderError(f"{pointer}: names {folder!r} ({text!r}), which is no model of this folder")
        # A champion that a later training did not beat stands aside from the folders that the training wrote.
        text = folder
    if not (root / text / MANIFEST).exists():
        raise ModelFolderError(f"{root / text}: no such model yet; run `make train` or `rasd train` first")
    return root / text


class Predictor:
    """A loaded model. One instance may serve any number of threads.

    Args:
        model: see :func:`resolve_model`.
        mend: whether an encoder reads words that a scanner misread as they most likely were; see
            :mod:`inference.mending`.

    Raises:
        ModelFolderError: where the folder is missing, incomplete or altered.
    """

    def __init__(self, model: str | Path = "champion", *, mend: bool = True) -> None:
        self.folder = resolve_model(model)
        self.manifest: Manifest = read_manifest(self.folder)
        self._engine = make_engine(self.folder, self.manifest, mend=mend)
        self._thresholds: list[float] = self.manifest.calibration.thresholds.tolist()

    @property
    def description(self) -> str:
        """The model's kind and what it is made of, as every prediction names it."""
        return self._description()

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU, where there is one, computes this model: an encoder that is served in fp32."""
        encoder = self.manifest.kind in ("encoder", "cascade")
        return encoder and self.manifest.engine.get("precision", "fp32") == "fp32"

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

    def predict_article(self, text: str) -> ArticlePrediction:
        """Predict an article paragraph by paragraph.

        Args:
            text: the article, a paragraph a line. Lines without a letter are passed over.

        Raises:
            InputError: where it is no string.
        """
        if not isinstance(text, str):
            raise InputError(f"a string is wanted, not {type(text).__name__}")
        places = [m.span() for m in _PARAGRAPH.finditer(text)]
        answers = zip(places, self._predict([text[a:b] for a, b in places]), strict=True)
        return ArticlePrediction(text, tuple(Paragraph(a, b, p) for (a, b), p in answers if p.language != "none"))

    def _description(self, by: str = "") -> str:
        return f"{self.manifest.kind}{f' ({by})' if by else ''}: {self.manifest.base}"

    def _predict(self, texts: list[str]) -> list[Prediction]:
        languages = _languages(texts)
        scored = [i for i, language in enumerate(languages) if language != "none"]
        answers: dict[int, Prediction] = {}
        if scored:
            scores = self._engine.score([texts[i] for i in scored])
            calibration = self.manifest.calibration
            probabilities = calibration.topic_probabilities(np.stack([s.topics for s in scores])).tolist()
            stances = calibration.stance_probabilities(np.stack([s.stance for s in scores])).tolist()
            for i, score, probability, stance in zip(scored, scores, probabilities, stances, strict=True):
                answers[i] = self._read(texts[i], score, probability, stance, languages[i])
        return [answers[i] if i in answers else self._nothing(text) for i, text in enumerate(texts)]

    def _read(
        self, text: str, scores: Scores, probability: list[float], stances: list[list[float]], language: str
    ) -> Prediction:
        topics: dict[str, TopicPrediction] = {}
        evidence: list[Evidence] = []
        margin = self.manifest.calibration.abstain_margin
        for i, name in enumerate(self.manifest.taxonomy.ids):
            own, shares, threshold = probability[i], stances[i], self._thresholds[i]
            stance = Stance(STANCES[shares.index(max(shares))], dict(zip(STANCES, shares, strict=True)))
            topics[name] = TopicPrediction(own, own >= threshold, stance, abs(own - threshold) < margin)
            if own >= threshold:
                evidence += [Evidence(name, s.start, s.end, text[s.start : s.end], s.weight) for s in scores.spans[i]]
        notes = []
        if language == "other":
            notes.append("hardly any Arabic in this text; the model knows Arabic only")
        if scores.windows > 1:
            notes.append(f"longer than the model's window: read in {scores.windows} overlapping windows")
        if scores.mended:
            notes.append(_mended(scores.mended))
        evidence.sort(key=lambda e: -e.weight)
        return Prediction(text, topics, tuple(evidence), self._description(scores.by), language, tuple(notes))

    def _nothing(self, text: str) -> Prediction:
        third = {s: 1 / len(STANCES) for s in STANCES}
        nothing = TopicPrediction(0.0, False, Stance("neutral", third), False)
        topics = {name: nothing for name in self.manifest.taxonomy.ids}
        return Prediction(text, topics, (), self.description, "none", ("no letters in this text",))


def _mended(changes: Sequence[tuple[str, str]]) -> str:
    shown = ", ".join(f"{read} for {word}" for word, read in changes[:_MENDED_SHOWN])
    more = f" and {len(changes) - _MENDED_SHOWN} more" if len(changes) > _MENDED_SHOWN else ""
    return f"looks misread by a scanner; read here: {shown}{more}"


def _languages(texts: Sequence[str]) -> list[str]:
    """Say of each text whether it is ``ar``, ``other`` or ``none``, which has no letter."""
    # Most texts are Arabic beyond doubt, and are told so without reading every character in turn.
    languages = ["ar" if _is_plainly_arabic(text) else "" for text in texts]
    doubtful = [i for i, language in enumerate(languages) if not language]
    for i, view in zip(doubtful, views([texts[i] for i in doubtful], fold=False), strict=True):
        languages[i] = _language(view.text)
    return languages


def _is_plainly_arabic(text: str) -> bool:
    letters = sum(map(len, _ARABIC_LETTERS.findall(text)))
    return letters > _PLAINLY_ARABIC * len(text)


def _language(clean: str) -> str:
    everything = sum(map(str.isalpha, clean))
    if not everything:
        return "none"
    arabic = sum(c.isalpha() and "\u0620" <= c <= "\u06d3" for c in clean)
    return "ar" if arabic >= _MOSTLY_ARABIC * everything else "other"


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
        model: ``champion``, ``encoder``, ``cascade``, ``fast``, ``tfidf``, ``weak``, a model folder, or an MLflow URI.

    Returns:
        one prediction for one text; for several a list in the same order.

    Raises:
        InputError: where something is not a string.
        ModelFolderError: where the model cannot be had, with what to do.
    """
    return load(model).predict(texts)


def predict_article(text: str, *, model: str | Path = "champion") -> ArticlePrediction:
    """Predict an article paragraph by paragraph, each with its place in the article.

    Args:
        text: the article, a paragraph a line.
        model: as for :func:`predict`.

    Raises:
        InputError: where the text is no string.
        ModelFolderError: where the model cannot be had, with what to do.
    """
    return load(model).predict_article(text)
