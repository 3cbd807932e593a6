"""What was refused within the hour, by reason, within bounds and about nobody."""

from __future__ import annotations

from app.recent_refusals import MAX_REASONS, MINUTES, RecentRefusals


class Clock:
    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def test_an_hour_is_counted_and_what_is_older_is_not():
    clock = Clock(6000.0)
    recent = RecentRefusals(now=clock)
    recent.note("POST", "/v1/search", "busy")
    clock.at += 60 * (MINUTES - 1)
    recent.note("POST", "/v1/search", "busy")
    recent.note("GET", "/v1/index", "key_required")
    (most, other) = recent.counts()
    assert (most.reason.code, most.count, most.last_at.timestamp()) == ("busy", 2, clock.at)
    assert (other.reason.method, other.reason.route, other.count) == ("GET", "/v1/index", 1)
    clock.at += 60
    assert [(one.reason.code, one.count) for one in recent.counts()] == [("busy", 1), ("key_required", 1)]
    clock.at += 3600
    assert recent.counts() == []


def test_any_number_of_reasons_in_any_number_of_minutes_takes_so_much_memory_and_loses_no_count():
    clock = Clock(0.0)
    recent = RecentRefusals(now=clock)
    for number in range(300):
        clock.at = 60.0 * number
        for reason in range(2 * MAX_REASONS):
            recent.note("GET", f"/{reason}", "code")
    assert len(recent._minutes) == MINUTES
    assert max(len(counted) for _, counted in recent._minutes) <= MAX_REASONS + 1
    counts = recent.counts()
    assert len(counts) <= MAX_REASONS
    assert (counts[0].reason.code, counts[0].count) == ("other", MAX_REASONS * MINUTES)


def test_a_method_that_the_caller_made_up_is_not_kept():
    recent = RecentRefusals()
    recent.note("PATIENT-MEIER", "unmatched", "method_not_allowed")
    assert [one.reason.method for one in recent.counts()] == ["other"]


def test_a_clock_that_goes_back_counts_on():
    clock = Clock(6000.0)
    recent = RecentRefusals(now=clock)
    recent.note("GET", "/", "a")
    clock.at -= 60
    recent.note("GET", "/", "a")
    assert [one.count for one in recent.counts()] == [2]


def test_what_a_clock_told_that_was_hours_ahead_is_forgotten_when_it_is_set_right():
    clock = Clock(6000.0)
    recent = RecentRefusals(now=clock)
    clock.at += 36_000
    recent.note("GET", "/", "a")
    clock.at -= 36_000
    recent.note("GET", "/", "a")
    assert [(one.count, one.last_at.timestamp()) for one in recent.counts()] == [(1, clock.at)]


def test_what_is_counted_does_not_depend_on_when_it_was_looked_at():
    now_s = 600.0 * 60
    looked, unlooked = RecentRefusals(lambda: now_s), RecentRefusals(lambda: now_s)
    for step in range(400):
        for refusals in (looked, unlooked):
            refusals.note("GET", f"/{step % 7}", f"code{step % 3}")
        looked.counts()
        now_s += (13.0, 40.0, 90.0, -70.0)[step % 4]
    assert looked.counts() == unlooked.counts()
    now_s += 61 * 60
    assert looked.counts() == []
