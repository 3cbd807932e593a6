"""What a search asks of the studies it may return, whichever database keeps their cards.

A study of which something is unknown does not match a filter that asks for it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time

from ground.errors import Refusal

LVEF_PERCENT = (0.0, 100.0)
AGE_YEARS = (0.0, 130.0)
YEARS = (1900, 2250)
"""Of a time, as cohorts have them: in date-shifted ones they may lie in the future."""
SEXES = ("female", "male")
MAX_VIEW_LETTERS = 100

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?P<time>[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)


class FilterRefused(Refusal):
    """A filter that contradicts itself, that no study could match, or that could be meant in two ways."""

    def __init__(self, sentence: str, *, code: str = "invalid_parameter", hint: str = "") -> None:
        super().__init__(code, sentence, hint=hint)


@dataclass(frozen=True)
class Filters:
    """What must be known of a study, and hold; None asks nothing. Bounds are inclusive. Raises FilterRefused.

    LVEF in percent, age in years. sex: one of SEXES. acquired_after, acquired_before: a time, or a day, which reaches
    from its beginning to its end; whether a time needs a zone depends on the catalogue (`acquired_within`). view: the
    name of a view that the study has, whether in capitals or not. shd: whether the heart is structurally diseased.
    """

    lvef_min: float | None = None
    lvef_max: float | None = None
    age_min: float | None = None
    age_max: float | None = None
    sex: str | None = None
    acquired_after: date | None = None
    acquired_before: date | None = None
    view: str | None = None
    shd: bool | None = None

    def __post_init__(self) -> None:
        _check_range("lvef", self.lvef_min, self.lvef_max, LVEF_PERCENT)
        _check_range("age", self.age_min, self.age_max, AGE_YEARS)
        if self.sex is not None and self.sex not in SEXES:
            raise FilterRefused(f"sex must be {' or '.join(SEXES)}.")
        if self.view is not None and not (1 <= len(self.view) <= MAX_VIEW_LETTERS and self.view.isprintable()):
            raise FilterRefused(f"view must be the name of a view, in at most {MAX_VIEW_LETTERS} printable letters.")
        bounds = [bound for bound in (self.acquired_after, self.acquired_before) if bound is not None]
        if not all(YEARS[0] <= bound.year <= YEARS[1] for bound in bounds):
            raise FilterRefused(f"acquired_after and acquired_before must lie in the years {YEARS[0]} to {YEARS[1]}.")
        zones = {bound.tzinfo is not None for bound in bounds if isinstance(bound, datetime)}
        if len(zones) > 1:
            raise FilterRefused("acquired_after and acquired_before must both have a time zone, or none.")
        first, last = self.acquired_within(zoned=zones == {True})
        if first is not None and last is not None and first > last:
            raise FilterRefused("acquired_after must not be later than acquired_before.")

    @property
    def asked(self) -> dict[str, float | str | bool | date]:
        """The filters that ask something, by name."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if value is not None}

    def acquired_within(self, *, zoned: bool) -> tuple[datetime | None, datetime | None]:
        """The first and the last moment that match, None where there is no bound; in UTC of a zoned catalogue.

        A day is one of UTC there. Raises FilterRefused for a time with a zone where those of the catalogue have none,
        and for one without where they have: which moment it means is not known.
        """
        return _moment(self.acquired_after, time.min, zoned=zoned), _moment(self.acquired_before, time.max, zoned=zoned)


def moment(text: str) -> date:
    """A day, `2020-01-31`, or a time, `2020-01-31T14:30` (with seconds, `Z` or `+01:00` where wanted), as a `date` or
    `datetime`. FilterRefused for anything else: other forms that ISO 8601 allows are easily something else.
    """
    found = _MOMENT.fullmatch(text.strip())
    try:
        if found is not None:
            return (datetime if found["time"] else date).fromisoformat(found[0])
    except ValueError:  # the 31st of February
        pass
    raise FilterRefused(
        "A day such as 2020-01-31 or a time such as 2020-01-31T14:30Z is wanted.",
        hint="The + of a zone is written %2B in an address.",
    )


def _moment(bound: date | None, of_day: time, *, zoned: bool) -> datetime | None:
    if bound is None:
        return None
    if not isinstance(bound, datetime):
        return datetime.combine(bound, of_day, tzinfo=UTC if zoned else None)
    if zoned and bound.tzinfo is None:
        raise FilterRefused(
            "The studies of this index are dated with a time zone, so a time that they are filtered by needs one.",
            code="time_zone_missing",
            hint="Add Z for UTC, or give the day alone, which is one of UTC.",
        )
    if not zoned and bound.tzinfo is not None:
        raise FilterRefused(
            "The studies of this index are dated without a time zone, so a time that they are filtered by must have "
            "none.",
            code="time_zone_unexpected",
        )
    return bound.astimezone(UTC) if zoned else bound


def _check_range(name: str, least: float | None, most: float | None, plausible: tuple[float, float]) -> None:
    for value in (least, most):
        if value is not None and not (math.isfinite(value) and plausible[0] <= value <= plausible[1]):
            raise FilterRefused(f"{name}_min and {name}_max must be numbers from {plausible[0]:g} to {plausible[1]:g}.")
    if least is not None and most is not None and least > most:
        raise FilterRefused(f"{name}_min must not be above {name}_max.")


NO_FILTERS = Filters()
