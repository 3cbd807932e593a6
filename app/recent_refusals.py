"""What was refused within the last hour, counted by reason: for whoever runs the service, and about nobody."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

MINUTES = 60
MAX_REASONS = 64
"""In each minute; what is more is counted together as `other`."""
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""A caller may write any word in their place."""


class Reason(NamedTuple):
    """Nothing of a request but its method, its route's template and what its problem's `code` was."""

    method: str
    route: str
    code: str


_OTHER = Reason("other", "other", "other")


@dataclass(frozen=True)
class RefusalCount:
    reason: Reason
    count: int
    last_at: datetime
    """To the minute."""


class RecentRefusals:
    """Counts of each of the last MINUTES minutes. Event loop only."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._minutes: deque[tuple[int, Counter[Reason]]] = deque(maxlen=MINUTES)
        self._added_up: tuple[int, Counter[Reason], dict[Reason, int]] | None = None
        """Of all minutes but the last, from the first that counts on: how often, and in which minute last."""

    def note(self, method: str, route: str, code: str) -> None:
        minute = int(self._now() // 60)
        while self._minutes and self._minutes[-1][0] > minute + 1:  # of a clock that was ahead and has been set right
            self._minutes.pop()
            self._added_up = None
        if not self._minutes or self._minutes[-1][0] < minute:  # a clock that goes back a little counts on
            self._minutes.append((minute, Counter()))
            self._added_up = None
        counted = self._minutes[-1][1]
        reason = Reason(method if method in METHODS else "other", route, code)
        counted[reason if reason in counted or len(counted) < MAX_REASONS else _OTHER] += 1

    def counts(self) -> list[RefusalCount]:
        """The most frequent reason first, at most MAX_REASONS."""
        if not self._minutes:
            return []
        first = int(self._now() // 60) - MINUTES + 1
        if self._added_up is None or self._added_up[0] != first:
            self._added_up = first, *_added_up(islice(self._minutes, len(self._minutes) - 1), first)
        newest, newest_last = _added_up([self._minutes[-1]], first)
        total, last = self._added_up[1] + newest, self._added_up[2] | newest_last
        epoch = datetime.fromtimestamp(0, UTC)
        return [
            RefusalCount(reason, count, epoch + timedelta(minutes=last[reason]))
            for reason, count in total.most_common(MAX_REASONS)
        ]


def _added_up(minutes: Iterable[tuple[int, Counter[Reason]]], first: int) -> tuple[Counter[Reason], dict[Reason, int]]:
    total: Counter[Reason] = Counter()
    last: dict[Reason, int] = {}
    for minute, counted in minutes:
        if minute >= first:
            total.update(counted)
            last |= dict.fromkeys(counted, minute)
    return total, last
