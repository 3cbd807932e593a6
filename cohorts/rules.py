"""Rules that the rows of a cohort keep among each other and towards the files they name.

Cells are checked where tables are read (`cohorts.tables`); what the rules mean for training is `cohorts.check`'s
business. Each rule returns what breaks it.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.places import Places
from cohorts.tables import CohortError, CohortFinding, found_rows
from ground.letters import folded
from inputs.ecg.formats import wfdb
from inputs.errors import UnreadableFile
from inputs.limits import MAX_WFDB_HEADER_BYTES
from inputs.opened import PlacedFile, open_regular_file


def contradictions(
    ecgs: pd.DataFrame, echos: pd.DataFrame, studies: pd.DataFrame, splits: pd.DataFrame
) -> list[CohortFinding]:
    """Rows that contradict each other: times of two kinds, duplicates, ids without a match, patients in two splits."""
    problems = _times_of_two_kinds({"ecgs": ecgs, "echos": echos, "studies": studies})

    for table, frame, key, code in (
        ("ecgs", ecgs, ["ecg_id"], "ecg_twice"),
        ("studies", studies, ["study_id"], "study_twice"),
        ("echos", echos, ["study_id", "view_id"], "view_twice"),
    ):
        sentence = f"The same {' and '.join(key)} stands in more than one row"
        problems += found_rows(code, sentence, table, frame.duplicated(key), first_like=rows_like(frame, key))

    for table, frame, what in (("ecgs", ecgs, "An ECG"), ("echos", echos, "A clip")):
        problems += _file_of_two(frame, table, what)

    owner = studies.drop_duplicates("study_id").set_index("study_id")["patient_id"]
    problems += of_no_study(echos, owner, "echos")
    if "study_id" in ecgs:
        problems += of_no_study(ecgs, owner, "ecgs")

    distinct = splits.drop_duplicates(["patient_id", "split"])
    twice = distinct.loc[distinct.duplicated("patient_id", keep=False), "patient_id"]
    sentence = "The patient is in more than one split"
    return problems + found_rows("patient_in_two_splits", sentence, "splits", splits["patient_id"].isin(twice))


def _file_of_two(frame: pd.DataFrame, table: str, what: str) -> list[CohortFinding]:
    """Rows that name what an earlier row of another patient names: a file or, of an array of many, the same row."""
    key = ["path", *(column for column in ("row", "dataset", "exam") if column in frame)]
    there = frame[[*key, "patient_id"]].assign(path=frame["path"].map(posixpath.normpath))
    first = rows_like(there, key)
    patients = there["patient_id"].to_numpy()
    of_two = (patients != patients[first]) & (frame["path"] != "").to_numpy()
    sentence = f"{what} is of two patients: an earlier row names the same file"
    return found_rows("file_of_two_patients", sentence, table, of_two, first_like=first)


def of_no_study(frame: pd.DataFrame, owner: pd.Series, table: str) -> list[CohortFinding]:
    """Rows whose study is not there or another patient's. An empty study_id is one that is not stated."""
    study_owner = frame["study_id"].map(owner)
    no_study = study_owner.isna() & (frame["study_id"] != "")
    other = study_owner.notna() & (study_owner != frame["patient_id"])
    return [
        *found_rows("study_unmatched", "study_id is not in the table studies", table, no_study),
        *found_rows("patient_differs", "patient_id is another than the study's", table, other),
    ]


def doubts(studies: pd.DataFrame, *, times_mixed: bool) -> list[CohortFinding]:
    """Rows that contradict nothing and are rarely meant so: LVEF as a fraction, one study under two ids."""
    found, lvef = [], studies["lvef_percent"]
    if lvef.max() <= 1:
        sentence = "lvef_percent is at most 1 in every study; is it written as a fraction?"
        found += found_rows("lvef_fraction", sentence, "studies", lvef.notna())
    if not times_mixed:
        key = ["patient_id", "acquired_at"]
        again = studies.duplicated(key) & ~studies.duplicated([*key, "study_id"]) & studies["acquired_at"].notna()
        sentence = "The patient has another study at the same time, under another study_id"
        found += found_rows("study_again", sentence, "studies", again, first_like=rows_like(studies, key))
    return found


def ids_alike(frames: dict[str, pd.DataFrame]) -> list[CohortFinding]:
    """Rows of every table with an id that another id differs from in case, width or form of letters only."""
    found = []
    for column in ("patient_id", "ecg_id", "study_id"):
        having = {table: frame for table, frame in frames.items() if column in frame}
        ids = pd.Series(pd.concat([frame[column] for frame in having.values()]).unique())
        alike = ids[ids.map(folded).duplicated(keep=False)]
        sentence = f"Another {column} differs only in case, width or form of letters; is it the same one?"
        for table, frame in having.items():
            found += found_rows("id_alike", sentence, table, frame[column].isin(alike))
    return found


def rows_like(frame: pd.DataFrame, key: Sequence[str]) -> NDArray[np.int64]:
    """For each row the position of the first that has the same `key`."""
    positions = pd.Series(np.arange(len(frame)), index=frame.index)
    groups = [frame[column] for column in key]
    return positions.groupby(groups, sort=False, dropna=False).transform("first").to_numpy(np.int64)


def _times_of_two_kinds(frames: dict[str, pd.DataFrame]) -> list[CohortFinding]:
    timed = {table for table, frame in frames.items() if frame["acquired_at"].notna().any()}
    zoned = {table for table in timed if frames[table]["acquired_at"].dt.tz is not None}
    naive = timed - zoned
    if not zoned or not naive:
        return []
    rarer = min(zoned, naive, key=lambda tables: sum(len(frames[table]) for table in tables))
    sentence = f"Times carry a zone in {_and(zoned)} and none in {_and(naive)}; write all of them one way"
    return [
        problem
        for table in sorted(rarer)
        for problem in found_rows("times_mixed", sentence, table, np.ones(len(frames[table]), dtype=bool))
    ]


def _and(names: set[str]) -> str:
    return " and ".join(sorted(names))


def file_problems(places: Places, frame: pd.DataFrame, table: str) -> list[CohortFinding]:
    """Files named in a table that are not there, lie outside the cohort and its roots or are not regular files.

    Of the files only WFDB headers are opened: the files that they name must be there too.
    """
    faults = {named: _file_fault(places, named) for named in frame["path"].unique()}
    codes = frame["path"].map(faults).to_numpy(dtype=object)
    where = "the cohort folder and its roots" if places.roots else "the cohort folder"
    sentences = {
        "path_outside": f"The path leads outside {where}",
        "file_missing": "The file is not there",
        "file_not_regular": "The path names something other than a regular file",
        "signal_file_missing": "A file that the WFDB header names is not there",
        "signal_file_not_regular": "The WFDB header names something other than a regular file",
        "signal_file_outside": "The WFDB header names a file outside of its folder",
    }
    return [p for code, sentence in sentences.items() for p in found_rows(code, sentence, table, codes == code)]


def _file_fault(places: Places, named: str) -> str:
    if named == "":
        return ""  # reported as path_missing when the table was read
    try:
        mode = os.stat(places.real_path(named)).st_mode
    except CohortError as error:
        return "path_outside" if error.code == "path_outside" else "file_missing"
    except OSError:
        return "file_missing"
    if not stat.S_ISREG(mode):
        return "file_not_regular"
    is_header = PurePosixPath(named).suffix.lower() == ".hea"
    return _signal_file_fault(places, places.file(named)) if is_header else ""


_FAULTS_OF_HEADERS = {
    "file_missing": "signal_file_missing",
    "not_a_regular_file": "signal_file_not_regular",
    "file_not_in_upload": "signal_file_outside",
}


def _signal_file_fault(places: Places, header: PlacedFile) -> str:
    """What is wrong with the files that a WFDB header names, its segments' included.

    They lie beside it or beside what it is a link to, and no link of theirs leads out of the cohort. What else may be
    wrong with a header is found when it is read, as with files of every other kind.
    """
    try:
        names = _named_in(header)
        for segment in [name for name in names if name.endswith(".hea")]:
            names += _named_in(replace(header, path=_beside(header.path, segment)))
    except UnreadableFile as error:
        return _FAULTS_OF_HEADERS.get(error.code, "")
    try:
        reals = [_beside(header.path, name).resolve(strict=True) for name in dict.fromkeys(names)]
        modes = [real.stat().st_mode for real in reals]
    except (OSError, RuntimeError):
        return "signal_file_missing"
    if not all(map(places.holds, reals)):
        return "signal_file_outside"
    return "" if all(map(stat.S_ISREG, modes)) else "signal_file_not_regular"


def _beside(header: Path, name: str) -> Path:
    beside = header.with_name(name)
    return beside if beside.exists() else header.resolve().with_name(name)


def _named_in(header: PlacedFile) -> tuple[str, ...]:
    with open_regular_file(header) as file:
        return wfdb.named_files(file.read(MAX_WFDB_HEADER_BYTES + 1))
