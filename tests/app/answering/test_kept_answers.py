"""Answers are kept for their owner alone, for a time, in a room."""

from __future__ import annotations

import pytest

from app.answering.kept_answers import AnswerGone, KeptAnswers


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def kept(clock):
    """Room for 100 bytes, 75 of one owner, for a minute."""
    return KeptAnswers(100, 60.0, clock)


def there(kept, owner, names):
    found = []
    for name in names:
        try:
            found.append(kept.get(owner, name))
        except AnswerGone:
            continue
    return found


def test_an_owner_finds_it_by_its_name_and_names_are_not_guessed(kept):
    names = [kept.keep("me", number, 1) for number in range(20)]
    assert len(set(names)) == 20
    assert min(map(len, names)) >= 22
    assert there(kept, "me", names) == list(range(20))


@pytest.mark.parametrize("owner", ["you", "", "m", "me "])
def test_to_anybody_else_it_is_as_if_it_had_never_been(kept, owner):
    name = kept.keep("me", "answer", 1)
    with pytest.raises(AnswerGone) as not_mine:
        kept.get(owner, name)
    with pytest.raises(AnswerGone) as nobodys:
        kept.get(owner, "x" * 22)
    assert str(not_mine.value) == str(nobodys.value)
    assert "1 minutes" in not_mine.value.hint


def test_it_ends_when_its_time_is_over_however_often_it_was_looked_at(kept, clock):
    first = kept.keep("me", "first", 1)
    clock.now = 59.0
    second = kept.keep("me", "second", 1)
    assert there(kept, "me", [first, second]) == ["first", "second"]
    clock.now = 60.0
    assert there(kept, "me", [first, second]) == ["second"]
    clock.now = 119.0
    assert there(kept, "me", [second]) == []


def test_it_leaves_memory_when_its_time_is_over_though_nobody_asks(start_app, wait_until):
    with start_app(kept_answers_minutes=0.005) as running:
        assert running.client.post("/", files={"files": b"1"}).status_code == 303
        wait_until(lambda: not running.service.kept._places)


def test_an_owner_displaces_its_own_and_takes_three_quarters_at_most(kept):
    others = kept.keep("you", "yours", 25)
    mine = [kept.keep("me", number, 25) for number in range(5)]
    assert there(kept, "me", mine) == [2, 3, 4]
    assert there(kept, "you", [others]) == ["yours"]


def test_where_all_is_full_the_oldest_goes_whosever_it_is(kept):
    names = {owner: kept.keep(owner, owner, 40) for owner in ("one", "two", "three")}
    assert [owner for owner, name in names.items() if there(kept, owner, [name])] == ["two", "three"]


def test_what_is_larger_than_the_room_is_not_kept_and_what_is_larger_than_a_share_alone(kept):
    small = kept.keep("me", "small", 10)
    large = kept.keep("me", "large", 90)
    assert there(kept, "me", [small, large]) == ["large"]
    assert there(kept, "me", [kept.keep("me", "too large", 101)]) == []


def test_who_logs_out_leaves_nothing_and_takes_nobody_elses(kept):
    mine, yours = [kept.keep("me", number, 10) for number in range(3)], kept.keep("you", "yours", 10)
    kept.forget("me")
    assert there(kept, "me", mine) == []
    assert there(kept, "you", [yours]) == ["yours"]
    assert there(kept, "me", [kept.keep("me", "new", 75)]) == ["new"], "and its room is free again"
