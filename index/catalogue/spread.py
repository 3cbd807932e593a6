"""What is usual among some studies: median and quartiles of what was measured, and the share with a diseased heart.

The same for a handful of neighbours and for a whole index, so that one can stand beside the other.

Letters: N studies whose value is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ground.findings import LV_PHENOTYPES, MEASUREMENTS
from index.catalogue.cards import StudyCard

MEASURED: tuple[str, ...] = (*LV_PHENOTYPES, *MEASUREMENTS)
"""Columns of a study that are numbers about its heart."""
FEWEST_KNOWN = 3
"""Of fewer values nothing is said."""


@dataclass(frozen=True)
class Spread:
    """Median, lower and upper quartile of `n` known values, in the column's own unit."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values_N: ArrayLike) -> Spread | None:
        """None for fewer than FEWEST_KNOWN. Quartiles between two values are interpolated (Hyndman and Fan, type 7)."""
        known_N = np.asarray(values_N, dtype=np.float64)
        if len(known_N) < FEWEST_KNOWN:
            return None
        low, median, high = np.percentile(known_N, [25.0, 50.0, 75.0])
        return cls(float(median), float(low), float(high), len(known_N))


@dataclass(frozen=True)
class Share:
    """The share, 0 to 1, of `n` studies of which it is known."""

    share: float
    n: int

    @classmethod
    def of(cls, answers: Sequence[bool]) -> Share | None:
        """None for fewer than FEWEST_KNOWN."""
        return None if len(answers) < FEWEST_KNOWN else cls(sum(answers) / len(answers), len(answers))


@dataclass(frozen=True)
class Usual:
    """Of some studies: the spread of each column of MEASURED, in that order, and the share with structural heart
    disease. Absent, or None, is what fewer than FEWEST_KNOWN studies know."""

    spreads: Mapping[str, Spread]
    shd: Share | None

    @classmethod
    def of(cls, known: Mapping[str, ArrayLike], shd: Sequence[bool]) -> Usual:
        """Of known values by column, and of known answers about structural heart disease."""
        spreads = {column: Spread.of(known[column]) for column in MEASURED if column in known}
        return cls({column: spread for column, spread in spreads.items() if spread is not None}, Share.of(shd))

    @classmethod
    def of_cards(cls, cards: Iterable[StudyCard]) -> Usual:
        cards = list(cards)
        known = {column: [v for card in cards if (v := card.measured(column)) is not None] for column in MEASURED}
        return cls.of(known, [card.shd for card in cards if card.shd is not None])
