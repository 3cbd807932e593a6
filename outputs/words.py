"""The words of an answer, for people: every rendering says the same thing with the same words.

The JSON keeps the codes beside them. What the findings are called stands in `ground.findings`,
what a bundle lacks in `models.lacking`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ground.findings import flag_words
from models.lacking import lacking_sentence

__all__ = [
    "CANNOT_TELL",
    "DEVICE_SAID",
    "DEVICE_SAID_NOTHING",
    "DISCLAIMER",
    "IN_COMMON",
    "LVEF",
    "MEASURED_TWICE",
    "MEASURED_TWICE_NOTE",
    "MOST_PROBABLE",
    "NOT_RAISED",
    "NO_MODEL",
    "NO_PICTURES",
    "OWN_LABELS",
    "PERCENTILE",
    "SHD",
    "SHD_SHARE",
    "SIMILARITY",
    "UNKNOWN",
    "UNLIKE",
    "UNLIKE_ALL",
    "WHY_MAP",
    "WHY_MODEST",
    "chance_words",
    "counted_words",
    "decision_words",
    "disagree_words",
    "finding_words",
    "flag_words",
    "held_out_words",
    "lacking_sentence",
    "lead_words",
    "lvef_class_words",
    "lvef_disagree_words",
    "number_words",
    "percent_words",
    "share_of_words",
    "share_words",
    "shd_words",
    "spread_words",
    "undecided_words",
    "unusual_words",
    "world_words",
]

CANNOT_TELL = "this model cannot tell"
DISCLAIMER = "Research software, not a medical device: not for diagnosis or treatment."
LVEF = "LVEF"
SHD = "Structural heart disease"
SHD_SHARE = f"{SHD}, share"
IN_COMMON = "The most similar studies beside the whole index"
NO_PICTURES = "Views without a picture were given to the index as vectors, without their clips."
PERCENTILE = (
    "Percentile: of 100 studies of the index, so many are less similar to this ECG. It tells a place in this index, "
    "not that a study is near: the first one has the highest, however unlike the ECG it is."
)
SIMILARITY = (
    "Similarity is the cosine between this ECG and a study, -1 to 1. "
    + PERCENTILE
    + " Below each view stand two numbers: "
    "its share in the study's vector, and how similar that view alone is to this ECG."
)
UNLIKE = "unlike this ECG"
UNLIKE_ALL = (
    "None of these studies is like this ECG: each has a negative similarity, or is less similar to it than half of the "
    "index."
)
NOT_RAISED = "Raised: its odds are a multiple of those of the base rate. Not raised does not mean normal."
MOST_PROBABLE = "most probable"
NO_MODEL = "no model for this"
OWN_LABELS = "Labels added when this bundle was fitted"
UNKNOWN = "unknown"
DEVICE_SAID = "Said by the device"
DEVICE_SAID_NOTHING = "The file holds nothing that the device said beside the signal."
MEASURED_TWICE = ("Interval", "Measured here", DEVICE_SAID)
MEASURED_TWICE_NOTE = (
    "The device measures by rules of its own: its QT need not be by the tangent, nor its QTc by Fridericia, as those "
    "measured here are."
)
FEWEST_FOR_QUARTILES = 5

WITHHELD = "No answer: the quality of this ECG forbids one"
REPORTED = "Answered all the same, though the quality of this ECG forbids it"
_WHAT_TO_DO = {
    "not_an_ecg": "Send a 12-lead ECG.",
    "no_qrs": "Look at the patient first; if all is well, check the electrodes and the file, and record again.",
    "noise_only": "Look at the patient first; if all is well, check the electrodes and the file, and record again.",
    "too_few_beats": "Send at least 5 s, better 10 s.",
    "scale_implausible": "Check the unit and the gain; a unit can be given with the request.",
    "scales_differ": "Check the unit and the gain of these leads; all must have one.",
    "amplitude_implausible": "Check the unit and the gain; a unit can be given with the request.",
    "leads_lost": "Check the electrodes, and send a recording in which all leads have a signal.",
    "leads_inconsistent": "Check the names and the order of the leads, and that all have one scale.",
    "leads_in_turn": "Send the recording of all leads over the same 10 s, not the printout.",
    "arms_exchanged": "Check the electrodes, and record again. A heart on the right side may look the same.",
    "limb_leads_exchanged": "Check the electrodes; if they were right, the heart's axis is unusual.",
    "chest_leads_exchanged": "Check the order of the chest electrodes, and the names of the leads.",
    "heart_mirrored": "Check the electrodes; if they were right, an old infarction or a tachycardia may look the same.",
    "leads_flat": "Check the electrodes of these leads.",
    "leads_saturated": "Check the electrodes of these leads, and the range of the recorder.",
    "disconnected": "Check the electrodes of these leads, and record again.",
    "noisy": "Record again with the patient at rest, and good contact of the electrodes.",
    "wander": "Record again with good contact of the electrodes, or with the recorder's filter against wander.",
    "mains_hum": "Keep mains cables away, or use the recorder's filter.",
    "signal_clipped": "Check the range and the gain of the recorder.",
    "samples_missing": "Send a stretch without gaps.",
    "samples_wrapped": "Check the number format of the file.",
    "calibration_pulse": "Send the recording without it.",
    "pacing_spikes": "Take the answer with care.",
    "beats_differ": "Take the answer with care, or send a calmer stretch.",
    "rate_implausible": "A rate can be given with the request.",
}


_OF_A_LEAD = {
    "leads_flat": "no signal",
    "leads_saturated": "at the end of its range",
    "leads_lost": "no heartbeat",
    "leads_in_turn": "only a part of the time",
    "disconnected": "no heartbeat",
    "noisy": "noisy",
    "wander": "baseline wanders",
    "mains_hum": "hum",
    "signal_clipped": "cut off",
    "samples_missing": "gaps",
    "samples_wrapped": "samples wrapped",
    "leads_inconsistent": "contradicts other leads",
    "arms_exchanged": "exchanged?",
    "limb_leads_exchanged": "exchanged?",
    "chest_leads_exchanged": "exchanged?",
    "heart_mirrored": "mirrored?",
    "calibration_pulse": "calibration pulse",
}


def lead_words(code: str) -> str:
    """A finding in a word or three, beside its lead on the drawing; `doubtful` for one that is not known."""
    return _OF_A_LEAD.get(code, "doubtful")


WHY_MODEST = "A map shows what the model went by, not what is wrong with the heart; on real ECGs nothing was measured."
WHY_MAP = (
    "Integrated gradients from a flat line in each lead, at its own level; the map sums to the difference but for some "
    "tenths. On simulated ECGs of the demo model taking away what speaks most changed the answer more than taking away "
    "as much at random, random weights gave other maps, and what a simulated disease changed drew more than its share."
)


def what_to_do(code: str) -> str:
    """The way out of a finding, in one sentence or two; empty for one that is not known or needs none."""
    return _WHAT_TO_DO.get(code, "")


def lvef_class_words(range_percent: str) -> str:
    """An LVEF class by its range: `LVEF <= 40 %`."""
    return f"{LVEF} {range_percent}"


def verdict_words(*, positive: bool, probability: float) -> str:
    """What a limit that was chosen to miss few says; it may lie above one half, and the probability between them."""
    if probability > 0.5:
        return "more likely than not"
    return "cannot be ruled out" if positive else "unlikely"


def undecided_words(threshold: float) -> str:
    """What is said at a limit that cannot tell: see `models.operating_point.rules_out`."""
    return f"{CANNOT_TELL} (its limit of {_percent(threshold, 0)} rules nothing out)"


def chance_words(probability: float, bound: str | None = None) -> str:
    """A probability for a table: `0.36`; never a certainty, and `at most 0.36` where only that is known."""
    said = ">0.99" if probability > 0.99 else "<0.01" if probability < 0.01 else f"{probability:.2f}"
    return {"at_most": f"at most {said}", "at_least": f"at least {said}"}.get(bound or "", said)


def decision_words(*, positive: bool, probability: float, threshold: float, rules_out: bool) -> str:
    """`cannot be ruled out (7 %; rule-out limit 6 %)` or `unlikely (3 %, below the rule-out limit of 6 %)`.

    A limit above one half, as of a common label of the user's own, rules nothing out and is called a limit.
    rules_out: whether the threshold was chosen to miss few. That of an older bundle was not, and is called what it is.
    """
    if not rules_out:
        return f"{'positive' if positive else 'negative'} (threshold {threshold:.2f})"
    digits = next((few for few in range(3) if _percent(probability, few) != _percent(threshold, few)), 0)
    said, limit = _percent(probability, digits), _percent(threshold, digits)
    verdict, kind = verdict_words(positive=positive, probability=probability), "limit"
    if threshold <= 0.5:
        kind = "rule-out limit"
    if positive:
        return f"{verdict} ({said}; {kind} {limit})"
    return f"{verdict} ({said}, {'at' if said == limit else 'below'} the {kind} of {limit})"


def _percent(share: float, digits: int) -> str:
    return "over 99 %" if share > 0.99 else f"{100 * share:.{digits}f} %"


def shd_words(shd: bool | None) -> str:
    """Whether the heart of a study is structurally diseased."""
    return {True: "yes", False: "no", None: UNKNOWN}[shd]


def finding_words(finding: str | None) -> str:
    """What is said of a flag; nothing where the bundle has no rule for it."""
    return {"raised": "raised", "not_raised": "not raised", "cannot_tell": CANNOT_TELL}.get(
        finding or "", "no rule in this bundle"
    )


def counted_words(studies: int | None, patients: int | None) -> str:
    """Who counts in what neighbours have in common; nothing of an answer that does not say it."""
    if studies is None or patients is None:
        return ""
    one_each = "" if studies == patients else " Of each patient the most similar study counts."
    of_whom = "1 patient" if patients == 1 else f"{patients} patients"
    return f"{studies} {'study' if studies == 1 else 'studies'} of {of_whom}.{one_each}"


def percent_words(probability: float) -> str:
    """A probability in percent: `75 %`, `3.1 %`; never a certainty, `over 99 %` and `under 1 %`."""
    if probability > 0.99:
        return "over 99 %"
    return "under 1 %" if probability < 0.01 else share_words(probability)


def share_words(share: float | None) -> str:
    """A share in percent, small ones with a digit more: `3.1 %`, `49 %`."""
    if share is None:
        return UNKNOWN
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def number_words(value: float) -> str:
    """A measured number, as exact as it is read: `1.00` (cm), `31.5` or `55`, `213`."""
    return f"{value:.2f}" if value < 10 else f"{round(value, 1 if value < 100 else None):g}"


def spread_words(median: float, low: float, high: float, n: int) -> str:
    """Median and quartiles: `55 (49 to 60)`; of fewer than FEWEST_FOR_QUARTILES the median alone."""
    if n < FEWEST_FOR_QUARTILES:
        return number_words(median)
    return f"{number_words(median)} ({number_words(low)} to {number_words(high)})"


def share_of_words(share: float, n: int) -> str:
    """A share of `n`: `33 %`; of few, whom it is of: `3 of 4`."""
    return f"{round(share * n)} of {n}" if n < FEWEST_FOR_QUARTILES else share_words(share)


def disagree_words(median: float, n: int, low: float, high: float) -> str:
    """The warning where the median LVEF of neighbours of `n` patients is outside the predicted interval, in percent."""
    return (
        f"The median LVEF of similar studies of {n} patients, {number_words(median)} %, lies outside the "
        f"predicted {number_words(low)} to {number_words(high)} %. Take both with care."
    )


def lvef_disagree_words(percent: float, of_class: str, left: Sequence[str]) -> str:
    """The warning where LVEF as a number, in percent, lies in a class that is ruled out; `left` are the other ones."""
    return (
        f"The two predictions of LVEF contradict each other: the number, {number_words(percent)} %, is {of_class}, "
        f"but the prediction set of its classes holds only {' or '.join(left)}. Take both with care."
    )


def held_out_words(*, simulated: bool) -> str:
    """Beside whom an ECG is unusual."""
    return "held-out simulated ECGs" if simulated else "held-out ECGs"


def unusual_words(percentile: float, *, simulated: bool = False) -> str:
    """The warning about an ECG that is more unusual than `percentile` % of held-out ones."""
    return (
        "This ECG is unlike the ECGs this model knows; the numbers are for show. "
        f"It is more unusual than {percentile:.1f} % of {held_out_words(simulated=simulated)}."
    )


def world_words(trained_on: str | None, studies_simulated: bool | None) -> str:
    """Whose hearts an answer is made of, where that is invented ones; nothing where nobody says so."""
    if trained_on is not None and studies_simulated:
        return f"Demo model, simulated studies. {trained_on}"
    if studies_simulated:
        return "The studies of this index are simulated: no patient is behind them."
    return trained_on or ""
