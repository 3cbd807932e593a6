"""What an adapter is: a data set as it lies on a disk, told as the tables of a cohort.

An adapter reads the data set's own tables, by the names of their columns and never by position, and says where its
files lie. It copies nothing: the cohort's tables name the files under roots. What it leaves out it says and counts.
A new data set is one file beside this one that ends with its `DataSet`, a place in `cohorts.adapters.DATA_SETS`, and a
made-up tree of the same shape in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohorts.tables import CohortError, TableName
from ground.disk import sha256
from ground.progress import Progress, silent


@dataclass(frozen=True)
class Source:
    """What is to be imported, as whoever imports it says."""

    folder: Path
    """For a `DataSet.from_file` a table."""
    roots: Mapping[str, Path] = field(default_factory=dict)
    """Folders by name, of data sets whose parts lie apart."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """A cohort's column -> the column of the source's own table that has it: `--map`."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """What an option named: `table`, `folds`, `lead-scale`, `vectors`."""
    words: Mapping[str, str] = field(default_factory=dict)
    """What an option said: `lead-scale-unit`, `vectors-of`."""
    made: Path = Path()
    """A folder for files that an adapter must write itself; what is whole there already is found again."""
    progress: Progress = silent


@dataclass(frozen=True)
class Skipped:
    """Rows or files that were left out, and why. rows: the first few, counted from 1 below the header of `table`."""

    reason: str
    table: str
    count: int
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Gathered:
    """A data set as tables of a cohort (see `cohorts.tables.TABLES`); None for a table that it has nothing for."""

    roots: Mapping[str, Path]
    splits: pd.DataFrame
    ecgs: pd.DataFrame | None = None
    echos: pd.DataFrame | None = None
    studies: pd.DataFrame | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    """What `cohort.json` says besides: which version was found, which field gave each LVEF, what splits are."""
    skipped: tuple[Skipped, ...] = ()
    own: Mapping[TableName, tuple[str, ...]] = field(default_factory=dict)
    """Columns of the data set's own that a table keeps beside a cohort's, such as labels to fit a probe to."""
    warnings: tuple[str, ...] = ()
    """What whoever imports it may not have meant, and what to do about it."""


@dataclass(frozen=True)
class DataSet:
    """One public data set, or a way of laying files out.

    name: the KIND of the command. says: one line for its help. options: the `Source.files` and `words`, `columns` (as
    `map`) and `roots` (as `root`) that it takes; any other is refused. licence, citation: as the data set's own pages
    say; empty where they are not known. from_file: SRC is one file, and no folder. gather: raises CohortError for what
    is not such a data set.
    """

    name: str
    says: str
    gather: Callable[[Source], Gathered]
    options: frozenset[str] = frozenset()
    licence: str = ""
    citation: str = ""
    from_file: bool = False


_ROWS_SAID = 10
_SHARES = {"train": 0.7, "val": 0.1, "calibration": 0.1, "test": 0.1}


def left_out(reason: str, table: str, rows: pd.Series | np.ndarray) -> list[Skipped]:
    """A list with one `Skipped` of the rows of a table where `rows` is true, or an empty list."""
    positions = np.flatnonzero(np.asarray(rows, dtype=bool))
    if len(positions) == 0:
        return []
    return [Skipped(reason, table, len(positions), tuple((positions[:_ROWS_SAID] + 1).tolist()))]


def splits_by_hash(patient_ids: Iterable[str]) -> pd.DataFrame:
    """A table of splits for a data set that has none of its own: by a hash of the patient's id, 70/10/10/10 in 100.

    The same patient is in the same split whatever else is imported.
    """
    patients = sorted(set(patient_ids))
    edges = np.cumsum([*_SHARES.values()])[:-1]
    places = [int.from_bytes(sha256(patient.encode()).digest()[:8], "big") / 2**64 for patient in patients]
    names = np.array([*_SHARES])[np.searchsorted(edges, places, side="right")]
    return pd.DataFrame({"patient_id": patients, "split": names})


def found_below(folder: Path, name: str, *, depth: int = 3) -> Path | None:
    """The first file of that name, in either case of its letters, in a folder or at most `depth` folders below it."""
    return next(all_below(folder, name, depth=depth), None)


def all_below(folder: Path, name: str, *, depth: int = 3) -> Iterator[Path]:
    """As `found_below` every one, those of fewer folders first."""
    level = [folder]
    for _ in range(depth + 1):
        entries = [sorted(here.iterdir()) for here in level]
        for entry in (entry for there in entries for entry in there):
            if entry.name.lower() == name.lower() and entry.is_file():
                yield entry
        level = [entry for there in entries for entry in there if entry.is_dir() and len(there) <= _MOST_IN_FOLDER]


_MOST_IN_FOLDER = 1000
"""A folder of more entries is one of patients, and no table lies below it."""


def found_or_refused(folder: Path, name: str, data_set: str) -> Path:
    """As `found_below`. Raises CohortError where there is none."""
    found = found_below(folder, name)
    if found is None:
        raise CohortError(
            "data_set_not_found",
            f"There is no {name} in the folder or below it, as {data_set} has it.",
            hint="Name the folder that the data set was unpacked to.",
        )
    return found
