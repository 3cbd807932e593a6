"""A multipart request to the parts of one ECG, and the answer to it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from app.answering.pipeline import Answer, Question, Upload
from app.http.bodies import announced_bytes
from app.http.connected import while_connected
from app.http.dependencies import caller_of, require_still
from app.http.multipart import (
    MAX_PART_HEADER_BYTES,
    WholeFormParser,
    boundary_of,
    checked_pieces,
    content_of,
    delimiter_of,
)
from app.http.problems import BadUpload, InvalidParameter
from app.service import Service
from inputs.records import UploadedFile

Result = TypeVar("Result")

FILES_FIELD = "files"
MAX_FIELDS = 32
MAX_FIELD_BYTES = 4096
MAX_TYPE_LETTERS = 256
_UTF_8 = re.compile(r'charset="?utf-?8"?')
SEND_FILES_HINT = (
    f"Send multipart/form-data with the ECG's file or files in the field `{FILES_FIELD}`; many files go as one zip."
)

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
                            "minItems": 1,
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


@contextmanager
def admit(request: Request, service: Service) -> Iterator[None]:
    """A place in the service for the ECG of a request that `require` has let in, before its body is read."""
    announced, limit = announced_bytes(request.headers), service.settings.max_body_bytes
    with service.admit(caller_of(request), limit if announced is None else min(announced, limit)):
        if (let_in := getattr(request.state, "let_in", None)) is not None:
            let_in()  # so that `app.http.connections` does not count the body as a stranger's
        yield


async def read_upload(request: Request, *, max_files: int, fields: Collection[str] = ()) -> UploadForm:
    """Receive the body: files, and form fields of the names in `fields`, each at most once.

    Files stay in memory, which `admit` bounds. Raises BadUpload or InvalidParameter; `app.http.bodies` limits size and
    time.
    """
    require_type(request, "multipart/form-data", hint=SEND_FILES_HINT)
    boundary = boundary_of(request.headers["content-type"])
    delimiter = delimiter_of(boundary)
    pieces = checked_pieces(request.stream(), delimiter, most_parts=max_files + MAX_FIELDS)
    as_read = Headers({"content-type": f'multipart/form-data; boundary="{boundary}"'})
    limits = {"max_files": max_files, "max_fields": MAX_FIELDS, "max_part_size": MAX_FIELD_BYTES}
    try:
        form = await WholeFormParser(as_read, pieces, **limits).parse_all(delimiter)
    except MultiPartException:  # its own words may quote the request
        raise BadUpload(
            "bad_multipart",
            f"The form could not be read, or holds more than {max_files} files, {MAX_FIELDS} fields, "
            f"{MAX_FIELD_BYTES} bytes in what comes without a file name, "
            f"or {MAX_PART_HEADER_BYTES} in the header of a part.",
            hint=SEND_FILES_HINT,
        ) from None
    files, filled = [], {}
    async with _closing(form):
        for name, value in form.multi_items():
            if isinstance(value, UploadFile) and name == FILES_FIELD:
                files.append(UploadedFile(value.filename or "", content_of(value)))
            elif isinstance(value, str) and name in fields and name not in filled:
                filled[name] = value
            elif name == FILES_FIELD and value:
                raise InvalidParameter("invalid_parameter", f"A part of the field `{FILES_FIELD}` has no file name.")
            elif name != FILES_FIELD:  # an empty file field is what some clients send
                raise _unknown_field(name in fields, fields)
    files = [file for file in files if file.name or file.data]  # a browser's empty file field
    if not files:
        raise BadUpload("no_file", "The upload holds no file.", hint=SEND_FILES_HINT)
    return UploadForm(Upload(tuple(files)), filled)


def require_type(request: Request, media_type: str, *, hint: str = "") -> None:
    """Raises BadUpload where a body is of another type, or says that it is in another charset than UTF-8.

    A charset that the caller names would choose the decoder, and some take seconds for what UTF-8 takes microseconds.
    """
    stated = request.headers.get("content-type", "").lower()
    if len(stated) > MAX_TYPE_LETTERS:  # what takes it apart takes time that grows with its square
        raise BadUpload("type_too_long", "The Content-Type of this request is too long.")
    if stated.partition(";")[0].strip() != media_type:
        code = "not_multipart" if media_type.startswith("multipart") else "not_a_form"
        raise BadUpload(code, f"The request body is not {media_type}.", hint=hint)
    if "charset" in _UTF_8.sub("", stated):
        raise BadUpload("charset_unknown", "The request body must be in UTF-8, or name no charset.")


def _unknown_field(known: bool, fields: Collection[str]) -> InvalidParameter:
    """Without the name, which the caller chose. A field that silently does nothing would be a wrong answer."""
    if known:
        return InvalidParameter("invalid_parameter", "A field of the form comes twice, or as a file.")
    hint = "" if fields else "Parameters go into the address, such as ?k=5."
    sentence = f"The form holds a field that this address does not know; files go into the field `{FILES_FIELD}`."
    return InvalidParameter("invalid_parameter", sentence, hint=hint)


@asynccontextmanager
async def _closing(form: FormData) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await form.close()


async def admitted(request: Request, service: Service, work: Callable[[], Awaitable[Result]]) -> Result:
    """`work()` for a request without an upload: in a place like an ECG's, within the time of one answer, and given up
    when the caller leaves. Raises as `Service.admit` and `Service.in_time`."""
    with service.admit(caller_of(request), 0):
        return await while_connected(request, service.in_time(work()))


async def ask(request: Request, service: Service, upload: Upload, question: Question) -> Answer:
    """`service.ask`, given up when the caller leaves; the request's log line gets the first digits of the hash."""
    return await _asked(request, service, upload, partial(service.ask, upload, question, caller_of(request)))


async def ask_and_write(
    request: Request, service: Service, upload: Upload, question: Question, write: Callable[[Answer], str]
) -> str:
    """What `write` makes of the answer, all within the time of one."""
    caller = caller_of(request)

    async def written() -> str:
        answer = await service.ask(upload, question, caller)
        return await service.write_answer(answer, write, caller)

    return await _asked(request, service, upload, written)


async def _asked(request: Request, service: Service, upload: Upload, work: Callable[[], Awaitable[Result]]) -> Result:
    require_still(request, service, "query")  # the body may have come slowly
    try:
        return await while_connected(request, service.in_time(work()))
    finally:
        if upload.is_hashed:
            request.state.upload_sha256 = upload.sha256[:12]
