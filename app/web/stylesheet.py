"""The page's stylesheet, from memory: a file opened for each caller is a descriptor for as long as that one reads."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from ground.disk import sha256

router = APIRouter(include_in_schema=False)

_CONTENT = (Path(__file__).parent / "static" / "page.css").read_bytes()
_HEADERS = {"ETag": f'"{sha256(_CONTENT).hexdigest()[:16]}"', "Cache-Control": "no-cache"}


@router.api_route("/static/page.css", methods=["GET", "HEAD"])
async def show_stylesheet() -> Response:
    return Response(_CONTENT, media_type="text/css", headers=_HEADERS)
