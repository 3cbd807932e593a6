"""Rules that the rows of a cohort keep among each other and towards the files they name.

Cells are checked where tables are read (`inputs.cohort_tables`); what the rules mean for training is `inputs.cohort`'s
business. Each rule returns what breaks it, nothing here raises for a bad cohort.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pandas as pd

from inputs.cohort_tables import CohortProblem, problem_rows
from inputs.errors import CohortError


def contradictions(
    ecgs: pd.DataFrame, echos: pd.DataFrame, studies: pd.DataFrame, splits: pd.DataFrame
) -> list[CohortProblem]:
    """Rows that contradict each other: times of two kinds, duplicates, ids without a match, patients in two splits."""
    problems = _times_of_two_kinds({"ecgs": ecgs, "echos": echos, "studies": studies})

    for table, frame, key, code in (
        ("ecgs", ecgs, ["ecg_id"], "ecg_twice"),
        ("studies", studies, ["study_id"], "study_twice"),
        ("echos", echos, ["study_id", "view_id"], "view_twice"),
    ):
        sentence = f"The same {' and '.join(key)} stands in more than one row"
        problems += problem_rows(code, sentence, table, frame.duplicated(key, keep="first"))

    owner = studies.drop_duplicates("study_id").set_index("study_id")["patient_id"]
    study_owner = echos["study_id"].map(owner)
    no_study = study_owner.isna()
    problems += problem_rows("study_unmatched", "study_id is not in the table studies", "echos", no_study)
    other = ~no_study & (study_owner != echos["patient_id"])
    problems += problem_rows("patient_differs", "patient_id is another than the study's", "echos", other)

    distinct = splits.drop_duplicates(["patient_id", "split"])
    twice = distinct.loc[distinct.duplicated("patient_id", keep=False), "patient_id"]
    sentence = "The patient is in more than one split"
    return problems + problem_rows("patient_in_two_splits", sentence, "splits", splits["patient_id"].isin(twice))


def _times_of_two_kinds(frames: dict[str, pd.DataFrame]) -> list[CohortProblem]:
    zoned = {table for table, frame in frames.items() if len(frame) and frame["acquired_at"].dt.tz is not None}
    naive = {table for table, frame in frames.items() if len(frame)} - zoned
    if not zoned or not naive:
        return []
    rarer = min(zoned, naive, key=lambda tables: sum(len(frames[table]) for table in tables))
    sentence = f"Times carry a zone in {_and(zoned)} and none in {_and(naive)}; write all of them one way"
    return [
        problem
        for table in sorted(rarer)
        for problem in problem_rows("times_mixed", sentence, table, np.ones(len(frames[table]), dtype=bool))
    ]


def _and(names: set[str]) -> str:
    return " and ".join(sorted(names))


def file_in(root: Path, relative: str) -> Path:
    """The real path of a file that a table names. Raises CohortError when it lies outside the cohort folder."""
    return _in_real_folder(root.resolve(), relative)


def _in_real_folder(real_root: Path, relative: str) -> Path:
    try:
        path = (real_root / relative).resolve()
    except (ValueError, OSError, RuntimeError):  # a NUL in the name, a name too long, a loop of links
        raise CohortError("path_invalid", "A path in a table is not a file name.") from None
    if not path.is_relative_to(real_root):
        raise CohortError("path_outside", "A path in a table leads outside the cohort folder.")
    return path


def file_problems(root: Path, frame: pd.DataFrame, table: str) -> list[CohortProblem]:
    """Files named in a table that are not there, lie outside the folder or are not regular files. None is opened."""
    real_root = root.resolve()
    codes = np.array([_file_fault(real_root, path) for path in frame["path"]], dtype=object)
    sentences = {
        "path_outside": "The path leads outside the cohort folder",
        "file_missing": "The file is not there",
        "file_not_regular": "The path names something other than a regular file",
    }
    return [p for code, sentence in sentences.items() for p in problem_rows(code, sentence, table, codes == code)]


def _file_fault(real_root: Path, relative: str) -> str:
    if relative == "":
        return ""  # reported as path_missing when the table was read
    try:
        mode = os.stat(_in_real_folder(real_root, relative)).st_mode
    except CohortError as error:
        return "path_outside" if error.code == "path_outside" else "file_missing"
    except OSError:
        return "file_missing"
    return "" if stat.S_ISREG(mode) else "file_not_regular"
