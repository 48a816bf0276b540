"""What predict returns: frozen, and the same whichever model answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from inference.taxonomy import STANCES


@dataclass(frozen=True)
class Stance:
    """The attitude towards one topic.

    Args:
        label: ``favor``, ``against`` or ``neutral``; the most probable.
        probabilities: stance to probability, summing to 1.
    """

    label: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class TopicPrediction:
    """What a model says of one topic in one text.

    Args:
        probability: calibrated probability, 0 to 1, that the text is about the topic.
        present: whether that passes the topic's threshold.
        stance: the stance, should the topic be present.
        abstained: the probability lies too near the threshold to be relied on.
    """

    probability: float
    present: bool
    stance: Stance
    abstained: bool = False


@dataclass(frozen=True)
class Evidence:
    """A stretch of the input that speaks for a present topic.

    Args:
        topic: the topic's id.
        start: first character, counted in the text that was handed in.
        end: one past the last character.
        text: ``input[start:end]``.
        weight: how much it adds to the topic's score; larger is more.
    """

    topic: str
    start: int
    end: int
    text: str
    weight: float


@dataclass(frozen=True)
class Prediction:
    """The answer for one text.

    Args:
        text: the text as it was handed in.
        topics: topic id to what is said of it, for every topic of the watch list.
        evidence: spans for the present topics, strongest first.
        model: the kind and base of the model that answered; of a cascade also which of its two.
        language: ``ar``, ``other`` (letters, but hardly any Arabic) or ``none`` (no letters at all).
    """

    text: str
    topics: Mapping[str, TopicPrediction]
    evidence: tuple[Evidence, ...]
    model: str
    language: str = "ar"
    notes: tuple[str, ...] = field(default=())

    @property
    def present(self) -> dict[str, str]:
        """The present topics and their stance labels: the form of a gold record's ``topics``."""
        return {name: topic.stance.label for name, topic in self.topics.items() if topic.present}

    def to_json(self) -> dict[str, Any]:
        """Give the prediction record of the contract, ready for ``json.dumps``."""
        topics = {
            name: {
                "probability": round(topic.probability, 6),
                "present": topic.present,
                "abstained": topic.abstained,
                "stance": {
                    "label": topic.stance.label,
                    **{s: round(topic.stance.probabilities[s], 6) for s in STANCES},
                },
            }
            for name, topic in self.topics.items()
        }
        evidence = [
            {"topic": e.topic, "start": e.start, "end": e.end, "text": e.text, "weight": round(e.weight, 6)}
            for e in self.evidence
        ]
        record: dict[str, Any] = {"text": self.text, "topics": topics, "evidence": evidence}
        record |= {"model": self.model, "language": self.language}
        if self.notes:
            record["notes"] = list(self.notes)
        return record


@dataclass(frozen=True)
class Paragraph:
    """One paragraph of an article.

    Args:
        start: its first character, counted in the article.
        end: one past its last character.
        prediction: the answer for ``article[start:end]``; its evidence counts from the paragraph's start.
    """

    start: int
    end: int
    prediction: Prediction


@dataclass(frozen=True)
class ArticlePrediction:
    """The answers for an article, paragraph by paragraph.

    Args:
        text: the article as it was handed in.
        paragraphs: those that hold a letter, in order.
    """

    text: str
    paragraphs: tuple[Paragraph, ...]

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The paragraphs' evidence, in their order, counted in the article."""
        return tuple(
            replace(e, start=e.start + p.start, end=e.end + p.start)
            for p in self.paragraphs
            for e in p.prediction.evidence
        )

    def to_json(self) -> dict[str, Any]:
        """Give the article's record, ready for ``json.dumps``."""
        paragraphs = [{"start": p.start, "end": p.end, **p.prediction.to_json()} for p in self.paragraphs]
        return {"text": self.text, "paragraphs": paragraphs}
