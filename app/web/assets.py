"""Style sheet, scripts and marks of the page, from memory: a file opened for each caller is a descriptor for as long as
that one reads. Everything is ours or vendored, with its licence beside it: no page asks another host for anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from app.http.problems import NotFound
from ground.disk import sha256

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".zip": "application/zip"}


@dataclass(frozen=True)
class _Asset:
    content: bytes
    media_type: str
    headers: dict[str, str]


def _read(path: Path) -> _Asset:
    content = path.read_bytes()
    headers = {"ETag": f'"{sha256(content).hexdigest()[:16]}"', "Cache-Control": "no-cache"}
    return _Asset(content, _TYPES[path.suffix], headers)


ASSETS = {
    path.relative_to(_FOLDER).as_posix(): _read(path)
    for path in sorted(_FOLDER.rglob("*"))
    if path.suffix in _TYPES and path.is_file()
}


@router.api_route("/static/{name:path}", methods=["GET", "HEAD"])
async def show_asset(name: str) -> Response:
    """A file of `static`, by its name in the table that was read at start: no path is opened for a caller."""
    asset = ASSETS.get(name)
    if asset is None:
        raise NotFound("unknown_asset", "The page has no such part.")
    return Response(asset.content, media_type=asset.media_type, headers=asset.headers)
