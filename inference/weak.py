"""Serves the labelling functions and label model themselves, as a model: no encoder, nothing but words and votes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inference.engine import Scores, Span
from inference.errors import ModelFolderError, RasdError
from inference.folder import Manifest
from inference.lexicon import ABSTAIN, TOPIC_VOTES, LexicalFunction, Match, Matcher, Tokens, tokenise
from inference.vote_model import VoteModel

FILE = "weak.json"
_YES = TOPIC_VOTES.index("yes")
_FLOOR = 1e-9
_MOST_SPANS = 3


class WeakEngine:
    """Scores texts with lexical labelling functions and the fitted label model.

    Args:
        folder: a checked model folder of kind ``weak``.
        manifest: its manifest.

    Raises:
        ModelFolderError: where the file cannot be read.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        path = folder / FILE
        try:
            data = json.loads(path.read_text("utf-8"))
            functions = [LexicalFunction.from_json(row) for row in data["functions"]]
            self._models = {
                part: {t: (m["columns"], VoteModel.from_json(m)) for t, m in data[part].items()}
                for part in ("topics", "stance")
            }
            self._matcher = Matcher(functions)
        except (OSError, ValueError, KeyError, TypeError, RasdError) as error:
            raise ModelFolderError(f"{path}: not a readable set of labelling functions ({error})") from None
        self._taxonomy = manifest.taxonomy
        self._values = np.array([f.vote_value for f in functions], dtype=np.int8)

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """Give the raw scores of each text, in order."""
        return [self._score(t) for t in texts]

    def _score(self, text: str) -> Scores:
        tokens = tokenise(text)
        matches = self._matcher.match(tokens)
        votes = np.full((1, len(self._values)), ABSTAIN, dtype=np.int8)
        fired = [m.function for m in matches]
        votes[0, fired] = self._values[fired]
        topics = np.empty(len(self._taxonomy))
        stance = np.empty((len(self._taxonomy), 3))
        for i, topic in enumerate(self._taxonomy.ids):
            columns, model = self._models["topics"][topic]
            share = np.clip(model.predict(votes[:, columns])[0], _FLOOR, 1 - _FLOOR)
            topics[i] = np.log(share[1] / share[0])
            columns, model = self._models["stance"][topic]
            stance[i] = np.log(np.clip(model.predict(votes[:, columns])[0], _FLOOR, 1.0))
        spans = tuple(self._spans(topic, matches, tokens) for topic in self._taxonomy.ids)
        return Scores(topics, stance, spans)

    def _spans(self, topic: str, matches: Sequence[Match], tokens: Tokens) -> tuple[Span, ...]:
        columns, model = self._models["topics"][topic]
        weight = {
            j: float(np.log(model.rates[c, 1, 1 + _YES] / model.rates[c, 0, 1 + _YES]) * model.discount[c])
            for c, j in enumerate(columns)
        }
        found: dict[tuple[int, int], float] = {}
        for match in matches:
            if match.first >= 0 and self._values[match.function] == _YES and match.function in weight:
                place = tokens.span(match.first, match.last)
                found[place] = found.get(place, 0.0) + weight[match.function]
        best = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:_MOST_SPANS]
        return tuple(Span(a, b, w) for (a, b), w in best if w > 0)
