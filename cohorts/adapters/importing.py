"""A data set to a cohort folder: gathered by its adapter, written whole or not at all, checked as any cohort is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from cohorts.about import ABOUT
from cohorts.adapters.base import DataSet, Gathered, Skipped, Source
from cohorts.check import CohortReport
from cohorts.opened import check_cohort
from cohorts.tables import TABLES, CohortError, TableName, required_columns, write_cohort_tables
from ground.disk import hold, write_whole
from ground.findings import SHD_FLAGS

REPORT = "import.json"
_MANY = 30
"""Rows of which a label that is one throughout is doubted."""
MADE = "made"
"""The folder in a cohort that holds what an adapter had to write itself."""


@dataclass(frozen=True)
class Imported:
    """What became of a data set. check: of the cohort that was written."""

    folder: Path
    skipped: tuple[Skipped, ...]
    about: Mapping[str, Any]
    own: Mapping[TableName, tuple[str, ...]]
    """Columns of the data set's own in the tables, which `bundle fit --label` may name."""
    check: CohortReport
    warnings: tuple[str, ...] = ()
    """See `Gathered`."""


def import_cohort(data_set: DataSet, source: Source, out: Path) -> Imported:
    """Write the cohort folder `out`. Work of an import that was broken off is found again.

    The tables are written in a folder beside `out`, checked there, and moved at the end. Raises CohortError for what is
    not such a data set, for an option that it does not take, for an `out` that is there, and for tables that contradict
    themselves; then nothing is left but what an adapter had made.
    """
    _check_options(data_set, source)
    if out.exists():
        raise CohortError(
            "folder_exists", f"{out.name} is there already; a cohort is written to a new folder.", hint="Name another."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    begun = out.with_name(f"{out.name}.importing")
    whose = {"data_set": data_set.name, "source": str(source.folder.resolve())}
    with _held(begun, whose):
        gathered = data_set.gather(replace(source, made=begun / MADE))
        gathered = replace(gathered, warnings=(*gathered.warnings, *_labels_alike(gathered)))
        _write(begun, data_set, gathered, whose)
        report = check_cohort(begun)
        wrong = [problem for problem in report.problems if problem.code != "no_pairs"]
        if wrong:
            error = wrong[0].as_error()
            hint = "Tables and rows are those of the cohort that would have been written."
            raise CohortError(error.code, error.sentence, hint=hint)
        begun.rename(out)
    return Imported(out, gathered.skipped, gathered.about, gathered.own, report, gathered.warnings)


def _labels_alike(gathered: Gathered) -> tuple[str, ...]:
    """A warning of yes or no labels, and LVEF, that say the same of every ECG or study, where there are many."""
    alike = []
    frames: dict[TableName, pd.DataFrame | None] = {"ecgs": gathered.ecgs, "studies": gathered.studies}
    for name, frame in frames.items():
        if frame is None:
            continue
        columns = (*SHD_FLAGS, "lvef_percent", *gathered.own.get(name, ()))
        for column in (column for column in columns if column in frame):
            said = frame[column].dropna().astype(str).str.lower().loc[lambda cells: cells != ""]
            value = said.iloc[0] if len(said) >= _MANY and said.nunique() == 1 else ""
            if value in ("true", "false") or (value and column == "lvef_percent"):
                alike.append(f"{column} {value}")
    said_of = "Labels that say the same of every row: "
    return (f"{said_of}{', '.join(alike)}. Was the source read as it is meant?",) if alike else ()


@contextmanager
def _held(begun: Path, whose: Mapping[str, str]) -> Iterator[None]:
    """A folder for this import alone, with nothing in it but what an earlier run of the same one made.

    Whatever is raised, only that stays in the folder, and no folder without it. Raises CohortError where another import
    writes there now, and where something lies there that is none.
    """
    begun.mkdir(exist_ok=True)
    stamp = begun / REPORT
    if not stamp.exists() and any(begun.iterdir()):
        raise CohortError(
            "folder_exists", f"{begun.name} is there, and no import left it.", hint="Move it away, or name another."
        )
    with stamp.open("a+") as held:
        if not hold(held):
            raise CohortError("import_running", f"Another import is writing {begun.name}.")
        held.seek(0)
        if not held.read().startswith(json.dumps({"of": whose}, indent=1).removesuffix("\n}")):
            shutil.rmtree(begun / MADE, ignore_errors=True)
        _remove_tables(begun)
        held.truncate(0)
        held.write(json.dumps({"of": whose}, indent=1) + "\n")
        held.flush()
        try:
            yield
        except BaseException:
            _remove_tables(begun)
            if not any((begun / MADE).glob("**/*")):
                shutil.rmtree(begun, ignore_errors=True)
            raise


def _remove_tables(begun: Path) -> None:
    for name in (*(f"{table}.parquet" for table in TABLES), ABOUT):
        (begun / name).unlink(missing_ok=True)


def _check_options(data_set: DataSet, source: Source) -> None:
    given = {*source.files, *source.words, *(["map"] if source.columns else []), *(["root"] if source.roots else [])}
    for option in sorted(given - data_set.options):
        raise CohortError("option_not_taken", f"{data_set.name} takes no --{option}.")
    if data_set.from_file and not source.folder.is_file():
        raise CohortError("file_missing", f"{source.folder} is not a file.")
    for folder in (*(() if data_set.from_file else (source.folder,)), *source.roots.values()):
        if not folder.is_dir():
            raise CohortError("folder_missing", f"{folder} is not a folder.")
    for option, file in source.files.items():
        if not file.is_file():
            raise CohortError("file_missing", f"--{option} names {file}, which is not a file.")


def _write(begun: Path, data_set: DataSet, gathered: Gathered, whose: Mapping[str, str]) -> None:
    """Tables, `cohort.json` and the report."""
    nothing = pd.DataFrame()
    write_cohort_tables(
        begun,
        _with_columns(nothing if gathered.ecgs is None else gathered.ecgs, "ecgs"),
        None if gathered.echos is None else _with_columns(gathered.echos, "echos"),
        None if gathered.studies is None else _with_columns(gathered.studies, "studies"),
        _with_columns(gathered.splits, "splits"),
        table_format="parquet",
        own=gathered.own,
    )
    about = {
        "schema_version": 1,
        "data_set": data_set.name,
        "licence": data_set.licence or "not known here",
        "citation": data_set.citation or "not known here",
        "roots": {name: str(folder.resolve()) for name, folder in gathered.roots.items()},
        **gathered.about,
    }
    write_whole(begun / ABOUT, json.dumps(about, indent=1) + "\n")
    skipped = [asdict(skipped) for skipped in gathered.skipped]
    report = {"of": whose, "skipped": skipped, "warnings": gathered.warnings, **gathered.about}
    write_whole(begun / REPORT, json.dumps(report, indent=1) + "\n")
    if not any((begun / MADE).glob("**/*")):
        shutil.rmtree(begun / MADE, ignore_errors=True)


def _with_columns(frame: pd.DataFrame, name: TableName) -> pd.DataFrame:
    """A table with every column that a cohort asks for; what a data set has nothing for is unknown."""
    missing = [column for column in required_columns(name) if column not in frame.columns]
    return frame.assign(**dict.fromkeys(missing, pd.Series(index=frame.index, dtype=object)))
