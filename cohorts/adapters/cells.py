"""Cells of a data set's own tables, held to what they must be: refusals that name table, column and rows of the source.

Rows count from 1, the header not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.tables import CohortError, found_rows

_MOST_WORDS = 10
_MOST_LETTERS = 20
"""That are shown of a cell."""


def refuse_rows(code: str, sentence: str, table: str, rows: NDArray[np.bool_] | pd.Series, *, hint: str = "") -> None:
    """Raise CohortError where any of `rows` is true: the sentence, how many rows there are and the first of them."""
    for finding in found_rows(code, sentence, table, rows):
        first = ", ".join(map(str, finding.rows[:3])) + (" ..." if finding.count > 3 else "")
        words = f"{finding.count} rows: {first}" if finding.count > 1 else f"row {first}"
        raise CohortError(code, f"{sentence} ({table}, {words}).", hint=hint)


def check_ids(ids: pd.Series, column: str, table: str) -> None:
    """Raise CohortError for an id that is empty or stands in more than one row."""
    refuse_rows("id_missing", f"{column} is empty", table, ids == "")
    refuse_rows("id_twice", f"The same {column} stands in more than one row", table, ids.duplicated())


def check_numbers(frame: pd.DataFrame, columns: Iterable[str], table: str) -> None:
    """Raise CohortError for text where a number or an empty cell must stand. Columns that are not there pass."""
    for column in columns:
        if column in frame:
            unreadable = pd.to_numeric(frame[column].where(frame[column] != ""), errors="coerce").isna()
            wrong = unreadable & (frame[column] != "")
            first = next((repr(cell[:_MOST_LETTERS]) for cell in frame[column][wrong]), "")
            refuse_rows("number_unreadable", f"{column} is not a number: {first}", table, wrong)


def worded(texts: pd.Series, words: Mapping[str, str], column: str, table: str) -> pd.Series:
    """Each cell as its word in `words`, whatever the case of its letters; an empty one stays empty.

    Raises CohortError for any other.
    """
    lower = texts.str.lower().str.removesuffix(".0")
    known = lower.map({"": "", **words})
    sentence = f"{column} must be one of {', '.join([*words][:_MOST_WORDS])} or empty"
    refuse_rows("word_unknown", sentence, table, known.isna())
    return known


def whole(texts: pd.Series) -> pd.Series:
    """`15709.0` as `15709` where every known cell of the column is written so, as in a column of floats.

    Beside other cells `1.0` is an id of its own, such as the first of version 1.
    """
    return texts.str.removesuffix(".0") if written_as_floats(texts) else texts


def written_as_floats(texts: pd.Series) -> bool:
    """Whether a column says something, and `15709.0` and its like alone."""
    known = texts[texts != ""]
    return len(known) > 0 and bool(known.str.fullmatch(r"[0-9]+\.0").all())


def told_whole(columns: Mapping[str, pd.Series]) -> dict[str, str]:
    """For `cohort.json`: which columns of ids `whole` read as whole numbers; nothing where none was."""
    names = [name for name, texts in columns.items() if written_as_floats(texts)]
    return {"ids": f"written as floating-point numbers, read as whole ones: {', '.join(names)}"} if names else {}


def yes_or_no(texts: pd.Series) -> pd.Series:
    """`True`, `1` and `1.0` as true, their opposites as false, other words as they stand."""
    lower = texts.str.lower()
    return lower.map(
        {"true": "true", "1": "true", "1.0": "true", "false": "false", "0": "false", "0.0": "false"}
    ).where(lower.isin(["true", "1", "1.0", "false", "0", "0.0"]), texts)
