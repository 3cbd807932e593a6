"""The API's description: OpenAPI for machines, the same as one plain page for people. Behind the key, like the rest."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from app.http.dependencies import QueryKey
from app.web import render

router = APIRouter(include_in_schema=False, dependencies=[QueryKey])


@router.get("/openapi.json")
async def openapi(request: Request) -> JSONResponse:
    return JSONResponse(request.app.openapi())


@router.get("/docs")
async def show_docs(request: Request) -> HTMLResponse:
    description: dict[str, Any] = request.app.openapi()
    operations = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    return HTMLResponse(render("docs.html", operations=operations, version=description["info"]["version"]))
