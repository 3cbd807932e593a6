"""Filters leave the studies of which something is known and holds, and are refused where they could mean two things."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest

from index.catalogue.cards import CataloguedView, StudyCard
from index.catalogue.filters import FilterRefused, Filters, moment
from index.catalogue.sqlite import Catalogue, CatalogueWriter

VIEWS = ("A4C", "a4c", "PLAX", "Ö2C", None)


def random_card(row, rng, tz=None):
    def maybe(value):
        return value if rng.random() < 0.8 else None

    views = rng.choice(len(VIEWS), rng.integers(0, 4), replace=False)
    return StudyCard(
        row_id=row,
        study_id=f"s{row}",
        patient_id=f"p{row % 40}",
        acquired_at=maybe(datetime(2020, 1, 1, tzinfo=tz) + timedelta(hours=int(rng.integers(0, 2000)))),
        age=maybe(float(rng.integers(40, 90))),
        sex=maybe(("female", "male")[rng.integers(2)]),
        lvef_percent=maybe(float(rng.integers(20, 70))),
        lvedv_ml=None,
        lvesv_ml=None,
        flags={},
        shd=maybe(bool(rng.integers(2))),
        views=tuple(CataloguedView(f"v{i}", VIEWS[i], 0.5, has_thumbnail=False) for i in views),
    )


def write(path, cards):
    with CatalogueWriter(path) as writer:
        for card in cards:
            writer.add(card, {})
    return Catalogue.open(path)


@pytest.fixture(params=[None, UTC], ids=["naive", "zoned"])
def cohort(request, tmp_path):
    rng = np.random.default_rng(0)
    cards = [random_card(3 * row, rng, request.param) for row in range(400)]
    return cards, write(tmp_path / "c.sqlite", cards)


def holds(value, test):
    return value is not None and test(value)


DAY = date(2020, 2, 1)
ASKED = {
    "lvef_min": (40.0, lambda c: holds(c.lvef_percent, lambda v: v >= 40)),
    "lvef_max": (40.0, lambda c: holds(c.lvef_percent, lambda v: v <= 40)),
    "age_min": (70.0, lambda c: holds(c.age, lambda v: v >= 70)),
    "age_max": (70.0, lambda c: holds(c.age, lambda v: v <= 70)),
    "sex": ("female", lambda c: c.sex == "female"),
    "acquired_after": (DAY, lambda c: holds(c.acquired_at, lambda t: t.date() >= DAY)),
    "acquired_before": (DAY, lambda c: holds(c.acquired_at, lambda t: t.date() <= DAY)),
    "view": ("A4c", lambda c: any(holds(v.view, lambda name: name.lower() == "a4c") for v in c.views)),
    "shd": (False, lambda c: c.shd is False),
}


@pytest.mark.parametrize(
    "names", [(name,) for name in ASKED] + [("lvef_min", "sex"), ("lvef_max", "age_min", "view"), tuple(ASKED)]
)
def test_the_studies_that_are_allowed_are_those_of_which_all_that_is_asked_is_known_and_holds(cohort, names):
    cards, catalogue = cohort
    filters = Filters(**{name: ASKED[name][0] for name in names})
    expected = [card.row_id for card in cards if all(ASKED[name][1](card) for name in names)]
    assert 0 < len(expected) < len(cards) or names == tuple(ASKED)
    allowed = catalogue.allowed(filters)
    assert allowed.count == len(expected)
    np.testing.assert_array_equal(allowed.ids, expected)
    assert allowed.ids.dtype == np.int64
    without = [row for row in expected if f"p{row % 40}" != "p6"]
    np.testing.assert_array_equal(catalogue.allowed(filters, exclude_patient="p6").ids, without)


def test_where_a_filter_leaves_every_study_nothing_is_restricted(tmp_path):
    rng = np.random.default_rng(1)
    cards = [card for row in range(40) if (card := random_card(row, rng)).age is not None]
    catalogue = write(tmp_path / "c.sqlite", cards)
    assert catalogue.allowed(Filters(age_min=1.0)) is None
    assert catalogue.allowed(Filters()) is None
    assert catalogue.allowed(Filters(age_min=120.0)).ids.tolist() == []
    assert catalogue.knows_patient(cards[0].patient_id)
    assert not catalogue.knows_patient("nobody")


def timed(tmp_path, *times):
    rng = np.random.default_rng(2)
    cards = [random_card(row, rng) for row in range(len(times))]
    changed = [StudyCard(**(vars(card) | {"acquired_at": at})) for card, at in zip(cards, times, strict=True)]
    return write(tmp_path / "c.sqlite", changed)


def rows(catalogue, **asked):
    allowed = catalogue.allowed(Filters(**{name: moment(text) for name, text in asked.items()}))
    return list(range(catalogue.count)) if allowed is None else allowed.ids.tolist()


def test_a_day_reaches_from_its_beginning_to_its_end_and_both_bounds_are_inside(tmp_path):
    at = [datetime(2020, 1, 31), datetime(2020, 1, 31, 23, 59, 59), datetime(2020, 2, 1), None]  # noqa: DTZ001
    catalogue = timed(tmp_path, *at)
    assert rows(catalogue, acquired_before="2020-01-31") == [0, 1]
    assert rows(catalogue, acquired_after="2020-01-31") == [0, 1, 2]
    assert rows(catalogue, acquired_after="2020-02-01") == [2]
    assert rows(catalogue, acquired_after="2020-01-31", acquired_before="2020-01-31") == [0, 1]
    assert rows(catalogue, acquired_before="2020-01-31T00:00") == [0]
    assert rows(catalogue, acquired_after="2020-01-31T23:59:59") == [1, 2]
    assert rows(catalogue, acquired_after="2020-01-31T23:59:59.5") == [2]


def test_of_a_zoned_index_a_day_is_one_of_utc_and_a_time_is_the_moment_it_says(tmp_path):
    at = [datetime(2020, 1, 31, 23, 30, tzinfo=UTC), datetime(2020, 2, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))]
    catalogue = timed(tmp_path, *at)  # the second one is 22:30 UTC
    assert rows(catalogue, acquired_after="2020-02-01") == []
    assert rows(catalogue, acquired_before="2020-01-31") == [0, 1]
    assert rows(catalogue, acquired_after="2020-02-01T01:00+02:00") == [0]
    assert rows(catalogue, acquired_before="2020-01-31T22:30:00Z") == [1]


def test_a_time_of_which_the_zone_is_not_known_is_refused_and_not_guessed(tmp_path):
    (tmp_path / "zoned").mkdir()
    zoned = timed(tmp_path / "zoned", datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(FilterRefused, match="needs one") as refused:
        rows(zoned, acquired_after="2020-01-31T14:30")
    assert refused.value.code == "time_zone_missing"
    naive = timed(tmp_path, datetime(2020, 1, 1))  # noqa: DTZ001
    with pytest.raises(FilterRefused, match="must have none") as refused:
        rows(naive, acquired_before="2020-01-31T14:30Z")
    assert refused.value.code == "time_zone_unexpected"


@pytest.mark.parametrize(
    "asked",
    [
        {"lvef_min": 50.0, "lvef_max": 40.0},
        {"age_min": 50.0, "age_max": 49.9},
        {"lvef_min": -0.1},
        {"lvef_max": 100.1},
        {"age_max": 131.0},
        {"lvef_max": float("nan")},
        {"age_min": float("inf")},
        {"sex": "F"},
        {"view": ""},
        {"view": "a\nb"},
        {"view": "x" * 101},
        {"acquired_after": date(2020, 1, 2), "acquired_before": date(2020, 1, 1)},
        {"acquired_after": date(2020, 1, 2), "acquired_before": datetime(2020, 1, 1, 23, tzinfo=UTC)},
        {"acquired_after": datetime(2020, 1, 1, tzinfo=UTC), "acquired_before": datetime(2020, 1, 2)},  # noqa: DTZ001
        {"acquired_after": date(1, 1, 1)},
        {"acquired_before": date.max},
    ],
)
def test_a_filter_that_no_study_can_match_or_that_contradicts_itself_is_refused(asked):
    with pytest.raises(FilterRefused) as refused:
        Filters(**asked)
    assert refused.value.code == "invalid_parameter"


def test_bounds_that_are_equal_are_no_contradiction():
    Filters(lvef_min=40.0, lvef_max=40.0, age_min=0.0, age_max=130.0)
    Filters(acquired_after=date(2020, 1, 1), acquired_before=datetime(2020, 1, 1, 0, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2020-01-31", date(2020, 1, 31)),
        (" 2020-01-31 ", date(2020, 1, 31)),
        ("2020-01-31T14:30", datetime(2020, 1, 31, 14, 30)),  # noqa: DTZ001
        ("2020-01-31 14:30:05", datetime(2020, 1, 31, 14, 30, 5)),  # noqa: DTZ001
        ("2020-01-31T14:30Z", datetime(2020, 1, 31, 14, 30, tzinfo=UTC)),
        ("2020-01-31T14:30:05.25+01:00", datetime(2020, 1, 31, 13, 30, 5, 250_000, tzinfo=UTC)),
    ],
)
def test_days_and_times_are_read_as_iso_8601_writes_them(text, meant):
    assert moment(text) == meant
    assert type(moment(text)) is type(meant)


@pytest.mark.parametrize(
    "text", ["", "5", "1580428800", "20200131", "2020", "2020-01", "2020-02-31", "2020-W05-5", "31.01.2020", "today",
             "2020-01-31T14", "2020-01-31T25:00", "2020-01-31T14:30 01:00", "２０２０-01-31", "2020-01-31\n2020"],
)  # fmt: skip
def test_what_is_easily_something_else_is_no_moment(text):
    with pytest.raises(FilterRefused, match="is wanted"):
        moment(text)
