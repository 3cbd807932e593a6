"""Filters and one study for each patient leave the search exact: it is what sorting everything would give."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from index.backends import BACKENDS, backend_named
from index.base import Hits
from index.catalogue.cards import StudyCard
from index.catalogue.filters import Filters
from index.patients import Patients, nearest_of_each_patient
from index.store import IndexStore

DIM, STUDIES = 16, 3000


def unit(rng, count):
    rows_ND = rng.standard_normal((count, DIM))
    return (rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)).astype(np.float32)


def filled(name, ids, vectors):
    index = backend_named(name)(DIM)
    index.add(ids, vectors)
    return index


def exact(ids, vectors, patients, query, k, allowed, *, one_per_patient=True):
    """Naive twin: everything sorted, ties by row id, and of each patient the first."""
    keep = np.isin(ids, allowed)
    ids, vectors, patients = ids[keep], vectors[keep], patients[keep]
    similarity = (vectors.astype(np.float64) * query.astype(np.float64)).sum(1).astype(np.float32)
    order = np.lexsort((ids, -similarity))
    if one_per_patient:
        order = order[np.sort(np.unique(patients[order], return_index=True)[1])]
    return ids[order[:k]], similarity[order[:k]]


def whose(kind, rng):
    row = np.arange(STUDIES)
    return {
        "two studies each": row // 2,
        "one study each": row,
        "one patient has half": np.where(row % 2, 0, row),
        "one patient has all": np.zeros(STUDIES, int),
        "six patients": row % 6,
        "few have many": np.minimum(rng.geometric(0.01, STUDIES), 500),
    }[kind]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("distinct", [STUDIES, 50], ids=["", "many are equal"])
@pytest.mark.parametrize(
    "kind",
    ["two studies each", "one study each", "one patient has half", "one patient has all", "six patients",
     "few have many"],
)  # fmt: skip
def test_the_most_similar_study_of_each_patient_is_found_as_by_brute_force(name, kind, distinct):
    rng = np.random.default_rng(3)
    ids = np.arange(STUDIES) * 2 + 5
    vectors = unit(rng, distinct)[rng.permutation(STUDIES) % distinct]
    patient_N = whose(kind, rng).astype(np.int32)
    index, patients = filled(name, ids, vectors), Patients(ids, patient_N)
    for share in (0.001, 0.01, 0.1, 0.5, 1.0):
        chosen = np.sort(rng.permutation(ids)[: round(share * STUDIES)])
        for k, query in zip((1, 10, 100), unit(rng, 3), strict=True):
            allowed = None if share == 1.0 else chosen
            found, similarity = nearest_of_each_patient(index, query, k, allowed, patients)
            best, best_similarity = exact(ids, vectors, patient_N, query, k, chosen)
            np.testing.assert_array_equal(found, best)
            np.testing.assert_allclose(similarity, best_similarity, rtol=0, atol=1e-7)


def test_a_patient_of_all_the_nearest_studies_costs_one_further_search(monkeypatch):
    rng = np.random.default_rng(4)
    query = unit(rng, 1)[0]
    ids, vectors = np.arange(STUDIES), unit(rng, STUDIES)
    near = np.argsort(-(vectors @ query))
    patient_N = np.arange(STUDIES, dtype=np.int32)
    patient_N[near[:2500]] = near[0]
    index, asked = filled("faiss-flat", ids, vectors), []
    search = index.search

    def counted(vectors_BD, k, allowed_N=None) -> Hits:
        asked.append(k)
        return search(vectors_BD, k, allowed_N)

    monkeypatch.setattr(index, "search", counted)
    found, _ = nearest_of_each_patient(index, query, 10, None, Patients(ids, patient_N))
    np.testing.assert_array_equal(found, [near[0], *near[2500:2509]])
    assert len(asked) == 2
    assert max(asked) < 200, "what is fetched does not grow with one patient's studies"


def test_where_nothing_is_allowed_nothing_is_found():
    rng = np.random.default_rng(5)
    ids = np.arange(20)
    index, patients = filled("faiss-flat", ids, unit(rng, 20)), Patients(ids, np.zeros(20, np.int32))
    found, similarity = nearest_of_each_patient(index, unit(rng, 1)[0], 5, np.empty(0, np.int64), patients)
    assert (len(found), len(similarity)) == (0, 0)


@pytest.fixture(scope="module")
def generation(tmp_path_factory):
    """3,000 studies of known LVEF, three to a patient; every vector is there twice."""
    rng = np.random.default_rng(6)
    vectors = unit(rng, STUDIES // 2)[rng.permutation(STUDIES) // 2]
    store = IndexStore(tmp_path_factory.mktemp("index"))
    with store.write(bundle_id="b", bundle_sha256="a" * 64, dim=DIM, build={}) as writer:
        for row, vector in enumerate(vectors):
            lvef = 100.0 * ((row * 7919) % STUDIES) / STUDIES  # each value once, in no order
            at = datetime(2020, 1, 1)  # noqa: DTZ001
            card = StudyCard(row, f"s{row}", f"p{row // 3}", at, 50.0, None, lvef, None, None, {}, None, ())
            writer.add(card, vector, {})
    return store.open_current()


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5, 1.0])
def test_a_filtered_search_is_exact_at_every_selectivity(generation, share):
    filters = Filters(lvef_max=100.0 * share - 0.01)
    rows = generation.catalogue.allowed(filters)
    allowed = None if rows is None else rows.ids
    everything = np.arange(STUDIES)
    chosen = everything if allowed is None else allowed
    assert len(chosen) == round(share * STUDIES)
    vectors, whose_N = generation.index.vectors_ND, everything // 3
    for query in unit(np.random.default_rng(7), 20):
        best, _ = exact(everything, vectors, whose_N, query, 10, chosen, one_per_patient=False)
        hits = generation.index.search(query[None], 10, allowed)
        np.testing.assert_array_equal(hits.ids_BK[0][: len(best)], best)
        assert (hits.ids_BK[0][len(best) :] == -1).all()
        best, _ = exact(everything, vectors, whose_N, query, 10, chosen)
        found, _ = nearest_of_each_patient(generation.index, query, 10, allowed, generation.catalogue.patients)
        np.testing.assert_array_equal(found, best)


def test_patients_are_numbers_that_tell_no_pseudonym(generation):
    patients = generation.catalogue.patients
    np.testing.assert_array_equal(patients.of_rows(np.array([0, 2, 3, 2999])), [0, 0, 1, 999])
    assert {type(value) for value in vars(patients).values()} == {np.ndarray}
