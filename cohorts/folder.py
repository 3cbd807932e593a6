"""The tables of a cohort folder together: ECGs, echo views, studies and patient splits, and vectors of views.

The folder is what every data-set adapter and the simulator write and what training and the index rebuild read. The
columns of its tables are in `cohorts.tables`, the rules they keep in `cohorts.rules`, what follows from them in
`cohorts.opened`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from cohorts.about import ABOUT, CohortAbout, about_unreadable, json_of
from cohorts.clip_facts import FACTS, FACTS_FILE, FactsRead, read_clip_facts
from cohorts.own_files import read_file_of_table, read_own_file, read_table_file
from cohorts.places import Places
from cohorts.rules import contradictions
from cohorts.said import hints_of, said_problems
from cohorts.tables import (
    ECHO_TABLES,
    SAID_OF_ECGS,
    SPLITS,
    TABLES,
    CohortError,
    CohortFinding,
    TableName,
    TablesHash,
    absent_table,
    parse_table,
)
from cohorts.vector_column import Piece
from cohorts.views import VIEWS, has_views, no_views, read_views, view_contradictions, view_pieces
from ground.disk import sha256
from ground.schema import NEWER, is_newer
from inputs.ecg.source import EcgSource, LeadScale
from inputs.errors import UnreadableFile
from inputs.limits import MAX_COHORT_ABOUT_BYTES
from inputs.opened import PlacedFile
from inputs.specs import Amplitude
from inputs.view_source import MEMBER, ViewSource

SCHEMA_VERSION = 1
"""Of the tables and of `cohort.json`, which may name it; it names none where it was written by hand."""


@dataclass(frozen=True)
class Cohort:
    """Four typed tables (see `cohorts.tables.parse_table`) and where their files lie.

    absent: the tables that the folder does not have; they are empty here. amplitude, lead_scale: of the ECGs.
    views, view_source: the rows of the table `views` (see `cohorts.views`) and whose vectors it holds.
    clip_facts: what each clip really shows, a row for each of `echos` under its index: `view`, empty where unknown, and
    numbers, NaN where the clip does not show them. None where nobody says so (see `cohorts.clip_facts`).
    """

    root: Path
    ecgs: pd.DataFrame
    echos: pd.DataFrame
    studies: pd.DataFrame
    splits: pd.DataFrame
    roots: Mapping[str, Path] = field(default_factory=dict)
    absent: frozenset[TableName] = frozenset()
    amplitude: Amplitude = "millivolt"
    lead_scale: LeadScale = field(default_factory=dict)
    views: pd.DataFrame = field(default_factory=no_views)
    view_source: ViewSource | None = None
    clip_facts: pd.DataFrame | None = None

    @property
    def lacks(self) -> Literal["studies", "views"] | None:
        """What of the echo side there is nothing of, the more telling one first."""
        return "studies" if self.studies.empty else "views" if self.echos.empty and self.views.empty else None

    @cached_property
    def given_views(self) -> pd.DataFrame:
        """The rows of `views` whose vectors count: those of studies without clips. Their index is the row's place."""
        return self.views[~self.views["study_id"].isin(self.echos["study_id"])]

    def view_pieces(self) -> Iterator[Piece]:
        """See `cohorts.views.view_pieces`."""
        assert self.view_source is not None
        return view_pieces(self.root, self.view_source.width)

    @cached_property
    def places(self) -> Places:
        return Places(self.root, self.roots)

    def file_path(self, named: str) -> PlacedFile:
        """The file that a path of a table names. Raises CohortError when it lies outside the cohort and its roots."""
        return self.places.file(named)

    def ecg_sources(self, ecg_ids: Collection[str] | pd.Series | None = None) -> dict[str, PlacedFile]:
        """By id the ECGs of the table, all or those named: their files and what is said beside them.

        A PlacedFile alone where nothing is. Raises CohortError as `file_path` does.
        """
        wanted = self.ecgs if ecg_ids is None else self.ecgs[self.ecgs["ecg_id"].isin(ecg_ids)]
        says_nothing = self.amplitude == "millivolt" and not self.lead_scale
        if says_nothing and not any(column in self.ecgs.columns for column in SAID_OF_ECGS):
            return {ecg_id: self.file_path(path) for ecg_id, path in wanted[["ecg_id", "path"]].itertuples(index=False)}
        files = {path: self.file_path(path) for path in wanted["path"].unique()}  # of a file of many once
        return {row["ecg_id"]: self._source(files[row["path"]], row) for row in wanted.to_dict("records")}

    def _source(self, file: PlacedFile, row: dict[Hashable, Any]) -> EcgSource:
        place = row.get("row")
        return EcgSource(
            file.path,
            file.under,
            hints=hints_of({str(column): value for column, value in row.items()}),
            row=None if place is None or pd.isna(place) else int(place),
            dataset=row.get("dataset") or "",
            amplitude=self.amplitude,
            lead_scale=self.lead_scale,
        )

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
    """A folder's tables after one reading, sound or not. `cohort` is None unless all that are there could be read."""

    cohort: Cohort | None
    problems: tuple[CohortFinding, ...]
    tables_sha256: str
    echo_tables_sha256: str


def read_tables(root: Path) -> TablesRead:
    """Each table's file is read once, for its hash and for its rows; everything that is wrong is listed."""
    root = root.resolve()  # of a link that is turned meanwhile the folder whose tables are read
    frames: dict[str, pd.DataFrame] = {}
    absent: set[TableName] = set()
    problems: list[CohortFinding] = []
    all_four, echo_side = TablesHash(), TablesHash()
    for name in TABLES:
        wrong: list[CohortFinding] = []
        try:
            file = read_table_file(root, name)
            if file is None:
                absent.add(name)
                frames[name] = absent_table(name)
                continue
            all_four.add(file)
            if name in ECHO_TABLES:
                echo_side.add(file)
            frames[name], wrong = parse_table(file, name)
        except CohortError as error:
            wrong = [CohortFinding(error.code, error.sentence, name, 1)]
        problems += wrong
    written = json_of(root / ABOUT)
    if is_newer(written, SCHEMA_VERSION):
        sentence = f"The cohort folder {NEWER}: {ABOUT} says so."
        problems.insert(0, CohortFinding("cohort_newer", sentence, ABOUT, 1))
    # What is no JSON object is refused by whoever asks what the cohort says of itself.
    about = CohortAbout(written if isinstance(written, dict) else {})
    fields: dict[str, Any] = {}
    try:
        fields = {"roots": about.roots(root), "amplitude": about.amplitude, "lead_scale": about.lead_scale}
        fields["view_source"] = about.view_source
    except CohortError as error:
        problems.append(CohortFinding(error.code, error.sentence, ABOUT, 1))
    views, stamp, wrong = _read_views(root, about)
    problems += wrong
    for digest in (all_four, echo_side):
        digest.add_stamp(stamp)
    facts, wrong = _read_facts(root)
    problems += wrong
    cohort = None
    if len(frames) == len(TABLES) and views is not None:
        ecgs, echos, studies, splits = (frames[name] for name in TABLES)
        fields["clip_facts"] = None if facts is None else facts.by_clip(echos)
        cohort = Cohort(root, ecgs, echos, studies, splits, absent=frozenset(absent), views=views, **fields)
        problems += contradictions(**frames) + view_contradictions(cohort.views, cohort.studies)
        problems += [] if facts is None else facts.contradictions(echos)
        has_unit = cohort.amplitude == "millivolt" and not cohort.lead_scale
        problems += said_problems(cohort.ecgs, has_unit=has_unit)
    return TablesRead(cohort, tuple(problems), all_four.hexdigest(), echo_side.hexdigest())


def _read_views(root: Path, about: CohortAbout) -> tuple[pd.DataFrame | None, str, list[CohortFinding]]:
    """The rows of the table `views`, None where it cannot be read; what tells it apart; what is wrong with it."""
    try:
        if not has_views(root):
            return no_views(), "", []
        read = read_views(root, _source_of_views(about))
    except CohortError as error:
        return None, "", [CohortFinding(error.code, error.sentence, VIEWS, 1)]
    return read.rows, read.stamp, [*read.problems]


def _read_facts(root: Path) -> tuple[FactsRead | None, list[CohortFinding]]:
    """The table `truth_views`, None where it is absent or cannot be read; what is wrong with its cells."""
    try:
        facts = read_clip_facts(root)
    except CohortError as error:
        return None, [CohortFinding(error.code, error.sentence, FACTS, 1)]
    return facts, [] if facts is None else [*facts.problems]


def _source_of_views(about: CohortAbout) -> ViewSource:
    source = about.view_source
    if source is None:
        sentence = f"{ABOUT} does not say under {MEMBER} whose vectors the table {VIEWS} holds."
        raise CohortError("view_source_missing", sentence)
    return source


def cohort_sha256(cohort: Cohort, hash_of_tables: str) -> str:
    """Of the tables, of `cohort.json` and `truth_views.csv` where they are there, and of name and size of every file
    that the tables name.

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
            raise about_unreadable() from None
        digest.update(sha256(content).digest())
    if cohort.clip_facts is not None:
        digest.update(sha256(read_file_of_table(cohort.root / FACTS_FILE).content).digest())
    size_of: dict[str, int] = {}  # a file of many ECGs stands in many rows
    for named in (*cohort.ecgs["path"], *cohort.echos["path"]):
        if named not in size_of:
            try:
                size_of[named] = os.stat(cohort.file_path(named)).st_size
            except (OSError, ValueError):
                raise CohortError("file_missing", "A file that the tables name is not there.") from None
        digest.update(f"{named}\0{size_of[named]}\n".encode())
    return digest.hexdigest()
