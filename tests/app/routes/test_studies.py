"""What the index says of its studies: cines, how similar each view is alone, and the studies like one."""

import numpy as np
import pytest

from index.store import IndexStore

DIM = 8


def alone_VD(row):
    """The vectors of a study's two views."""
    vectors = np.random.default_rng([5, row]).standard_normal((2, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def with_views(tmp_path, write_generation):
    write_generation(tmp_path / "views", alone_VD=alone_VD)
    return tmp_path / "views"


@pytest.fixture
def running(start_app, with_views):
    with start_app(index_dir=with_views) as running:
        yield running


def code_of(response):
    return response.status_code, response.json()["code"]


def test_a_view_has_the_address_of_its_cine_and_only_where_there_is_one(running):
    cine, none = running.search(1).json()["neighbours"][0]["views"]
    assert "cine_url" not in none
    sent = running.client.get(cine["cine_url"])
    assert (sent.status_code, sent.headers["content-type"]) == (200, "image/webp")
    assert sent.content == b"RIFF    WEBP a cine"
    assert sent.headers["cache-control"] == "no-store"
    study = running.client.get("/v1/studies/g0-s3").json()
    assert [set(view) for view in study["views"]] == [
        {"view_id", "view", "pool_weight", "thumbnail_url", "cine_url"},
        {"view_id", "view", "pool_weight", "made_of"},
    ]
    assert study["measurements"]["septum_cm"] == pytest.approx(0.93)


def test_what_has_no_cine_is_told_from_what_is_not_there(running):
    get = running.client.get
    assert code_of(get("/v1/studies/g0-s1/views/v2/cine")) == (404, "no_cine")
    assert code_of(get("/v1/studies/g0-s1/views/v9/cine")) == (404, "unknown_view")
    assert code_of(get("/v1/studies/nobody/views/v1/cine")) == (404, "unknown_view")


def test_an_index_of_an_older_version_answers_without_cines_and_similarities_of_views(start_app, index_dir):
    with start_app() as running:
        answer = running.search(1).json()
        assert set(answer["neighbours"][0]["views"][0]) == {"view_id", "view", "pool_weight", "thumbnail_url"}
        assert code_of(running.client.get("/v1/studies/g0-s1/views/v1/cine")) == (404, "no_cine")
        assert running.client.get("/v1/studies/g0-s1/similar").status_code == 200


def test_the_similarity_of_a_view_is_its_own_cosine_with_the_ecg(running):
    embedding_D = np.array(running.client.post("/v1/embed", files={"files": b"3"}).json()["embedding"])
    neighbours = running.search(3, k=20).json()["neighbours"]
    assert len(neighbours) == 20
    for hit in neighbours:
        expected_V = alone_VD(int(hit["study_id"].removeprefix("g0-s"))) @ embedding_D
        np.testing.assert_allclose([view["similarity"] for view in hit["views"]], expected_V, atol=5e-4)


def test_similar_studies_are_the_brute_force_nearest_of_other_patients(running, with_views):
    index = IndexStore(with_views).open_current().index
    similarity_N = index.vectors_ND @ index.vectors_ND[6]
    answer = running.client.get("/v1/studies/g0-s6/similar", params={"k": 20}).json()
    expected = [row for row in np.argsort(-similarity_N) if row not in (6, 7)]  # 7 is of the same patient
    assert [hit["study_id"] for hit in answer["neighbours"]] == [f"g0-s{row}" for row in expected]
    assert [hit["rank"] for hit in answer["neighbours"]] == list(range(1, 19))
    np.testing.assert_allclose([hit["similarity"] for hit in answer["neighbours"]], similarity_N[expected], atol=2e-6)
    assert (answer["study_id"], answer["generation"], answer["bundle"]) == ("g0-s6", "000001", "fake")
    assert "percentile" not in answer["neighbours"][0]
    assert "similarity" not in answer["neighbours"][0]["views"][0]


def test_studies_of_the_same_patient_are_found_where_they_are_wanted_and_the_study_itself_never(running):
    wanted = {"k": 20, "exclude_patient": "false"}
    answer = running.client.get("/v1/studies/g0-s6/similar", params=wanted).json()
    found = {hit["study_id"] for hit in answer["neighbours"]}
    assert found == {f"g0-s{row}" for row in range(20)} - {"g0-s6"}


def test_a_study_search_embeds_nothing_and_runs_on_the_lane(running):
    answer = running.client.get("/v1/studies/g0-s6/similar").json()
    assert len(answer["neighbours"]) == 10
    assert not running.bundle.batches


def test_what_similar_studies_cannot_be_asked_for_is_refused(running):
    get = running.client.get
    assert code_of(get("/v1/studies/nobody/similar")) == (404, "unknown_study")
    for params in ({"k": 0}, {"k": 101}, {"one_per_patient": "true"}):
        assert code_of(get("/v1/studies/g0-s6/similar", params=params)) == (422, "invalid_parameter")


def test_an_only_patients_studies_are_like_nobody_elses(start_app, tmp_path, write_generation):
    write_generation(tmp_path / "small", studies=2)
    with start_app(index_dir=tmp_path / "small") as running:
        assert running.client.get("/v1/studies/g0-s0/similar").json()["neighbours"] == []


def test_view_vectors_that_the_disk_gives_no_more_are_503_and_the_generation_is_looked_at_again(running, monkeypatch):
    def fails(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("index.view_vectors.os.pread", fails)
        assert code_of(running.search(1)) == (503, "index_damaged")
    assert running.search(1).status_code == 200
