"""The look of a report's tables in a terminal."""

from __future__ import annotations

from rich.table import Table


def report_table(*columns: str, title: str) -> Table:
    """In a narrow terminal a cell goes over lines: nothing that was measured is cut off."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
