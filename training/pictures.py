"""Pictures of a training, as PNG: what was learned, where it errs, and what the labelling functions do.

Every function takes plain arrays and gives the bytes of a PNG. Matplotlib shapes Arabic and sets it right to left by
itself from 3.11 on; the font is the DejaVu Sans that comes with it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inference.taxonomy import STANCES, Taxonomy, Topic
from training.bootstrap import Interval

FloatArray = npt.NDArray[np.float64]
_DPI = 110
# More rows than this nobody reads in a picture; the report's table has them all.
_MOST_FUNCTIONS = 40
_INK, _SOFT, _GRID = "#1f2933", "#7b8794", "#e4e7eb"
# Okabe and Ito's colours: told apart by people who do not see red and green.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": _SOFT,
    "axes.labelcolor": _INK,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": _INK,
    "text.parse_math": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "figure.facecolor": "white",
}


def _figure(columns: int = 1, *, width: float = 6.0, height: float = 4.0, rows: int = 1) -> tuple[Figure, list[Axes]]:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        # Without the software's name the same arrays give the same bytes.
        figure.savefig(stream, format="png", dpi=_DPI, metadata={"Software": None})
    return stream.getvalue()


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
    figure, axes = _figure(len(taxonomy), width=3.9, height=4.0)
    names = [*STANCES, "absent"]
    for i, (topic, axis) in enumerate(zip(taxonomy.topics, axes, strict=True)):
        truth = np.where(gold[:, i] >= 0, gold[:, i], len(STANCES))
        said = np.where(present[:, i], stance[:, i], len(STANCES))
        table = np.zeros((len(names), len(names)), dtype=np.int64)
        np.add.at(table, (truth, said), 1)
        share = table / np.maximum(table.sum(1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for a, b in np.ndindex(*table.shape):
            axis.text(b, a, str(table[a, b]), ha="center", va="center", color="white" if share[a, b] > 0.6 else _INK)
        axis.set(xticks=range(len(names)), yticks=range(len(names)), title=_title(topic), xlabel="predicted")
        axis.set_xticklabels(names, rotation=30, ha="right")
        axis.set_yticklabels(names)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
    axes[0].set_ylabel("gold")
    return _png(figure)


def precision_recall(taxonomy: Taxonomy, *, gold: npt.NDArray[np.bool_], models: Mapping[str, FloatArray]) -> bytes:
    """Draw, per topic, precision over recall for every threshold, a line a model.

    Args:
        taxonomy: the topics.
        gold: shape ``(rows, topics)``; whether the topic is there.
        models: model name to probabilities, shape ``(rows, topics)``.
    """
    figure, axes = _figure(len(taxonomy), width=3.9, height=4.0)
    for i, (topic, axis) in enumerate(zip(taxonomy.topics, axes, strict=True)):
        truth = gold[:, i]
        for k, (name, scores) in enumerate(models.items()):
            recall, precision, average = _curve(truth, scores[:, i])
            colour = COLOURS[k % len(COLOURS)]
            axis.plot(recall, precision, color=colour, label=f"{_short(name)} ({average:.2f})", linewidth=1.7)
        axis.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", title=_title(topic))
        axis.axhline(truth.mean(), color=_SOFT, linestyle=":", linewidth=1)
        axis.grid(color=_GRID)
        axis.legend(title="average precision", fontsize=8, title_fontsize=8, loc="lower left", framealpha=0.85)
    axes[0].set_ylabel("precision")
    return _png(figure)


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
    figure, axes = _figure(len(taxonomy), width=3.9, height=4.0)
    for i, (topic, axis) in enumerate(zip(taxonomy.topics, axes, strict=True)):
        axis.plot([0, 1], [0, 1], color=_SOFT, linestyle=":", linewidth=1)
        for values, name, colour in ((before, "before", COLOURS[1]), (after, "after", COLOURS[0])):
            said, true, count = _bins(gold[:, i], values[:, i], bins)
            error = float(np.sum(count * np.abs(said - true)) / max(count.sum(), 1))
            size = 12 + 160 * count / max(count.max(initial=1), 1)
            axis.plot(said, true, color=colour, linewidth=1.4)
            axis.scatter(said, true, s=size, color=colour, alpha=0.75, linewidths=0)
            axis.plot([], [], color=colour, marker="o", label=f"{name} (error {error:.3f})")
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="probability said", title=_title(topic))
        axis.grid(color=_GRID)
        axis.legend(fontsize=8, loc="upper left", framealpha=0.85)
    axes[0].set_ylabel("share that is so in gold")
    return _png(figure)


def _bins(truth: npt.NDArray[np.bool_], said: FloatArray, bins: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    place = np.minimum((said * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins).astype(np.float64)
    kept = count > 0
    mean = np.bincount(place, weights=said, minlength=bins)[kept] / count[kept]
    true = np.bincount(place, weights=truth.astype(np.float64), minlength=bins)[kept] / count[kept]
    return mean, true, count[kept]


def function_coverage(
    names: Sequence[str], *, coverage: FloatArray, estimated: FloatArray, gold: Sequence[float | None]
) -> bytes:
    """Draw what every labelling function covers, and how often it is right.

    Args:
        names: the functions.
        coverage: shape ``(functions,)``; share of paragraphs on which each votes.
        estimated: shape ``(functions,)``; accuracy that the label model believes.
        gold: accuracy on gold; None where it does not vote there.
    """
    order = np.argsort(-np.asarray(coverage), kind="stable")[:_MOST_FUNCTIONS]
    shown = [names[k] for k in order]
    figure, axes = _figure(2, width=5.2, height=max(2.6, 0.2 * len(shown) + 1.1))
    rows = np.arange(len(shown))
    left, right = axes
    left.barh(rows, 100 * np.asarray(coverage)[order], color=COLOURS[0], height=0.7)
    left.set(yticks=rows, xlabel="covers, % of paragraphs", title=f"Coverage{_limited(len(names))}")
    left.set_yticklabels(shown, fontsize=7)
    right.scatter(np.asarray(estimated)[order], rows, color=COLOURS[0], s=22, label="label model's estimate", zorder=3)
    known = [(float(g), k) for k, g in enumerate(gold[j] for j in order) if g is not None]
    if known:
        right.scatter(
            [g for g, _ in known], [k for _, k in known], color=COLOURS[1], s=22, marker="D", label="on gold", zorder=3
        )
    right.set(yticks=rows, xlim=(-0.02, 1.02), xlabel="right, share of its votes", title="Accuracy")
    right.set_yticklabels([])
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize=8, frameon=False)
    for axis in axes:
        axis.set_ylim(len(shown) - 0.4, -0.6)
        axis.grid(color=_GRID)
    return _png(figure)


def _limited(count: int) -> str:
    return f" (the first {_MOST_FUNCTIONS} of {count})" if count > _MOST_FUNCTIONS else ""


def function_conflicts(names: Sequence[str], *, votes: npt.NDArray[np.int8], groups: Sequence[str]) -> bytes:
    """Draw how often two labelling functions of one kind vote otherwise where both vote.

    Args:
        names: the functions.
        votes: shape ``(rows, functions)``; -1 is no vote.
        groups: what each votes on; only functions of one group can contradict each other.
    """
    rate = conflict_rates(votes, groups)
    most = np.argsort(-np.nan_to_num(rate).max(1, initial=0), kind="stable")[:_MOST_FUNCTIONS]
    kept = np.sort(most)
    title = f"Share of common paragraphs on which two functions vote otherwise{_limited(len(names))}"
    rate, names = rate[np.ix_(kept, kept)], [names[k] for k in kept]
    size = max(4.0, 0.17 * len(names) + 2.2)
    figure, axes = _figure(width=size + 1.2, height=size)
    picture = axes[0].imshow(np.ma.masked_invalid(rate), cmap="OrRd", vmin=0, vmax=1, interpolation="nearest")
    axes[0].set(xticks=range(len(names)), yticks=range(len(names)))
    axes[0].set_xticklabels(names, rotation=90, fontsize=6.5)
    axes[0].set_yticklabels(names, fontsize=6.5)
    axes[0].set_title(f"{title}\nblank: no common paragraph, or not of one kind", loc="right", fontsize=10)
    figure.colorbar(picture, ax=axes[0], shrink=0.6)
    return _png(figure)


def conflict_rates(votes: npt.NDArray[np.int8], groups: Sequence[str]) -> FloatArray:
    """Give, for every two functions of one group, the share of their common paragraphs on which they differ.

    Args:
        votes: shape ``(rows, functions)``; -1 is no vote.
        groups: what each function votes on.

    Returns:
        shape ``(functions, functions)``; NaN where there is no common paragraph or group.
    """
    fired = (votes != -1).astype(np.float32)
    common = fired.T @ fired
    same = np.zeros_like(common)
    for vote in range(len(STANCES)):
        match = (votes == vote).astype(np.float32)
        same += match.T @ match
    kinds = np.asarray(groups)
    comparable = (kinds[:, None] == kinds) & (common > 0) & ~np.eye(len(kinds), dtype=bool)
    return np.where(comparable, 1 - same / np.maximum(common, 1), np.nan).astype(np.float64)


def token_lengths(lengths: npt.NDArray[np.int64], *, window: int) -> bytes:
    """Draw how many tokens the paragraphs have, and what the encoder's window cuts.

    Args:
        lengths: shape ``(rows,)``; tokens of every paragraph, at most the window's.
        window: tokens that the encoder reads at once.
    """
    figure, axes = _figure(width=6.6, height=3.6)
    axis = axes[0]
    axis.hist(lengths, bins=np.linspace(0, window, 41).tolist(), color=COLOURS[0])
    axis.axvline(window, color=COLOURS[1], linestyle="--", label=f"window, {window} tokens")
    middle, high = np.quantile(lengths, [0.5, 0.95]) if len(lengths) else (0, 0)
    axis.set(
        xlabel="tokens", ylabel="paragraphs", title=f"Half have at most {middle:.0f} tokens, 95 % at most {high:.0f}"
    )
    axis.grid(color=_GRID, axis="y")
    axis.legend(fontsize=8, framealpha=0.85)
    return _png(figure)


def model_comparison(rows: Mapping[str, Mapping[str, Interval]], metrics: Mapping[str, str]) -> bytes:
    """Draw every model's metrics with their intervals, side by side.

    Args:
        rows: model name to metric to interval.
        metrics: the metrics to show, by name, to what stands over each.
    """
    figure, axes = _figure(len(metrics), width=3.2, height=0.45 * len(rows) + 1.3)
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
        axis.grid(color=_GRID, axis="x")
    return _png(figure)


def learning_curve(history: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw the losses and the learning rate of a fine-tuning.

    Args:
        history: what the Trainer logged: dictionaries with ``epoch`` and ``loss``, ``eval_loss`` or ``learning_rate``.
    """
    figure, axes = _figure(2, width=5.0, height=3.6)
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
        axis.grid(color=_GRID)
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(fontsize=8)
    return _png(figure)


def _short(name: str) -> str:
    return name.split(" (")[0]
