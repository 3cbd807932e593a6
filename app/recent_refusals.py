"""What was refused within the last hour, counted by reason: for whoever runs the service, and about nobody."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTES = 60
MAX_REASONS = 64
"""In each minute; what is more is counted together as `other`."""
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""A caller may write any word in their place."""


@dataclass(frozen=True)
class Reason:
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

    def note(self, method: str, route: str, code: str) -> None:
        minute = int(self._now() // 60)
        while self._minutes and self._minutes[-1][0] > minute + 1:  # of a clock that was ahead and has been set right
            self._minutes.pop()
        if not self._minutes or self._minutes[-1][0] < minute:  # a clock that goes back a little counts on
            self._minutes.append((minute, Counter()))
        counted = self._minutes[-1][1]
        reason = Reason(method if method in METHODS else "other", route, code)
        counted[reason if reason in counted or len(counted) < MAX_REASONS else _OTHER] += 1

    def counts(self) -> list[RefusalCount]:
        """The most frequent reason first, at most MAX_REASONS."""
        first = int(self._now() // 60) - MINUTES + 1
        total: Counter[Reason] = Counter()
        last: dict[Reason, int] = {}
        for minute, counted in self._minutes:
            if minute >= first:
                total.update(counted)
                last |= dict.fromkeys(counted, minute)
        epoch = datetime.fromtimestamp(0, UTC)
        return [
            RefusalCount(reason, count, epoch + timedelta(minutes=last[reason]))
            for reason, count in total.most_common(MAX_REASONS)
        ]
