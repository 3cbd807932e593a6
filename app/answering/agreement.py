"""What in an answer contradicts another part of it, as warnings: an answer must not leave it to be noticed.

Letters: K neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.answering.alike import neighbours_disagree
from inputs.records import InputWarning
from models.bundle import LvefVerdict
from models.labels import LvefClasses
from outputs.words import lvef_disagree_words

LVEF_DIGITS = 1
"""Of LVEF as a number in an answer. Compared is what is shown, so that nobody reads 50 % beside "below 50 %"."""


def contradictions(
    lvef: LvefVerdict | None, classes: LvefClasses, lvef_percent_K: Sequence[float | None] = ()
) -> Iterator[InputWarning]:
    """`lvef_disagrees` and `neighbours_disagree`, each only where both of its sides are there.

    lvef_percent_K: LVEF of the neighbours in percent, None where unknown.
    """
    if lvef is None:
        return
    if (warning := lvef_disagrees(lvef, classes)) is not None:
        yield warning
    number = lvef.estimate
    if number is None or number.low is None or number.high is None:
        return
    shown_K = [None if percent is None else round(percent, LVEF_DIGITS) for percent in lvef_percent_K]
    low_percent, high_percent = round(number.low, LVEF_DIGITS), round(number.high, LVEF_DIGITS)
    if (warning := neighbours_disagree(shown_K, low_percent, high_percent)) is not None:
        yield warning


def lvef_disagrees(lvef: LvefVerdict, classes: LvefClasses) -> InputWarning | None:
    """The warning `lvef_disagrees` where the number lies in a class that is not in the prediction set.

    The set is the one that the answer shows: within classes where there is one, else the overall one. None where there
    is no number or no set.
    """
    said = lvef.per_class_set or lvef.prediction_set
    if lvef.estimate is None or said is None:
        return None
    percent = round(lvef.estimate.percent, LVEF_DIGITS)
    number = int(classes.class_of([percent])[0])
    if number in said.classes:
        return None
    names = [f"{label} ({text})" for label, text in zip(classes.labels, classes.ranges, strict=True)]
    left = [names[allowed] for allowed in said.classes]
    return InputWarning("lvef_disagrees", lvef_disagree_words(percent, names[number], left))
