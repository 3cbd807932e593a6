"""A cohort check, as a person reads it and as a program does, and what training would say to the cohort."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from cli.console import out, progress
from cohorts import (
    CohortFinding,
    CohortReport,
    OpenCohort,
    PairingWindow,
)
from ground.disk import write_whole
from inputs.echo.kinds import NO_CLIPS
from training.outlook import TrainingOutlook

_ROWS_SHOWN = 10
_UNREAD = "Not read"


Unreadable = Sequence[CohortFinding] | None
"""What was found when every file was read; None where none was."""


def print_cohort_report(report: CohortReport, outlook: TrainingOutlook | None, unreadable: Unreadable = None) -> None:
    if not report.problems:
        out.print("Nothing contradicts itself.")
    lists = (
        ("Problem", report.problems),
        (_UNREAD, unreadable or ()),
        ("Doubtful", report.warnings),
        ("Left out of training", report.skipped),
    )
    for heading, findings in lists:
        if findings:
            out.print(_table(heading, findings))
    if report.n_patients is None:
        out.print("Further checks were not made: they need every table. Mend these first, then check again.")
    with_rows = [finding for _, findings in lists for finding in findings if finding.rows]
    if with_rows:
        repeats = " In brackets: the row that it repeats." if any(finding.repeats for finding in with_rows) else ""
        cut = any(len(finding.rows) > _ROWS_SHOWN for finding in with_rows)
        more = " --json FILE writes all of them." if cut else ""
        out.print(f"Rows count from 1, the header not counted.{repeats}{more}")
    if unreadable is not None:
        beside = sum(found.count for found in unreadable if found.code in NO_CLIPS)
        broken = sum(found.count for found in unreadable) - beside
        told = f" {beside} beside the clips are none and will be skipped." if beside else ""
        out.print(f"Every file was read; {broken or 'none'} cannot be.{told}")
    if report.windows:
        out.print(_windows(report.windows))
    for line in (*report.summary, *(outlook.summary if outlook else ())):
        out.print(line)


def _table(heading: str, findings: Sequence[CohortFinding]) -> Table:
    table = Table()
    for name in ("Table", heading, "Rows", "First rows"):
        table.add_column(name)
    for finding in findings:
        first = [str(row) for row in finding.rows[:_ROWS_SHOWN]]
        if finding.repeats:
            first = [f"{row} (as {like})" for row, like in zip(first, finding.repeats, strict=False)]
        if len(finding.rows) > _ROWS_SHOWN:
            first.append("...")
        table.add_row(finding.table, _said(heading, finding), str(finding.count), ", ".join(first))
    return table


def read_every_file(cohort: OpenCohort, workers: int) -> Sequence[CohortFinding]:
    """See `embedding.every_file`, with a bar."""
    from embedding.every_file import unreadable_files
    from models.device import Machine

    with progress("Reading files") as report:
        return unreadable_files(cohort.tables, Machine.named("cpu", workers=workers, progress=report))


def _said(heading: str, finding: CohortFinding) -> str:
    return f"{finding.code}: {finding.sentence}" if heading == _UNREAD else finding.sentence


def _windows(windows: Sequence[PairingWindow]) -> Table:
    table = Table()
    for name in ("ECG and study at most apart", "Pairs", "Patients", "Paired ECGs", "Paired studies"):
        table.add_column(name)
    for found in windows:
        apart = "1 day" if found.days == 1 else f"{found.days:g} days"
        table.add_row(apart, *map(str, (found.pairs, found.patients, found.ecgs, found.studies)))
    return table


def write_cohort_report(
    file: Path, report: CohortReport, outlook: TrainingOutlook | None, unreadable: Unreadable = None
) -> None:
    """Everything that was found as JSON: every row number, counted from 1 below the header."""
    content = asdict(report) | {
        "pairs_per_split": dict(report.pairs_per_split),
        "training": asdict(outlook) if outlook else None,
        "unreadable": None if unreadable is None else [asdict(finding) for finding in unreadable],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(content, indent=2) + "\n")
