"""What stands beside a bundle in its evaluation, as a person reads it: other encoders, and another bundle."""

from __future__ import annotations

from cli.console import out
from cli.report_table import report_table
from training.evaluation.evaluate import EvaluationReport


def print_other_encoders(report: EvaluationReport) -> None:
    """Each score of the bundle beside those of other encoders. The JSON has their flags and few-label curves, too."""
    if not report.beside:
        return
    columns = ("Question", "Probe", "This bundle", *(found.encoder for found in report.beside))
    table = report_table(*columns, title="Beside other encoders: AUROC, R2")
    for question, probe, values in report.beside_rows():
        table.add_row(
            question, probe, *("not measured" if value is None else value.in_digits(2, "-") for value in values)
        )
    if table.row_count:
        out.print(table)


def print_comparison(report: EvaluationReport) -> None:
    if report.against is None:
        return
    columns = ("Score", "ECGs", "Patients", "This bundle", report.against.other_bundle_id, "Difference")
    table = report_table(*columns, title="The same patients, both bundles")
    for found in report.against.differences:
        numbers = (f"{found.this:.3f}", f"{found.other:.3f}", str(found.difference))
        table.add_row(found.score, str(found.n), str(found.patients), *numbers)
    out.print(table)
    for score, reason in report.against.not_measured.items():
        out.print(f"{score}: not compared, {reason}.")
