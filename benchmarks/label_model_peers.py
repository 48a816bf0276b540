"""The label models that ``benchmarks/label_models.py`` compares, each fitted on votes and read on others."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from training.label_model import DawidSkene, majority_vote
from training.weak import STANCE_PRIOR, TOPIC_PRIOR

Votes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float64]
Reader = Callable[[Votes], Floats]
"""What a fitted model is here: votes of shape ``(rows, functions)`` to probabilities ``(rows, classes)``."""


@dataclass(frozen=True)
class Hints:
    """What a model may be told beside the votes: class shares, guesses of accuracies, possible votes."""

    balance: Sequence[float]
    default: int
    accuracies: Sequence[float] | None = None
    polarities: Sequence[Sequence[int]] | None = None


Fit = Callable[[Votes, Hints], Reader]


def fit_majority(votes: Votes, hints: Hints) -> Reader:
    """Fit nothing: the majority vote."""
    return lambda v: majority_vote(v, len(hints.balance), default=hints.default)


def rasd_fitter(*, temper: bool = True, silence: bool = True, guesses: bool = False) -> Fit:
    """Give what fits Rasd's model, whole or with a part switched off."""

    def fit(votes: Votes, hints: Hints) -> Reader:
        model = DawidSkene(len(hints.balance), balance=hints.balance, temper=temper, silence=silence)
        if guesses:
            weight = TOPIC_PRIOR if len(hints.balance) == 2 else STANCE_PRIOR
            model = replace(model, prior_strength=weight * len(votes))
        told = hints.accuracies if guesses else None
        return model.fit(votes, accuracies=told, polarities=hints.polarities).predict

    return fit


def fit_crowdkit(votes: Votes, hints: Hints) -> Reader:
    """Fit crowd-kit's Dawid-Skene; rows that nobody voted on get the class shares."""
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]
    from crowdkit.aggregation import DawidSkene as Peer  # type: ignore[import-not-found, unused-ignore]

    classes = len(hints.balance)
    rows, workers = np.nonzero(votes >= 0)
    fitted = Peer(n_iter=100).fit(pd.DataFrame({"task": rows, "worker": workers, "label": votes[rows, workers]}))
    log_errors = np.zeros((votes.shape[1], classes, classes))
    for (worker, label), row in fitted.errors_.iterrows():
        log_errors[worker, int(label)] = np.log(np.clip([row.get(c, 0.0) for c in range(classes)], 1e-10, None))
    log_shares = np.log(np.clip([fitted.priors_.get(c, 0.0) for c in range(classes)], 1e-10, None))

    def read(v: Votes) -> Floats:
        logits = log_shares + sum((v == c).astype(float) @ log_errors[:, c] for c in range(classes))
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        shares[(v < 0).all(1)] = hints.balance
        return np.asarray(shares)

    return read


def fit_snorkel(votes: Votes, hints: Hints) -> Reader:
    """Fit Snorkel's LabelModel as it ships, with the class shares."""
    import torch  # type: ignore[import-not-found, unused-ignore]
    from snorkel.labeling.model import LabelModel  # type: ignore[import-not-found, unused-ignore]

    torch.set_num_threads(1)
    model = LabelModel(cardinality=len(hints.balance), verbose=False)
    model.fit(votes.astype(int), class_balance=list(hints.balance), seed=13, progress_bar=False)
    return lambda v: np.asarray(model.predict_proba(v.astype(int)))


OURS = "Rasd"
WITH_GUESSES = "Rasd, with guesses"
SNORKEL = "Snorkel LabelModel"
MODELS: Mapping[str, Fit] = {
    "majority vote": fit_majority,
    "crowd-kit Dawid-Skene": fit_crowdkit,
    SNORKEL: fit_snorkel,
    "Rasd, silence left out": rasd_fitter(silence=False),
    "Rasd, no tempering": rasd_fitter(temper=False),
    OURS: rasd_fitter(),
    WITH_GUESSES: rasd_fitter(guesses=True),
}
_NEEDS = {"crowd-kit Dawid-Skene": "crowdkit", SNORKEL: "snorkel"}


def available_models() -> dict[str, Fit]:
    """Give the models that can be had here, and say which cannot."""
    found = {}
    for name, fit in MODELS.items():
        if name in _NEEDS and importlib.util.find_spec(_NEEDS[name]) is None:
            print(f"{name} is left out: {_NEEDS[name]} is not installed here", file=sys.stderr)
            continue
        found[name] = fit
    return found
