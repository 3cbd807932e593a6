"""What `predict` is asked about: files, folders and tables of paths. One input is one ECG."""

from __future__ import annotations

import contextlib
import csv
import difflib
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.schemas import ReadQuery
from cli.advice import in_options
from cohorts.columns import holds_rows
from ground.disk import words_of
from ground.errors import Refusal
from ground.progress import Progress, silent
from inputs.ecg.formats.text import encoding_of, is_numeric
from inputs.ecg.grouped import files_below, first_files
from inputs.ecg.leads import lead_from_name
from inputs.limits import MAX_COHORT_TABLE_BYTES
from inputs.opened import open_regular_file
from inputs.records import ReadHints

PATH = "path"
HINTS = ("rate_hz", "unit", "leads", "exam", "start_s", "length_s")
TOLD = (PATH, "id", *HINTS)
"""Columns that a table of paths is read for."""
_MOST_ROWS_NAMED = 10
_LINES_LOOKED_AT = 50
"""Of a CSV, to tell a list of ECGs from an ECG."""


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

    A file that is named twice is one. options: of HINTS, for each whose table does not say otherwise. output: what this
    run writes, which is no input. Raises InputsRefused.
    """
    try:
        hints = hints_of(options)
    except InputsRefused as refused:
        raise InputsRefused(refused.code, in_options(refused.sentence)) from None
    alone, written = len(given) == 1, [path.resolve() for path in output]
    found: list[Input] = []
    unlisted: dict[str, Input] = {}
    for path in given:
        if not path.is_dir() and (content := _table_of_paths(path)) is not None:
            rows = _listed(path, content, options)
            found += rows if alone else [replace(row, name=str(row.path)) for row in rows]
            continue
        more = _below(path, written, hints, alone=alone) if path.is_dir() else [Input(path, str(path), hints)]
        new = {place: each for each in more if (place := os.path.abspath(each.path)) not in unlisted}
        unlisted |= new
        found += new.values()
    first = set(first_files([each.path for each in unlisted.values()], progress))
    in_others = {each for each in unlisted.values() if each.path not in first}
    return [each for each in found if each not in in_others]


def _below(folder: Path, but: Sequence[Path], hints: ReadHints, *, alone: bool) -> list[Input]:
    """alone: nothing else is asked about, so that names need not say which folder."""
    files = files_below(folder, but=but)
    if not files:
        raise InputsRefused("no_input", f"The folder {folder.name} holds no file.")
    return [Input(path, path.relative_to(folder).as_posix() if alone else str(path), hints) for path in files]


def _table_of_paths(path: Path) -> str | None:
    """The text of a CSV whose header has a column `path`, which no ECG has; None for any other file."""
    if path.suffix.lower() != ".csv":
        return None
    try:
        with open_regular_file(path) as file:
            if file.size > MAX_COHORT_TABLE_BYTES:
                return None
            content = file.read()
    except Refusal:
        return None
    except OSError as error:
        raise InputsRefused("table_unreadable", f"{path.name} cannot be read: {words_of(error)}.") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        encoding = encoding_of(content)
        if PATH not in _header(content.decode(encoding, "replace")):
            return None
        sentence = f"{path.name} is a list of ECGs and not in UTF-8, but looks like {encoding.upper()}."
        raise InputsRefused("table_encoding", sentence, hint="Save it as UTF-8.") from None
    if PATH in _header(text):
        return text
    if (meant := _meant_for_paths(path, text)) is not None:
        raise InputsRefused(
            "column_missing",
            f"{path.name} has no column {PATH}, so it is no list of ECGs.",
            hint=f"Is {meant} meant? A list has a header with a column {PATH}, and commas between its cells.",
        )
    return None


def _meant_for_paths(table: Path, text: str) -> str | None:
    """The column of a list of ECGs that comes nearest to `path`; None of a table that is an ECG, or may be one."""
    lines = [[cell.strip() for cell in row] for row in _read_csv(text.splitlines()[:_LINES_LOOKED_AT])]
    names, first = (*lines, [], [])[:2]
    if any(lead_from_name(cell) for row in lines for cell in row) or any(map(is_numeric, names)):
        return None
    with_files = [name for name, cell in zip(names, first, strict=False) if cell and (table.parent / cell).is_file()]
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(PATH, lower, n=1) if first else []
    return next(iter(with_files), lower[near[0]] if near else None)


def _header(text: str) -> list[str]:
    return [name.strip() for name in next(_read_csv(text[:65536].splitlines()), [])]


def _read_csv(lines: Iterable[str]) -> Iterator[list[str]]:
    """Rows as far as it is a CSV."""
    with contextlib.suppress(csv.Error):
        yield from csv.reader(lines)


def _listed(table: Path, text: str, options: Mapping[str, Any]) -> list[Input]:
    names = _header(text)
    if twice := [name for name, count in Counter(names).items() if count > 1 and name in TOLD]:
        raise InputsRefused("column_twice", f"The column {twice[0]} stands in {table.name} more than once.")
    inputs: list[Input] = []
    wrong: dict[str, list[int]] = {}
    for number, cells in enumerate(_rows(table, text), start=1):
        told = [cell.strip() for name, cell in zip(names, cells, strict=False) if name in TOLD]
        if any(len(cell.splitlines()) > 1 for cell in told) or any(
            holds_rows(cell, cells[0], len(names)) for cell in cells
        ):
            raise _open_quote(table, number)
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
    read = csv.reader(io.StringIO(text, newline=""), strict=True)
    number = -1  # the header is 0
    try:
        for row in read:
            if len(row) > 1 or "".join(row).strip():
                number += 1
                if number:
                    yield row
    except csv.Error:
        raise _open_quote(table, number + 1) from None


def _open_quote(table: Path, number: int) -> InputsRefused:
    sentence = f"Row {number} of {table.name} has a quote that does not close, or text behind a closing one."
    return InputsRefused("quote_open", sentence, hint="A cell that holds a quote is quoted, and the quote doubled.")


def _input_of(table: Path, row: Mapping[str, str], whole: bool, options: Mapping[str, Any]) -> Input:
    if not whole:
        raise InputsRefused("table_row", "A row has as many cells as the header; cells that hold a comma need quotes.")
    if not row[PATH].strip():
        raise InputsRefused("table_row", "The path is empty.")
    own = {name: value for name in HINTS if (value := row.get(name, "").strip())}
    path = row[PATH].strip()
    return Input(table.parent / path, path, hints_of({**options, **own}), row.get("id", "").strip())
