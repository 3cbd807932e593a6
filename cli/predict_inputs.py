"""What `predict` is asked about: files, a folder, or a table of paths. One input is one ECG."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.schemas import ReadQuery
from cli.advice import in_options
from ground.disk import words_of
from ground.errors import Refusal
from ground.progress import Progress, silent
from inputs.ecg.grouped import files_below, first_files
from inputs.limits import MAX_COHORT_TABLE_BYTES
from inputs.opened import open_regular_file
from inputs.records import ReadHints

PATH = "path"
HINTS = ("rate_hz", "unit", "leads", "exam", "start_s", "length_s")
TOLD = (PATH, "id", *HINTS)
"""Columns that a table of paths is read for."""
_MOST_ROWS_NAMED = 10


class InputsRefused(Refusal):
    """The files, the folder or the table that were named give nothing to ask about."""


@dataclass(frozen=True)
class Input:
    """One ECG: its first file, what to call it, and what helps to read it. id: of a table's own."""

    path: Path
    name: str
    hints: ReadHints
    id: str = ""


def hints_of(values: Mapping[str, Any]) -> ReadHints:
    """What is given of HINTS, held to what a request may hold. Raises InputsRefused, of a `parameter`."""
    try:
        return ReadQuery(**values).hints
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name, wrong = first["loc"][0], first["msg"]
        sentence = f"The parameter {name} is wrong: {wrong[:1].lower()}{wrong[1:]}."
        raise InputsRefused("invalid_parameter", sentence) from None


def inputs_of(
    given: Sequence[Path], options: Mapping[str, Any], *, output: Sequence[Path], progress: Progress = silent
) -> list[Input]:
    """Every ECG that is asked about, in the order given; of a folder, and all below it, in the order of their names.

    options: of HINTS, for each whose table does not say otherwise. output: what this run writes, which is no input.
    Raises InputsRefused.
    """
    try:
        hints = hints_of(options)
    except InputsRefused as refused:
        raise InputsRefused(refused.code, in_options(refused.sentence)) from None
    if len(given) == 1 and given[0].is_dir():
        (folder,) = given
        first = first_files(files_below(folder, but=[path.resolve() for path in output]), progress)
        inputs = [Input(path, path.relative_to(folder).as_posix(), hints) for path in first]
        if not inputs:
            raise InputsRefused("no_input", "The folder holds no file.")
        return inputs
    if any(path.is_dir() for path in given):
        raise InputsRefused("folder_among_files", "One folder is taken, or files, not both.")
    if len(given) == 1 and (content := _table_of_paths(given[0])) is not None:
        return _listed(given[0], content, options)
    return [Input(path, str(path), hints) for path in first_files(given, progress)]


def _table_of_paths(path: Path) -> str | None:
    """The text of a CSV whose header has a column `path`, which no ECG has; None for any other file."""
    if path.suffix.lower() != ".csv":
        return None
    try:
        with open_regular_file(path) as file:
            if file.size > MAX_COHORT_TABLE_BYTES:
                return None
            text = file.read().decode("utf-8-sig")
    except (Refusal, UnicodeDecodeError):
        return None
    except OSError as error:
        raise InputsRefused("table_unreadable", f"{path.name} cannot be read: {words_of(error)}.") from error
    return text if PATH in _header(text) else None


def _header(text: str) -> list[str]:
    return [name.strip() for name in next(csv.reader(text[:65536].splitlines()), [])]


def _listed(table: Path, text: str, options: Mapping[str, Any]) -> list[Input]:
    names = _header(text)
    if twice := [name for name, count in Counter(names).items() if count > 1 and name in TOLD]:
        raise InputsRefused("column_twice", f"The column {twice[0]} stands in {table.name} more than once.")
    inputs: list[Input] = []
    wrong: dict[str, list[int]] = {}
    for number, cells in enumerate(_rows(table, text), start=1):
        row = dict(zip(names, cells, strict=False))
        try:
            inputs.append(_input_of(table, row, len(cells) == len(names), options))
        except InputsRefused as error:
            wrong.setdefault(error.sentence, []).append(number)
    for sentence, rows in wrong.items():
        counted = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
        more = "" if len(rows) <= _MOST_ROWS_NAMED else " and more"
        which = ", ".join(map(str, rows[:_MOST_ROWS_NAMED])) + more
        said = sentence.replace("The parameter", "The column")
        raise InputsRefused("table_row", f"{counted} of {table.name} cannot be used ({which}). {said}")
    if not inputs:
        raise InputsRefused("no_input", f"{table.name} names no ECG: it has a header and no row.")
    return inputs


def _rows(table: Path, text: str) -> Iterator[list[str]]:
    """Those below the header; blank lines count for nothing."""
    rows = (row for row in csv.reader(io.StringIO(text, newline="")) if len(row) > 1 or "".join(row).strip())
    next(rows, None)
    try:
        yield from rows
    except csv.Error as error:
        raise InputsRefused("table_unreadable", f"{table.name} is no CSV that can be read: {error}.") from None


def _input_of(table: Path, row: Mapping[str, str], whole: bool, options: Mapping[str, Any]) -> Input:
    if not whole:
        raise InputsRefused("table_row", "A row has as many cells as the header; cells that hold a comma need quotes.")
    if not row[PATH].strip():
        raise InputsRefused("table_row", "The path is empty.")
    own = {name: value for name in HINTS if (value := row.get(name, "").strip())}
    path = row[PATH].strip()
    return Input(table.parent / path, path, hints_of({**options, **own}), row.get("id", "").strip())
