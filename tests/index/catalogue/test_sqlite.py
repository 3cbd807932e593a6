"""The catalogue answers with what was written, in any thread, and never shows the patient."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from index.base import IndexDamaged
from index.catalogue.cards import CataloguedView, StudyCard
from index.catalogue.spread import Usual
from index.catalogue.sqlite import Catalogue, CatalogueWriter


def study(row_id: int, *, patient: str = "p1", views: int = 2, **changes) -> StudyCard:
    fields = {
        "study_id": f"s{row_id}",
        "acquired_at": datetime(2020, 1, 1, 12, 30, 5),  # noqa: DTZ001 - date-shifted cohorts are naive
        "age": 61.0,
        "sex": "female",
        "lvef_percent": 55.5,
        "lvedv_ml": 120.0,
        "lvesv_ml": None,
        "flags": {"a_flag": True, "b_flag": None},
        "shd": True,
        "views": tuple(
            CataloguedView(f"v{i}", "A4C" if i else None, 1 / views, has_thumbnail=False) for i in range(views)
        ),
    }
    return StudyCard(row_id=row_id, patient_id=patient, **(fields | changes))


def write(path, cards, thumbnails=None):
    with CatalogueWriter(path) as writer:
        for card in cards:
            writer.add(card, thumbnails or {})
    return Catalogue.open(path)


def test_a_card_says_which_of_its_views_have_a_picture(tmp_path):
    catalogue = write(tmp_path / "c.sqlite", [study(0)], {"v1": b"jpeg"})
    assert [view.has_thumbnail for view in catalogue.card("s0").views] == [False, True]


def test_a_card_comes_back_as_it_was_written(tmp_path):
    cards = [study(0), study(1, age=None, sex=None, acquired_at=None, lvef_percent=None, shd=None, views=0)]
    catalogue = write(tmp_path / "c.sqlite", cards)
    assert [catalogue.card("s0"), catalogue.card("s1")] == cards
    assert catalogue.card("s2") is None
    assert catalogue.count == 2


def test_measurements_come_back_where_they_are_known(tmp_path):
    measurements = {"septum_cm": 0.95, "pasp_mmhg": 31.0}
    catalogue = write(tmp_path / "c.sqlite", [study(0, measurements=measurements), study(1)])
    assert catalogue.card("s0").measurements == measurements
    assert catalogue.card("s1").measurements == {}
    assert catalogue.card("s0").measured("septum_cm") == 0.95
    assert catalogue.card("s0").measured("lvef_percent") == 55.5
    assert catalogue.card("s1").measured("septum_cm") is None


def test_what_is_usual_in_a_catalogue_is_what_is_usual_among_its_cards(tmp_path):
    rng = np.random.default_rng(0)

    def maybe(value):
        return value if rng.random() < 0.7 else None

    cards = [
        study(
            row,
            lvef_percent=maybe(float(rng.uniform(20, 70))),
            shd=maybe(bool(rng.integers(2))),
            measurements={"la_volume_index": float(rng.uniform(15, 60))} if row % 3 else {},
        )
        for row in range(700)
    ]
    usual = write(tmp_path / "c.sqlite", cards).usual()
    assert usual == Usual.of_cards(cards)
    assert {*usual.spreads} == {"lvef_percent", "lvedv_ml", "la_volume_index"}, "lvesv_ml is known of nobody"


def test_a_catalogue_from_before_a_measurement_was_kept_answers_with_what_it_has(tmp_path):
    write(tmp_path / "c.sqlite", [study(row, measurements={"septum_cm": 1.0, "tapse_cm": 2.0}) for row in range(4)])
    with contextlib.closing(sqlite3.connect(tmp_path / "c.sqlite")) as connection:
        connection.execute("ALTER TABLE studies DROP COLUMN tapse_cm")
        connection.commit()
    catalogue = Catalogue.open(tmp_path / "c.sqlite")
    assert catalogue.card("s0").measurements == {"septum_cm": 1.0}
    assert {*catalogue.usual().spreads} == {"lvef_percent", "lvedv_ml", "septum_cm"}


def test_cards_come_in_the_order_asked_for_and_an_unknown_row_is_an_error(tmp_path):
    catalogue = write(tmp_path / "c.sqlite", [study(i) for i in range(1200)])
    assert [c.row_id for c in catalogue.cards(np.array([1100, 3, 700]))] == [1100, 3, 700]
    with pytest.raises(KeyError):
        catalogue.cards([1, 1200])


def test_a_zoned_time_is_kept_in_utc_and_a_naive_one_as_it_is(tmp_path):
    zoned = datetime(2020, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    catalogue = write(tmp_path / "c.sqlite", [study(0, acquired_at=zoned), study(1)])
    assert catalogue.card("s0").acquired_at == zoned
    assert catalogue.card("s0").acquired_at.tzinfo == UTC
    assert catalogue.card("s1").acquired_at.tzinfo is None


def test_excluding_a_patient_leaves_every_other_study(tmp_path):
    catalogue = write(tmp_path / "c.sqlite", [study(i, patient=f"p{i % 3}") for i in range(9)])
    np.testing.assert_array_equal(catalogue.allowed(exclude_patient="p1").ids, [0, 2, 3, 5, 6, 8])
    assert catalogue.allowed(exclude_patient="nobody") is None
    assert catalogue.allowed() is None


def test_the_patient_id_is_in_no_representation_of_a_card():
    assert "secret-pseudonym" not in repr(study(0, patient="secret-pseudonym"))


def test_thumbnails_are_found_by_study_and_view(tmp_path):
    catalogue = write(tmp_path / "c.sqlite", [study(0)], {"v0": b"jpeg bytes"})
    assert catalogue.thumbnail("s0", "v0") == b"jpeg bytes"
    assert catalogue.thumbnail("s0", "v1") is None
    assert catalogue.thumbnail("s9", "v0") is None


def test_a_second_study_of_the_same_id_is_refused(tmp_path):
    with pytest.raises(ValueError, match="already"):
        write(tmp_path / "c.sqlite", [study(0), study(1, study_id="s0")])


def test_a_catalogue_answers_many_threads_and_after_its_folder_is_gone(tmp_path):
    (tmp_path / "odd name?#%").mkdir()
    catalogue = write(tmp_path / "odd name?#%" / "c.sqlite", [study(i) for i in range(300)])
    shutil.rmtree(tmp_path / "odd name?#%")
    with ThreadPoolExecutor(16) as threads:
        cards = list(threads.map(lambda i: catalogue.card(f"s{i}"), range(300)))
    assert [c.row_id for c in cards] == list(range(300))


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + bytes(84)])
def test_a_file_that_is_no_catalogue_is_refused(tmp_path, content):
    (tmp_path / "c.sqlite").write_bytes(content)
    with pytest.raises(IndexDamaged):
        Catalogue.open(tmp_path / "c.sqlite")


def test_a_catalogue_file_is_never_written_to_when_opened(tmp_path):
    write(tmp_path / "c.sqlite", [study(0)]).card("s0")
    assert [p.name for p in tmp_path.iterdir()] == ["c.sqlite"]


def test_views_are_told_by_name_the_frequent_ones_each_once_whatever_its_capitals(tmp_path):
    names = [("PLAX", "A4C"), ("plax", "A4C"), ("A2C", None)]
    cards = [
        replace(study(row), views=tuple(CataloguedView(f"v{place}", view, 0.5) for place, view in enumerate(views)))
        for row, views in enumerate(names)
    ]
    catalogue = write(tmp_path / "catalogue.sqlite", cards)
    assert catalogue.view_names(10) == ("A2C", "A4C", "PLAX")
    assert catalogue.view_names(2) == ("A4C", "PLAX")
