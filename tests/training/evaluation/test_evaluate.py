"""Whole evaluations of a bundle with random weights on real files, and what is printed and drawn of them."""

import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from evaluated import CPU, random_bundle
from matplotlib.figure import Figure
from typer.testing import CliRunner

import training.evaluation.shared_map as maps
from cli.console import out
from cli.demo import DEMO_BUNDLE
from cli.evaluation_report import print_evaluation_report
from cli.main import app
from ground.findings import SHD_FLAGS
from models.bundle import read_manifest
from training.evaluation.card import metrics_section
from training.evaluation.evaluate import EvaluationReport, evaluate
from training.evaluation.plots import draw_plots
from training.evaluation.retrieval_report import RankCurve
from training.evaluation.shared_map import shared_map

PICTURES = ("roc", "reliability", "net_benefit", "flags", "few_shot", "retrieval", "shared_space")


class FlatUmap:
    """Stands in for UMAP, which takes a minute to compile: the first two dimensions."""

    def __init__(self, **options):
        self.options = options

    def fit_transform(self, points):
        assert self.options["n_neighbors"] < len(points)
        return points[:, :2]


@pytest.fixture
def umap(monkeypatch):
    module = ModuleType("umap")
    module.UMAP = FlatUmap
    monkeypatch.setitem(sys.modules, "umap", module)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def report(cohort_dir, micro_recipe, work):
    bundle_dir = random_bundle(work / "random", micro_recipe, with_probes=True)
    return evaluate(bundle_dir, cohort_dir, "test", CPU, work=work)


def with_map(report):
    draw = np.random.default_rng(1)
    embeddings = draw.standard_normal((12, 8)).astype(np.float32)
    lvef = np.array([np.nan, *np.linspace(20, 70, 11)])
    return report.model_copy(update={"map": shared_map(embeddings, lvef, embeddings[:9], lvef[:9])})


def records(value):
    """Every JSON object in a report."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from records(item)


def test_a_calibration_error_always_comes_with_auroc_brier_and_counts_per_bin(report):
    found = [r for r in records(report.model_dump(mode="json")) if "expected_calibration_error" in r]
    assert len(found) == 8  # of the bundle, and of random weights beside it
    for record in found:
        assert {"value", "low", "high"} == set(record["auroc"])
        assert 0 <= record["brier"] <= 1
        assert sum(b["n"] for b in record["reliability"]) == record["n"]


def test_all_flags_and_phenotypes_are_listed_with_counts_and_reasons(report, cohort_dir):
    assert [flag.flag for flag in report.flags] == list(SHD_FLAGS)
    studies = pd.read_csv(cohort_dir / "studies.csv")
    low, here = studies["lvef_lte_45_flag"], studies["patient_id"].str.startswith("test")
    train = studies["patient_id"].str.startswith("train")
    found = report.flags[0]
    assert (found.train_positives, found.train_negatives) == (low[train].sum(), (~low[train]).sum())
    assert (found.positives, found.negatives) == (low[here].sum(), (~low[here]).sum())
    assert all(flag.not_measured for flag in report.flags)
    assert [flag.in_words() for flag in report.flags][:3] == ["LVEF <= 45 %", "LV wall >= 13 mm", "aortic stenosis"]
    assert {phenotype.phenotype for phenotype in report.phenotypes} == {"lvef_percent", "lvedv_ml", "lvesv_ml"}


def test_a_bundle_without_probes_is_measured_with_probes_fitted_on_the_train_patients(
    report, cohort_dir, micro_recipe, work, tmp_path
):
    bundle_dir = random_bundle(tmp_path / "bare", micro_recipe, with_probes=False)
    bare = evaluate(bundle_dir, cohort_dir, "test", CPU, work=work)
    assert (report.linear_probe_from, bare.linear_probe_from) == ("bundle", "train patients")
    assert bare.linear_probe != report.linear_probe
    assert bare.linear_probe.shd.threshold == report.flags[0].train_positives / 16  # their share of positives
    same = {"bundle_id", "linear_probe_from", "linear_probe", "decisions", "subgroups"}
    assert bare.model_dump(exclude=same) == report.model_dump(exclude=same)

    lone = changed(cohort_dir, tmp_path / "lone", ecgs=lambda t: t[~t["patient_id"].str.startswith("train")])
    found = evaluate(bundle_dir, lone, "test", CPU, work=work)
    assert found.retrieval == report.retrieval
    assert found.linear_probe.shd is found.knn_probe is None
    assert found.linear_probe.not_measured["shd"].startswith("the bundle has no probe of SHD, and no ECG of the train")
    assert {"knn_probe", "few_shot"} < set(found.not_measured)
    survives(found, tmp_path, "flags", "retrieval")


def changed(cohort_dir, folder, **tables):
    """The cohort with the rows of some of its tables changed by a function of the table."""
    shutil.copytree(cohort_dir, folder)
    for name, change in tables.items():
        change(pd.read_csv(folder / f"{name}.csv", dtype=str)).to_csv(folder / f"{name}.csv", index=False)
    return folder


def survives(report, tmp_path, *pictures):
    """What is read, printed, drawn and put on a card of a report with gaps; the words in it."""
    assert EvaluationReport.model_validate_json(report.model_dump_json()) == report
    with out.capture() as printed:
        print_evaluation_report(report)
    assert {path.stem for path in draw_plots(report, tmp_path / "plots")} == set(pictures)
    for reason in report.missing():
        assert f"Not measured: {reason}." in metrics_section(report)
        assert reason in " ".join(printed.get().split())
    return " ".join(printed.get().split())


def blank(*columns):
    return lambda table: table.assign(**dict.fromkeys(columns, ""))


def all_preserved(table):
    return table.assign(lvef_percent=table["lvef_percent"].where(~table["patient_id"].str.startswith("test"), "62"))


@pytest.mark.parametrize(
    ("change", "gone", "reason", "pictures"),
    [
        (
            blank(*SHD_FLAGS),
            {"shd"},
            "SHD needs ECGs of each answer, and the test patients have 0 (no), 0 (yes), 8 (unknown)",
            PICTURES[:-1],
        ),
        (
            all_preserved,
            {"lvef_classes", "lvef_lowest_class"},
            (
                "LVEF class needs ECGs of each answer, and the test patients have 0 (<= 40 %), 0 (> 40 % and < 50 %), "
                "8 (>= 50 %)"
            ),
            PICTURES[:-1],
        ),
        (
            blank("lvef_percent"),
            {"lvef_classes", "lvef_lowest_class"},
            "LVEF <= 40 % needs ECGs of each answer, and the test patients have 0 (no), 0 (yes), 8 (unknown)",
            PICTURES[:-1],
        ),
        (
            blank("lvef_percent", "lvedv_ml", "lvesv_ml", *SHD_FLAGS),
            {"lvef_classes", "lvef_lowest_class", "shd"},
            "retrieval of studies of like lvef_percent needs two that have it, and the test patients have 0",
            ("flags", "retrieval"),
        ),
    ],
)
def test_what_lacks_labels_is_told_and_the_rest_is_measured(
    report, cohort_dir, work, tmp_path, change, gone, reason, pictures
):
    cohort = changed(cohort_dir, tmp_path / "cohort", studies=change)
    found = evaluate(work / "random", cohort, "test", CPU, work=work)
    assert set(found.linear_probe.not_measured) == gone
    for part in ("lvef_classes", "lvef_lowest_class", "shd"):
        expected = None if part in gone else getattr(report.linear_probe, part)
        assert getattr(found.linear_probe, part) == expected
    assert found.retrieval_of("pair", own_patient_excluded=False) == report.retrieval[0]
    assert reason in found.missing()
    survives(found, tmp_path, *pictures)


@pytest.mark.parametrize(
    ("absent", "lacks"),
    [
        ((), "no echo_encoder.safetensors and no echo_tower.safetensors"),
        (("ecg_alignment_global_token",), "no ecg_alignment_global_token"),
    ],
)
def test_the_probes_of_a_bundle_without_the_echo_part_or_without_alignment_are_measured(
    cohort_dir, micro_recipe, work, tmp_path, absent, lacks
):
    whole = random_bundle(tmp_path / "whole", micro_recipe, with_probes=False)
    part = random_bundle(tmp_path / "part", micro_recipe, with_probes=False, echo=bool(absent), absent=absent)
    expected, found = (
        evaluate(path, cohort_dir, "test", CPU, work=work, with_map=path == part) for path in (whole, part)
    )
    assert (found.retrieval, found.map) == ((), None)
    assert found.not_measured["retrieval"].endswith(lacks)
    apart = {"bundle_id", "retrieval", "not_measured"}
    features = expected.model_dump(exclude=apart), found.model_dump(exclude=apart)
    assert features[0] == features[1]
    survives(found, tmp_path, *(name for name in PICTURES if name not in ("retrieval", "shared_space")))


FIRST_LAYOUT = Path(__file__).resolve().parents[2] / "data" / "first_layout" / "bundle"


@pytest.mark.parametrize(
    ("bundle", "missing"),
    [
        (FIRST_LAYOUT, []),
        (DEMO_BUNDLE, ["subgroups by rhythm, site, device need columns so named in the cohort's table ecgs"]),
    ],
    ids=["of before there were decisions", "of now"],
)
def test_stored_metrics_are_read_and_keep_their_shape(bundle, missing):
    def same_where_stored(stored, read):
        if isinstance(stored, dict):
            return all(same_where_stored(value, read[name]) for name, value in stored.items())
        if isinstance(stored, list):
            return len(stored) == len(read) and all(map(same_where_stored, stored, read))
        return stored == read

    stored = read_manifest(bundle)[0].metrics["test"]
    read = EvaluationReport.model_validate(stored)
    assert read.missing() == missing
    assert same_where_stored(stored, read.model_dump(mode="json"))


def test_the_table_has_the_mean_over_lvef_classes_and_their_counts(report):
    with out.capture() as printed:
        print_evaluation_report(report)
    rows = [line for line in printed.get().splitlines() if "LVEF class (mean)" in line]
    for row, scores in zip(rows, (report.linear_probe.lvef_classes, report.knn_probe.lvef_classes), strict=True):
        assert "8 (2/2/4)" in row
        assert f"{scores.f1.value:.2f}" in row
        for estimate in (scores.auroc, scores.auprc):
            assert f"{estimate.value:.2f} ({estimate.low:.2f}-{estimate.high:.2f})" in row
        assert row.split("│")[-2].strip() == f"{scores.balanced_accuracy.value:.2f}"


@pytest.mark.parametrize(("measured", "chooses"), [("test", "val"), ("calibration", "val"), ("val", "calibration")])
def test_no_measured_patient_chooses_the_regularisation(
    cohort_dir, micro_recipe, work, tmp_path, monkeypatch, measured, chooses
):
    class Asked(Exception):
        """Ends the evaluation where probes would be fitted."""

    def ask(known, choosing, test, classes):
        for data, split in ((known, "train"), (choosing, chooses), (test, measured)):
            assert {patient.rstrip("0123456789") for patient in data.labels["patient_id"]} == {split}
        raise Asked

    monkeypatch.setattr("training.evaluation.measured.fitted_answers", ask)
    bundle_dir = random_bundle(tmp_path / "bare", micro_recipe, with_probes=False)
    with pytest.raises(Asked):
        evaluate(bundle_dir, cohort_dir, measured, CPU, work=work)


def test_few_label_curves_of_a_small_cohort_have_patients_of_both_kinds(report):
    for curve in report.few_shot:
        assert [point.patients for point in curve.points] == [2, 2, 16]
        assert (curve.train_positive_patients, curve.train_negative_patients) >= (1, 1)


def test_retrieval_curves_agree_with_the_metrics_and_end_where_the_choice_ends(report):
    for found in report.retrieval:
        for direction in (found.ecg_to_study, found.study_to_ecg):
            curve = direction.curve
            assert curve.k == (
                (1, 2, 3, 5) if found.own_patient_excluded or direction.targets < 10 else (1, 2, 3, 5, 10)
            )
            for k in (1, 3, 5):
                assert curve.precision[curve.k.index(k)] == direction.metrics[f"precision_at_{k}"]
                assert curve.recall[curve.k.index(k)] == direction.metrics[f"recall_at_{k}"]


def test_a_report_reads_back_from_its_json_and_has_no_map_unless_asked(report, umap):
    assert report.map is None
    mapped = with_map(report)
    assert EvaluationReport.model_validate_json(mapped.model_dump_json()) == mapped


def test_the_command_prints_the_report_and_writes_json_and_pictures(report, umap, tmp_path, monkeypatch):
    asked = []
    mapped = with_map(report)
    monkeypatch.setattr(
        "training.evaluation.evaluate.evaluate", lambda *_, with_map, **__: asked.append(with_map) or mapped
    )
    arguments = ["evaluate", str(tmp_path), str(tmp_path), "--json", str(tmp_path / "r.json")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    done = CliRunner().invoke(app, [*arguments, "--plots", str(tmp_path / "plots")])
    assert done.exit_code == 0, done.output
    assert asked == [False, True]
    assert EvaluationReport.model_validate_json((tmp_path / "r.json").read_text()) == mapped
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {f"{name}.png" for name in PICTURES}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "plots").iterdir())
    words = " ".join(done.output.split())
    assert report.linear_probe.shd.calibration_in_words() in words
    assert "not measured" in words


@pytest.fixture
def figures(monkeypatch):
    """The figures that would be written, by the name of their file."""
    drawn = {}
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: drawn.update({path.stem: self}))
    return drawn


def test_what_is_drawn_are_the_numbers_of_the_report(report, umap, figures, tmp_path):
    mapped = with_map(report)
    draw_plots(mapped, tmp_path)
    assert tuple(figures) == PICTURES
    shd, roc = report.linear_probe.shd, figures["roc"].axes[1]
    assert any(np.array_equal(line.get_ydata(), shd.roc.sensitivity) for line in roc.lines)
    assert f"{shd.n} ECGs ({shd.positives} positive) of {shd.patients} patients" in roc.get_title()
    assert any(
        np.array_equal(line.get_ydata(), [b.observed for b in shd.reliability])
        for line in figures["reliability"].axes[1].lines
    )
    assert f"AUROC {shd.auroc}" in figures["reliability"].axes[1].texts[0].get_text()
    precision = report.retrieval[0].study_to_ecg.curve.precision
    assert any(np.array_equal(line.get_ydata(), precision) for line in figures["retrieval"].axes[0].lines)
    assert sum(len(c.get_offsets()) for c in figures["shared_space"].axes[0].collections) == 12 + 9
    assert "2 of unknown LVEF" in figures["shared_space"].axes[0].get_title()


def test_all_of_a_recall_curve_is_shown_also_where_nothing_is_found(report, figures, tmp_path):
    draw_plots(report, tmp_path)
    figure = figures["retrieval"]
    figure.draw_without_rendering()
    for axes in figure.axes[len(figure.axes) // 2 :]:
        low, high = axes.get_ylim()
        assert low == 0
        assert all(low <= y <= high for line in axes.lines for y in line.get_ydata())
        assert not any("times" in label.get_text() for label in axes.get_yticklabels(which="both"))
    assert any(0 in line.get_ydata() for axes in figure.axes[len(figure.axes) // 2 :] for line in axes.lines)


def test_a_picture_of_one_panel_has_room_for_its_legend_and_footer(report, figures, tmp_path):
    lone = report.linear_probe.model_copy(update={"lvef_lowest_class": None})
    gaps = {"linear_probe": lone, "knn_probe": None, "retrieval": report.retrieval[:1], "simulated_cohort": True}
    draw_plots(report.model_copy(update=gaps), tmp_path)
    for figure in figures.values():
        figure.draw_without_rendering()
        for shown in (*figure.texts, *figure.legends):
            box = shown.get_window_extent()
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_retrieval_among_no_other_patient_is_drawn_as_nothing(report, figures, tmp_path):
    nothing = RankCurve(k=(), precision=(), random_precision=(), recall=(), random_recall=())
    alone = [
        found.model_copy(
            update={
                way: getattr(found, way).model_copy(update={"curve": nothing})
                for way in ("ecg_to_study", "study_to_ecg")
            }
        )
        for found in report.retrieval
    ]
    draw_plots(report.model_copy(update={"retrieval": tuple(alone)}), tmp_path)
    assert not [line for axes in figures["retrieval"].axes for line in axes.lines if len(line.get_xdata())]


@pytest.mark.parametrize("simulated", [True, False])
def test_every_picture_says_whether_its_patients_were_simulated(report, figures, tmp_path, simulated):
    draw_plots(report.model_copy(update={"simulated_cohort": simulated}), tmp_path)
    assert tuple(figures) == PICTURES[:-1]  # without a map, no picture of one
    for figure in figures.values():
        assert any("simulated cohort" in text.get_text() for text in figure.texts) == simulated


def test_a_map_holds_both_kinds_laid_out_together_and_a_bounded_number(umap, monkeypatch):
    monkeypatch.setattr(maps, "_MOST_POINTS", 5)
    draw = np.random.default_rng(0)
    ecgs, studies = draw.standard_normal((9, 4)).astype(np.float32), draw.standard_normal((3, 4)).astype(np.float32)
    lvef = 100 * ecgs[:, 0].astype(np.float64)
    found = shared_map(ecgs, lvef, studies, np.array([np.nan, 50.0, 60.0]))
    assert (len(found.ecgs.x), found.ecgs.of) == (5, 9)
    assert found.ecgs.lvef_percent == pytest.approx([100 * x for x in found.ecgs.x], abs=0.1)
    assert found.studies.y == pytest.approx(studies[:, 1].tolist(), abs=1e-3)
    assert found.studies.lvef_percent == (None, 50.0, 60.0)
    assert shared_map(ecgs[:2], lvef[:2], studies[:1], np.array([50.0])) is None
