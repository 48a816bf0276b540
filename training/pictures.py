"""Pictures of the models, as PNG: what was learned, and where it errs. Each takes plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.taxonomy import STANCES, Taxonomy, Topic
from training.bootstrap import Interval
from training.drawing import COLOURS, GRID, INK, SOFT, figure_of, png_of

FloatArray = npt.NDArray[np.float64]


def _title(topic: Topic) -> str:
    return f"{topic.name_en}\n{topic.name_ar}"


def stance_confusion(
    taxonomy: Taxonomy, *, gold: npt.NDArray[np.int64], present: npt.NDArray[np.bool_], stance: npt.NDArray[np.int64]
) -> bytes:
    """Draw, per topic, gold stance against predicted stance, with a row and a column for an absent topic.

    Args:
        taxonomy: the topics.
        gold: shape ``(rows, topics)``; -1 absent, else the stance's place.
        present: shape ``(rows, topics)``; whether the model says that the topic is there.
        stance: shape ``(rows, topics)``; the model's stance.
    """
    figure, axes = figure_of(len(taxonomy), width=3.9, height=4.0)
    names = [*STANCES, "absent"]
    for i, (topic, axis) in enumerate(zip(taxonomy.topics, axes, strict=True)):
        truth = np.where(gold[:, i] >= 0, gold[:, i], len(STANCES))
        said = np.where(present[:, i], stance[:, i], len(STANCES))
        table = np.zeros((len(names), len(names)), dtype=np.int64)
        np.add.at(table, (truth, said), 1)
        share = table / np.maximum(table.sum(1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for a, b in np.ndindex(*table.shape):
            axis.text(b, a, str(table[a, b]), ha="center", va="center", color="white" if share[a, b] > 0.6 else INK)
        axis.set(xticks=range(len(names)), yticks=range(len(names)), title=_title(topic), xlabel="predicted")
        axis.set_xticklabels(names, rotation=30, ha="right")
        axis.set_yticklabels(names)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
    axes[0].set_ylabel("gold")
    return png_of(figure)


def precision_recall(taxonomy: Taxonomy, *, gold: npt.NDArray[np.bool_], models: Mapping[str, FloatArray]) -> bytes:
    """Draw, per topic, precision over recall for every threshold, a line a model.

    Args:
        taxonomy: the topics.
        gold: shape ``(rows, topics)``; whether the topic is there.
        models: model name to probabilities, shape ``(rows, topics)``.
    """
    figure, axes = figure_of(len(taxonomy), width=3.9, height=4.0)
    for i, (topic, axis) in enumerate(zip(taxonomy.topics, axes, strict=True)):
        truth = gold[:, i]
        for k, (name, scores) in enumerate(models.items()):
            recall, precision, average = _curve(truth, scores[:, i])
            colour = COLOURS[k % len(COLOURS)]
            axis.plot(recall, precision, color=colour, label=f"{_short(name)} ({average:.2f})", linewidth=1.7)
        axis.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", title=_title(topic))
        axis.axhline(truth.mean(), color=SOFT, linestyle=":", linewidth=1)
        axis.grid(color=GRID)
        axis.legend(title="average precision", fontsize=8, title_fontsize=8, loc="lower left", framealpha=0.85)
    axes[0].set_ylabel("precision")
    return png_of(figure)


def _curve(truth: npt.NDArray[np.bool_], scores: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    # Paragraphs of one score cannot be told apart: only the last of each counts as a threshold.
    last = np.append(np.diff(scores[order]) != 0, True)
    recall = hits[last] / max(int(truth.sum()), 1)
    precision = (hits / np.arange(1, len(hits) + 1))[last]
    average = float(np.sum(np.diff(np.concatenate([[0.0], recall])) * precision))
    return np.concatenate([[0.0], recall]), np.concatenate([precision[:1], precision]), average


def reliability(
    taxonomy: Taxonomy, *, gold: npt.NDArray[np.bool_], before: FloatArray, after: FloatArray, bins: int = 8
) -> bytes:
    """Draw, per topic, how often the topic is there over what the model said, before and after calibration.

    Args:
        taxonomy: the topics.
        gold: shape ``(rows, topics)``; whether the topic is there.
        before: shape ``(rows, topics)``; probabilities as the heads give them.
        after: shape ``(rows, topics)``; the calibrated ones.
        bins: how many groups of like probability.
    """
    figure, axes = figure_of(len(taxonomy), width=3.9, height=4.0)
    for i, (topic, axis) in enumerate(zip(taxonomy.topics, axes, strict=True)):
        axis.plot([0, 1], [0, 1], color=SOFT, linestyle=":", linewidth=1)
        for values, name, colour in ((before, "before", COLOURS[1]), (after, "after", COLOURS[0])):
            said, true, count = _bins(gold[:, i], values[:, i], bins)
            error = float(np.sum(count * np.abs(said - true)) / max(count.sum(), 1))
            size = 12 + 160 * count / max(count.max(initial=1), 1)
            axis.plot(said, true, color=colour, linewidth=1.4)
            axis.scatter(said, true, s=size, color=colour, alpha=0.75, linewidths=0)
            axis.plot([], [], color=colour, marker="o", label=f"{name} (error {error:.3f})")
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="probability said", title=_title(topic))
        axis.grid(color=GRID)
        axis.legend(fontsize=8, loc="lower right", framealpha=0.85)
    axes[0].set_ylabel("share that is so in gold")
    return png_of(figure)


def _bins(truth: npt.NDArray[np.bool_], said: FloatArray, bins: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    place = np.minimum((said * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins).astype(np.float64)
    kept = count > 0
    mean = np.bincount(place, weights=said, minlength=bins)[kept] / count[kept]
    true = np.bincount(place, weights=truth.astype(np.float64), minlength=bins)[kept] / count[kept]
    return mean, true, count[kept]


def token_lengths(lengths: npt.NDArray[np.int64], *, window: int) -> bytes:
    """Draw how many tokens the paragraphs have, and what the encoder's window cuts.

    Args:
        lengths: shape ``(rows,)``; tokens of every paragraph, at most the window's.
        window: tokens that the encoder reads at once.
    """
    figure, axes = figure_of(width=6.6, height=3.6)
    axis = axes[0]
    axis.hist(lengths, bins=np.linspace(0, window, 41).tolist(), color=COLOURS[0])
    axis.axvline(window, color=COLOURS[1], linestyle="--", label=f"window, {window} tokens")
    middle, high = np.quantile(lengths, [0.5, 0.95]) if len(lengths) else (0, 0)
    axis.set(
        xlabel="tokens", ylabel="paragraphs", title=f"Half have at most {middle:.0f} tokens, 95 % at most {high:.0f}"
    )
    axis.grid(color=GRID, axis="y")
    axis.legend(fontsize=8, framealpha=0.85)
    return png_of(figure)


def model_comparison(rows: Mapping[str, Mapping[str, Interval]], metrics: Mapping[str, str]) -> bytes:
    """Draw every model's metrics with their intervals, side by side.

    Args:
        rows: model name to metric to interval.
        metrics: the metrics to show, by name, to what stands over each.
    """
    figure, axes = figure_of(len(metrics), width=3.2, height=0.45 * len(rows) + 1.3)
    names = list(rows)
    for axis, (metric, heading) in zip(axes, metrics.items(), strict=True):
        for k, name in enumerate(names):
            v = rows[name][metric]
            spread = [[max(0.0, v.value - v.lower)], [max(0.0, v.upper - v.value)]]
            axis.errorbar(v.value, k, xerr=spread, fmt="o", color=COLOURS[k % len(COLOURS)], capsize=4, markersize=6)
            axis.annotate(f"{v.value:.2f}", (v.value, k), (0, 7), textcoords="offset points", ha="center", fontsize=8)
        axis.set(yticks=range(len(names)), title=heading, xlim=(0, 1.02))
        axis.set_yticklabels([_short(n) for n in names] if axis is axes[0] else [])
        axis.set_ylim(len(names) - 0.5, -0.6)
        axis.grid(color=GRID, axis="x")
    return png_of(figure)


def learning_curve(history: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw the losses and the learning rate of a fine-tuning.

    Args:
        history: what the Trainer logged: dictionaries with ``epoch`` and ``loss``, ``eval_loss`` or ``learning_rate``.
    """
    figure, axes = figure_of(2, width=5.0, height=3.6)
    for key, name, colour, mark in (
        ("loss", "training", COLOURS[0], "."),
        ("eval_loss", "validation", COLOURS[1], "D"),
    ):
        points = [(float(h["epoch"]), float(h[key])) for h in history if key in h and "epoch" in h]
        if points:
            axes[0].plot(*zip(*points, strict=True), color=colour, marker=mark, label=name)
    rates = [(float(h["epoch"]), float(h["learning_rate"])) for h in history if "learning_rate" in h and "epoch" in h]
    if rates:
        axes[1].plot(*zip(*rates, strict=True), color=COLOURS[2], marker=".")
    axes[0].set(xlabel="epoch", title="Loss")
    axes[1].set(xlabel="epoch", title="Learning rate of the encoder")
    axes[1].ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axis in axes:
        axis.set_ylim(bottom=0)
        axis.grid(color=GRID)
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(fontsize=8)
    return png_of(figure)


def _short(name: str) -> str:
    return name.split(" (")[0]
