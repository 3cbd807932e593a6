"""What it would mean to act on the probabilities, as a person reads it. The JSON has every interval."""

from __future__ import annotations

from cli.console import out
from cli.report_table import report_table
from training.evaluation.decisions import OperatingPoint
from training.evaluation.evaluate import EvaluationReport
from training.evaluation.metrics import Estimate


def print_decisions(report: EvaluationReport) -> None:
    """Operating points of every question (a flag at its own threshold alone), net benefit and calibration."""
    measured = [found for found in report.decisions if found.operating_points]
    if not measured:
        return
    columns = ("Question", "Aim", "Threshold", "Sensitivity", "Specificity", "PPV", "NPV", "Flagged of 1000")
    points = report_table(*columns, title="Operating points (aims are met on these very ECGs)")
    for found in measured:
        shown = found.operating_points if found in report.overall_decisions else (found.own_point,)
        for point in shown:
            if point is not None:
                points.add_row(found.in_words(), *_point(point))
    if points.row_count:
        out.print(points)
    print_net_benefit(report)
    for found in measured:
        if found.calibration is None:
            out.print(f"Calibration slope of {found.in_words()}: not measured, {found.calibration_not_measured}.")
        else:
            out.print(f"Calibration of {found.in_words()}: {found.calibration.in_words()}")


def print_net_benefit(report: EvaluationReport) -> None:
    measured = [found for found in report.overall_decisions if found.net_benefit]
    if not measured:
        return
    table = report_table("Question", "Threshold probability", "Model", "Treat all", "Treat none", title="Net benefit")
    for found in measured:
        for at in found.net_benefit:
            share = f"{at.threshold_probability:.0%}"
            table.add_row(found.in_words(), share, str(at.model), f"{at.treat_all.value:.3f}", "0")
    out.print(table)


def print_subgroups(report: EvaluationReport) -> None:
    """The lowest LVEF class and SHD by group; the JSON has each flag, and how each group is calibrated."""
    if not report.overall_subgroups:
        return
    columns = ("Question", "Group", "ECGs (yes)", "Patients", "AUROC", "Sensitivity", "Specificity", "Slope")
    table = report_table(*columns, title="By group, at the probe's own threshold (*: fewer than 50 patients)")
    for found in report.overall_subgroups:
        patients = f"{found.patients}{'*' if found.few_patients else ''}"
        row = (found.question, f"{found.column}: {found.group}", f"{found.n} ({found.positives})", patients)
        if found.scores is None:
            table.add_row(*row, f"not measured: {found.not_measured}", "", "", "")
            continue
        scores, fitted = found.scores, found.scores.calibration
        numbers = (scores.auroc.in_digits(2), _rate(scores.sensitivity), _rate(scores.specificity))
        table.add_row(*row, *numbers, _rate(None if fitted is None else fitted.slope))
    out.print(table)


def _point(point: OperatingPoint) -> tuple[str, ...]:
    aim = "own threshold" if point.aimed_sensitivity is None else f"sensitivity {point.aimed_sensitivity:.2f}"
    rates = (point.sensitivity, point.specificity, point.ppv, point.npv)
    return aim, f"{point.threshold:.3f}", *map(_rate, rates), f"{point.flagged_per_1000.value:.0f}"


def _rate(estimate: Estimate | None) -> str:
    return "not measured" if estimate is None else f"{estimate.value:.2f}"
