"""What neighbours have in common is said beside the index, and only where enough of them know it."""

from __future__ import annotations

import numpy as np
import pytest

from app.answering.alike import neighbour_summary, neighbours_disagree
from app.answering.lane import Query, retrieve
from app.answering.snapshots import Retriever
from index.catalogue.cards import StudyCard
from index.catalogue.spread import Usual
from index.rows import RowSet
from index.store import IndexStore

WINDOWS = np.random.default_rng(1).standard_normal((1, 12, 1008)).astype(np.float32)


def card(row, *, patient=None, lvef=None, shd=None, **measurements):
    return StudyCard(
        row, f"s{row}", patient or f"p{row}", None, None, None, lvef, None, None, {}, shd, (), measurements
    )


def summary_of(near, index):
    summary = neighbour_summary(near, Usual.of_cards(index))
    return None if summary is None else summary.model_dump(exclude_unset=True)


def test_medians_and_shares_stand_beside_those_of_the_index():
    near = [card(row, lvef=lvef, shd=lvef < 40) for row, lvef in enumerate((30.0, 35.0, 55.0, 33.0))]
    rest = [card(row, lvef=60.0, shd=False) for row in range(4, 10)]
    assert summary_of(near, near + rest) == {
        "studies": 4,
        "patients": 4,
        "lvef": {
            "name": "lvef_percent",
            "words": "LVEF",
            "unit": "%",
            "neighbours": {"median": 34.0, "low": 32.25, "high": 40.0, "n": 4},
            "index": {"median": 60.0, "low": 40.0, "high": 60.0, "n": 10},
        },
        "shd": {"neighbours": {"share": 0.75, "n": 4}, "index": {"share": 0.3, "n": 10}},
    }


def test_what_fewer_than_three_neighbours_know_is_absent_however_many_of_the_index_know_it():
    near = [card(0, lvef=30.0, septum_cm=1.0), card(1, lvef=31.0, septum_cm=1.1), card(2, septum_cm=1.5, tapse_cm=2.0)]
    index = near + [card(row, lvef=60.0, shd=True, tapse_cm=2.2) for row in range(3, 30)]
    summary = summary_of(near, index)
    assert [one["name"] for one in summary.pop("measurements")] == ["septum_cm"]
    assert summary == {"studies": 3, "patients": 3}


def test_of_a_patient_with_many_studies_the_most_similar_one_counts():
    of_one = [card(row, patient="p", lvef=30.0 + row, shd=True) for row in range(6)]
    others = [card(row, lvef=60.0, shd=False) for row in range(6, 9)]
    summary = summary_of(of_one + others, of_one + others)
    assert (summary["studies"], summary["patients"]) == (9, 4)
    assert summary["lvef"]["neighbours"] == {"median": 60.0, "low": 52.5, "high": 60.0, "n": 4}
    assert summary["lvef"]["index"]["n"] == 9
    assert summary["shd"]["neighbours"] == {"share": 0.25, "n": 4}
    assert summary_of(of_one, of_one) is None, "three patients are the fewest"


def test_a_further_measurement_has_words_and_a_unit():
    near = [card(row, la_volume_index=30.0 + row) for row in range(3)]
    (one,) = summary_of(near, near)["measurements"]
    assert (one["name"], one["words"], one["unit"]) == ("la_volume_index", "left atrial volume index", "ml/m2")


@pytest.mark.parametrize("near", [[], [card(0, lvef=50.0)], [card(row) for row in range(10)]])
def test_where_nothing_is_known_there_is_no_summary(near):
    index = [card(row, lvef=50.0, shd=False) for row in range(10, 20)]
    assert summary_of(near, near + index) is None


@pytest.mark.parametrize(
    ("lvefs", "warns"),
    [
        ([30, 31, 32, 33, 34], True),
        ([70, 71, 72, 73, 74], True),
        ([30, 31, 55, 56, 57], False),  # the median counts, not the extremes
        ([30, 31, 32, 33], False),  # four are too few
        ([30, 31, 32, 33, None, None], False),  # unknown ones do not count
        ([30, None, 31, 32, None, 33, 34], True),
        ([50, 50, 50, 50, 50], False),  # the ends are inside
        ([60, 60, 60, 60, 60], False),
        ([49.9, 49.9, 49.9, 49.9, 49.9], True),
        ([], False),
    ],
)
def test_neighbours_disagree_when_the_median_of_five_known_ones_lies_outside_the_interval(lvefs, warns):
    warning = neighbours_disagree(lvefs, 50.0, 60.0)
    assert (warning is not None) == warns
    if warning is not None:
        assert warning.code == "neighbours_disagree"
        assert "50 to 60 %" in warning.message


@pytest.fixture
def snapshot(index_dir, make_bundle, write_generation):
    def of(studies):
        write_generation(index_dir, studies=studies)
        retriever = Retriever(make_bundle(), IndexStore(index_dir))
        assert retriever.refresh()
        return retriever.current

    return of


def test_in_an_index_of_a_hundred_studies_every_neighbour_has_a_percentile(snapshot):
    (found,) = retrieve([Query(snapshot(100), WINDOWS, k=10)])
    np.testing.assert_allclose(found.percentile_K, 99.0 - np.arange(10))


def test_in_a_smaller_one_none_has(snapshot):
    (found,) = retrieve([Query(snapshot(99), WINDOWS, k=10)])
    assert len(found.ids_K) == 10
    assert found.percentile_K is None


def test_an_answer_without_neighbours_has_no_percentile_also_beside_one_with(snapshot):
    current = snapshot(100)
    nobody = RowSet.of(np.empty(0, np.int64))
    queries = [
        Query(current, np.ascontiguousarray(WINDOWS[:, :, ::-1])),  # another ECG: similarities to it are others
        Query(current, WINDOWS, k=3),
        Query(current, WINDOWS, k=3, allowed=nobody),
        Query(current, WINDOWS, k=3, allowed=RowSet.of(np.arange(50))),
    ]
    nothing, three, none_allowed, of_half = retrieve(queries)
    assert nothing.percentile_K is None
    assert none_allowed.percentile_K is None
    assert len(three.percentile_K) == 3
    assert (of_half.percentile_K <= three.percentile_K).all(), "told by the whole index, whatever was allowed"
    (again,) = retrieve(queries[1:2])
    np.testing.assert_array_equal(again.percentile_K, three.percentile_K)


def test_what_reads_the_whole_index_is_done_before_a_query_comes(snapshot):
    generation = snapshot(100).searchable
    assert {"sample", "usual"} <= vars(generation).keys()
