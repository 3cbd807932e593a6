"""The API's description: OpenAPI for machines, the same as one plain page for people. Behind the key, like the rest."""

from __future__ import annotations

import json

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from app.http.dependencies import QueryKey
from app.http.described import describe
from app.http.kept import Kept
from app.service import Service
from app.web import render
from app.web.api_page import groups, shapes

router = APIRouter(include_in_schema=False, dependencies=[QueryKey])


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    return Response((await _described(request.app))[0], media_type="application/json")


@router.get("/docs")
async def show_docs(request: Request) -> HTMLResponse:
    return HTMLResponse((await _described(request.app))[1])


async def _described(app: FastAPI) -> tuple[bytes, str]:
    """As JSON and as a page: nothing in them changes while the service runs."""
    kept: Kept[tuple[bytes, str]] = app.state.description
    return await kept.get("", lambda: _describe(app))


def _describe(app: FastAPI) -> tuple[bytes, str]:
    description = describe(app)
    service: Service = app.state.service
    settings = service.settings
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    page = render(
        "docs.html",
        groups=groups(
            description, with_keys=service.keys.enforced, source=next(iter(sorted(settings.cohorts)), "main")
        ),
        shapes=shapes(description),
        version=description["info"]["version"],
        address=f"http://{host if settings.binds_to_loopback else 'localhost'}:{settings.port}",
        with_keys=service.keys.enforced,
    )
    return json.dumps(description).encode(), page
