"""What a bundle says of an ECG, field by field: probabilities, how far to trust them, and how unusual the ECG is.

A field that the bundle cannot fill is left unset and is not written: never null, never a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike
from pydantic import BaseModel, Field

from app.answering.pipeline import Answer
from inputs.records import InputWarning
from models.labels import SHD_ANSWERS
from models.ood import UNUSUAL_PERCENTILE
from models.probes import PredictionSets


class LvefClass(BaseModel):
    label: str
    range: str = Field(description="LVEF in percent.")
    probability: float


class _WithSet(BaseModel):
    """An answer as a set that holds the truth for a share `coverage` of patients. Absent where none was fitted."""

    prediction_set: list[str] | None = Field(default=None, description="Answers not ruled out; the one given is in.")
    coverage: float | None = Field(default=None, description="The share of patients whose set holds the truth.")
    n_calibration: int | None = Field(default=None, description="Patients who decided how large the sets are.")


class LvefPrediction(_WithSet):
    classes: list[LvefClass]
    predicted: str = Field(description="The label of the most probable class.")


class FlagPrediction(BaseModel):
    """One finding that makes a heart count as structurally diseased, from a probe of its own."""

    flag: str
    probability: float
    threshold: float
    positive: bool


class ShdPrediction(_WithSet):
    """Structural heart disease: any of the flags in /v1/info. A prediction set holds `negative`, `positive` or both."""

    probability: float
    threshold: float
    positive: bool
    flags: list[FlagPrediction] | None = Field(default=None, description="Those that the bundle has a probe for.")


class OodPrediction(BaseModel):
    """How unlike the ECGs of training this one is; the percentile is the share of held-out ECGs less unusual."""

    score: float
    percentile: float


class Predictions(BaseModel):
    lvef: LvefPrediction
    shd: ShdPrediction
    ood: OodPrediction | None = Field(default=None, description="Absent when the bundle cannot tell.")


def unusual_warnings(answer: Answer) -> tuple[InputWarning, ...]:
    """One warning, or none."""
    unusual = answer.found.unusual
    if unusual is None or unusual.percentile <= UNUSUAL_PERCENTILE:
        return ()
    message = (
        f"This ECG is more unusual than {unusual.percentile:.1f} % of held-out ECGs like those the model was trained "
        "on. Take its predictions and neighbours with great care."
    )
    return (InputWarning("unusual_ecg", message),)


def predictions_of(answer: Answer) -> Predictions | None:
    """None where the bundle has no probes. Fields that it cannot fill are left unset, and so not written."""
    bundle, found = answer.snapshot.bundle, answer.found
    if bundle.probes is None or found.lvef_C is None or found.shd is None:
        return None
    classes, probes, called = bundle.manifest.labels.lvef, bundle.probes, int(found.lvef_C.argmax())
    lvef = LvefPrediction(
        classes=[
            LvefClass(label=label, range=text, probability=_rounded(probability))
            for label, text, probability in zip(classes.labels, classes.ranges, found.lvef_C, strict=True)
        ],
        predicted=classes.labels[called],
        **_prediction_set(probes.lvef.sets, found.lvef_C, called, classes.labels),
    )
    decision = _decision(found.shd, probes.shd.threshold)
    shd = ShdPrediction(
        **decision,
        **_prediction_set(probes.shd.sets, [1.0 - found.shd, found.shd], int(decision["positive"]), SHD_ANSWERS),
    )
    if probes.flags and found.flags_Q is not None:
        shd.flags = [
            FlagPrediction(flag=flag, **_decision(probability, probes.flags[flag].threshold))
            for flag, probability in zip(probes.flag_names, found.flags_Q.tolist(), strict=True)
        ]
    predictions = Predictions(lvef=lvef, shd=shd)
    if found.unusual is not None:
        percentile = round(found.unusual.percentile, 2)
        predictions.ood = OodPrediction(score=round(found.unusual.score, 4), percentile=percentile)
    return predictions


def _decision(probability: float, threshold: float) -> dict[str, Any]:
    return {"probability": _rounded(probability), "threshold": threshold, "positive": probability > threshold}


def _prediction_set(
    sets: PredictionSets | None, probability_C: ArrayLike, called: int, labels: Sequence[str]
) -> dict[str, Any]:
    if sets is None:
        return {}
    chosen = [labels[number] for number in sets.classes(probability_C, called)]
    return {"prediction_set": chosen, "coverage": sets.coverage, "n_calibration": sets.n_calibration}


def _rounded(probability: float) -> float:
    return round(float(probability), 6)
