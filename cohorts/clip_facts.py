"""The table `truth_views` of a cohort: what each echo clip really shows, which nobody but a simulator knows.

    truth_views.csv   patient_id, study_id, view_id, view (optional), quality (optional, 0 to 1), any other numbers

A number is of the clip alone: empty where the clip does not show it, and nothing that takes a whole study to tell.
Only the pre-training of an echo encoder reads it; evaluation, probes and the index never do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cohorts.columns import PARSER_ERRORS, columns_named
from cohorts.found import CohortError, CohortFinding, found_rows
from cohorts.own_files import read_file_of_table
from cohorts.rules import rows_like
from cohorts.tables import TABLES, Kind, parsed_cells, read_cells, table_unreadable
from inputs.errors import UnreadableFile

FACTS = "truth_views"
FACTS_FILE = "truth_views.csv"
QUALITY = "quality"
_KEY = ("study_id", "view_id")
_WORDS: dict[str, Kind] = {"patient_id": "id", "study_id": "id", "view_id": "id", "view": "text"}
_ONE_PLANE_SHOWS = frozenset({"septum_cm", "posterior_wall_cm", "rv_basal_cm", "tapse_cm", "tr_velocity_m_s"})
_OF_THE_STUDY = TABLES["studies"].keys() - _WORDS.keys() - _ONE_PLANE_SHOWS
"""A column of such a name would tell each clip what other clips of its study show."""


@dataclass(frozen=True)
class FactsRead:
    """The rows of the table and what is wrong with its cells."""

    rows: pd.DataFrame
    problems: tuple[CohortFinding, ...]

    def contradictions(self, echos: pd.DataFrame) -> list[CohortFinding]:
        """Rows of a clip that has one already, is not there or is another patient's."""
        key, rows = [*_KEY], self.rows
        sentence = "The same study_id and view_id stands in more than one row"
        twice = found_rows("view_twice", sentence, FACTS, rows.duplicated(key), first_like=rows_like(rows, key))
        owner = echos.drop_duplicates(key).set_index(key)["patient_id"]
        clip_owner = owner.reindex(pd.MultiIndex.from_frame(rows[key])).reset_index(drop=True)
        no_clip, other = clip_owner.isna(), clip_owner.notna() & (clip_owner != rows["patient_id"])
        return [
            *twice,
            *found_rows("clip_unmatched", "The study_id and view_id are not in the table echos", FACTS, no_clip),
            *found_rows("patient_differs", "patient_id is another than the clip's", FACTS, other),
        ]

    def by_clip(self, echos: pd.DataFrame) -> pd.DataFrame:
        """`view` and the numbers for each row of `echos`, under its index: empty and NaN where nothing is said."""
        key = [*_KEY]
        facts = self.rows.drop_duplicates(key).set_index(key).drop(columns="patient_id")
        found = facts.reindex(pd.MultiIndex.from_frame(echos[key])).set_axis(echos.index)
        return found.assign(view=found["view"].fillna("") if "view" in found else "")


def read_clip_facts(root: Path) -> FactsRead | None:
    """The table of a cohort folder, None where it has none. CohortError for what is no such table."""
    path = root / FACTS_FILE
    if not path.exists() and not path.is_symlink():
        return None
    file = read_file_of_table(path)
    try:
        names = columns_named(file.name, file.content)
    except UnreadableFile as error:
        raise CohortError(error.code, error.sentence) from error
    except PARSER_ERRORS as error:
        raise table_unreadable(file.name) from error
    if missing := [column for column in ("patient_id", *_KEY) if column not in names]:
        raise CohortError("column_missing", f"The table {FACTS} lacks the column {', '.join(missing)}.")
    if wide := [column for column in names if column in _OF_THE_STUDY]:
        sentence = f"The table {FACTS} has the column {', '.join(wide)}, which no single clip shows."
        raise CohortError("fact_of_study", sentence, hint="It says of each clip what that clip shows, and no more.")
    kinds = {name: _WORDS.get(name, "number" if name == QUALITY else "signed") for name in names}
    rows, problems = parsed_cells(read_cells(file, kinds), kinds, FACTS)
    return FactsRead(rows, tuple(problems))
