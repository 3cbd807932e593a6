"""What training would say to a cohort, before any work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cohorts import SPLITS, CohortError, OpenCohort, ecg_labels
from models.labels import LvefClasses, class_numbers
from training.recipes import demo


@dataclass(frozen=True)
class TrainingOutlook:
    """ECGs with a known label, by split, and the sentence that training would refuse the cohort with, if it would."""

    refusal: str | None
    ecgs_with_lvef: dict[str, int]
    ecgs_with_shd: dict[str, int]
    without_echo: str | None = None
    """What a cohort without echo studies, or without their views, is good for; None of others."""

    @property
    def summary(self) -> tuple[str, ...]:
        lines = [
            f"ECGs with a known {name}: {', '.join(f'{split} {n}' for split, n in counts.items())}."
            for name, counts in (("LVEF", self.ecgs_with_lvef), ("SHD", self.ecgs_with_shd))
            if any(counts.values()) or self.without_echo is None
        ]
        if self.without_echo is not None:
            lines.append(self.without_echo)
        if self.refusal is not None:
            lines.append(f"Training would refuse this cohort: {self.refusal}")
        return tuple(lines)


def training_outlook(cohort: OpenCohort) -> TrainingOutlook:
    """What `train` would find in a cohort without a contradiction, with the window and classes of its default recipe.

    Nothing that `train` reads later is read: it may still refuse a cohort of unreadable files.
    """
    recipe = demo()
    labels = cohort.labels
    split_pairs = {split: cohort.split(split) for split in SPLITS}
    known = {split: ecg_labels(of_split, labels).notna().sum() for split, of_split in split_pairs.items()}
    refusal = without_echo = None
    try:
        check_echo(cohort)
    except CohortError as error:
        without_echo = error.in_full
    else:
        try:
            check_labels(cohort, split_pairs, recipe.window_days, recipe.lvef_classes)
        except CohortError as error:
            refusal = error.sentence
    return TrainingOutlook(
        refusal,
        {split: int(count["lvef_percent"]) for split, count in known.items()},
        {split: int(count["shd"]) for split, count in known.items()},
        without_echo,
    )


def check_echo(cohort: OpenCohort) -> None:
    """Refuses a cohort of ECGs with nothing to align them with; what it is good for stands in the hint."""
    what = cohort.tables.lacks
    if what is None:
        return
    also = "" if what == "studies" else ", `bundle fit` fits probes on its labels, and `evaluate` measures them"
    raise CohortError(
        "no_echo",
        f"The cohort has no echo {what}, so there is nothing to align its ECGs with.",
        hint=f"`train --recipe ecg_only` trains an ECG encoder on its ECGs{also}.",
    )


def check_patients(cohort: OpenCohort, split: str) -> None:
    """Refuses a cohort in which a split has nobody, whatever ECGs there are, and says why that is."""
    if cohort.tables.patients(split):
        return
    named = cohort.tables.splits["split"].value_counts()
    sentence = f"The table splits names no {split} patients."
    if split in ("val", "calibration") and (n_val := int(named.get("val", 0))) and not named.get("calibration", 0):
        names = "patient, who serves" if n_val == 1 else "patients, who all serve"
        other = "calibration" if split == "val" else "val"
        sentence = f"There are no {split} patients: the table splits names {n_val} val {names} as {other}."
    raise CohortError("no_patients", sentence, hint="Splits are train, val, calibration and test; name some of each.")


def check_labels(
    cohort: OpenCohort, split_pairs: dict[str, pd.DataFrame], window_days: float, classes: LvefClasses
) -> None:
    """Refuses before the work, not after it, a cohort that cannot be trained on and measured."""
    for split, pairs in split_pairs.items():
        check_patients(cohort, split)
        if pairs.empty:
            sentence = f"No ECG of a {split} patient lies within {window_days:g} days of an echo study."
            raise CohortError("no_pairs", sentence)
    short = [words for split, pairs in split_pairs.items() if (words := _shortfall(split, pairs, cohort, classes))]
    if short:
        needed = "Each split needs patients of every LVEF class, some with SHD and some without (no flag, of all known)"
        raise CohortError("labels_missing", f"{needed}. Patients found: {'; '.join(short)}.")


def _shortfall(split: str, pairs: pd.DataFrame, cohort: OpenCohort, classes: LvefClasses) -> str:
    """`train (LVEF <= 40 %: 0, ...; SHD known of nobody)`; empty where no answer lacks a patient."""
    found = ecg_labels(pairs, cohort.labels)
    patients = pairs.drop_duplicates("ecg_id").set_index("ecg_id")["patient_id"].reindex(found.index)
    lvef = class_numbers(found["lvef_percent"].to_numpy(dtype=np.float64), classes)
    asked = (
        ("LVEF", lvef, classes.ranges),
        ("SHD", found["shd"].to_numpy(dtype=np.float64), ("without", "with")),
    )
    said = []
    for question, answer_N, words in asked:
        counts = [patients[answer_N == number].nunique() for number in range(len(words))]
        if not any(counts):
            said.append(f"{question} known of nobody")
        elif not all(counts):
            each = ", ".join(f"{word}: {count}" for word, count in zip(words, counts, strict=True))
            said.append(f"{question} {each}")
    return f"{split} ({'; '.join(said)})" if said else ""
