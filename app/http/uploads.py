"""A multipart request to the parts of one ECG, and a watch on whether the caller is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from app.http.problems import (
    BadUpload,
    NoSpace,
    Problem,
    TookTooLong,
)
from ground.disk import sha256
from inputs.errors import NO_ROOM_TO_READ
from inputs.records import UploadedFile

Result = TypeVar("Result")

FILES_FIELD = "files"
MAX_FIELDS = 16
MAX_FIELD_BYTES = 4096
SEND_FILES_HINT = f"Send multipart/form-data with the ECG's file or files in the field `{FILES_FIELD}`."

MULTIPART_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FILES_FIELD],
                    "properties": {
                        FILES_FIELD: {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "One ECG: one file, a .hea with its signal files, or a zip of one record.",
                        }
                    },
                }
            }
        },
    }
}
"""What OpenAPI says of the body, which is read here and not by FastAPI: after the key, and within limits."""


@dataclass(frozen=True)
class Upload:
    """The parts of one ECG and, from the page's form, what else was filled in."""

    files: tuple[UploadedFile, ...]
    fields: dict[str, str] = field(default_factory=dict)

    def sha256(self) -> str:
        """Of the file's bytes; of several parts, of their bytes one after another as they were sent."""
        digest = sha256()
        for file in self.files:
            digest.update(file.data)
        return digest.hexdigest()


async def read_upload(request: Request, *, max_files: int) -> Upload:
    """Receive the body. Raises BadUpload; size and time are limited by the frame around every request."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise BadUpload("not_multipart", "The request body is not multipart/form-data.", hint=SEND_FILES_HINT)
    try:
        async with request.form(max_files=max_files, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES) as form:
            parts = [part for name, part in form.multi_items() if name == FILES_FIELD and isinstance(part, UploadFile)]
            files = tuple([UploadedFile(part.filename or "", await part.read()) for part in parts])
            fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    except Problem:
        raise
    except HTTPException:  # the form parser's own words may quote the request
        raise BadUpload(
            "bad_multipart",
            f"The form could not be read, or holds more than {max_files} files or {MAX_FIELDS} fields.",
            hint=SEND_FILES_HINT,
        ) from None
    except OSError as error:
        if error.errno in NO_ROOM_TO_READ:
            raise NoSpace from error
        raise
    files = tuple(file for file in files if file.name or file.data)  # a browser's empty file field
    if not files:
        raise BadUpload("no_file", "The upload holds no file.", hint=SEND_FILES_HINT)
    return Upload(files, fields)


async def while_connected(request: Request, work: Coroutine[Any, Any, Result], *, timeout_s: float) -> Result:
    """`work`, given up when the caller leaves (ClientDisconnect) or after `timeout_s` (TookTooLong).

    Call it when the body has been read: only then does the next message mean that the caller has gone.
    """
    answering = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_until_gone(request))
    tasks: Sequence[asyncio.Future[Any]] = (answering, leaving)
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if answering in done:
            return answering.result()
        raise ClientDisconnect if leaving in done else TookTooLong
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
