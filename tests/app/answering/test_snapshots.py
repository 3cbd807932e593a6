"""One snapshot per query, generations that come and go, and what is refused."""

from __future__ import annotations

import gc
import hashlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
import structlog

from app.answering.lane import Query, retrieve
from app.answering.snapshots import Retriever, _Pauses
from index.base import IndexMismatch
from index.generation import Generation
from index.rows import RowSet
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
    some = (np.arange(5), np.array([7]), np.empty(0, np.int64))
    five, one, none = (RowSet.of(ids) for ids in some)
    allowed = [None, five, None, one, none]
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


def test_a_model_without_embeddings_of_studies_needs_no_index_to_be_ready(
    start_app, tmp_path, make_bundle, monkeypatch, wait_until
):
    monkeypatch.setattr(make_bundle, "gives", make_bundle.gives - {"search"})
    with structlog.testing.capture_logs() as logged, start_app(index_dir=tmp_path / "none", wait=False) as running:
        wait_until(lambda: running.client.get("/readyz").status_code == 200)
        assert running.client.get("/readyz").json() == {"ready": True, "reasons": []}
        answer = running.client.post("/v1/predict", files={"files": b"1"})
        assert answer.status_code == 200
        assert {"lvef", "shd"} <= answer.json()["predictions"].keys()
        for refused in (running.search(1), running.client.get("/v1/index"), running.client.get("/v1/studies/a")):
            assert (refused.status_code, refused.json()["code"]) == (404, "no_embeddings")
        assert "rebuild" not in running.search(1).text, "it would be refused"
        assert "ECGs are answered without similar studies" in running.client.get("/admin").text
    assert not [entry for entry in logged if entry["log_level"] == "error"]


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


def test_a_catalogue_that_is_written_to_while_it_is_served_is_left_for_a_sound_generation(
    start_app, index_dir, write_generation, wait_until
):
    second = write_generation(index_dir, seed=1)
    with start_app(index_poll_s=0.05) as running:
        assert running.search(1).json()["generation"] == second
        catalogue = index_dir / "generations" / second / "catalogue.sqlite"
        with open(catalogue, "r+b") as file:
            file.write(b"\xff" * catalogue.stat().st_size)
        answer = running.client.get("/v1/studies/g1-s0")
        assert (answer.status_code, answer.json()["code"]) == (503, "index_damaged")
        wait_until(lambda: running.client.get("/readyz").json().get("degraded"))
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


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


class Opened(list):
    """Every generation that was verified, in order."""

    def __init__(self, monkeypatch):
        open_one = Generation.open
        monkeypatch.setattr(
            Generation, "open", lambda folder, **more: self.append(folder.name) or open_one(folder, **more)
        )


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def patient(index_dir, make_bundle, clock):
    """A retriever whose clock the test moves, which serves generation 000001."""
    retriever = Retriever(make_bundle(), IndexStore(index_dir), clock)
    assert retriever.refresh()
    return retriever


@contextmanager
def away(path):
    """A file is not there for a while, as on a network that hiccups."""
    path.rename(path.with_name("away"))
    yield
    path.with_name("away").rename(path)


def test_what_could_not_be_opened_is_tried_again_after_growing_pauses_until_it_can(
    patient, clock, index_dir, write_generation, monkeypatch
):
    second = write_generation(index_dir, seed=1)
    tried = []
    with away(index_dir / "generations" / second / "catalogue.sqlite"):
        assert patient.refresh()
        assert patient.current.searchable.id == "000001"
        assert second in patient.current.searchable.degraded
        opened = Opened(monkeypatch)
        with structlog.testing.capture_logs() as logged:
            for _ in range(300):
                before = len(opened)
                assert not patient.refresh()
                tried += [clock.now_s - 1000.0] * (len(opened) - before)
                clock.now_s += 1
    assert tried == [2, 6, 14, 30, 62, 122, 182, 242]
    assert set(opened) == {second}, "what is served is not verified again"
    assert logged == []
    clock.now_s += 60
    assert patient.refresh()
    assert (patient.current.searchable.id, patient.current.searchable.degraded) == (second, None)
    assert not patient.refresh()


def test_an_index_of_which_nothing_could_be_opened_is_tried_again_and_said_once(
    index_dir, make_bundle, clock, monkeypatch
):
    retriever = Retriever(make_bundle(), IndexStore(index_dir), clock)
    with structlog.testing.capture_logs() as logged, away(index_dir / "generations" / "000001" / "index.faiss"):
        for _ in range(100):
            assert not retriever.refresh()
            clock.now_s += 1
    assert [(line["event"], line["reason"]) for line in logged] == [("generation_refused", "IndexDamaged")]
    clock.now_s += 60
    assert retriever.refresh()
    assert retriever.index_problem is None


def test_a_new_generation_waits_for_no_pause(patient, index_dir, write_generation):
    second = write_generation(index_dir, seed=1)
    with away(index_dir / "generations" / second / "index.faiss"):
        patient.refresh()
    third = write_generation(index_dir, seed=2)
    assert patient.refresh()
    assert (patient.current.searchable.id, patient.current.searchable.degraded) == (third, None)


def test_while_current_is_away_what_is_served_is_served_on_and_nothing_is_read(patient, index_dir, monkeypatch, clock):
    opened, served = Opened(monkeypatch), patient.current
    with structlog.testing.capture_logs() as logged, away(index_dir / "CURRENT"):
        for _ in range(100):
            assert not patient.refresh()
            clock.now_s += 1
        assert str(patient.index_problem) == "CURRENT is missing or cannot be read."
    assert not patient.refresh()
    assert (patient.index_problem, patient.current, opened) == (None, served, [])
    assert [line["event"] for line in logged] == ["generation_refused"]


def test_an_id_that_was_used_again_for_another_content_is_noticed(patient, index_dir, write_generation):
    shutil.rmtree(index_dir)
    assert write_generation(index_dir, seed=5) == "000001"
    assert patient.refresh()
    assert patient.current.searchable.catalogue.card("g5-s0") is not None


def test_a_generation_that_could_not_be_opened_for_another_reason_is_tried_again_too(
    index_dir, make_bundle, monkeypatch, clock
):
    retriever = Retriever(make_bundle(), IndexStore(index_dir), clock)
    with monkeypatch.context() as broken:
        broken.setattr(IndexStore, "open_current", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            retriever.refresh()
        assert not retriever.refresh()
        assert retriever.failing
        clock.now_s += 2
        with pytest.raises(ZeroDivisionError):
            retriever.refresh()
    clock.now_s += 4
    assert retriever.refresh()
    assert not retriever.failing


def test_a_service_turns_to_a_generation_that_was_unreadable_when_it_looked(
    start_app, index_dir, tmp_path, write_generation, wait_until, monkeypatch
):
    monkeypatch.setattr(_Pauses, "FIRST_S", 0.05)
    with start_app() as running:
        elsewhere = shutil.copytree(index_dir, tmp_path / "elsewhere")  # out of sight of who looks every moment
        second = write_generation(elsewhere, seed=1)
        shutil.copytree(elsewhere / "generations" / second, index_dir / "generations" / second)
        with away(index_dir / "generations" / second / "catalogue.sqlite"):
            shutil.copy(elsewhere / "CURRENT", index_dir / "new")
            (index_dir / "new").rename(index_dir / "CURRENT")
            wait_until(lambda: second in (running.client.get("/readyz").json().get("degraded") or ""))
            assert running.search(1).json()["generation"] == "000001"
        wait_until(lambda: running.client.get("/v1/index").json()["generation"] == second)
        assert running.client.get("/readyz").json() == {"ready": True, "reasons": []}


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
