"""How every benchmark ends: a table for people, then one JSON object on the last line for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table


def show(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    figures: Mapping[str, float | None],
) -> None:
    """Print the table and the figures; a figure is None when this machine cannot measure it."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    rounded = {name: None if value is None else round(value, 3) for name, value in figures.items()}
    print(json.dumps(rounded))
