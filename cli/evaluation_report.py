"""An evaluation, as a person reads it: what was measured, on how many, and what was not measured and why.

"linear, here" is a probe fitted during the evaluation, where the bundle has none. F1 and balanced accuracy are without
their intervals, so that a row fits a terminal; the JSON has everything.
"""

from __future__ import annotations

from rich.table import Table

from cli.console import out
from cli.decision_report import print_decisions, print_subgroups
from cli.other_models_report import print_comparison, print_other_encoders
from cli.report_table import report_table
from training.evaluation.evaluate import EvaluationReport
from training.evaluation.few_shot import FewShotPoint
from training.evaluation.metrics import ClassesReport, Estimate, YesNoScores
from training.evaluation.own_reports import OwnReport


def print_evaluation_report(report: EvaluationReport) -> None:
    lowest = f"LVEF {report.lvef_lowest_class_range}"
    for line in report.summary().splitlines():
        out.print(line)
    for kind, reasons in (("ECGs", report.skipped_ecgs), ("clips", report.skipped_clips)):
        for reason, count in reasons.items():
            out.print(f"Left out, {kind}: {count} ({reason})")
    probes = _probes(report, lowest)
    if probes.row_count:
        out.print(probes)
    for name, probe in ((lowest, report.linear_probe.lvef_lowest_class), ("SHD", report.linear_probe.shd)):
        if probe is not None:
            out.print(f"Calibration of {name}: {probe.calibration_in_words()}")
    for own in report.own:
        out.print(_own(own), soft_wrap=True)
    print_decisions(report)
    print_subgroups(report)
    for phenotype in report.phenotypes:
        if phenotype.linear is not None:
            r2, error = _short(phenotype.linear.r2), phenotype.linear.mean_absolute_error
            out.print(f"{phenotype.phenotype} by regression: R2 {r2}, mean absolute error {error.value:.1f}")
    if any(curve.points for curve in report.few_shot):
        out.print(_few_shot(report))
    if report.retrieval:
        out.print(_retrieval(report))
    print_other_encoders(report)
    print_comparison(report)
    for sentence in _not_measured(report):
        out.print(sentence)


def _probes(report: EvaluationReport, lowest: str) -> Table:
    table = report_table(
        "Question", "ECGs (yes)", "Probe", "AUROC", "AUPRC", "F1", "Bal. acc.", title="Read from the ECG"
    )

    def row(question: str, probe: str, scores: YesNoScores | ClassesReport | None) -> None:
        if scores is not None:
            numbers = _short(scores.auroc), _short(scores.auprc), _value(scores.f1), _value(scores.balanced_accuracy)
            counts = "/".join(map(str, scores.class_counts)) if isinstance(scores, ClassesReport) else scores.positives
            table.add_row(question, f"{scores.n} ({counts})", probe, *numbers)

    linear, knn = report.linear_probe, report.knn_probe
    row(lowest, _linear(report.linear_probe_from), linear.lvef_lowest_class)
    row(lowest, "kNN", None if knn is None else knn.lvef_lowest_class)
    row("LVEF class (mean)", _linear(report.linear_probe_from), linear.lvef_classes)
    row("LVEF class (mean)", "kNN", None if knn is None else knn.lvef_classes)
    row("SHD", _linear(report.linear_probe_from), linear.shd)
    row("SHD", "kNN", None if knn is None else knn.shd)
    for flag in report.flags:
        row(flag.in_words(), _linear(flag.linear_from), flag.linear)
        row(flag.in_words(), "kNN", flag.knn)
    return table


def _own(found: OwnReport) -> str:
    """A label that was added when the bundle was fitted."""
    if found.yes_no is not None:
        return (
            f"{found.label}: AUROC {_short(found.yes_no.auroc)} on {found.yes_no.n} ECGs ({found.yes_no.positives} yes)"
        )
    if found.number is not None:
        error = found.number.mean_absolute_error.value
        return f"{found.label}: R2 {_short(found.number.r2)}, mean absolute error {error:.4g} on {found.number.n} ECGs"
    return f"{found.label}: not measured, {found.not_measured}."


def _linear(fitted_by: str | None) -> str:
    return "linear, here" if fitted_by == "train patients" else "linear"


def _few_shot(report: EvaluationReport) -> Table:
    columns = ("Question", "Labelled", "Patients", "ECGs", "AUROC", "Range over draws")
    table = report_table(*columns, title="Linear probe with few labels, one regularisation for all")
    for curve in report.few_shot:
        for point in curve.points:
            counts = (f"{point.share * 100:g} %", str(point.patients), f"{point.ecgs.mean:.0f}")
            table.add_row(curve.question, *counts, f"{point.auroc.mean:.3f}", _range(point))
    return table


def _range(point: FewShotPoint) -> str:
    return f"{point.auroc.low:.3f} to {point.auroc.high:.3f} ({point.draws})" if point.draws > 1 else ""


def _retrieval(report: EvaluationReport) -> Table:
    columns = ("Relevant", "Own patient", "Direction", "precision@10", "random", "ideal", "Lift", "Hubs", "mAP")
    table = report_table(*columns, title="Retrieval (ideal: a ranking that knows; hubs: places of the commonest tenth)")
    for found in report.retrieval:
        own = "excluded" if found.own_patient_excluded else "included"
        for direction, scores in (("ECG to study", found.ecg_to_study), ("study to ECG", found.study_to_ecg)):
            mean_ap = f"{scores.metrics['mean_average_precision']:.3f}"
            bounds = f"{scores.random_precision:.3f}", _known(scores.ideal_precision)
            lift = f"{scores.lift_at_10.value:.2f} of {_known(scores.ideal_lift, 2)}"
            numbers = (str(scores.precision_at_10), *bounds, lift, _known(scores.hub_share, 2), mean_ap)
            table.add_row(found.relevant, own, direction, *numbers)
    return table


def _known(value: float | None, digits: int = 3) -> str:
    return "not measured" if value is None else f"{value:.{digits}f}"


def _not_measured(report: EvaluationReport) -> list[str]:
    """A sentence for each reason, and what is missing for it."""
    sentences = [f"Not measured: {reason}." for reason in report.missing()]
    reasons: dict[str, list[str]] = {}
    for flag in report.flags:
        both = flag.not_measured == flag.knn_not_measured
        for probe, reason in (("", flag.not_measured), (" by kNN", None if both else flag.knn_not_measured)):
            if reason is not None:
                reasons.setdefault(reason, []).append(flag.in_words() + probe)
    for phenotype in report.phenotypes:
        if phenotype.not_measured is not None:
            reasons.setdefault(phenotype.not_measured, []).append(f"{phenotype.phenotype} by regression")
    for curve in report.few_shot:
        if curve.not_measured is not None:
            reasons.setdefault(curve.not_measured, []).append(f"{curve.question} with few labels")
    return sentences + [f"{', '.join(names)}: not measured, {reason}." for reason, names in reasons.items()]


def _value(estimate: Estimate) -> str:
    return f"{estimate.value:.2f}"


def _short(estimate: Estimate) -> str:
    return estimate.in_digits(2, between="-")
