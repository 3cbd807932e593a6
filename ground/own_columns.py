"""What the answers to labels of somebody's own are called where they are columns, for the table and for the fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from ground.errors import Refusal

ColumnKind = Literal["text", "number", "truth"]
NUMBER_ENDS = {"": "value", "_low": "low", "_high": "high"}
"""Of the columns of a number, and what of the answer stands in each."""


def own_columns(yes_no: Sequence[str], numbers: Sequence[str]) -> list[tuple[ColumnKind, str]]:
    """Kind and name of every column, in their order."""
    found: list[tuple[ColumnKind, str]] = []
    for label in yes_no:
        found += [("number", f"own_{label}_probability"), ("truth", f"own_{label}_positive")]
        found.append(("text", f"own_{label}_prediction_set"))
    found += [("number", f"own_{label}{end}") for label in numbers for end in NUMBER_ENDS]
    return found


def refuse_alike(columns: Iterable[str]) -> None:
    """Raises Refusal where two would be called alike."""
    if twice := [name for name, times in Counter(columns).items() if times > 1]:
        raise Refusal(
            "columns_alike",
            f"Two answers of this bundle would stand in one column, {twice[0]}.",
            hint="Fit it again with labels, or classes, of names that are told apart by letters and figures.",
        )
