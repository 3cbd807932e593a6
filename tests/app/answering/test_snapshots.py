"""One snapshot per query, generations that come and go, and what is refused."""

from __future__ import annotations

import gc
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from app.answering.lane import Query, retrieve
from app.answering.snapshots import Retriever
from index.base import IndexMismatch
from index.store import IndexStore

WINDOWS = np.random.default_rng(1).standard_normal((1, 12, 1008)).astype(np.float32)


@pytest.fixture
def retriever(index_dir, make_bundle):
    retriever = Retriever(make_bundle(), IndexStore(index_dir))
    assert retriever.refresh()
    return retriever


def test_a_new_generation_is_noticed_once(retriever, index_dir, write_generation):
    assert not retriever.refresh()
    second = write_generation(index_dir, seed=1)
    assert retriever.refresh()
    assert retriever.current.searchable.id == second
    assert not retriever.refresh()


def test_the_old_generation_closes_when_its_last_query_ends_and_not_before(
    retriever, index_dir, monkeypatch, write_generation
):
    closed = []
    generation = retriever.current.searchable
    monkeypatch.setattr(generation.catalogue, "close", lambda: closed.append(generation.id))
    query = Query(retriever.current, WINDOWS, k=3)
    write_generation(index_dir, seed=1)
    retriever.refresh()
    gc.collect()
    assert closed == []
    (found,) = retrieve([query])
    assert [card.study_id[:3] for card in query.snapshot.searchable.catalogue.cards(found.ids_K)] == ["g0-"] * 3
    del query
    assert closed == [generation.id]


def test_queries_of_two_generations_in_one_batch_get_their_own_studies(retriever, index_dir, write_generation):
    old = Query(retriever.current, WINDOWS, k=20)
    write_generation(index_dir, seed=1, studies=30)
    retriever.refresh()
    new = Query(retriever.current, WINDOWS, k=30)
    batched = retrieve([old, new, old])
    alone = [retrieve([query])[0] for query in (old, new, old)]
    assert [len(found.ids_K) for found in batched] == [20, 30, 20]
    for together, single in zip(batched, alone, strict=True):
        np.testing.assert_array_equal(together.ids_K, single.ids_K)


def test_a_batch_answers_as_each_query_alone_would(retriever):
    rng = np.random.default_rng(5)
    allowed = [None, np.arange(5), None, np.array([7]), np.empty(0, np.int64)]
    queries = [
        Query(retriever.current, rng.standard_normal((windows, 12, 1008)).astype(np.float32), k, ids)
        for windows, k, ids in zip((1, 1, 2, 1, 1), (3, 10, 7, 4, 2), allowed, strict=True)
    ]
    for together, query in zip(retrieve(queries), queries, strict=True):
        (single,) = retrieve([query])
        np.testing.assert_array_equal(together.ids_K, single.ids_K)
        np.testing.assert_allclose(together.verdict.embedding_D, single.verdict.embedding_D, atol=1e-6)
    assert [len(found.ids_K) for found in retrieve(queries)] == [3, 5, 7, 1, 0]


def test_a_query_without_search_needs_no_index(tmp_path, make_bundle):
    (found,) = retrieve([Query(Retriever(make_bundle(), IndexStore(tmp_path)).current, WINDOWS)])
    assert len(found.ids_K) == 0
    assert found.verdict.shd.probability == pytest.approx(0.6)


def test_an_index_of_another_bundle_is_refused_and_the_old_one_served_on(retriever, index_dir, write_generation):
    served = retriever.current.searchable.id
    write_generation(index_dir, seed=1, bundle_sha256="cd" * 32)
    assert not retriever.refresh()
    assert retriever.current.searchable.id == served
    assert isinstance(retriever.index_problem, IndexMismatch)


def test_a_server_with_only_a_foreign_index_is_not_ready_and_answers_no_search(
    start_app, tmp_path, write_generation, wait_until
):
    write_generation(tmp_path / "other", bundle_sha256="cd" * 32)
    with start_app(index_dir=tmp_path / "other", wait=False) as running:
        wait_until(lambda: running.service.reasons_not_ready() == ["index_mismatch"])
        ready = running.client.get("/readyz")
        assert ready.status_code == 503
        assert "another bundle" in ready.json()["degraded"] or "not the bundle in use" in ready.json()["degraded"]
        assert running.client.get("/healthz").status_code == 200
        response = running.search(1)
        assert (response.status_code, response.json()["code"]) == (503, "index_mismatch")
        assert "not the bundle in use" in response.json()["detail"]
        assert "retry-after" in response.headers
        assert running.client.get("/v1/index").status_code == 503
        assert running.client.post("/v1/predict", files={"files": b"1"}).status_code == 200


def test_a_damaged_newest_generation_is_served_by_the_one_before_and_said(start_app, index_dir, write_generation):
    second = write_generation(index_dir, seed=1)
    with open(index_dir / "generations" / second / "index.faiss", "r+b") as file:
        file.seek(100)
        file.write(b"\x00\xff\x00\xff")
    with start_app() as running:
        answer = running.client.get("/readyz")
        assert answer.status_code == 200
        assert second in answer.json()["degraded"]
        assert running.search(1).json()["generation"] == "000001"


def test_an_index_of_which_nothing_verifies_is_called_damaged_and_none_is_called_missing(
    start_app, index_dir, tmp_path
):
    (index_dir / "generations" / "000001" / "index.faiss").write_bytes(b"")
    for folder, code in ((index_dir, "index_damaged"), (tmp_path / "nothing", "index_missing")):
        with start_app(index_dir=folder, wait=False) as running:
            wait_until_code(running, code)
            response = running.search(1)
            assert (response.status_code, response.json()["code"]) == (503, code)


def test_an_index_of_a_newer_version_is_called_so_and_a_rebuild_is_not_advised(start_app, index_dir):
    folder = index_dir / "generations" / "000001"
    content = b'{"schema_version": 2}'
    (folder / "manifest.json").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (folder / "manifest.sha256").write_text(f"{digest}  manifest.json\n")
    (index_dir / "CURRENT").write_text(f"000001 {digest}\n")
    with start_app(wait=False) as running:
        wait_until_code(running, "index_newer")
        problem = running.search(1).json()
        assert (problem["status"], problem["code"]) == (503, "index_newer")
        assert problem["detail"] == "Generation 000001 was written by a newer version of this software."
        assert "rebuild" not in problem["hint"]


def wait_until_code(running, code):
    for _ in range(1000):
        if running.service.reasons_not_ready() == [code]:
            return
        threading.Event().wait(0.01)
    raise AssertionError(running.service.reasons_not_ready())


def test_a_generation_that_could_not_be_opened_for_another_reason_is_tried_again(index_dir, make_bundle, monkeypatch):
    retriever = Retriever(make_bundle(), IndexStore(index_dir))
    with monkeypatch.context() as broken:
        broken.setattr(IndexStore, "open_current", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            retriever.refresh()
    assert retriever.refresh()


def test_swaps_under_queries_fail_none_mix_none_and_never_go_back(start_app, index_dir, write_generation, wait_until):
    golden: dict[str, list[str]] = {}
    seen_by: list[list[str]] = [[] for _ in range(6)]
    stop = threading.Event()

    with start_app() as running:

        def ask(url: httpx.URL, seen: list[str]) -> None:
            with httpx.Client(base_url=url, timeout=20) as client:
                while not stop.is_set():
                    response = client.post("/v1/search", files={"files": b"5"}, params={"k": 5})
                    assert response.status_code == 200, response.text
                    answer = response.json()
                    studies = [hit["study_id"] for hit in answer["neighbours"]]
                    assert golden.setdefault(answer["generation"], studies) == studies
                    assert len({study.split("-")[0] for study in studies}) == 1
                    seen.append(answer["generation"])

        with ThreadPoolExecutor(6) as pool:
            asking = [pool.submit(ask, running.client.base_url, seen) for seen in seen_by]
            wait_until(lambda: all(seen_by))
            for seed in range(1, 5):
                newest = write_generation(index_dir, seed=seed)
                wait_until(lambda newest=newest: all(seen and seen[-1] == newest for seen in seen_by))
            stop.set()
            for future in asking:
                future.result()
    assert sorted(golden) == [f"{number:06d}" for number in range(1, 6)]
    assert all(seen == sorted(seen) for seen in seen_by)
