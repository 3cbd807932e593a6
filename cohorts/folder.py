"""The four tables of a cohort folder together: ECGs, echo views, studies and patient splits.

The folder is what every data-set adapter and the simulator write and what training and the index rebuild read. The
columns of its tables are in `cohorts.tables`, the rules they keep in `cohorts.rules`, what follows from them in
`cohorts.opened`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cohorts.own_files import read_own_file, read_table_file
from cohorts.rules import (
    contradictions,
    file_in,
)
from cohorts.tables import (
    ECHO_TABLES,
    SPLITS,
    TABLES,
    CohortError,
    CohortFinding,
    TablesHash,
    parse_table,
)
from ground.disk import sha256
from ground.schema import NEWER, is_newer
from inputs.errors import UnreadableFile
from inputs.limits import MAX_COHORT_ABOUT_BYTES

ABOUT = "cohort.json"
SCHEMA_VERSION = 1
"""Of the tables and of `cohort.json`, which may name it; it names none where it was written by hand."""


@dataclass(frozen=True)
class Cohort:
    """Four typed tables (see `cohorts.tables.parse_table`) and the folder that their paths start at."""

    root: Path
    ecgs: pd.DataFrame
    echos: pd.DataFrame
    studies: pd.DataFrame
    splits: pd.DataFrame

    def file_path(self, relative: str) -> Path:
        """The real path of a file named in a table. Raises CohortError when it lies outside the cohort folder."""
        return file_in(self.root, relative)

    def patients(self, split: str) -> frozenset[str]:
        """Patients of one split.

        Where the cohort names no `calibration` patients, half of the `val` patients, chosen by a hash of the id,
        serve as such and are not in `val`.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}")
        named = frozenset(self.splits.loc[self.splits["split"] == split, "patient_id"])
        if split in ("train", "test") or (self.splits["split"] == "calibration").any():
            return named
        val = self.splits.loc[self.splits["split"] == "val", "patient_id"]
        return frozenset(p for p in val if _serves_calibration(p) == (split == "calibration"))


def _serves_calibration(patient_id: str) -> bool:
    return sha256(patient_id.encode()).digest()[0] % 2 == 1


@dataclass(frozen=True)
class TablesRead:
    """A folder's tables after one reading, sound or not. `cohort` is None unless all four could be read."""

    cohort: Cohort | None
    problems: tuple[CohortFinding, ...]
    tables_sha256: str
    echo_tables_sha256: str


def read_tables(root: Path) -> TablesRead:
    """Each table's file is read once, for its hash and for its rows; everything that is wrong is listed."""
    root = root.resolve()  # of a link that is turned meanwhile the folder whose tables are read
    frames: dict[str, pd.DataFrame] = {}
    problems: list[CohortFinding] = []
    all_four, echo_side = TablesHash(), TablesHash()
    for name in TABLES:
        try:
            file = read_table_file(root, name)
            all_four.add(file)
            if name in ECHO_TABLES:
                echo_side.add(file)
            frames[name], wrong = parse_table(file, name)
        except CohortError as error:
            wrong = [CohortFinding(error.code, error.sentence, name, 1)]
        problems += wrong
    if is_newer(_json_of(root / ABOUT), SCHEMA_VERSION):
        sentence = f"The cohort folder {NEWER}: {ABOUT} says so."
        problems.insert(0, CohortFinding("cohort_newer", sentence, ABOUT, 1))
    cohort = Cohort(root, **frames) if len(frames) == len(TABLES) else None
    if cohort is not None:
        problems += contradictions(**frames)
    return TablesRead(cohort, tuple(problems), all_four.hexdigest(), echo_side.hexdigest())


@dataclass(frozen=True)
class CohortAbout:
    """What a cohort says of itself in `cohort.json`: a simulator's stamp, a data set's name and terms, or nothing."""

    written: Mapping[str, Any]
    """As it stands there, in its order."""

    @property
    def simulator_version(self) -> str | None:
        """Of the simulator that invented the cohort; None for one that does not say so."""
        version = self.written.get("simulator_version")
        return None if version is None else str(version)

    @property
    def is_simulated(self) -> bool:
        return self.simulator_version is not None


def read_about(root: Path) -> CohortAbout:
    """Of a cohort folder; nothing where there is no `cohort.json`. CohortError for one that is no JSON object."""
    written = _json_of(root / ABOUT) if (root / ABOUT).exists() else {}
    if not isinstance(written, dict):
        raise _about_unreadable()
    return CohortAbout(written)


def _about_unreadable() -> CohortError:
    most_mib = MAX_COHORT_ABOUT_BYTES >> 20
    sentence = f"{ABOUT} is not a JSON object of at most {most_mib} MiB; mend it or remove it."
    return CohortError("about_unreadable", sentence)


def _json_of(file: Path) -> object:
    """None for a file that is not there, cannot be read or holds none."""
    try:
        return json.loads(read_own_file(file, MAX_COHORT_ABOUT_BYTES))
    except (UnreadableFile, OSError, ValueError, RecursionError):
        return None


def cohort_sha256(cohort: Cohort, hash_of_tables: str) -> str:
    """Of the tables, of `cohort.json` where it is there, and of name and size of every file that the tables name.

    A short way to tell cohorts apart: no ECG or clip is opened, so one that changes and keeps its size is not noticed,
    nor are the signal files that a WFDB header names. Raises CohortError for a file that is not there or
    a `cohort.json` that cannot be read.
    """
    digest = sha256(hash_of_tables.encode())
    stamp = cohort.root / ABOUT
    if stamp.exists():
        try:
            content = read_own_file(stamp, MAX_COHORT_ABOUT_BYTES)
        except (UnreadableFile, OSError):
            raise _about_unreadable() from None
        digest.update(sha256(content).digest())
    for relative in (*cohort.ecgs["path"], *cohort.echos["path"]):
        try:
            size = (cohort.root / relative).stat().st_size
        except (OSError, ValueError):
            raise CohortError("file_missing", "A file that the tables name is not there.") from None
        digest.update(f"{relative}\0{size}\n".encode())
    return digest.hexdigest()
