"""The closing table: every model on gold, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from inference.metrics import PARTS
from inference.taxonomy import Taxonomy


def print_table(rows: Mapping[str, Mapping[str, Any]], taxonomy: Taxonomy, *, title: str, console: Console) -> None:
    """Print the models' metrics side by side.

    Args:
        rows: model name to the contract's metrics.
        taxonomy: the topics.
        title: what was scored on.
        console: where to.
    """
    table = Table(title=title, title_justify="left")
    table.add_column("model", no_wrap=True)
    for heading in [*taxonomy.ids, *PARTS]:
        table.add_column(heading, justify="right", no_wrap=True)
    best = {p: max(m[p]["macro_f1"] for m in rows.values()) for p in PARTS}
    for name, metrics in rows.items():
        cells = [f"{metrics['topics']['per_topic'][t]['f1']:.3f}" for t in taxonomy.ids]
        for part in PARTS:
            value = metrics[part]["macro_f1"]
            cells.append(f"[bold]{value:.3f}[/bold]" if value == best[part] else f"{value:.3f}")
        table.add_row(name, *cells)
    console.print(table)
