"""What became of a data set, as a person reads it."""

from __future__ import annotations

from rich.table import Table

from cli.console import err, led_by, out
from cohorts.adapters import DataSet, Imported, Skipped
from inputs.view_source import MEMBER


def print_import(data_set: DataSet, imported: Imported) -> None:
    """What was found and paired, what was left out and why, terms, and what to do next."""
    for line in imported.check.summary:
        out.print(line)
    if imported.skipped:
        out.print(_left_out(imported.skipped))
        if any(skipped.rows for skipped in imported.skipped):
            out.print("Rows count from 1, the header not counted.")
    else:
        out.print("Nothing was left out.")
    for name, said in imported.about.items():
        if isinstance(said, str):
            out.print(f"{name}: {said}", soft_wrap=True)
    for name, columns in imported.own.items():
        out.print(f"Columns of its own in {name}: {', '.join(columns)}", soft_wrap=True)
    out.print(f"Licence: {data_set.licence or 'not known here; see the data set.'}", soft_wrap=True)
    out.print(f"Cite: {data_set.citation or 'not known here; see the data set.'}", soft_wrap=True)
    out.print(f"Cohort written: {imported.folder}", soft_wrap=True)
    for line in _next_steps(imported):
        out.print(line, soft_wrap=True)
    for warning in imported.warnings:
        err.print(led_by("Warning:", warning), soft_wrap=True)


def _left_out(skipped: tuple[Skipped, ...]) -> Table:
    table = Table()
    for name in ("Table", "Left out", "Count", "First rows"):
        table.add_column(name)
    for each in skipped:
        rows = [*map(str, each.rows), *(["..."] if each.count > len(each.rows) > 0 else [])]
        table.add_row(each.table, each.reason, str(each.count), ", ".join(rows))
    return table


def _next_steps(imported: Imported) -> list[str]:
    check, folder = imported.check, imported.folder
    recipe = " --recipe vectors" if MEMBER in imported.about else "" if check.n_views else " --recipe ecg_only"
    label = "" if check.n_studies else " --label COLUMN"
    return [
        f"Next: echo2ecg cohort check {folder}",
        f"      echo2ecg train {folder} --out BUNDLE{recipe}",
        f"      echo2ecg bundle fit BUNDLE {folder} --out FITTED{label}",
    ]
