"""An evaluation, as a person reads it: what was measured, on how many, and what was not measured and why."""

from __future__ import annotations

from rich.table import Table

from cli.console import out
from training.evaluate import EvaluationReport
from training.metrics import Estimate, YesNoScores


def print_evaluation_report(report: EvaluationReport) -> None:
    out.print(report.summary(), markup=False)
    out.print(_probes(report))
    if report.few_shot:
        out.print(_few_shot(report))
    out.print(_retrieval(report))
    for phenotype in report.phenotypes:
        found = phenotype.linear
        words = (
            f"R2 {found.r2}, mean absolute error {found.mean_absolute_error}, {found.n} ECGs"
            if found is not None
            else f"not measured: {phenotype.not_measured}"
        )
        out.print(f"{phenotype.phenotype} by linear regression: {words}", markup=False)
    linear = report.linear_probe
    out.print(f"LVEF {report.lvef_lowest_class_range}: {linear.lvef_lowest_class.calibration_in_words()}", markup=False)
    out.print(f"SHD: {linear.shd.calibration_in_words()}", markup=False)


def _table(*columns: str, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    return table


def _probes(report: EvaluationReport) -> Table:
    table = _table(
        "Question", "ECGs (positive)", "Probe", "AUROC", "AUPRC", "F1", "Balanced accuracy", title="Read from the ECG"
    )

    def row(question: str, probe: str, scores: YesNoScores) -> None:
        numbers = [_short(scores.auroc), _short(scores.auprc), _short(scores.f1), _short(scores.balanced_accuracy)]
        table.add_row(question, f"{scores.n} ({scores.positives})", probe, *numbers)

    for name, probe in (("linear", report.linear_probe), ("kNN", report.knn_probe)):
        if probe is not None:
            row(f"LVEF {report.lvef_lowest_class_range}", name, probe.lvef_lowest_class)
            row("SHD", name, probe.shd)
    for flag in report.flags:
        linear = "linear" if flag.linear_from == "bundle" else "linear, fitted here"
        for kind, scores in ((linear, flag.linear), ("kNN", flag.knn)):
            if scores is not None:
                row(flag.in_words(), kind, scores)
        if flag.not_measured is not None:
            count = f"{flag.positives + flag.negatives} ({flag.positives})"
            table.add_row(flag.in_words(), count, "", f"not measured: {flag.not_measured}")
    return table


def _few_shot(report: EvaluationReport) -> Table:
    table = _table(
        "Question", "Labelled", "Patients", "ECGs", "Draws", "AUROC, mean (range)", title="Linear probe with few labels"
    )
    for curve in report.few_shot:
        for point in curve.points:
            auroc = f"{point.auroc.mean:.3f} ({point.auroc.low:.3f} to {point.auroc.high:.3f})"
            counts = (str(point.patients), f"{point.ecgs.mean:.0f}", str(point.draws))
            table.add_row(curve.question, f"{point.share:.0%}", *counts, auroc)
        if not curve.points:
            kinds = f"{curve.train_positive_patients} positive, {curve.train_negative_patients} negative train patients"
            table.add_row(curve.question, "", "", "", "", f"not measured: {kinds}")
    return table


def _retrieval(report: EvaluationReport) -> Table:
    table = _table("Relevant", "Own patient", "Direction", "precision@10", "random", "mAP", title="Retrieval")
    for found in report.retrieval:
        own = "excluded" if found.own_patient_excluded else "included"
        for direction, scores in (("ECG to study", found.ecg_to_study), ("study to ECG", found.study_to_ecg)):
            mean_ap = f"{scores.metrics['mean_average_precision']:.3f}"
            numbers = (_short(scores.precision_at_10), f"{scores.random_precision:.3f}", mean_ap)
            table.add_row(found.relevant, own, direction, *numbers)
    return table


def _short(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.2f} to {estimate.high:.2f})"
