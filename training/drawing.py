"""How the pictures are drawn: their style, their colours, and how a figure becomes the bytes of a PNG.

Matplotlib shapes Arabic and sets it right to left by itself from 3.11 on; the font is the DejaVu Sans that comes
with it.
"""

from __future__ import annotations

import io
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

_DPI = 110
INK, SOFT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
# Okabe and Ito's colours: told apart by people who do not see red and green.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
}


def figure_of(columns: int = 1, *, width: float = 6.0, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    """Make a figure in the house's style.

    Args:
        columns: how many axes, side by side.
        width: of each, in inches.
        height: in inches.
    """
    with matplotlib.rc_context(_STYLE):
        # Without the padding the first line of a heading touches the edge.
        layout = ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.07)
        figure = Figure(figsize=(width * columns, height), layout=layout)
        axes = figure.subplots(1, columns, squeeze=False)
    return figure, list(axes.ravel())


def png_of(figure: Figure) -> bytes:
    """Give a figure as the bytes of a PNG; the same figure gives the same bytes."""
    stream = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        # Without the software's name the same arrays give the same bytes.
        figure.savefig(stream, format="png", dpi=_DPI, metadata={"Software": None})
    return stream.getvalue()
