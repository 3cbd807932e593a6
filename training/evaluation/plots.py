"""An evaluation as pictures: everything drawn is a number of the report, and nothing is computed here but positions.

Colours are told apart by colour-blind readers (Okabe and Ito's palette; viridis), and shapes repeat what colours say.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ground.findings import phenotype_of
from training.evaluation.evaluate import EvaluationReport
from training.evaluation.few_shot import FewShotCurve
from training.evaluation.metrics import Estimate, YesNoReport, YesNoScores
from training.evaluation.retrieval_report import DirectionReport, RetrievalReport
from training.evaluation.shared_map import MapPoints, SharedMap

_BLUE, _VERMILION, _GREY = "#0072B2", "#D55E00", "#6E6E6E"
_DPI = 150


def draw_plots(report: EvaluationReport, folder: Path) -> tuple[Path, ...]:
    """Writes the pictures as PNG files into `folder`, which is made, and returns their paths.

    What was not measured (curves without ECGs of both answers, a map that was not asked for) has no picture.
    """
    pictures: dict[str, Callable[[EvaluationReport], Figure | None]] = {
        "roc": _roc,
        "reliability": _reliability,
        "net_benefit": _net_benefit,
        "flags": _flags,
        "few_shot": _few_shot,
        "retrieval": _retrieval,
        "shared_space": _shared_space,
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in pictures.items():
        figure = draw(report)
        if figure is not None:
            figure.text(0.99, 0.008, _footer(report), ha="right", va="bottom", fontsize=7, color=_GREY)
            written.append(folder / f"{name}.png")
            figure.savefig(written[-1], dpi=_DPI)
    return tuple(written)


def _footer(report: EvaluationReport) -> str:
    words = [report.bundle_id, f"{report.split} patients", "research software, not a medical device"]
    if report.simulated_cohort:
        words.insert(0, "simulated cohort")
    return "  |  ".join(words)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0.03, 1, 0.97))  # type: ignore[union-attr,call-arg]  # room for the footer
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _questions(report: EvaluationReport) -> list[tuple[str, YesNoReport | None, YesNoReport | None]]:
    """Each yes-no question of which anything was measured, with its linear probe and its nearest neighbours."""
    linear, knn = report.linear_probe, report.knn_probe
    questions = [
        (
            f"LVEF {report.lvef_lowest_class_range}",
            linear.lvef_lowest_class,
            None if knn is None else knn.lvef_lowest_class,
        ),
        ("Structural heart disease", linear.shd, None if knn is None else knn.shd),
    ]
    return [question for question in questions if any(question[1:])]


def _title(axes: Axes, name: str, scores: YesNoScores) -> None:
    axes.set_title(f"{name}\n{scores.n} ECGs ({scores.positives} positive) of {scores.patients} patients", fontsize=10)


def _interval(estimate: Estimate) -> str:
    return estimate.in_digits(2)


def _roc(report: EvaluationReport) -> Figure | None:
    questions = _questions(report)
    if not questions:
        return None
    figure = _figure(9, 4.9)
    for axes, (name, linear, knn) in zip(figure.subplots(1, len(questions), squeeze=False)[0], questions, strict=True):
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":")
        for scores, probe, style in (
            (linear, "linear probe", {"color": _BLUE, "linewidth": 2}),
            (knn, "5 nearest neighbours", {"color": _VERMILION, "linestyle": "--"}),
        ):
            if scores is not None:
                label = f"{probe}, AUROC {_interval(scores.auroc)}"
                axes.plot(scores.roc.false_positive_rate, scores.roc.sensitivity, label=label, **style)
                _title(axes, name, scores)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set_xlabel("false positive rate (1 - specificity)")
        axes.set_ylabel("sensitivity")
        axes.legend(loc="lower right", fontsize=8, frameon=False)
        _plain(axes)
    return figure


def _reliability(report: EvaluationReport) -> Figure | None:
    """The linear probes: the nearest neighbours' shares are not meant as probabilities."""
    questions = [(name, linear) for name, linear, _ in _questions(report) if linear is not None]
    if not questions:
        return None
    figure = _figure(9, 6.2)
    grid = figure.subplots(2, len(questions), squeeze=False, sharex=True, height_ratios=(3, 1))
    for column, (name, linear) in enumerate(questions):
        curve, counts = grid[0, column], grid[1, column]
        bins = linear.reliability
        curve.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":")
        curve.plot([b.mean_predicted for b in bins], [b.observed for b in bins], color=_BLUE, marker="o", markersize=5)
        curve.text(0.03, 0.97, _calibration(linear), transform=curve.transAxes, va="top", fontsize=8)
        curve.set(xlim=(-0.01, 1.01), ylim=(-0.03, 1.03))
        curve.set_ylabel("observed share of positive ECGs")
        _title(curve, name, linear)
        bars = counts.bar([b.low for b in bins], [b.n for b in bins], width=0.095, align="edge", color=_BLUE)
        counts.bar_label(bars, fontsize=7, padding=1)
        counts.margins(y=0.25)
        counts.set_ylabel("ECGs")
        counts.set_xlabel("predicted probability")
        _plain(curve)
        _plain(counts)
    return figure


def _calibration(scores: YesNoReport) -> str:
    return scores.calibration_in_words().replace(", ", "\n")


def _net_benefit(report: EvaluationReport) -> Figure | None:
    """The decision curve of the linear probes, beside treating all and treating none."""
    questions = [found for found in report.overall_decisions if found.net_benefit]
    if not questions:
        return None
    figure = _figure(9, 4.6)
    for axes, found in zip(figure.subplots(1, len(questions), squeeze=False)[0], questions, strict=True):
        at = [point.threshold_probability for point in found.net_benefit]
        axes.axhline(0, color=_GREY, linewidth=1, label="treat none")
        treat_all = [point.treat_all.value for point in found.net_benefit]
        axes.plot(at, treat_all, color=_VERMILION, linestyle="--", marker="s", markersize=4, label="treat all")
        for point in found.net_benefit:
            if point.model.interval is not None:
                axes.plot([point.threshold_probability] * 2, point.model.interval, color=_BLUE, linewidth=1.2)
        model = [point.model.value for point in found.net_benefit]
        axes.plot(at, model, color=_BLUE, marker="o", markersize=5, label="linear probe")
        axes.set_title(f"{found.in_words()}\n{found.n} ECGs ({found.positives} positive)", fontsize=10)
        axes.set_xlabel("threshold probability")
        axes.set_ylabel("net benefit")
        axes.legend(loc="best", fontsize=8, frameon=False)
        _plain(axes)
    return figure


def _flags(report: EvaluationReport) -> Figure:
    figure = _figure(9, 5.4)
    axes = figure.subplots()
    rows = range(len(report.flags), 0, -1)
    for row, flag in zip(rows, report.flags, strict=True):
        for shift, scores, colour, marker in ((0.14, flag.linear, _BLUE, "o"), (-0.14, flag.knn, _VERMILION, "s")):
            if scores is not None:
                _whisker(axes, scores.auroc, row + shift, colour, marker)
        if flag.not_measured is not None:
            axes.text(0.505, row, f"not measured: {flag.not_measured}", va="center", fontsize=7.5, color=_GREY)
        elif flag.knn_not_measured is not None:
            reason = f"nearest neighbours not measured: {flag.knn_not_measured}"
            axes.text(0.505, row - 0.22, reason, va="center", fontsize=7.5, color=_GREY)
    axes.axvline(0.5, color=_GREY, linewidth=1, linestyle=":")
    axes.set_ylim(0.4, len(report.flags) + 0.6)
    axes.set_yticks(
        list(rows),
        [f"{f.in_words()}\n{f.positives} of {f.positives + f.negatives} ECGs positive" for f in report.flags],
    )
    shown = [scores.auroc for f in report.flags for scores in (f.linear, f.knn) if scores is not None]
    lows = [estimate.value if estimate.low is None else estimate.low for estimate in shown]
    axes.set_xlim(min([0.45, *(low - 0.02 for low in lows)]), 1.01)
    axes.set_xlabel("AUROC, 95 % interval over patients (0.5 is chance)")
    axes.plot([], [], color=_BLUE, marker="o", label="linear probe")
    axes.plot([], [], color=_VERMILION, marker="s", label="5 nearest neighbours")
    axes.set_title(f"SHD flags read from {report.ecgs} ECGs of {report.patients} patients", fontsize=10, loc="left")
    figure.legend(loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    _plain(axes)
    return figure


def _whisker(axes: Axes, estimate: Estimate, row: float, colour: str, marker: str) -> None:
    if estimate.interval is not None:
        axes.plot(estimate.interval, [row, row], color=colour, linewidth=1.2)
    axes.plot(estimate.value, row, color=colour, marker=marker, markersize=5)


def _few_shot(report: EvaluationReport) -> Figure | None:
    curves = [curve for curve in report.few_shot if curve.points]
    if not curves:
        return None
    figure = _figure(9, 4.8)
    panels = figure.subplots(1, len(curves), squeeze=False, sharey=True)[0]
    for axes, curve in zip(panels, curves, strict=True):
        _few_shot_panel(axes, curve)
    panels[0].set_ylabel("AUROC, mean and range over draws")
    panels[0].set_ylim(top=1.0)
    return figure


def _few_shot_panel(axes: Axes, curve: FewShotCurve) -> None:
    points = curve.points
    x, y = [point.share for point in points], [point.auroc.mean for point in points]
    below = [point.auroc.mean - point.auroc.low for point in points]
    above = [point.auroc.high - point.auroc.mean for point in points]
    axes.errorbar(x, y, yerr=(below, above), color=_BLUE, marker="o", linewidth=2, elinewidth=1.2, capsize=4)
    axes.axhline(0.5, color=_GREY, linewidth=1, linestyle=":")
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(x))
    axes.set_xticklabels([_labelled(point.share, point.patients, point.ecgs.mean, point.draws) for point in points])
    axes.set_xlim(x[0] / 1.8, x[-1] * 1.8)
    axes.set_xlabel("train patients with labels")
    axes.set_title(
        f"{curve.question}, linear probe\nmeasured on {curve.n} ECGs ({curve.positives} positive)", fontsize=10
    )
    _plain(axes)


def _labelled(share: float, patients: int, ecgs: float, draws: int) -> str:
    times = "once" if draws == 1 else f"{draws} draws"
    return f"{share * 100:g} %\n{patients} patients\n{ecgs:.0f} ECGs\n{times}"


def _retrieval(report: EvaluationReport) -> Figure | None:
    """Studies of like phenotype without the query's own patient; the paired study, which is the own patient's, too."""
    shown = [found for found in report.retrieval if found.relevant == "pair" or found.own_patient_excluded]
    if not shown:
        return None
    figure = _figure(max(9, 2.9 * len(shown) + 0.6), 6)
    grid = figure.subplots(2, len(shown), squeeze=False, sharex="col")
    for column, found in enumerate(shown):
        precision, recall = grid[0, column], grid[1, column]
        for direction, name, colour, marker, nudge in (
            (found.ecg_to_study, "ECG to study", _BLUE, "o", 0.97),
            (found.study_to_ecg, "study to ECG", _VERMILION, "s", 1.03),
        ):
            curve = direction.curve
            style = {"color": colour, "marker": marker, "markersize": 4}
            precision.plot(curve.k, curve.precision, label=f"{name}", **style)
            chance = {"color": colour, "linewidth": 1, "linestyle": ":"}
            precision.plot(curve.k, curve.random_precision, label=f"{name}, random order", **chance)
            recall.plot(curve.k, curve.recall, **style)
            recall.plot(curve.k, curve.random_recall, **chance)
            _precision_interval(precision, direction, colour, 10 * nudge)
        precision.set_title(_relevance(found), fontsize=9)
        precision.set_ylim(bottom=0)
        recall.set_ylim(bottom=0)
        recall.set_xscale("log")
        ticks = [k for k in (1, 3, 10, 30, 100) if k <= max(found.ecg_to_study.curve.k, default=0)]
        recall.xaxis.set_minor_locator(NullLocator())
        recall.xaxis.set_major_locator(FixedLocator(ticks))
        recall.set_xticklabels([str(k) for k in ticks])
        recall.set_xlabel("k, best first")
        _plain(precision)
        _plain(recall)
    grid[0, 0].set_ylabel("precision@k")
    grid[1, 0].set_ylabel("recall@k")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return figure


def _precision_interval(axes: Axes, direction: DirectionReport, colour: str, place: float) -> None:
    """The one interval that the report has, at k = 10; a little aside, so that both directions' can be seen."""
    interval = direction.precision_at_10.interval
    if 10 in direction.curve.k and interval is not None:
        axes.plot([place, place], interval, color=colour, linewidth=1.2)


def _relevance(found: RetrievalReport) -> str:
    counts = f"{found.ecg_to_study.queries} ECGs, {found.ecg_to_study.targets} studies"
    if found.relevant == "pair":
        return f"the paired study\n{counts}\n"
    phenotype = phenotype_of(found.relevant)
    return f"{phenotype.words} within {found.tolerance:.1f} {phenotype.unit}\n{counts}\nown patient excluded"


def _shared_space(report: EvaluationReport) -> Figure | None:
    if report.map is None:
        return None
    figure = _figure(8.6, 6.4)
    axes = figure.subplots()
    drawn = [
        _scatter(axes, points, name, marker, size)
        for points, name, marker, size in (
            (report.map.studies, "echo studies", "^", 26),
            (report.map.ecgs, "ECGs", "o", 16),
        )
    ]
    figure.colorbar(drawn[0], ax=axes, label="LVEF (%)", shrink=0.8)
    axes.set(xticks=[], yticks=[], xlabel="UMAP 1 (no unit: only nearness counts)", ylabel="UMAP 2")
    axes.set_title(f"The shared space: {_counts(report.map)}", fontsize=10)
    legend = axes.legend(loc="best", fontsize=8, frameon=False)
    for handle in legend.legend_handles:
        handle.set(facecolor="none", edgecolor="black")  # type: ignore[union-attr]
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _scatter(axes: Axes, points: MapPoints, name: str, marker: str, size: float) -> PathCollection:
    lvef_N = np.array([np.nan if value is None else value for value in points.lvef_percent])
    x_N, y_N, known_N = np.array(points.x), np.array(points.y), np.isfinite(lvef_N)
    axes.scatter(x_N[~known_N], y_N[~known_N], s=size, marker=marker, color="#C8C8C8", linewidths=0)
    return axes.scatter(
        x_N[known_N],
        y_N[known_N],
        c=lvef_N[known_N],
        s=size,
        marker=marker,
        cmap="viridis",
        vmin=15,
        vmax=75,
        linewidths=0.3,
        edgecolors="white",
        label=name,
    )


def _counts(shown: SharedMap) -> str:
    counts = [
        f"{len(points.x)} {name}" if len(points.x) == points.of else f"{len(points.x)} of {points.of} {name}"
        for name, points in (("ECGs", shown.ecgs), ("echo studies", shown.studies))
    ]
    unknown = sum(value is None for points in (shown.ecgs, shown.studies) for value in points.lvef_percent)
    return " and ".join(counts) + (f", {unknown} of unknown LVEF in grey" if unknown else "")
