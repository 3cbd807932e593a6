"""What the neighbours of an ECG have in common, beside the whole index, and whether they contradict the prediction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from ground.findings import phenotype_of
from index.catalogue.cards import StudyCard
from index.catalogue.spread import Share, Spread, Usual
from inputs.records import InputWarning
from outputs import report
from outputs.words import disagree_words

_LVEF = "lvef_percent"
FEWEST_TO_DISAGREE = 5


def one_of_each_patient(cards: Iterable[StudyCard]) -> list[StudyCard]:
    """The first study of each patient: of cards in order of similarity the most similar one."""
    first: dict[str, StudyCard] = {}
    for card in cards:
        first.setdefault(card.patient_id, card)
    return list(first.values())


def neighbour_summary(cards: Sequence[StudyCard], index: Usual) -> report.NeighbourSummary | None:
    """Medians and shares of these studies, most similar first, beside those of the whole index.

    Of each patient the most similar one counts: studies of one heart are alike, and would count as several. Left unset
    is what fewer than `FEWEST_KNOWN` of them know; None where that is everything.
    """
    one_each = one_of_each_patient(cards)
    near = Usual.of_cards(one_each)
    measured = [_measurement(column, spread, index.spreads[column]) for column, spread in near.spreads.items()]
    further = [one for one in measured if one.name != _LVEF]
    summary = report.NeighbourSummary(studies=len(cards), patients=len(one_each))
    if lvef := [one for one in measured if one.name == _LVEF]:
        (summary.lvef,) = lvef  # set, and therefore written
    if near.shd is not None and index.shd is not None:
        summary.shd = report.ShdSummary(neighbours=_share(near.shd), index=_share(index.shd))
    if further:
        summary.measurements = further
    return summary if summary.measured or summary.shd is not None else None


def neighbours_disagree(
    lvef_percent_K: Iterable[float | None], low_percent: float, high_percent: float
) -> InputWarning | None:
    """The warning `neighbours_disagree` where the median of at least FEWEST_TO_DISAGREE known LVEFs of neighbours lies
    outside the predicted interval (both ends are inside); else None. All in percent, unknown ones are None."""
    known = [lvef for lvef in lvef_percent_K if lvef is not None]
    if len(known) < FEWEST_TO_DISAGREE or low_percent <= (middle := median(known)) <= high_percent:
        return None
    return InputWarning("neighbours_disagree", disagree_words(middle, len(known), low_percent, high_percent))


def _measurement(column: str, near: Spread, index: Spread) -> report.MeasurementSummary:
    phenotype = phenotype_of(column)
    return report.MeasurementSummary(
        name=column, words=phenotype.words, unit=phenotype.unit, neighbours=_spread(near), index=_spread(index)
    )


def _spread(spread: Spread) -> report.Spread:
    return report.Spread(
        median=round(spread.median, 3), low=round(spread.low, 3), high=round(spread.high, 3), n=spread.n
    )


def _share(share: Share) -> report.Share:
    return report.Share(share=round(share.share, 6), n=share.n)
