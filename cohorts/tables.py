"""The four tables of a cohort folder: their columns, how they are written, how they are read and checked cell by cell.

Knows nothing of pairs, splits or folders: what rows mean together is the business of `rules`, `pairs` and `labels`.

`ecgs`, `echos`, `studies` and `splits` are each one CSV (UTF-8, comma) or one Parquet file; `echos` and `studies` may
be absent. Columns are found by name and others are ignored. Ids are text, also when they look like numbers; they and
the names of views have no control characters, no letters that show nothing, no slashes and no spaces at their ends, and
are in Unicode's form NFC. Times are ISO 8601, in the whole cohort all naive or all zoned. An empty cell means unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from cohorts.columns import PARSER_ERRORS, columns_named, csv_columns, nearest, parquet_columns
from cohorts.found import CohortError as CohortError
from cohorts.found import CohortFinding as CohortFinding
from cohorts.found import found_rows as found_rows
from ground.disk import sha256, written_whole
from ground.findings import MEASUREMENTS, SHD_FLAGS
from ground.letters import has_control, has_invisible, is_composed
from inputs.errors import UnreadableFile

SPLITS: tuple[str, ...] = ("train", "val", "calibration", "test")
SEXES: tuple[str, ...] = ("female", "male")
ECG_GROUPS: tuple[str, ...] = ("rhythm", "site", "device")
"""What an ECG may be told apart by: words of the cohort's own, which nothing but an evaluation by subgroup reads."""

TableName = Literal["ecgs", "echos", "studies", "splits"]
Kind = Literal[
    "id", "time", "path", "text", "group", "beside", "number", "signed", "place", "flag", "sex", "split", "named"
]

SAID_OF_ECGS: dict[str, Kind] = {
    "row": "place",
    "dataset": "beside",
    "rate_hz": "number",
    "unit": "beside",
    "leads": "beside",
    "exam": "beside",
}
"""What is said beside a file: which ECG of many it is, and what the file does not say itself (`cohorts.said`)."""

TABLES: dict[TableName, dict[str, Kind]] = {
    "ecgs": {
        "patient_id": "id",
        "ecg_id": "id",
        "acquired_at": "time",
        "path": "path",
        "study_id": "named",
        **dict.fromkeys(ECG_GROUPS, "group"),
        **SAID_OF_ECGS,
    },
    "echos": {
        "patient_id": "id",
        "study_id": "id",
        "view_id": "id",
        "acquired_at": "time",
        "path": "path",
        "view": "text",
    },
    "studies": {
        "patient_id": "id",
        "study_id": "id",
        "acquired_at": "time",
        "age": "number",
        "sex": "sex",
        "lvef_percent": "number",
        "lvedv_ml": "number",
        "lvesv_ml": "number",
        **dict.fromkeys(SHD_FLAGS, "flag"),
        **dict.fromkeys(MEASUREMENTS, "number"),
    },
    "splits": {"patient_id": "id", "split": "split"},
}
ECHO_TABLES: tuple[TableName, ...] = ("echos", "studies")
"""All that an index is built from."""
OPTIONAL_TABLES: frozenset[TableName] = frozenset({"echos", "studies"})
"""A cohort of ECGs alone has neither; one with labels and no clips has studies."""
OPTIONAL_COLUMNS: frozenset[str] = frozenset({"view", *ECG_GROUPS, *SAID_OF_ECGS, *SHD_FLAGS, *MEASUREMENTS})
"""What is absent is unknown."""

_Range = tuple[float, float]
_RANGES: dict[str, _Range] = {"lvef_percent": (0, 100), "age": (0, 130), "quality": (0, 1)}
_NEVER_NEGATIVE: _Range = (0, np.inf)
_NEAR = 0.75
"""How alike a column that is there must be to one that is not, to be asked for."""
_FLAG_WORDS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
MAX_NAME_LETTERS = 200
"""Of an id or the name of a view."""
_FIRST_YEAR, _LAST_YEAR = 1900, 2250
"""Of any time; dates that were moved to hide whose they are lie in the future."""


def required_columns(name: TableName) -> list[str]:
    """What a table must have. An ECG need not name its study, although echos and studies must have theirs."""
    return [column for column, kind in TABLES[name].items() if column not in OPTIONAL_COLUMNS and kind != "named"]


def write_cohort_tables(
    root: Path,
    ecgs: pd.DataFrame,
    echos: pd.DataFrame | None,
    studies: pd.DataFrame | None,
    splits: pd.DataFrame,
    *,
    table_format: Literal["csv", "parquet"] = "csv",
    own: Mapping[TableName, Sequence[str]] | None = None,
) -> None:
    """Write the tables into `root`, each whole or not at all, columns in the documented order; none where it is None.

    Frames hold the columns of `TABLES` (the optional ones may be absent, others are dropped but for those that `own`
    names by table); times are datetimes or ISO 8601 text, flags True/False/None. Raises ValueError when a required
    column is missing.
    """
    root.mkdir(parents=True, exist_ok=True)
    frames: dict[TableName, pd.DataFrame | None] = {"ecgs": ecgs, "echos": echos, "studies": studies, "splits": splits}
    for name, frame in frames.items():
        if frame is None:
            continue
        missing = [c for c in required_columns(name) if c not in frame.columns]
        if missing:
            raise ValueError(f"table {name} lacks the columns {', '.join(missing)}")
        kept = [
            *(c for c in TABLES[name] if c in frame.columns),
            *(c for c in (own or {}).get(name, ()) if c in frame.columns),
        ]
        text = pd.DataFrame({c: _as_text(frame[c]) for c in kept})
        with written_whole(root / f"{name}.{table_format}") as file:
            if table_format == "csv":
                text.to_csv(file, index=False, lineterminator="\n", mode="wb", encoding="utf-8")
            else:
                text.to_parquet(file, index=False)


@dataclass(frozen=True)
class TableFile:
    """The file of one table, read whole."""

    name: str
    content: bytes

    @property
    def is_csv(self) -> bool:
        return self.name.endswith(".csv")


class TablesHash:
    """Of names and bytes of some tables' files, in the order in which they are added."""

    def __init__(self) -> None:
        self._digest = sha256()

    def add(self, file: TableFile) -> None:
        self._digest.update(f"{file.name} {len(file.content)}\n".encode() + file.content)

    def add_stamp(self, stamp: str) -> None:
        """Of a file that is too large to be held."""
        self._digest.update(stamp.encode())

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def parse_table(file: TableFile, name: TableName) -> tuple[pd.DataFrame, list[CohortFinding]]:
    """One table with typed columns and what is wrong with its cells; a cell at fault reads as unknown.

    ids, paths and text: str; times: datetime64[us], UTC where the file says a zone; numbers: float64, NaN unknown;
    flags: nullable boolean, and all of them;
    places: nullable whole numbers. Raises CohortError for what is no table, or does not have all the columns.
    """
    cells = read_cells(file, TABLES[name])
    missing = [c for c in required_columns(name) if c not in cells.columns]
    if missing:
        others = [column for column in columns_named(file.name, file.content) if column not in TABLES[name]]
        meant = [near for column in missing if (near := nearest(column, others, "", cutoff=_NEAR))]
        sentence = f"The table {name} lacks the column {', '.join(missing)}."
        raise CohortError("column_missing", " ".join([sentence, *meant]))
    frame, problems = parsed_cells(cells, TABLES[name], name)
    return (_with_all_flags(frame) if name == "studies" else frame), problems


def parsed_cells(
    cells: pd.DataFrame, kinds: Mapping[str, Kind], table: str
) -> tuple[pd.DataFrame, list[CohortFinding]]:
    """Those of the columns that are there, typed by their kinds, and what is wrong with their cells."""
    columns: dict[str, pd.Series] = {}
    problems: list[CohortFinding] = []
    for column, kind in kinds.items():
        if column in cells.columns:
            columns[column], wrong = _PARSERS[kind](_as_text_or_time(cells[column], kind), column, table)
            problems += wrong
    return pd.DataFrame(columns), problems


def absent_table(name: TableName) -> pd.DataFrame:
    """The rows of a table that is not there: none, in typed columns."""
    none = pd.Series(dtype=str)
    return pd.DataFrame({c: _PARSERS[kind](none, c, name)[0] for c, kind in TABLES[name].items()})


def _with_all_flags(frame: pd.DataFrame) -> pd.DataFrame:
    lacking = [flag for flag in SHD_FLAGS if flag not in frame.columns]
    return frame.assign(**{flag: pd.array([pd.NA] * len(frame), dtype="boolean") for flag in lacking})


def table_unreadable(file_name: str) -> CohortError:
    """The refusal of a file that is no table."""
    return CohortError("table_unreadable", f"{file_name} cannot be read as a table.")


def read_cells(file: TableFile, kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """The cells of those columns, of the file's own types."""
    try:
        if file.is_csv:
            return csv_columns(file.name, file.content, kinds)
        ids = [column for column, kind in kinds.items() if kind == "id"]
        return parquet_columns(file.name, file.content, kinds, ids)
    except UnreadableFile as error:
        raise CohortError(error.code, error.sentence) from error
    except PARSER_ERRORS as error:
        raise table_unreadable(file.name) from error


def _as_text_or_time(series: pd.Series, kind: Kind) -> pd.Series:
    """Every cell as text, empty where unknown; only Parquet's timestamps keep their type."""
    return series if kind == "time" and pd.api.types.is_datetime64_any_dtype(series.dtype) else _as_text(series)


def _as_text(series: pd.Series) -> pd.Series:
    if pd.api.types.is_string_dtype(series.dtype) and not series.hasnans:
        return series.astype(str)
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return series.map(lambda t: "" if pd.isna(t) else t.isoformat()).astype(str)
    words = {True: "true", False: "false"}
    return series.map(
        lambda v: "" if pd.isna(v) else words[bool(v)] if isinstance(v, bool | np.bool_) else str(v)
    ).astype(str)


Parsed = tuple[pd.Series, list[CohortFinding]]


def _id(text: pd.Series, column: str, table: str) -> Parsed:
    missing = found_rows("id_missing", f"{column} is empty", table, text == "")
    return text, missing + _unfit_names(text, column, table)


def _unfit_names(text: pd.Series, column: str, table: str) -> list[CohortFinding]:
    """Names that would not survive a terminal, an address, a file system or a log. None is ever quoted."""
    values = text.unique()
    return [
        finding
        for code, (says, is_unfit) in _UNFIT.items()
        if (unfit := [value for value in values if is_unfit(value)])
        for finding in found_rows(code, f"{column} {says}", table, text.isin(unfit))
    ]


_UNFIT: dict[str, tuple[str, Callable[[str], bool]]] = {
    "name_control": ("holds a control character, a line break or a mark of text direction", has_control),
    "name_invisible": ("holds a letter that shows nothing", has_invisible),
    "name_not_composed": (
        "spells an accented letter in parts; write names in Unicode's form NFC",
        lambda name: not is_composed(name),
    ),
    "name_slash": ("holds a slash or backslash", lambda name: "/" in name or "\\" in name),
    "name_dots": ("is . or ..", lambda name: name in (".", "..")),
    "name_spaces": ("begins or ends with a space", lambda name: name != name.strip()),
    "name_long": (f"is longer than {MAX_NAME_LETTERS} characters", lambda name: len(name) > MAX_NAME_LETTERS),
}
"""What no id and no view's name may be."""


def _path(text: pd.Series, column: str, table: str) -> Parsed:
    return text, found_rows("path_missing", f"{column} is empty", table, text == "")


def _text(text: pd.Series, column: str, table: str) -> Parsed:
    return text, _unfit_names(text, column, table)


def _group(text: pd.Series, column: str, table: str) -> Parsed:
    """Words of nobody's choosing but the cohort's: what could not be shown is unknown, and no reason to refuse it."""
    words = text.str.strip()
    unfit = [word for word in words.unique() if has_control(word) or len(word) > MAX_NAME_LETTERS]
    return words.mask(words.isin(unfit), ""), []


def _beside(text: pd.Series, column: str, table: str) -> Parsed:
    """Words that must be one thing or another, which `cohorts.said` looks at."""
    words = text.str.strip()
    return words, found_rows("name_control", f"{column} holds a control character", table, words.map(has_control))


def _place(text: pd.Series, column: str, table: str) -> Parsed:
    """A whole number from 0, empty where there is none. `3.0` is one too: a column with gaps becomes floats."""
    whole = text.str.strip().str.extract(r"^([0-9]{1,12})(?:\.0*)?$", expand=False)
    sentence = f"{column} must be a whole number from 0, or empty"
    wrong = whole.isna() & (text.str.strip() != "")
    return whole.astype("Int64"), found_rows("row_unreadable", sentence, table, wrong)


_DATED = r"[-+]?[0-9]{4}(?P<between>[-/]?)[0-9]{2}(?P=between)[0-9]{2}(?![0-9])"
"""`today` would be another day in another run, and a year or a month alone would become its first day."""
_OTHER_ZONE = r"[T ][^zZ+-]*[+-](?!\d\d(?::?\d\d)?$)"
"""Of one figure or three: pandas reads such zones, ISO 8601 knows none."""


def _time(text: pd.Series, column: str, table: str) -> Parsed:
    """Times, NaT where unknown: many data sets that are open to all have none."""
    if pd.api.types.is_datetime64_any_dtype(text.dtype):
        times, zoned = text, np.full(len(text), getattr(text.dtype, "tz", None) is not None)
        unknown = times.isna().to_numpy()
    else:
        stripped = text.str.strip()
        unknown = (stripped == "").to_numpy()
        zoned = stripped.str.contains(r"[T ].*(?:[zZ]|[+-]\d\d:?(?:\d\d)?)$", regex=True).to_numpy(dtype=bool)
        dates = stripped.where(stripped.str.match(_DATED) & ~stripped.str.contains(_OTHER_ZONE))
        times = pd.to_datetime(dates, format="ISO8601", utc=True, errors="coerce")
    missing = times.isna().to_numpy()
    zone = None if times.dt.tz is None else "UTC"
    first, end = (pd.Timestamp(year, 1, 1, tz=zone) for year in (_FIRST_YEAR, _LAST_YEAR + 1))
    outside = ((times < first) | (times >= end)).to_numpy()
    times = times.where(~outside)
    problems = found_rows(
        "time_unreadable", f"{column} is not a date and time as ISO 8601 writes it", table, missing & ~unknown
    )
    sentence = f"{column} must lie between the years {_FIRST_YEAR} and {_LAST_YEAR}"
    problems += found_rows("time_out_of_range", sentence, table, outside)
    n_zoned = int((zoned & ~missing).sum())
    mixed = 0 < n_zoned < int((~missing).sum())
    if mixed:
        rarer = zoned if n_zoned * 2 <= len(times) else ~zoned
        sentence = f"{column} mixes times with and without a zone; write all of them one way"
        problems += found_rows("times_mixed", sentence, table, rarer & ~missing)
    times = pd.to_datetime(times, utc=True)
    if n_zoned == 0 or mixed:
        times = times.dt.tz_localize(None)
    return times.dt.as_unit("us"), problems


def _number(text: pd.Series, column: str, table: str, within: _Range | None = None) -> Parsed:
    stripped = text.str.strip()
    values = pd.to_numeric(stripped.where(stripped != ""), errors="coerce").astype("float64")
    spelt_nan = stripped.str.lower().isin(["nan", "+nan", "-nan"])
    not_finite = spelt_nan | np.isinf(values)
    unreadable = values.isna() & (stripped != "") & ~spelt_nan
    low, high = within or _RANGES.get(column, _NEVER_NEGATIVE)
    outside = ((values < low) | (values > high)) & ~not_finite
    wanted = f"lie between {low:g} and {high:g}" if np.isfinite(high) else "not be negative"
    problems = [
        *found_rows("number_unreadable", f"{column} is not a number", table, unreadable),
        *found_rows("number_not_finite", f"{column} is not finite; leave the cell empty", table, not_finite),
        *found_rows(f"{column}_out_of_range", f"{column} must {wanted}", table, outside),
    ]
    return values.where(~(not_finite | outside)), problems


def _flag(text: pd.Series, column: str, table: str) -> Parsed:
    stripped = text.str.strip().str.lower()
    values = stripped.map(_FLAG_WORDS).astype("boolean")
    bad = values.isna() & (stripped != "")
    sentence = f"{column} must be true, false or empty"
    return values, found_rows("flag_unknown_value", sentence, table, bad)


def _one_of(words: tuple[str, ...], *, may_be_empty: bool, code: str) -> Callable[[pd.Series, str, str], Parsed]:
    def parse(text: pd.Series, column: str, table: str) -> Parsed:
        known = text.isin([*words, ""] if may_be_empty else words)
        sentence = f"{column} must be one of {', '.join(words)}{' or empty' if may_be_empty else ''}"
        return text.where(known, ""), found_rows(code, sentence, table, ~known)

    return parse


_PARSERS: dict[Kind, Callable[[pd.Series, str, str], Parsed]] = {
    "id": _id,
    "named": _text,
    "path": _path,
    "text": _text,
    "group": _group,
    "beside": _beside,
    "place": _place,
    "time": _time,
    "number": _number,
    "signed": partial(_number, within=(-np.inf, np.inf)),
    "flag": _flag,
    "sex": _one_of(SEXES, may_be_empty=True, code="sex_unknown_value"),
    "split": _one_of(SPLITS, may_be_empty=False, code="split_unknown_name"),
}
