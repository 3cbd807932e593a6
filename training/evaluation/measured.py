"""What is measured of a bundle on one split: everybody's vectors as it gives them, and what its probes answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cohorts import OpenCohort
from cohorts.own_labels import OwnLabel, known_own_labels
from ground.errors import Refusal
from ground.findings import SHD_FLAGS
from models.bundle import Bundle
from models.device import Machine
from models.labels import LvefClasses
from training.data.cohort_arrays import Arrays, prepared_signals, study_views, usable_pairs
from training.data.embedded import EmbeddedEcgs, FlagAnswers, embed_ecgs
from training.data.own_rows import ecg_rows, labels_with_own, paired
from training.evaluation.answers import (
    ProbeAnswers,
    YesNoAnswers,
    bundle_answers,
    fitted_answers,
    flag_answers,
    yes_no_answers,
)
from training.evaluation.retrieval_report import Vectors


@dataclass(frozen=True)
class Measured:
    """The usable pairs of a split and the vectors of their ECGs and studies, and of those that probes learn from."""

    bundle: Bundle
    lacking: tuple[str, ...]
    """What the bundle lacks for retrieval."""
    pairs: pd.DataFrame
    rows: pd.DataFrame
    """`pairs`, and the ECGs without a study that are measured by labels of their own."""
    own: tuple[OwnLabel, ...]
    """Labels that the bundle has a probe of and the cohort a column of that kind."""
    own_unfit: dict[str, str]
    """By the others' names why they are not measured."""
    signals: Arrays
    """Prepared ECGs of `test`, `known` and `choosing`."""
    test: EmbeddedEcgs
    known: EmbeddedEcgs | None
    """Of the train patients; None where no ECG of theirs can be used."""
    choosing: EmbeddedEcgs | None
    """Of the patients who choose how strongly probes are regularised."""
    studies: Arrays
    """Unit embeddings (D,) by study_id; empty without retrieval."""
    skipped_ecgs: dict[str, int]
    skipped_clips: dict[str, int]
    linear: ProbeAnswers
    flags: dict[str, FlagAnswers | str]

    @property
    def classes(self) -> LvefClasses:
        return self.bundle.lvef

    @property
    def ecg_embeddings(self) -> Vectors:
        """Unit embeddings by ecg_id of the measured ECGs."""
        assert self.test.embeddings_ED is not None
        return dict(zip(self.test.labels.index, self.test.embeddings_ED, strict=True))

    def questions(self) -> tuple[YesNoAnswers, ...]:
        return yes_no_answers(self.test, self.classes, self.linear, self.flags)


def measure(
    bundle: Bundle, lacking: tuple[str, ...], cohort: OpenCohort, split: str, folder: Path, machine: Machine
) -> Measured:
    """Prepared ECGs and view vectors are kept in `folder`. Refusal where no ECG of the split can be used."""
    cohort.check_amplitude(bundle.manifest.ecg.amplitude)
    tables = cohort.tables
    own, own_unfit = known_own_labels(cohort, {} if bundle.probes is None else bundle.probes.own_kinds)
    labels = labels_with_own(cohort, own)
    # Whoever is measured cannot also choose how strongly probes are regularised.
    chooser = "calibration" if split == "val" else "val"
    tested, neighbours, choosing = (ecg_rows(cohort, name, own) for name in (split, "train", chooser))
    ecg_ids = pd.concat([tested["ecg_id"], neighbours["ecg_id"], choosing["ecg_id"]])
    signals, ecgs = prepared_signals(tables, ecg_ids, bundle.manifest.ecg, folder, machine)
    views: Arrays = {}
    skipped_clips: dict[str, str] = {}
    if bundle.manifest.gives("retrieval") and tables.lacks is None:
        views, skipped_clips = study_views(bundle, tables, tested["study_id"].dropna(), folder, machine)
        retrieved = usable_pairs(tested, signals, views)
        # What has no study is measured by its labels alone.
        tested = pd.concat([retrieved, _readable(tested[tested["study_id"].isna()], signals)], ignore_index=True)
    else:
        tested = _readable(tested, signals)
    if tested.empty:
        raise Refusal("nothing_to_measure", f"no pair of an ECG and a study of the {split} patients can be used")
    of_train, of_choosers = (
        embed_ecgs(bundle, readable, labels, signals, split=name) if len(readable) else None
        for name, readable in (("train", _readable(neighbours, signals)), (chooser, _readable(choosing, signals)))
    )
    test = embed_ecgs(bundle, tested, labels, signals, split=split)
    served = None if test.lvef_EC is None and test.shd_E is None else bundle.probes
    if served is None:
        linear = fitted_answers(of_train, of_choosers, test, bundle.lvef)
    else:
        linear = bundle_answers(test, served)
    return Measured(
        bundle=bundle,
        lacking=lacking,
        pairs=paired(tested),
        rows=tested,
        own=own,
        own_unfit=own_unfit,
        signals=signals,
        test=test,
        known=of_train,
        choosing=of_choosers,
        studies={
            name: bundle.pool_study(views[name]).embedding_D for name in paired(tested)["study_id"].unique() if views
        },
        skipped_ecgs=ecgs.reasons(),
        skipped_clips=dict(Counter(skipped_clips.values())),
        linear=linear,
        flags=flag_answers(of_train, of_choosers, test, SHD_FLAGS),
    )


def _readable(pairs: pd.DataFrame, signals: Arrays) -> pd.DataFrame:
    return pairs[pairs["ecg_id"].isin(list(signals))].reset_index(drop=True)
