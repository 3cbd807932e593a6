"""A cohort check, as a person reads it and as a program does, and what training would say to the cohort."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from cli.console import out
from inputs.cohort import SPLITS, CohortFinding, CohortReport, derive_pairs, load_cohort
from inputs.errors import CohortError

_ROWS_SHOWN = 10


@dataclass(frozen=True)
class TrainingOutlook:
    """ECGs with a known label, by split, and the sentence that training would refuse the cohort with, if it would."""

    refusal: str | None
    ecgs_with_lvef: dict[str, int]
    ecgs_with_shd: dict[str, int]

    @property
    def summary(self) -> tuple[str, ...]:
        lines = [
            f"ECGs with a known {name}: {', '.join(f'{split} {n}' for split, n in counts.items())}."
            for name, counts in (("LVEF", self.ecgs_with_lvef), ("SHD", self.ecgs_with_shd))
        ]
        if self.refusal is not None:
            lines.append(f"Training would refuse this cohort: {self.refusal}")
        return tuple(lines)


def training_outlook(cohort_dir: Path) -> TrainingOutlook:
    """What `train` would find in a cohort without a contradiction, with the window and classes of its default recipe.

    Nothing that `train` reads later is read: it may still refuse a cohort of unreadable files.
    """
    from training.cohort_arrays import ecg_labels, pairs_of_split, study_labels
    from training.recipes import demo
    from training.train import check_labels

    recipe = demo()
    cohort = load_cohort(cohort_dir)
    labels = study_labels(cohort)
    pairs = derive_pairs(cohort, window_days=recipe.window_days)
    split_pairs = {split: pairs_of_split(pairs, cohort, split) for split in SPLITS}
    known = {split: ecg_labels(of_split, labels).notna().sum() for split, of_split in split_pairs.items()}
    refusal = None
    try:
        check_labels(split_pairs, labels, recipe)
    except CohortError as error:
        refusal = error.message
    return TrainingOutlook(
        refusal,
        {split: int(count["lvef_percent"]) for split, count in known.items()},
        {split: int(count["shd"]) for split, count in known.items()},
    )


def print_cohort_report(report: CohortReport, outlook: TrainingOutlook | None) -> None:
    if not report.problems:
        out.print("Nothing contradicts itself.")
    lists = (("Problem", report.problems), ("Doubtful", report.warnings), ("Left out of training", report.skipped))
    for heading, findings in lists:
        if findings:
            out.print(_table(heading, findings))
    with_rows = [finding for _, findings in lists for finding in findings if finding.rows]
    if with_rows:
        repeats = " In brackets: the row that it repeats." if any(finding.repeats for finding in with_rows) else ""
        cut = any(len(finding.rows) > _ROWS_SHOWN for finding in with_rows)
        more = " --json FILE writes all of them." if cut else ""
        out.print(f"Rows count from 1, the header not counted.{repeats}{more}")
    for line in (*report.summary, *(outlook.summary if outlook else ())):
        out.print(line, markup=False)


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
        table.add_row(finding.table, escape(finding.sentence), str(finding.count), ", ".join(first))
    return table


def write_cohort_report(file: Path, report: CohortReport, outlook: TrainingOutlook | None) -> None:
    """Everything that was found as JSON: every row number, counted from 1 below the header."""
    content = asdict(report) | {
        "pairs_per_split": dict(report.pairs_per_split),
        "training": asdict(outlook) if outlook else None,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
