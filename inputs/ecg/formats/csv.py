"""Text tables: a header row with lead names, then one row per sample."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import (
    Channel,
    EcgFormat,
    agreed_rate,
    build_recording,
    checked_rate,
    millivolts_per,
    of_one_file,
)
from inputs.ecg.formats.not_read import name_if_not_read
from inputs.ecg.leads import lead_from_name
from inputs.errors import UnreadableFile
from inputs.limits import MAX_SAMPLES, MAX_TABLE_COLUMNS
from inputs.records import EcgRecording, InputWarning, ReadHints

_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "µs": 1e-6}
_TIME = re.compile(r"(?:t|time|timestamp)(?:_| ?[\[(])(?P<unit>s|sec|seconds|ms|msec|us|µs)[\])]?", re.IGNORECASE)
_UNIT = re.compile(r"(?P<name>.*?)[ _]*[\[(](?P<unit>[^\])]{1,12})[\])]")
_MISSING = {"", "nan", "na", "n/a", "null", "none", "inf", "+inf", "-inf", "infinity", "-infinity", "-32768"}
"""Cells that stand for no sample. -32768 is how 16-bit exports mark a lead that was not connected."""


def looks_like_table(data: bytes) -> bool:
    """Text whose first line has several cells and is not the start of another text format, where a comma may stand."""
    head = data[:4096]
    if b"\0" in head or name_if_not_read(data) is not None:
        return False
    lines = head.decode("utf-8-sig", "replace").splitlines()
    return bool(lines) and any(separator in lines[0] for separator in ",;\t")


def read_csv(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read a table with one column per lead, in any order; other columns are left out with a warning.

    `hints.unit` is needed unless the columns carry one, as in `V1 (uV)`; `hints.rate_hz` unless there is a column such
    as `time_s` or `time (ms)`. `hints.leads` replaces the names of the header row. Raises UnreadableFile.
    """
    rate_hz = hints.rate_hz
    rows = _rows(data)
    header = [cell.strip() for cell in rows[0]]
    if hints.leads is not None:
        if len(hints.leads) != len(header):
            raise UnreadableFile(
                "leads_missing", f"The table has {len(header)} columns, and {len(hints.leads)} lead names were given."
            )
        header = list(hints.leads)
    named = [_split_unit(cell) for cell in header]
    kept = {index: lead for index, (name, _) in enumerate(named) if (lead := lead_from_name(name)) is not None}
    if not kept:
        raise UnreadableFile(
            "leads_missing",
            "The first row of the table does not name the leads.",
            hint="Start the file with a row such as I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6.",
        )
    times = next(
        ((index, match["unit"]) for index, cell in enumerate(header) if (match := _TIME.fullmatch(cell))), None
    )
    table = _numbers(rows[1:], [*kept, *([times[0]] if times else [])], len(header))
    if times:
        rate_hz = agreed_rate(rate_hz, _rate_from_times(table[times[0]], _SECONDS[times[1].lower()]))
    units = {index: named[index][1] or hints.unit for index in kept}
    if rate_hz is None or None in units.values():
        needed = [name for name, lacks in (("rate_hz", rate_hz is None), ("unit", None in units.values())) if lacks]
        raise UnreadableFile(
            "rate_missing" if rate_hz is None else "unit_missing",
            "The table does not say its sampling rate or unit.",
            hint=f"Add {' and '.join(needed)} to the request, for example rate_hz=500 and unit=mV.",
        )
    channels = [Channel(lead, units[index] or "", table[index]) for index, lead in kept.items()]
    warnings = []
    others = len(header) - len(kept) - (1 if times else 0)
    if others:
        message = f"{others} columns that are not ECG leads were left out."
        warnings.append(InputWarning("channels_ignored", message))
    return build_recording(channels, checked_rate(rate_hz), "csv", warnings)


def _rows(data: bytes) -> list[list[str]]:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        lines = [line for line in data.decode(encoding).splitlines() if line.strip() and not line.startswith("#")]
    except UnicodeDecodeError as error:
        raise UnreadableFile("unreadable_file", "The file is not text in UTF-8.") from error
    if len(lines) < 2:
        raise UnreadableFile("signal_empty", "The table holds no sample.")
    if len(lines) > MAX_SAMPLES + 1:
        raise UnreadableFile("too_long", f"The table has {len(lines) - 1} rows; at most {MAX_SAMPLES} are read.")
    try:
        dialect = csv.Sniffer().sniff(lines[0], delimiters=",;\t")
        rows = list(csv.reader(lines, delimiter=dialect.delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise UnreadableFile("unreadable_file", "The table has no recognisable delimiter.") from error
    width = len(rows[0])
    if width > MAX_TABLE_COLUMNS:
        raise UnreadableFile(
            "too_many_channels", f"The table has {width} columns; at most {MAX_TABLE_COLUMNS} are read."
        )
    if dialect.delimiter != ",":
        rows[1:] = [[cell.replace(",", ".") for cell in row] for row in rows[1:]]  # decimal commas
    odd = next((number for number, row in enumerate(rows, start=1) if len(row) != width), None)
    if odd is not None:
        raise UnreadableFile("unreadable_file", f"Row {odd} of the table has not the {width} cells of the first row.")
    return rows


def _numbers(rows: Sequence[Sequence[str]], columns: Sequence[int], width: int) -> dict[int, NDArray[np.float64]]:
    """The wanted columns as float64, NaN where a cell stands for no sample."""
    table = {}
    for column in columns:
        assert column < width
        cells = [row[column].strip() for row in rows]
        try:
            values = np.array(["nan" if cell.lower() in _MISSING else cell for cell in cells], dtype=np.float64)
        except ValueError as error:
            raise UnreadableFile("unreadable_file", f"Column {column + 1} of the table holds text.") from error
        table[column] = np.where(values == -32768, np.nan, values)
    return table


def _split_unit(cell: str) -> tuple[str, str | None]:
    """`V1 (uV)` to name and unit; a bracket that is no voltage, as in `Lead I (Einthoven)`, stays in the name."""
    match = _UNIT.fullmatch(cell)
    if match is None or millivolts_per(match["unit"]) is None:
        return cell, None
    return match["name"], match["unit"]


def _rate_from_times(times_N: NDArray[np.float64], seconds_per_unit: float) -> float:
    steps = len(times_N) - 1
    step = (times_N[-1] - times_N[0]) / steps if steps else 0.0
    even = times_N[0] + step * np.arange(len(times_N))
    if not step > 0 or not np.abs(times_N - even).max() < 0.5 * step:
        raise UnreadableFile("rate_missing", "The time column of the table does not rise in even steps.")
    # Times are often rounded to milliseconds: rates are given in tenths of a hertz at most.
    return float(round(1.0 / (step * seconds_per_unit), 1))


CSV = EcgFormat("csv", looks_like_table, of_one_file(read_csv), states_itself=False)
