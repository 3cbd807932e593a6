"""A cohort check, as a person reads it."""

from __future__ import annotations

from rich.table import Table

from cli.console import out
from inputs.cohort import CohortReport


def print_cohort_report(report: CohortReport) -> None:
    if not report.problems:
        out.print("Nothing contradicts itself.")
    else:
        table = Table()
        for name in ("Table", "Problem", "Rows", "First rows"):
            table.add_column(name)
        for problem in report.problems:
            first = ", ".join(str(row) for row in problem.rows)
            table.add_row(problem.table, problem.sentence, str(problem.count), first)
        out.print(table)
    for line in report.summary:
        out.print(line, markup=False)
