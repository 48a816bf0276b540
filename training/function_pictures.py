"""Pictures of the labelling functions, as PNG: what each covers, how often it is right, which contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm

from inference.taxonomy import STANCES
from training.drawing import COLOURS, GRID, figure_of, png_of

FloatArray = npt.NDArray[np.float64]
# More rows than this nobody reads in a picture; the report's table has them all.
_MOST_FUNCTIONS = 40


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
    figure, axes = figure_of(2, width=5.2, height=max(2.6, 0.2 * len(shown) + 1.1))
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
        axis.grid(color=GRID)
    return png_of(figure)


def _limited(count: int) -> str:
    return f" (the first {_MOST_FUNCTIONS} of {count})" if count > _MOST_FUNCTIONS else ""


def function_conflicts(names: Sequence[str], *, votes: npt.NDArray[np.int8], groups: Sequence[str]) -> bytes:
    """Draw on how many paragraphs two labelling functions of one kind contradict each other.

    A function that only ever says yes contradicts one that only says no wherever they meet: how often they meet, and
    not in which share, tells which pair is worth a look.

    Args:
        names: the functions.
        votes: shape ``(rows, functions)``; -1 is no vote.
        groups: what each votes on; only functions of one group can contradict each other.
    """
    counts = conflict_counts(votes, groups)
    most = np.argsort(-counts.sum(1), kind="stable")[:_MOST_FUNCTIONS]
    kept = np.sort(most[counts[most].sum(1) > 0])
    # Without any conflict there is still something to be said.
    kept = kept if len(kept) else np.sort(most)
    chosen = f" (the {len(kept)} of {len(names)} functions with the most)" if len(kept) < len(names) else ""
    title = f"Paragraphs on which two functions contradict each other{chosen}"
    counts, names = counts[np.ix_(kept, kept)], [names[k] for k in kept]
    size = max(4.0, 0.17 * len(names) + 2.2)
    figure, axes = figure_of(width=size + 1.2, height=size)
    top = max(10, int(counts.max(initial=0)))
    shown = np.ma.masked_equal(counts, 0)
    picture = axes[0].imshow(shown, cmap="OrRd", norm=LogNorm(vmin=1, vmax=top), interpolation="nearest")
    axes[0].set(xticks=range(len(names)), yticks=range(len(names)))
    axes[0].set_xticklabels(names, rotation=90, fontsize=6.5)
    axes[0].set_yticklabels(names, fontsize=6.5)
    axes[0].set_title(f"{title}\nblank: none, or not of one kind", loc="right", fontsize=10)
    # Lines between the cells: with many functions the eye loses the row.
    axes[0].set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes[0].set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes[0].grid(which="minor", color=GRID, linewidth=0.5)
    axes[0].tick_params(which="minor", length=0)
    bar = figure.colorbar(picture, ax=axes[0], shrink=0.6)
    ticks = [t for t in (1, 3, 10, 30, 100, 300, 1000, 3000, 10000) if t <= top]
    bar.set_ticks(ticks, labels=[str(t) for t in ticks])
    bar.minorticks_off()
    return png_of(figure)


def conflict_counts(votes: npt.NDArray[np.int8], groups: Sequence[str]) -> npt.NDArray[np.int64]:
    """Count, for every two functions of one group, the paragraphs on which both vote and not the same.

    Args:
        votes: shape ``(rows, functions)``; -1 is no vote.
        groups: what each function votes on.

    Returns:
        shape ``(functions, functions)``; 0 where they are not of one group.
    """
    fired = (votes != -1).astype(np.float32)
    apart = fired.T @ fired
    for vote in range(len(STANCES)):
        match = (votes == vote).astype(np.float32)
        apart -= match.T @ match
    kinds = np.asarray(groups)
    return np.where(kinds[:, None] == kinds, apart.round(), 0).astype(np.int64)
