"""What FaissIndex refuses, how it is stored, and when it leaves a GPU alone."""

from __future__ import annotations

import types

import faiss
import numpy as np
import pytest

from index.backends import faiss_backend as faiss_index
from index.backends.faiss_backend import FaissIndex, blas_from_batch
from index.base import IndexDamaged


def unit_vectors(count=50, dim=8, seed=0):
    rows = np.random.default_rng(seed).standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def filled(count=50, dim=8):
    index = FaissIndex(dim)
    index.add(np.arange(count) * 3, unit_vectors(count, dim))
    return index


@pytest.mark.parametrize(
    ("ids", "vectors", "reason"),
    [
        ([1, 1], unit_vectors(2), "differ"),
        ([-1, 2], unit_vectors(2), "negative"),
        ([3, 1000], unit_vectors(2), "already"),
        ([1000], unit_vectors(2), "one id for every"),
        ([1000, 1001], unit_vectors(2, 9), "rows of 8"),
        ([1000, 1001], unit_vectors(2) * 2, "unit length"),
        ([1000, 1001], np.full((2, 8), np.nan), "finite"),
    ],
)
def test_unfit_vectors_are_refused_and_nothing_changes(ids, vectors, reason):
    index = filled()
    with pytest.raises(ValueError, match=reason):
        index.add(np.array(ids), vectors)
    assert index.count == 50


@pytest.mark.parametrize(
    ("queries", "k", "reason"),
    [
        (unit_vectors(1), 0, "k must"),
        (unit_vectors(1, 9), 1, "rows of 8"),
        (np.full((1, 8), np.inf), 1, "finite"),
        (unit_vectors(1)[0], 1, "rows of 8"),
    ],
)
def test_unfit_queries_are_refused(queries, k, reason):
    with pytest.raises(ValueError, match=reason):
        filled().search(queries, k)


def saved(index):
    pieces = []
    index.save(pieces.append)
    return b"".join(pieces)


def test_the_file_is_a_plain_faiss_index(tmp_path):
    index = filled()
    (tmp_path / "index.faiss").write_bytes(saved(index))
    plain = faiss.read_index(str(tmp_path / "index.faiss"))
    _, ids = plain.search(unit_vectors(3, seed=1), 5)
    np.testing.assert_array_equal(ids, index.search(unit_vectors(3, seed=1), 5).ids_BK)


def other_faiss_files():
    vectors = unit_vectors(100)
    yield "hnsw", faiss.IndexHNSWFlat(8, 4)
    yield "euclidean", faiss.IndexIDMap(faiss.IndexFlatL2(8))
    bare = faiss.IndexFlatIP(8)
    bare.add(vectors)
    yield "without ids", bare


@pytest.mark.parametrize(("name", "other"), list(other_faiss_files()))
def test_a_file_of_another_kind_is_refused(tmp_path, name, other):
    faiss.write_index(other, str(tmp_path / "index.faiss"))
    with pytest.raises(IndexDamaged, match="another kind"):
        FaissIndex.open(tmp_path / "index.faiss")


@pytest.mark.parametrize("cut", [0, 3, 40, 1000])
def test_a_cut_file_is_refused(tmp_path, cut):
    (tmp_path / "index.faiss").write_bytes(saved(filled())[:cut])
    with pytest.raises(IndexDamaged, match="cannot be read"):
        FaissIndex.open(tmp_path / "index.faiss")


def test_a_length_field_that_lies_is_refused_before_memory_is_taken(tmp_path):
    content = bytearray(saved(filled()))
    length_at = content.index((50 * 8).to_bytes(8, "little"))
    content[length_at : length_at + 8] = (10**10).to_bytes(8, "little")
    (tmp_path / "index.faiss").write_bytes(content)
    limit = faiss.get_deserialization_vector_byte_limit()
    with pytest.raises(IndexDamaged, match="cannot be read"):
        FaissIndex.open(tmp_path / "index.faiss")
    assert faiss.get_deserialization_vector_byte_limit() == limit


@pytest.mark.parametrize("fast_from", [1, 8, 1000])
def test_blas_is_used_from_the_batch_where_it_is_faster(monkeypatch, fast_from):
    """A clock that only the probe's searches move: BLAS costs the same for any batch, the loop as much per query."""
    now = [0.0]

    class Flat:
        add = staticmethod(lambda vectors: None)

        def __init__(self, dim):
            self.dim = dim

        def search(self, queries, k):
            by_blas = len(queries) * self.dim >= faiss.cvar.distance_compute_blas_threshold
            now[0] += fast_from - 0.5 if by_blas else len(queries)

    before = faiss.cvar.distance_compute_blas_threshold, faiss.cvar.distance_compute_blas_database_bs
    monkeypatch.setattr(faiss_index, "faiss", types.SimpleNamespace(IndexFlatIP=Flat, cvar=faiss.cvar))
    monkeypatch.setattr(faiss_index.time, "perf_counter", lambda: now[0])
    blas_from_batch.cache_clear()
    try:
        assert blas_from_batch(512) == (fast_from if fast_from < 1000 else 250)
    finally:
        blas_from_batch.cache_clear()
        faiss.cvar.distance_compute_blas_threshold, faiss.cvar.distance_compute_blas_database_bs = before


class GpuThat:
    """A stand-in for FAISS on a GPU: the CPU's answers, passed through `spoil`."""

    SearchParameters = staticmethod(lambda sel: types.SimpleNamespace(sel=sel))
    StandardGpuResources = types.SimpleNamespace

    def __init__(self, spoil, gpus=1):
        self.spoil, self.gpus, self.used = spoil, gpus, []

    def get_num_gpus(self):
        return self.gpus

    def index_cpu_to_gpu(self, resources, device, index):
        self.used.append(device)
        copy = faiss.clone_index(index)

        def search(vectors, k, params=None):
            selector = None if params is None else faiss.SearchParameters(sel=params.sel)
            return self.spoil(copy, vectors, k, selector)

        return types.SimpleNamespace(search=search)


def honest(copy, vectors, k, selector):
    return copy.search(vectors, k, params=selector)


def ignores_the_selector(copy, vectors, k, selector):
    return copy.search(vectors, k)


def scores_coarsely(copy, vectors, k, selector):
    scores, rows = copy.search(vectors, k, params=selector)
    return scores.round(2), rows


def shuffles_rows(copy, vectors, k, selector):
    scores, rows = copy.search(vectors, k, params=selector)
    return scores, rows[:, ::-1]


def finds_nothing(copy, vectors, k, selector):
    scores, rows = copy.search(vectors, k, params=selector)
    return scores, np.full_like(rows, -1)


def raises(copy, vectors, k, selector):
    raise RuntimeError("Error in /build/path: CUDA error 2 out of memory")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (ignores_the_selector, "ignores the selection"),
        (scores_coarsely, "differ"),
        (shuffles_rows, "differ"),
        (finds_nothing, "differ"),
        (raises, "could not use the GPU"),
    ],
)
def test_a_gpu_that_answers_wrongly_is_left_alone_with_a_sentence(spoil, reason):
    index = filled()
    assert not index.place_on("cuda", GpuThat(spoil))
    assert index.backend == "faiss-cpu-flat"
    assert reason in index.notice
    assert "/build" not in index.notice
    assert index.search(unit_vectors(1), 1).ids_BK[0, 0] == 0


def test_without_gpu_support_or_without_a_gpu_the_notice_says_so():
    index = filled()
    assert not index.place_on("cuda", types.SimpleNamespace())
    assert "no GPU support" in index.notice
    assert not index.place_on("cuda", GpuThat(honest, gpus=0))
    assert "sees no GPU" in index.notice


def test_vectors_lie_on_the_gpu_that_is_named_and_on_no_other_instead():
    two = GpuThat(honest, gpus=2)
    assert filled().place_on("cuda:1", two)
    assert filled().place_on("cuda", two)
    assert two.used == [1, 0]
    index = filled()
    assert not index.place_on("cuda:2", two)
    assert "sees no GPU 2" in index.notice


def test_a_gpu_that_fails_later_is_replaced_by_the_cpu_without_a_failed_query():
    broken = []

    def fails_when_told(copy, vectors, k, selector):
        return (raises if broken else honest)(copy, vectors, k, selector)

    index = filled()
    assert index.place_on("cuda", GpuThat(fails_when_told))
    assert index.notice is None
    before = index.search(unit_vectors(4, seed=2), 5).ids_BK
    broken.append(True)
    np.testing.assert_array_equal(index.search(unit_vectors(4, seed=2), 5).ids_BK, before)
    assert index.backend == "faiss-cpu-flat"
    assert "failed during a search" in index.notice


def test_more_candidates_than_a_gpu_can_give_come_from_the_cpu():
    asked = []

    def notes_k(copy, vectors, k, selector):
        asked.append(k)
        return honest(copy, vectors, k, selector)

    index = filled(4000)
    assert index.place_on("cuda", GpuThat(notes_k))
    assert (index.search(unit_vectors(1), 3000).ids_BK >= 0).all()
    assert max(asked) <= 2048
    assert index.backend == "faiss-gpu-flat"


def test_a_changed_index_leaves_the_gpu_rather_than_answer_from_an_old_copy():
    index = filled()
    assert index.place_on("cuda", GpuThat(honest))
    index.add(np.array([1]), unit_vectors(1, seed=5))
    assert index.search(unit_vectors(1, seed=5), 1).ids_BK[0, 0] == 1
    assert "changed" in index.notice
