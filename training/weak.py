"""Weak labels: one label model per topic and one per topic's stance, fitted on a corpus's votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.errors import ConfigError
from inference.taxonomy import NEUTRAL, STANCES, Taxonomy
from inference.vote_model import VoteModel
from training.label_model import DawidSkene, majority_vote
from training.labeling import LabelingFunction

FloatArray = npt.NDArray[np.float64]

TOPIC_PRIOR, STANCE_PRIOR = 1.0, 3.0
"""What authors' guesses of accuracies weigh beside the votes: as many observations as there are rows, times this.

On real news, guesses of this weight beat what expectation maximisation finds on its own: on a large corpus that
settles on some other division of it than the one that was meant, the sooner the rarer the votes are.
"""


@dataclass(frozen=True)
class WeakLabels:
    """Probabilities for a corpus.

    Args:
        topics: shape ``(rows, topics)``; probability that the topic is present.
        stance: shape ``(rows, topics, 3)``; stance probabilities, should it be.
    """

    topics: FloatArray
    stance: FloatArray

    def of(self, rows: npt.NDArray[np.int64]) -> WeakLabels:
        """Give those of some rows, in their order."""
        return WeakLabels(self.topics[rows], self.stance[rows])


@dataclass(frozen=True)
class Columns:
    """Which columns of the vote matrix speak of one topic, or of its stance."""

    topic: tuple[int, ...]
    stance: tuple[int, ...]


@dataclass(frozen=True)
class WeakModel:
    """The fitted label models of every topic.

    Args:
        taxonomy: the topics in order.
        functions: the labelling functions, in the order of the votes' columns.
        topic_models: topic id to its label model over no, yes.
        stance_models: topic id to its label model over the stances.
    """

    taxonomy: Taxonomy
    functions: tuple[LabelingFunction, ...]
    topic_models: Mapping[str, VoteModel]
    stance_models: Mapping[str, VoteModel]

    def predict(self, votes: npt.NDArray[np.int8], *, skip_kinds: Sequence[str] = ()) -> WeakLabels:
        """Turn votes into probabilities.

        Args:
            votes: shape ``(rows, functions)``.
            skip_kinds: kinds of functions that could not vote here, such as ``metadata`` for bare texts.
        """
        columns = columns_of(self.functions, self.taxonomy)
        able = np.array([f.kind not in skip_kinds for f in self.functions])
        topics = np.empty((len(votes), len(self.taxonomy)))
        stance = np.empty((len(votes), len(self.taxonomy), len(STANCES)))
        for i, topic in enumerate(self.taxonomy.ids):
            own = list(columns[topic].topic)
            topics[:, i] = self.topic_models[topic].predict(votes[:, own], functions=able[own])[:, 1]
            own = list(columns[topic].stance)
            stance[:, i] = self.stance_models[topic].predict(votes[:, own], functions=able[own])
        return WeakLabels(topics, stance)


def columns_of(functions: Sequence[LabelingFunction], taxonomy: Taxonomy) -> dict[str, Columns]:
    """Sort the functions' columns by topic."""
    return {
        topic: Columns(
            tuple(j for j, f in enumerate(functions) if f.topic == topic and not f.is_stance),
            tuple(j for j, f in enumerate(functions) if f.topic == topic and f.is_stance),
        )
        for topic in taxonomy.ids
    }


def fit_weak_model(
    votes: npt.NDArray[np.int8],
    functions: tuple[LabelingFunction, ...],
    taxonomy: Taxonomy,
    *,
    topic_share: float = 0.2,
    stance_shares: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3),
) -> WeakModel:
    """Fit the label models of every topic.

    Args:
        votes: shape ``(rows, functions)``.
        functions: what the columns are.
        taxonomy: the topics.
        topic_share: prior share of paragraphs that carry a topic.
        stance_shares: shares of favor, against and neutral in the feed, which the authors' accuracies are guesses for.

    Raises:
        ConfigError: where no labelling function votes on a topic, or on its stance; the topic is named.
    """
    topic_models, stance_models = {}, {}
    for topic, columns in columns_of(functions, taxonomy).items():
        for part, where in ((columns.topic, "presence"), (columns.stance, "stance")):
            if not part:
                raise ConfigError(f"topic {topic!r}: no labelling function votes on its {where}; give it at least one")
        own = list(columns.topic)
        strength = TOPIC_PRIOR * len(votes)
        model = DawidSkene(2, balance=(1 - topic_share, topic_share), prior_strength=strength, balance_strength=50).fit(
            votes[:, own],
            accuracies=[functions[j].accuracy for j in own],
            polarities=[functions[j].polarity for j in own],
        )
        topic_models[topic] = model
        present = model.predict(votes[:, own])[:, 1]
        own = list(columns.stance)
        stance_models[topic] = DawidSkene(
            len(STANCES), balance=stance_shares, prior_strength=STANCE_PRIOR * float(present.sum()), balance_strength=50
        ).fit(
            votes[:, own],
            accuracies=[functions[j].accuracy for j in own],
            polarities=[functions[j].polarity for j in own],
            weights=present,
        )
    return WeakModel(taxonomy, functions, topic_models, stance_models)


def refit_without(
    kind: str,
    model: WeakModel,
    votes: npt.NDArray[np.int8],
    *,
    stance_shares: tuple[float, float, float],
) -> tuple[WeakModel, npt.NDArray[np.int8]]:
    """Give the model that the other functions make alone, and their votes; what was given where none is of that kind.

    Functions that were fitted beside some which know more count for less than they are worth alone.

    Args:
        kind: of the functions that are left out.
        model: fitted on the votes.
        votes: shape ``(rows, functions)``.
        stance_shares: as it was fitted with.
    """
    kept = [j for j, f in enumerate(model.functions) if f.kind != kind]
    if len(kept) == len(model.functions):
        return model, votes
    functions = tuple(model.functions[j] for j in kept)
    heard = votes[:, kept]
    return fit_weak_model(heard, functions, model.taxonomy, stance_shares=stance_shares), heard


def majority_labels(
    votes: npt.NDArray[np.int8], functions: Sequence[LabelingFunction], taxonomy: Taxonomy
) -> WeakLabels:
    """Give the majority vote in the form of weak labels: the row of the table that everything must beat."""
    columns = columns_of(functions, taxonomy)
    topics = np.empty((len(votes), len(taxonomy)))
    stance = np.empty((len(votes), len(taxonomy), len(STANCES)))
    for i, topic in enumerate(taxonomy.ids):
        topics[:, i] = majority_vote(votes[:, list(columns[topic].topic)], 2, default=0)[:, 1]
        own = votes[:, list(columns[topic].stance)]
        stance[:, i] = majority_vote(own, len(STANCES), default=STANCES.index(NEUTRAL))
    return WeakLabels(topics, stance)
