"""What is served is told once for as long as it stays, and a stranger's body is not taken apart."""

from __future__ import annotations

import pytest

from app.access.keys import create_key


def test_the_description_is_written_once_and_again_for_another_generation(
    start_app, index_dir, write_generation, monkeypatch, wait_until
):
    written = []
    monkeypatch.setattr("app.routes.info.lacking_sentence", lambda _: written.append(1) or "Something.")
    with start_app() as running:
        first = running.client.get("/v1/info").json()
        assert running.client.get("/v1/info").json() == first
        assert (first["bundle"]["id"], len(written)) == ("fake", 1)
        write_generation(index_dir, seed=1)
        wait_until(lambda: running.client.get("/v1/info").json()["generation"] == "000002")
        assert running.client.get("/v1/info").json() == first | {"generation": "000002"}
        assert len(written) == 2


@pytest.mark.parametrize("key", [None, "query"])
def test_a_long_body_to_the_rebuild_is_refused_before_it_is_taken_apart(start_app, tmp_path, key):
    file = tmp_path / "keys.json"
    headers = {"X-API-Key": create_key(file, ("query",), "a")} if key else {}
    create_key(file, ("admin",), "b")
    with start_app(keys_file=file) as running:
        riddle = "[" + "[]," * 20_000 + "1]"
        refused = running.client.post(
            "/v1/index/rebuild", content=riddle, headers=headers | {"Content-Type": "application/json"}
        )
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")


def test_the_stylesheet_answers_head_too_and_says_when_it_is_the_same(start_app):
    with start_app() as running:
        whole, head = running.client.get("/static/page.css"), running.client.head("/static/page.css")
    assert whole.headers["content-type"].startswith("text/css")
    assert (head.content, head.headers["etag"]) == (b"", whole.headers["etag"])
