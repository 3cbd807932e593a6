"""What the service answers when it cannot answer: one family, each member knows its HTTP status.

    Problem
    ├── Unauthorised (401)   Forbidden (403)   NotFound (404)                 who asks, and for what
    ├── BodyTimeout (408)    JobRunning (409)  BodyTooLarge (413)             the request itself
    ├── BadUpload (400)      InvalidParameter (422)                           what is in it
    ├── Busy (429)                                                            come back later
    └── NotReady (503)       TookTooLong (503)  NoSpace (507)                 ours to mend

Errors of `inputs` (a file that cannot be read, a recording that cannot be used) become 422 with their own code and
sentence. No answer and no log line holds a part of an upload, a server path or anything about a patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from app.answering.batcher import BatcherClosed, QueueFull
from inputs.errors import InputError

PROBLEM_TYPE = "application/problem+json"


class Problem(HTTPException):
    """`code` is stable, `sentence` is for a person, `hint` says what would help, `extra` are further members."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(
        self,
        code: str,
        sentence: str,
        *,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(self.status.value, sentence, headers=dict(headers) if headers else None)
        self.code = code
        self.sentence = sentence
        self.hint = hint
        self.extra = dict(extra or {})

    def body(self, request_id: str) -> dict[str, Any]:
        """The members of `application/problem+json` (RFC 9457)."""
        members: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status_code).phrase,
            "status": self.status_code,
            "code": self.code,
            "detail": self.sentence,
            "request_id": request_id,
        }
        if self.hint:
            members["hint"] = self.hint
        return members | self.extra


class BadUpload(Problem):
    """The request is not an upload we understand."""

    status = HTTPStatus.BAD_REQUEST


class Unauthorised(Problem):
    status = HTTPStatus.UNAUTHORIZED

    def __init__(self) -> None:
        super().__init__(
            "key_required",
            "This address needs a valid API key.",
            hint="Send it as X-API-Key or as Authorization: Bearer; `echo2ecg keys create` makes one.",
            headers={"WWW-Authenticate": "Bearer"},
        )


class Forbidden(Problem):
    status = HTTPStatus.FORBIDDEN


class NotFound(Problem):
    status = HTTPStatus.NOT_FOUND


class BodyTimeout(Problem):
    status = HTTPStatus.REQUEST_TIMEOUT

    def __init__(self) -> None:
        super().__init__("body_timeout", "The request body did not arrive in time.", headers={"Connection": "close"})


class JobRunning(Problem):
    status = HTTPStatus.CONFLICT


class BodyTooLarge(Problem):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, limit_bytes: int) -> None:
        super().__init__("body_too_large", f"The request body is larger than {limit_bytes / 2**10:,.0f} KiB.")


class InvalidParameter(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class UnusableUpload(Problem):
    """A file that cannot be read or an ECG that cannot be used, in the words of `inputs`."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, error: InputError) -> None:
        super().__init__(
            error.code, error.sentence, hint=error.hint, extra={"leads": list(error.leads)} if error.leads else None
        )


class Busy(Problem):
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            "busy",
            "The service has as much work as it can hold.",
            hint=f"Try again in {retry_after_s} s.",
            headers={"Retry-After": str(retry_after_s)},
        )


class NotReady(Problem):
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, code: str, sentence: str, *, hint: str = "", retry_after_s: int = 5) -> None:
        super().__init__(code, sentence, hint=hint, headers={"Retry-After": str(retry_after_s)})


class TookTooLong(NotReady):
    def __init__(self) -> None:
        super().__init__("took_too_long", "The answer took longer than the service allows.", retry_after_s=10)


class NoSpace(Problem):
    status = HTTPStatus.INSUFFICIENT_STORAGE

    def __init__(self) -> None:
        super().__init__("no_space", "There is no space left on the server for this request.")


def problem_of_validation(errors: Sequence[Mapping[str, Any]]) -> InvalidParameter:
    """FastAPI's validation errors without what the client sent: the parameter's name and the rule it broke."""
    listed = [{"parameter": _parameter(error), "message": _rule(error)} for error in errors]
    first = listed[0]
    return InvalidParameter("invalid_parameter", f"{first['parameter']}: {first['message']}.", extra={"errors": listed})


def _parameter(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return str(error["loc"][0])  # the rest of the place is the name that the client chose
    return ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0])


def _rule(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "a parameter that this address does not know; /docs lists those it does"
    if error["type"] == "json_invalid":
        return "not valid JSON"
    return str(error["msg"]).removesuffix(".").lower()


class ProblemBody(BaseModel):
    """`application/problem+json` (RFC 9457) with a stable code and what would help."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    hint: str | None = None
    leads: list[str] | None = None


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "Refused, with the reason.",
        "content": {PROBLEM_TYPE: {"schema": ProblemBody.model_json_schema()}},
    },
    "5XX": {"description": "Not possible now.", "content": {PROBLEM_TYPE: {"schema": ProblemBody.model_json_schema()}}},
}
"""For the routes' documentation."""


def problem_of(error: Exception) -> Problem:
    """Any exception a route may let through, as the Problem to answer with. Others are defects: TypeError."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, InputError):
        return UnusableUpload(error)
    if isinstance(error, QueueFull):
        return Busy(error.retry_after_s)
    if isinstance(error, BatcherClosed):
        return NotReady("draining", "The service is ending.")
    if isinstance(error, RequestValidationError):
        return problem_of_validation(error.errors())
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        problem = Problem(status.name.lower(), f"{status.phrase}.", headers=error.headers)
        problem.status_code = error.status_code
        return problem
    raise TypeError(f"no problem is known for {type(error).__name__}")


EXPECTED: tuple[type[Exception], ...] = (InputError, QueueFull, BatcherClosed, RequestValidationError, HTTPException)


def install_handlers(app: FastAPI) -> None:
    """Every expected exception becomes `application/problem+json`."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        problem = problem_of(error)
        request.state.code = problem.code
        body = problem.body(request.state.request_id)
        return JSONResponse(body, problem.status_code, headers=problem.headers, media_type=PROBLEM_TYPE)

    for kind in EXPECTED:
        app.add_exception_handler(kind, answer)
