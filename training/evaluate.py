"""A finished bundle on one split of a cohort: probes, calibration and retrieval, each with how many and how sure.

Everything is computed by the bundle as it will serve. Letters: E ECGs, S studies, F features, D dimensions, C classes.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from inputs.cohort import derive_pairs, load_cohort
from inputs.ecg_prepare import ecg_windows
from models.bundle import Bundle
from models.probes import LvefClasses
from training.cohort_arrays import (
    Arrays,
    clip_sources,
    ecg_labels,
    pairs_of_split,
    prepared_signals,
    study_labels,
    study_views,
    usable_pairs,
)
from training.metrics import ClassesReport, Estimate, Record, YesNoReport, bootstrap, classes_report, yes_no_report
from training.progress import Progress, silent
from training.retrieval import (
    exact_pairs,
    phenotype_pairs,
    phenotype_tolerance,
    random_precision,
    score_queries,
)

PHENOTYPES = ("lvef_percent", "lvedv_ml", "lvesv_ml", "lvsv_ml")
_NEIGHBOURS = 5
_BATCH = 64


class ProbeReport(Record):
    """What one kind of probe says of LVEF classes, of the lowest LVEF class against the rest, and of SHD."""

    lvef_classes: ClassesReport
    lvef_lowest_class: YesNoReport
    shd: YesNoReport


class DirectionReport(Record):
    """One direction of retrieval. `lift_at_10` is precision@10 over what random ranking gives."""

    queries: int
    targets: int
    metrics: dict[str, float]
    precision_at_10: Estimate
    random_precision: float
    lift_at_10: Estimate


class RetrievalReport(Record):
    """Retrieval of the query's own study (`relevant` is "pair") or of studies with a like phenotype.

    Relevant are studies within `tolerance` (half a standard deviation) of the query's phenotype.
    """

    relevant: str
    tolerance: float | None
    own_patient_excluded: bool
    ecg_to_study: DirectionReport
    study_to_ecg: DirectionReport


class EvaluationReport(Record):
    """Intervals are 95 % percentile bootstraps over patients."""

    bundle_id: str
    split: str
    patients: int
    ecgs: int
    studies: int
    skipped_ecgs: dict[str, int]
    skipped_clips: dict[str, int]
    lvef_lowest_class_range: str
    linear_probe: ProbeReport
    knn_probe: ProbeReport | None
    """None where too few train patients' ECGs are labelled to have five neighbours."""
    retrieval: tuple[RetrievalReport, ...]

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


@dataclass(frozen=True)
class EmbeddedEcgs:
    """ECGs of one split as the bundle sees them, with the labels of their nearest study (rows as `ecg_labels`)."""

    labels: pd.DataFrame
    features_EF: NDArray[np.float32]
    embeddings_ED: NDArray[np.float32]
    lvef_EC: NDArray[np.float32] | None
    shd_E: NDArray[np.float32] | None


def evaluate(
    bundle_dir: Path,
    cohort_dir: Path,
    split: str,
    *,
    work: Path | None = None,
    device: str = "auto",
    workers: int = 2,
    window_days: float | None = None,
    progress: Progress = silent,
) -> EvaluationReport:
    """Measures a bundle on the patients of `split`; the train patients serve as the kNN probe's neighbours.

    `work` keeps prepared ECGs and view vectors for another time; without it they go to a temporary folder.
    `window_days` pairs ECGs with studies; None takes what the bundle was trained with, or 7.
    Raises BundleError, CohortError, or ValueError for the train split, for a bundle without probes, and where the
    split is too small to measure.
    """
    if split == "train":
        raise ValueError("the train patients cannot be measured: their ECGs would be their own nearest neighbours")
    bundle = Bundle.load(bundle_dir, device=device)
    if bundle.probes is None:
        raise ValueError("this bundle has no probes to evaluate")
    if window_days is None:
        window_days = _trained_window_days(bundle)
    cohort = load_cohort(cohort_dir)
    pairs = derive_pairs(cohort, window_days=window_days)
    with ExitStack() as stack:
        folder = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="echo2ecg-evaluate-")))
        tested = pairs_of_split(pairs, cohort, split)
        neighbours = pairs_of_split(pairs, cohort, "train")
        ecg_ids = pd.concat([tested["ecg_id"], neighbours["ecg_id"]])
        signals, ecgs = prepared_signals(
            cohort, ecg_ids, bundle.manifest.ecg, folder, workers=workers, progress=progress
        )
        clips = clip_sources(cohort, tested["study_id"])
        views, skipped_clips = study_views(bundle, cohort, clips, folder, workers=workers, progress=progress)
        labels = study_labels(cohort)
        tested = usable_pairs(tested, signals, views)
        if tested.empty:
            raise ValueError(f"no pair of an ECG and a study of the {split} patients can be used")
        neighbours = neighbours[neighbours["ecg_id"].isin(list(signals))]
        known = embed_ecgs(bundle, neighbours, labels, signals) if len(neighbours) else None
        test = embed_ecgs(bundle, tested, labels, signals)
    return EvaluationReport(
        bundle_id=bundle.id,
        split=split,
        patients=tested["patient_id"].nunique(),
        ecgs=tested["ecg_id"].nunique(),
        studies=tested["study_id"].nunique(),
        skipped_ecgs=ecgs.reasons(),
        skipped_clips=dict(Counter(skipped_clips.values())),
        lvef_lowest_class_range=bundle.manifest.labels.lvef.ranges[0],
        linear_probe=_linear_probe(bundle, test),
        knn_probe=_knn_probe(known, test, bundle.manifest.labels.lvef),
        retrieval=_retrieval(bundle, tested, labels, views, test),
    )


def _trained_window_days(bundle: Bundle) -> float:
    window_days = bundle.manifest.training_data.get("window_days", 7.0)
    return float(window_days) if isinstance(window_days, int | float) else 7.0


def embed_ecgs(bundle: Bundle, pairs: pd.DataFrame, labels: pd.DataFrame, signals: Arrays) -> EmbeddedEcgs:
    """Every ECG of `pairs` once."""
    by_ecg = ecg_labels(pairs, labels)
    windows = (ecg_windows(signals[ecg_id], bundle.manifest.ecg) for ecg_id in by_ecg.index)
    outputs = []
    for _, alike in groupby(windows, key=len):
        while batch := list(islice(alike, _BATCH)):
            outputs.append(bundle.embed_ecgs(np.stack(batch)))
    return EmbeddedEcgs(
        by_ecg,
        np.concatenate([o.features_BF for o in outputs]),
        np.concatenate([o.embeddings_BD for o in outputs]),
        None if bundle.probes is None else np.concatenate([o.lvef_BC for o in outputs if o.lvef_BC is not None]),
        None if bundle.probes is None else np.concatenate([o.shd_B for o in outputs if o.shd_B is not None]),
    )


def _linear_probe(bundle: Bundle, test: EmbeddedEcgs) -> ProbeReport:
    assert bundle.probes is not None and test.lvef_EC is not None and test.shd_E is not None  # noqa: PT018
    return _probe_report(test, bundle.manifest.labels.lvef, test.lvef_EC, test.shd_E, bundle.probes.shd.threshold)


def _knn_probe(known: EmbeddedEcgs | None, test: EmbeddedEcgs, classes: LvefClasses) -> ProbeReport | None:
    if known is None:
        return None
    lvef_known = np.isfinite(known.labels["lvef_percent"].to_numpy())
    shd_known = np.isfinite(known.labels["shd"].to_numpy())
    if min(lvef_known.sum(), shd_known.sum()) < _NEIGHBOURS:
        return None
    lvef_truth = classes.class_of(known.labels["lvef_percent"].to_numpy()[lvef_known])
    lvef_EC = knn_probabilities(known.features_EF[lvef_known], lvef_truth, test.features_EF, len(classes.labels))
    shd_truth = known.labels["shd"].to_numpy()[shd_known].astype(np.int64)
    shd_EC = knn_probabilities(known.features_EF[shd_known], shd_truth, test.features_EF, 2)
    return _probe_report(test, classes, lvef_EC, shd_EC[:, 1], 0.5)


def knn_probabilities(
    known_NF: NDArray[np.float32], truth_N: NDArray[np.int64], asked_EF: NDArray[np.float32], classes: int
) -> NDArray[np.float64]:
    """Shares (E, classes) of the classes among the five nearest known ECGs, found by brute force."""
    model = KNeighborsClassifier(_NEIGHBOURS, algorithm="brute").fit(known_NF, truth_N)
    shares = np.zeros((len(asked_EF), classes))
    shares[:, model.classes_] = model.predict_proba(asked_EF)
    return shares


def _probe_report(
    test: EmbeddedEcgs,
    classes: LvefClasses,
    lvef_EC: NDArray[np.floating],
    shd_E: NDArray[np.floating],
    shd_threshold: float,
) -> ProbeReport:
    lvef_percent, shd = test.labels["lvef_percent"].to_numpy(), test.labels["shd"].to_numpy()
    patient_E = pd.factorize(test.labels["patient_id"])[0]
    has_lvef, has_shd = np.isfinite(lvef_percent), np.isfinite(shd)
    lvef_class = classes.class_of(lvef_percent[has_lvef])
    return ProbeReport(
        lvef_classes=classes_report(lvef_class, lvef_EC[has_lvef].astype(np.float64), patient_E[has_lvef]),
        lvef_lowest_class=yes_no_report(
            (lvef_class == 0).astype(np.int64), lvef_EC[has_lvef, 0].astype(np.float64), patient_E[has_lvef]
        ),
        shd=yes_no_report(
            shd[has_shd].astype(np.int64),
            shd_E[has_shd].astype(np.float64),
            patient_E[has_shd],
            threshold=shd_threshold,
        ),
    )


def _retrieval(
    bundle: Bundle, pairs: pd.DataFrame, labels: pd.DataFrame, views: Arrays, test: EmbeddedEcgs
) -> tuple[RetrievalReport, ...]:
    studies = {name: bundle.pool_study(views[name]).embedding_D for name in pairs["study_id"].unique()}
    reports = []
    for relevant in ("pair", *PHENOTYPES):
        known = pairs if relevant == "pair" else pairs[labels.loc[pairs["study_id"], relevant].notna().to_numpy()]
        if known.empty:  # nobody measured this phenotype
            continue
        ecg_R, ecg_ids = pd.factorize(known["ecg_id"])
        study_R, study_ids = pd.factorize(known["study_id"])
        patient_R, _ = pd.factorize(known["patient_id"])
        patient_E = patient_R[np.unique(ecg_R, return_index=True)[1]]
        patient_S = patient_R[np.unique(study_R, return_index=True)[1]]
        ecg_ED = test.embeddings_ED[test.labels.index.get_indexer(ecg_ids)]
        similarity_ES = ecg_ED @ np.stack([studies[name] for name in study_ids]).T
        if relevant == "pair":
            tolerance = None
            forward_ES = exact_pairs(ecg_R, study_R, len(ecg_ids), len(study_ids))
            backward_SE = forward_ES.T
        else:
            value_R = labels.loc[known["study_id"], relevant].to_numpy(dtype=np.float64)
            tolerance = phenotype_tolerance(study_R, value_R)
            forward_ES = phenotype_pairs(ecg_R, study_R, study_R, value_R, tolerance)
            backward_SE = phenotype_pairs(study_R, ecg_R, study_R, value_R, tolerance)
        # Without the query's own patient there is no exact pair to find.
        for excluded in (False,) if relevant == "pair" else (False, True):
            own_ES = patient_E[:, None] == patient_S[None, :] if excluded else None
            own_SE = None if own_ES is None else own_ES.T
            reports.append(
                RetrievalReport(
                    relevant=relevant,
                    tolerance=tolerance,
                    own_patient_excluded=excluded,
                    ecg_to_study=_direction(similarity_ES, forward_ES, own_ES, patient_E),
                    study_to_ecg=_direction(similarity_ES.T, backward_SE, own_SE, patient_S),
                )
            )
    return tuple(reports)


def _direction(
    similarity_QT: NDArray[np.float32],
    relevant_QT: NDArray[np.bool_],
    excluded_QT: NDArray[np.bool_] | None,
    patient_Q: NDArray[np.int64],
) -> DirectionReport:
    scores = score_queries(similarity_QT, relevant_QT, excluded_QT)
    precision_Q = scores.precision_Q(10)
    chance = random_precision(relevant_QT, excluded_QT)
    found = bootstrap(lambda rows: {"precision": float(precision_Q[rows].mean())}, patient_Q)
    at_10 = found["precision"]
    return DirectionReport(
        queries=similarity_QT.shape[0],
        targets=similarity_QT.shape[1],
        metrics=scores.metrics().as_dict(),
        precision_at_10=at_10,
        random_precision=chance,
        lift_at_10=Estimate(value=at_10.value / chance, low=at_10.low / chance, high=at_10.high / chance)
        if chance
        else Estimate(value=0.0, low=0.0, high=0.0),
    )
