"""A finished bundle on one split of a cohort: probes, calibration, few labels, retrieval, with how many and how sure.

Everything is computed by the bundle as it will serve. Letters: E ECGs, S studies, F features, D dimensions, C classes.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from contextlib import ExitStack
from itertools import groupby, islice
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from inputs.cohort import SHD_FLAGS, derive_pairs, load_cohort
from inputs.ecg_prepare import ecg_windows
from models.bundle import Bundle
from training.cohort_arrays import (
    Arrays,
    clip_sources,
    ecg_labels,
    labels_and_flags,
    pairs_of_split,
    prepared_signals,
    study_views,
    usable_pairs,
)
from training.few_shot import FewShotCurve, few_shot_curves
from training.metrics import Estimate, Record
from training.probe_reports import (
    EmbeddedEcgs,
    FlagAnswers,
    FlagReport,
    PhenotypeReport,
    ProbeReport,
    bundle_probe_report,
    fitted_probe_report,
    flag_reports,
    knn_probe_report,
    phenotype_reports,
)
from training.progress import Progress, silent
from training.retrieval_report import RetrievalReport, retrieval_reports
from training.shared_map import SharedMap, shared_map

_BATCH = 64


class EvaluationReport(Record):
    """Intervals are 95 % percentile bootstraps over patients."""

    bundle_id: str
    split: str
    simulated_cohort: bool
    """Does the cohort say that a simulator invented it?"""
    patients: int
    ecgs: int
    studies: int
    skipped_ecgs: dict[str, int]
    skipped_clips: dict[str, int]
    lvef_lowest_class_range: str
    linear_probe_from: Literal["bundle", "train patients"]
    """Whose linear probe of LVEF and SHD this is: one that is fitted here serves where the bundle has none."""
    linear_probe: ProbeReport
    knn_probe: ProbeReport | None
    """None where too few train patients' ECGs are labelled to have five neighbours."""
    flags: tuple[FlagReport, ...]
    phenotypes: tuple[PhenotypeReport, ...]
    few_shot: tuple[FewShotCurve, ...]
    """Empty where no train patient's ECG can be used."""
    retrieval: tuple[RetrievalReport, ...]
    map: SharedMap | None = None
    """None unless asked for."""

    def headline(self) -> dict[str, Estimate]:
        """The numbers that a person asks for first."""
        without_own = self.retrieval_of("lvef_percent", own_patient_excluded=True).ecg_to_study
        return {
            f"AUROC, LVEF {self.lvef_lowest_class_range}": self.linear_probe.lvef_lowest_class.auroc,
            "AUROC, SHD": self.linear_probe.shd.auroc,
            "AUROC, LVEF classes (mean)": self.linear_probe.lvef_classes.auroc,
            "precision@10, study of like LVEF, own patient excluded": without_own.precision_at_10,
            "the same over random ranking": without_own.lift_at_10,
        }

    def summary(self) -> str:
        """The headline in a few lines."""
        rows = [f"{self.split}: {self.patients} patients, {self.ecgs} ECGs, {self.studies} studies"]
        return "\n".join(rows + [f"{name}: {estimate}" for name, estimate in self.headline().items()])

    def retrieval_of(self, relevant: str, *, own_patient_excluded: bool) -> RetrievalReport:
        return next(
            r for r in self.retrieval if r.relevant == relevant and r.own_patient_excluded == own_patient_excluded
        )


def evaluate(
    bundle_dir: Path,
    cohort_dir: Path,
    split: str,
    *,
    work: Path | None = None,
    device: str = "auto",
    workers: int = 2,
    window_days: float | None = None,
    with_map: bool = False,
    progress: Progress = silent,
) -> EvaluationReport:
    """Measures a bundle on the patients of `split`; probes that are not the bundle's learn from the train patients.

    Their regularisation is chosen on the val patients, or on the calibration patients where val is measured.

    `work` keeps prepared ECGs and view vectors for another time; without it they go to a temporary folder.
    `window_days` pairs ECGs with studies; None takes what the bundle was trained with, or 7. `with_map` adds the map of
    the shared space, for plots.
    Raises BundleError, CohortError, or ValueError for the train split, for a bundle without probes where no train
    patients can fit them, and where the split is too small to measure.
    """
    if split == "train":
        raise ValueError("the train patients cannot be measured: their ECGs would be their own nearest neighbours")
    bundle = Bundle.load(bundle_dir, device=device)
    if window_days is None:
        window_days = _trained_window_days(bundle)
    cohort = load_cohort(cohort_dir)
    pairs = derive_pairs(cohort, window_days=window_days)
    with ExitStack() as stack:
        folder = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="echo2ecg-evaluate-")))
        tested = pairs_of_split(pairs, cohort, split)
        neighbours = pairs_of_split(pairs, cohort, "train")
        # Whoever is measured cannot also choose how strongly probes are regularised.
        choosing = pairs_of_split(pairs, cohort, "calibration" if split == "val" else "val")
        ecg_ids = pd.concat([tested["ecg_id"], neighbours["ecg_id"], choosing["ecg_id"]])
        signals, ecgs = prepared_signals(
            cohort, ecg_ids, bundle.manifest.ecg, folder, workers=workers, progress=progress
        )
        clips = clip_sources(cohort, tested["study_id"])
        views, skipped_clips = study_views(bundle, cohort, clips, folder, workers=workers, progress=progress)
        labels = labels_and_flags(cohort)
        tested = usable_pairs(tested, signals, views)
        if tested.empty:
            raise ValueError(f"no pair of an ECG and a study of the {split} patients can be used")
        known, chooses = (
            embed_ecgs(bundle, readable, labels, signals) if len(readable) else None
            for readable in (part[part["ecg_id"].isin(list(signals))] for part in (neighbours, choosing))
        )
        test = embed_ecgs(bundle, tested, labels, signals)
        study_embeddings = {name: bundle.pool_study(views[name]).embedding_D for name in tested["study_id"].unique()}
    classes = bundle.manifest.labels.lvef
    if bundle.probes is not None:
        linear_probe = bundle_probe_report(test, classes, bundle.probes.shd.threshold)
    elif known is not None:
        linear_probe = fitted_probe_report(known, chooses, test, classes)
    else:
        raise ValueError("the bundle has no probes, and the cohort no train patients' ECGs to fit them on")
    return EvaluationReport(
        bundle_id=bundle.id,
        split=split,
        simulated_cohort=_is_simulated(cohort_dir),
        patients=tested["patient_id"].nunique(),
        ecgs=tested["ecg_id"].nunique(),
        studies=tested["study_id"].nunique(),
        skipped_ecgs=ecgs.reasons(),
        skipped_clips=dict(Counter(skipped_clips.values())),
        lvef_lowest_class_range=classes.ranges[0],
        linear_probe_from="train patients" if bundle.probes is None else "bundle",
        linear_probe=linear_probe,
        knn_probe=None if known is None else knn_probe_report(known, test, classes),
        flags=flag_reports(known, chooses, test, SHD_FLAGS),
        phenotypes=phenotype_reports(known, test),
        few_shot=few_shot_curves(known, test, classes),
        retrieval=retrieval_reports(
            tested, labels, dict(zip(test.labels.index, test.embeddings_ED, strict=True)), study_embeddings
        ),
        map=shared_map(
            test.embeddings_ED,
            test.truth("lvef_percent"),
            np.stack(list(study_embeddings.values())),
            labels.loc[list(study_embeddings), "lvef_percent"].to_numpy(dtype=np.float64),
        )
        if with_map
        else None,
    )


def _trained_window_days(bundle: Bundle) -> float:
    window_days = bundle.manifest.training_data.get("window_days", 7.0)
    return float(window_days) if isinstance(window_days, int | float) else 7.0


def _is_simulated(cohort_dir: Path) -> bool:
    stamp = cohort_dir / "cohort.json"
    return stamp.exists() and "simulator_version" in json.loads(stamp.read_text(encoding="utf-8"))


def embed_ecgs(bundle: Bundle, pairs: pd.DataFrame, labels: pd.DataFrame, signals: Arrays) -> EmbeddedEcgs:
    """Every ECG of `pairs` once."""
    by_ecg = ecg_labels(pairs, labels)
    windows = (ecg_windows(signals[ecg_id], bundle.manifest.ecg) for ecg_id in by_ecg.index)
    outputs = []
    for _, alike in groupby(windows, key=len):
        while batch := list(islice(alike, _BATCH)):
            outputs.append(bundle.embed_ecgs(np.stack(batch)))
    features_EF = np.concatenate([o.features_BF for o in outputs])
    embeddings_ED = np.concatenate([o.embeddings_BD for o in outputs])
    if bundle.probes is None:
        return EmbeddedEcgs(by_ecg, features_EF, embeddings_ED, None, None)
    flags_EQ = np.concatenate([o.flags_BQ for o in outputs if o.flags_BQ is not None])
    return EmbeddedEcgs(
        by_ecg,
        features_EF,
        embeddings_ED,
        np.concatenate([o.lvef_BC for o in outputs if o.lvef_BC is not None]),
        np.concatenate([o.shd_B for o in outputs if o.shd_B is not None]),
        {
            name: FlagAnswers(flags_EQ[:, column], bundle.probes.flags[name].threshold)
            for column, name in enumerate(bundle.probes.flag_names)
        },
    )
