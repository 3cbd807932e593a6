"""What a part of an answer says to a person, in one sentence or line; page and command show the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from models.labels import SHD_ANSWERS
from outputs.report import (
    DeviceMeasures,
    DeviceSaid,
    FlagPrediction,
    LvefEstimate,
    LvefPrediction,
    MeasuredEcg,
    OperatingPoint,
    OwnPrediction,
    Predictions,
    SearchAnswer,
    SeenWindow,
    ShdPrediction,
)
from outputs.words import (
    CANNOT_TELL,
    LVEF,
    NOT_RAISED,
    SHD,
    chance_words,
    decision_words,
    finding_words,
    lvef_class_words,
    percent_words,
    share_words,
    undecided_words,
    verdict_words,
)


def undecided(said: LvefPrediction | ShdPrediction | OwnPrediction) -> bool:
    """Whether the model cannot tell: it has a limit, and gives nobody a yes or no at it."""
    return said.operating_point is not None and said.positive is None


def point_sentence(point: OperatingPoint, *, positive: bool) -> str:
    """What a limit is worth: `At this limit: sensitivity 88 %, specificity 52 %. Where 56 % have it, ...`.

    Of PPV and NPV the one that belongs to the answer, and that it is of all beyond the limit together.
    """
    said = f"At this limit: sensitivity {share_words(point.sensitivity)}, specificity {share_words(point.specificity)}."
    worth = []
    if positive and point.ppv is not None:
        worth.append(f"PPV of all above it together {share_words(point.ppv)}")
    if not positive and point.npv is not None:
        worth.append(f"NPV of all below it together {share_words(point.npv)}")
    if positive and point.echos_per_case is not None:
        worth.append(f"{point.echos_per_case:.1f} echocardiograms per case found, more where it is rarer")
    if not worth:
        return said
    among = "among the calibration patients"
    where = f"Where it is as frequent as {among}"
    if point.prevalence is not None:
        where = f"Where {share_words(point.prevalence)} have it, as {among}"
    return f"{said} {where}: {', '.join(worth)}."


def lvef_sentence(lvef: LvefPrediction) -> str:
    """What is said of the lowest LVEF class at its operating point, which must be there."""
    point, lowest = lvef.operating_point, lvef.classes[0]
    assert point is not None
    if undecided(lvef):
        return _undecided_sentence(lvef_class_words(lowest.range), point)
    decision = decision_words(
        positive=bool(lvef.positive), probability=lowest.probability, threshold=point.threshold, rules_out=True
    )
    return f"{lvef_class_words(lowest.range)}: {decision}. {point_sentence(point, positive=bool(lvef.positive))}"


def shd_sentence(shd: ShdPrediction) -> str:
    """The same of SHD."""
    assert shd.operating_point is not None
    if undecided(shd):
        return _undecided_sentence(SHD, shd.operating_point)
    raised = [flag for flag in shd.flags or () if flag.finding == "raised"]
    decision = decision_words(
        positive=bool(shd.positive), probability=shd.probability, threshold=shd.threshold, rules_out=True
    )
    if shd.positive and any(flag.finding is not None for flag in shd.flags or ()) and not raised:
        decision = "above the rule-out limit, and no single finding is raised"
    return f"{SHD}: {decision}. {point_sentence(shd.operating_point, positive=bool(shd.positive))}"


def shd_decision(shd: ShdPrediction) -> str:
    """What is said of SHD in a row of a table, beside its probability; the sentence below the table names the limit."""
    positive, probability = bool(shd.positive), shd.probability
    if undecided(shd):
        return CANNOT_TELL
    if shd.operating_point is not None:
        return verdict_words(positive=positive, probability=probability)
    return decision_words(positive=positive, probability=probability, threshold=shd.threshold, rules_out=False)


def chance_of(said: ShdPrediction | OwnPrediction) -> str:
    """Its probability for a table; empty of a number, and where the model cannot tell."""
    return "" if said.probability is None or undecided(said) else chance_words(said.probability)


def _undecided_sentence(question: str, point: OperatingPoint) -> str:
    sensitivity, specificity = share_words(point.sensitivity), share_words(point.specificity)
    return (
        f"{question}: {undecided_words(point.threshold)}. "
        f"At this limit: sensitivity {sensitivity}, specificity {specificity}."
    )


def estimate_sentence(estimate: LvefEstimate) -> str:
    """LVEF as a number: `LVEF 41 % (90 % prediction interval: 28 to 55 %)`."""
    number = f"{LVEF} {estimate.percent:.0f} %"
    if estimate.low is None or estimate.high is None or estimate.coverage is None:
        return number
    return (
        f"{number} ({100 * estimate.coverage:.0f} % prediction interval: {estimate.low:.0f} to {estimate.high:.0f} %)"
    )


def estimate_why(estimate: LvefEstimate) -> str:
    """Where the interval comes from."""
    if estimate.coverage is None or estimate.n_calibration is None:
        return "The bundle does not say how this interval was sized."
    return (
        f"Such intervals are sized to hold the LVEF that an echocardiogram measures for "
        f"{100 * estimate.coverage:.0f} % of patients, by {estimate.n_calibration} calibration patients."
    )


def finding_sentence(flag: FlagPrediction) -> str:
    """A finding against its base rate: `Mitral regurgitation: 3 %, base rate 4 %: not raised`."""
    if flag.finding == "cannot_tell":
        return f"{flag.words}: {finding_words(flag.finding)}"
    bound = {"at_most": "at most ", "at_least": "at least "}.get(flag.bound or "", "")
    base = "" if flag.base_rate is None else f", base rate {share_words(flag.base_rate)}"
    return f"{flag.words}: {bound}{percent_words(flag.probability)}{base}: {finding_words(flag.finding)}"


def raised_why(flag: FlagPrediction) -> str:
    """What raising a finding is worth."""
    if flag.raised_ppv is None or flag.raised_sensitivity is None:
        return NOT_RAISED
    return (
        f"Of calibration patients who would be raised {share_words(flag.raised_ppv)} have it, and of those who have it "
        f"{share_words(flag.raised_sensitivity)} would be raised. {NOT_RAISED}"
    )


def windows_words(windows: Sequence[SeenWindow]) -> str:
    """The stretches that the model sees: `0 to 10 s`, `4 stretches of 2.5 s, from 0, 2.5, 5 and 7.5 s`."""
    first, *others = windows
    if not others:
        return f"{first.start_s:.1f} to {first.start_s + first.length_s:.1f} s"
    starts = [f"{one.start_s:.1f}" for one in windows]
    return f"{len(windows)} stretches of {first.length_s:.1f} s, from {', '.join(starts[:-1])} and {starts[-1]} s"


def own_words(own: OwnPrediction) -> str:
    """What is said of a label of the user's own in a row of a table: `unlikely`, or `31.2 (24.0 to 38.4)`."""
    if undecided(own):
        return CANNOT_TELL
    if own.value is None:
        return verdict_words(positive=bool(own.positive), probability=own.probability or 0.0)
    if own.low is None or own.high is None:
        return f"{own.value:.4g}"
    # As many figures as the interval needs: a large number may vary little.
    size, width = max(abs(own.low), abs(own.high)), own.high - own.low
    figures = 4 if width <= 0 else max(4, min(12, 3 + int(math.log10(size / width))))
    return f"{own.value:.{figures}g} ({own.low:.{figures}g} to {own.high:.{figures}g})"


def own_sentence(own: OwnPrediction) -> str | None:
    """What stands behind it; None where nothing does."""
    if own.value is not None:
        if own.coverage is None or own.n_calibration is None:
            return None
        return (
            f"{own.label}: such intervals are sized to hold the truth for {100 * own.coverage:.0f} % of patients, "
            f"by {own.n_calibration} calibration patients."
        )
    point, positive, said = own.operating_point, bool(own.positive), []
    if point is not None and undecided(own):
        said.append(_undecided_sentence(own.label, point))
    elif point is not None and own.probability is not None:
        decision = decision_words(
            positive=positive, probability=own.probability, threshold=point.threshold, rules_out=True
        )
        said.append(f"{own.label}: {decision}. {point_sentence(point, positive=positive)}")
    if own.prediction_set is not None:
        said.append(set_sentence(own.label, own))
    return " ".join(said) or None


_SET_WORDS = dict(zip(SHD_ANSWERS, ("absent", "present"), strict=True))


def set_sentence(question: str, said: LvefPrediction | ShdPrediction | OwnPrediction) -> str:
    """What is not ruled out, and of whom that holds."""
    assert said.prediction_set is not None
    every = [one.label for one in said.classes] if isinstance(said, LvefPrediction) else SHD_ANSWERS
    narrows = not set(every) <= set(said.prediction_set)
    answers = " or ".join(_SET_WORDS.get(answer, answer) for answer in said.prediction_set)
    answers = f"{question}: {answers if narrows else 'cannot narrow it down'}"
    if said.coverage is None or said.n_calibration is None:
        return f"{answers}."
    of_whom = "patients" if said.coverage_kind in (None, "overall") else "the patients of each class"
    if said.overall_only:
        of_whom += f" but {' and '.join(said.overall_only)}, of which there were too few"
    return (
        f"{answers}. Such sets are sized to hold the truth for {100 * said.coverage:.0f} % of {of_whom}, "
        f"by {said.n_calibration} calibration patients."
    )


def how_sure(predictions: Predictions) -> Iterator[str]:
    """What stands behind the answers, of a bundle that has it."""
    lvef, shd = predictions.lvef, predictions.shd
    if predictions.tells_findings:
        yield NOT_RAISED
    if lvef is not None and lvef.estimate is not None:
        yield estimate_sentence(lvef.estimate)
    if lvef is not None and lvef.operating_point is not None:
        yield lvef_sentence(lvef)
    if shd is not None and shd.operating_point is not None:
        yield shd_sentence(shd)
    for question, prediction in ((LVEF, lvef), (SHD, shd)):
        if prediction is not None and prediction.prediction_set is not None:
            yield set_sentence(question, prediction)
    for own in predictions.own or ():
        if (sentence := own_sentence(own)) is not None:
            yield sentence


_MEASURES = (
    ("heart_rate_bpm", "rate", "/min"),
    ("pr_ms", "PR", " ms"),
    ("qrs_ms", "QRS", " ms"),
    ("qt_ms", "QT", " ms"),
    ("qtc_ms", "QTc", " ms"),
    ("axis_deg", "axis", "\u00b0"),
)
_HOW = {"qt_ms": " by tangent", "qtc_ms": " (Fridericia)"}
"""How what is measured here was: a device has rules of its own."""
_BY_THE_DEVICE = {"axis_deg": "qrs_axis_deg"}
"""Names that differ between what is measured here and what a device measured."""
_BY_THE_DEVICE_ALONE = (("p_axis_deg", "P axis", "\u00b0"), ("t_axis_deg", "T axis", "\u00b0"))


def measured_line(measured: MeasuredEcg) -> str:
    """What the tracing itself shows, in one line."""
    said = [f"{name} {_measure(measured, field, unit)}" for field, name, unit in _MEASURES]
    regular = {True: "regular", False: "irregular", None: "regularity not reliable"}[measured.regular]
    return ", ".join([said[0], regular, *said[1:]])


def measured_twice(measured: MeasuredEcg | None, said: DeviceSaid) -> list[tuple[str, str, str]]:
    """What was measured here beside what the device says, a row each: `("PR", "162 ms", "160 ms")`.

    Empty where the device says no such number; what one of the two leaves out is an empty text.
    """
    if said.measures is None:
        return []
    rows = [
        (name, _measure(measured, field, unit), _measure(said.measures, _BY_THE_DEVICE.get(field, field), unit))
        for field, name, unit in _MEASURES
    ]
    alone = [(name, "", _measure(said.measures, field, unit)) for field, name, unit in _BY_THE_DEVICE_ALONE]
    return [*rows, *(row for row in alone if row[2])]


_CLEARLY_MS, _CLEARLY_BPM, _CLEARLY_SHARE = 40.0, 5.0, 0.1
"""By more than this a device's interval, or its rate, differs clearly from what is measured here."""


def device_differs(measured: MeasuredEcg | None, said: DeviceSaid | None) -> str:
    """`The device wrote QT 360 ms; measured here: 440 ms by tangent.` Neither is called right.

    Of rate (over 10 % and 5/min) and intervals (over 40 ms) that both have; empty where none differs clearly.
    """
    theirs = None if said is None else said.measures
    differing = [row for row in _MEASURES if row[0] != "axis_deg" and _differs(measured, theirs, row[0])]
    if not differing:
        return ""
    wrote = [f"{name} {_measure(theirs, field, unit)}" for field, name, unit in differing]
    here = [_measure(measured, field, unit) for field, _, unit in differing]
    return f"The device wrote {listed(wrote)}; measured here: {listed(here)}."


def _differs(measured: MeasuredEcg | None, theirs: DeviceMeasures | None, field: str) -> bool:
    one, other = getattr(measured, field, None), getattr(theirs, field, None)
    if one is None or other is None:
        return False
    if field != "heart_rate_bpm":
        return bool(abs(one - other) > _CLEARLY_MS)
    return bool(abs(one - other) > max(_CLEARLY_BPM, _CLEARLY_SHARE * one))


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _measure(measures: MeasuredEcg | DeviceMeasures | None, field: str, unit: str) -> str:
    value = getattr(measures, field, None)
    if value is None:
        return "not reliable" if isinstance(measures, MeasuredEcg) else ""
    return f"{value:.0f}{unit}{_HOW.get(field, '') if isinstance(measures, MeasuredEcg) else ''}"


def device_lines(said: DeviceSaid) -> Iterator[str]:
    """What the device wrote beside its measurements, line by line."""
    if maker := " ".join(filter(None, (said.vendor, said.model))):
        yield f"Device: {maker}"
    if said.recorded_at:
        yield f"Recorded at: {said.recorded_at}"
    if said.filters:
        yield f"Filters: {', '.join(said.filters)}"
    if said.paced is not None:
        yield f"Paced: {'yes' if said.paced else 'no'}"
    if said.statements:
        yield f"Its interpretation, not checked here: {'; '.join(said.statements)}"


def spoken_for(target: str, study_id: str | None, answer: SearchAnswer) -> str:
    """What a map is about."""
    lvef = None if answer.predictions is None else answer.predictions.lvef
    if target == "lvef_lowest" and lvef is not None:
        return lvef_class_words(lvef.classes[0].range)
    if target == "match":
        return f"The match with {study_id}"
    return SHD if target == "shd" else "The LVEF estimate"


def why_value(target: str, value: float, zero: float) -> str:
    """What the answer is, and what it would be for flat lines."""
    if target == "match":
        return f"Cosine {value:.3f}; of a flat line {zero:.3f}."
    if target == "lvef_percent":
        return f"LVEF {value:.0f} %; of a flat line {zero:.0f} %."
    chance, of_zero = (percent_words(1.0 / (1.0 + math.exp(-log_odds))) for log_odds in (value, zero))
    return f"Probability {chance}; of a flat line {of_zero}."


WHAT_IS_RAISED = {"match": "the similarity", "lvef_percent": "the estimate", "lvef_lowest": "the probability"}
