"""A route says itself how large its body may be."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI, Request

from app.http.bodies import SMALL_BODY_BYTES, takes_upload
from app.http.frame import add_frame
from app.http.problems import install_handlers
from app.metrics import Metrics
from app.settings import Settings

MAX_BODY_BYTES = 200_000


@pytest.fixture
def client(serve_app):
    settings = Settings(bundle_dir="b", index_dir="i", max_body_bytes=MAX_BODY_BYTES)
    app = FastAPI()

    async def receive(request: Request) -> int:
        return len(await request.body())

    @app.post("/ecgs/{name}")
    @takes_upload
    async def take_upload(request: Request, name: str) -> int:
        return await receive(request)

    @app.post("/notes/{name}")
    async def take_note(request: Request, name: str) -> int:
        return await receive(request)

    install_handlers(app)
    add_frame(app, settings, Metrics())
    with serve_app(app, settings) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/ecgs/a", SMALL_BODY_BYTES + 1, 200),
        ("/ecgs/a", MAX_BODY_BYTES, 200),
        ("/ecgs/a", MAX_BODY_BYTES + 1, 413),
        ("/notes/a", SMALL_BODY_BYTES, 200),
        ("/notes/a", SMALL_BODY_BYTES + 1, 413),
    ],
)
def test_only_a_route_that_takes_uploads_takes_large_bodies(client, path, size, status, chunked):
    body = b"1" * size
    response = client.post(path, content=iter([body[: size // 2], body[size // 2 :]]) if chunked else body)
    assert response.status_code == status
    if status == 413:
        problem = response.json()
        limit = MAX_BODY_BYTES if path.startswith("/ecgs") else SMALL_BODY_BYTES
        assert problem["detail"] == f"The request body is larger than {limit / 1024:,.0f} KiB."
        assert ("ECHO2ECG_MAX_BODY_BYTES" in problem.get("hint", "")) == path.startswith("/ecgs")
        assert problem["request_id"] == response.headers["x-request-id"]


def test_the_services_own_upload_routes_are_those_that_take_an_ecg(start_app):
    with start_app(max_body_bytes=MAX_BODY_BYTES) as running:
        for path in ("/v1/search", "/v1/predict", "/v1/embed", "/"):
            large = running.client.post(path, files={"files": b"x" * (SMALL_BODY_BYTES + 1)})
            assert large.status_code == 422, path  # read, and found to be no ECG
            assert running.client.post(path, files={"files": b"x" * MAX_BODY_BYTES}).status_code == 413, path
        for path in ("/login", "/v1/index/rebuild"):
            assert running.client.post(path, data={"key": "x" * SMALL_BODY_BYTES}).status_code == 413, path
