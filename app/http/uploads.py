"""A multipart request to the parts of one ECG, and a watch on whether the caller is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from app.answering.pipeline import Answer, Question, Upload
from app.http.problems import BadUpload, Problem
from app.refusals import NoSpace
from app.service import Service
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
class UploadForm:
    """One ECG and, from the page's form, what else was filled in."""

    upload: Upload
    fields: dict[str, str]


async def read_upload(request: Request, *, max_files: int) -> UploadForm:
    """Receive the body. Raises BadUpload or NoSpace; `app.http.bodies` limits its size and time."""
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
    return UploadForm(Upload(files), fields)


async def ask(request: Request, service: Service, upload: Upload, question: Question) -> Answer:
    """`service.ask`, given up when the caller leaves; the request's log line gets the first digits of the hash."""
    service.reading.check_room()
    request.state.upload_sha256 = (await asyncio.to_thread(lambda: upload.sha256))[:12]
    return await _while_connected(request, service.ask(upload, question))


async def _while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """`work`, given up when the caller leaves (ClientDisconnect).

    Call it when the body has been read: only then does the next message mean that the caller has gone.
    """
    answering = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_until_gone(request))
    tasks: Sequence[asyncio.Future[Any]] = (answering, leaving)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if answering in done:
            return answering.result()
        raise ClientDisconnect
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
