"""What the service answers when it cannot answer, and the HTTP status of every refusal.

    Problem
    ├── Unauthorised (401)   Forbidden (403)     NotFound (404)               who asks, and for what
    ├── BodyTimeout (408)    BodyTooLarge (413)    RefusedHeader (400, 414, 431)   the request itself
    └── BadUpload (400)      InvalidParameter (422)                           what is in it

What is refused further in knows no HTTP; it keeps its code, sentence and hint, and `_STATUS` gives it a status. No
answer and no log line holds a part of an upload, a server path or anything about a patient.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match

from app.answering.batcher import BatcherClosed, QueueFull
from app.answering.explained import NotExplained
from app.answering.kept_answers import AnswerGone
from app.answering.snapshots import NotSearchable
from app.recent_refusals import METHODS
from app.refusals import (
    EcgOfAnotherModel,
    JobElsewhere,
    JobEnded,
    JobNotStarted,
    JobRunning,
    JobUnknown,
    KeyChangeRefused,
    KeysBusy,
    KeysUnusable,
    KeyUnknown,
    NoEmbeddings,
    NoProbes,
    NoSpace,
    NotReady,
    TookTooLong,
    TooManyStreams,
)
from ground.errors import Refusal
from index.base import IndexDamaged
from index.catalogue.filters import FilterRefused
from inputs.errors import InputError, ReaderUnavailable

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
        status: HTTPStatus | None = None,
    ) -> None:
        super().__init__((status or self.status).value, sentence, headers=dict(headers) if headers else None)
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


_CUT_FIRST = (
    "Cut a stretch out of the recording first, for instance with wfdb or pyedflib, or have the operator of the service "
    "raise ECHO2ECG_MAX_BODY_BYTES."
)


class BodyTooLarge(Problem):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, limit_bytes: int, *, of_upload: bool = False) -> None:
        super().__init__(
            "body_too_large",
            f"The request body is larger than {limit_bytes / 2**10:,.0f} KiB.",
            hint=_CUT_FIRST if of_upload else "",
        )


class RefusedHeader(Problem):
    """A request that never becomes one: `app.http.connections` answers it itself."""

    def __init__(self, code: str, status: int, sentence: str) -> None:
        super().__init__(code, sentence, status=HTTPStatus(status))


class InvalidParameter(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY


_STATUS: dict[type[Refusal], HTTPStatus] = {
    InputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    FilterRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    NoEmbeddings: HTTPStatus.NOT_FOUND,
    NoProbes: HTTPStatus.NOT_FOUND,
    AnswerGone: HTTPStatus.NOT_FOUND,
    EcgOfAnotherModel: HTTPStatus.CONFLICT,
    NotExplained: HTTPStatus.NOT_FOUND,
    JobUnknown: HTTPStatus.NOT_FOUND,
    JobRunning: HTTPStatus.CONFLICT,
    JobEnded: HTTPStatus.CONFLICT,
    JobElsewhere: HTTPStatus.CONFLICT,
    KeyUnknown: HTTPStatus.NOT_FOUND,
    KeyChangeRefused: HTTPStatus.CONFLICT,
    KeysBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    KeysUnusable: HTTPStatus.SERVICE_UNAVAILABLE,
    TooManyStreams: HTTPStatus.TOO_MANY_REQUESTS,
    QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    ReaderUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    NotSearchable: HTTPStatus.SERVICE_UNAVAILABLE,
    IndexDamaged: HTTPStatus.SERVICE_UNAVAILABLE,
    BatcherClosed: HTTPStatus.SERVICE_UNAVAILABLE,
    TookTooLong: HTTPStatus.SERVICE_UNAVAILABLE,
    JobNotStarted: HTTPStatus.SERVICE_UNAVAILABLE,
    NoSpace: HTTPStatus.INSUFFICIENT_STORAGE,
}
"""The refusals that a request may meet; any other one is a defect of ours."""

COME_BACK_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
RETRY_AFTER_S = 5
"""For refusals that do not know it better."""


def _problem_of_refusal(refusal: Refusal) -> Problem:
    """The refusal's own code, sentence and hint, and what it knows besides."""
    status = next(_STATUS[kind] for kind in type(refusal).__mro__ if kind in _STATUS)
    extra: dict[str, Any] = {}
    if isinstance(refusal, InputError) and refusal.leads:
        extra["leads"] = list(refusal.leads)
    if isinstance(refusal, JobRunning):
        extra["job_id"] = refusal.job_id
    if isinstance(refusal, KeyChangeRefused) and refusal.command:
        extra["command"] = refusal.command
    wait_s = getattr(refusal, "retry_after_s", RETRY_AFTER_S)
    headers = {"Retry-After": str(wait_s)} if status in COME_BACK_LATER else None
    return Problem(refusal.code, refusal.sentence, hint=refusal.hint, headers=headers, extra=extra, status=status)


MAX_LISTED = 10
"""An answer need not be larger than what it answers."""
MAX_COMPARED = 40
"""Letters of a name: how long a comparison takes grows with their square."""


def problem_of_validation(errors: Sequence[Mapping[str, Any]], known: Collection[str] = ()) -> InvalidParameter:
    """FastAPI's validation errors without what the client sent: the parameter's name and the rule it broke.

    known: names of parameters, of which the one that an unknown one is most like is suggested.
    """
    listed = [{"parameter": _parameter(error), "message": _rule(error)} for error in errors[:MAX_LISTED]]
    sentence = f"{listed[0]['parameter']}: {listed[0]['message']}."
    hint = _meant(errors[0], known)
    return InvalidParameter("invalid_parameter", sentence, hint=hint, extra={"errors": listed})


def _meant(error: Mapping[str, Any], known: Collection[str]) -> str:
    if error["type"] != "extra_forbidden" or error["loc"][0] != "query":
        return ""
    return nearest_hint(str(error["loc"][1]), known)


def nearest_hint(name: str, known: Collection[str]) -> str:
    """Which of the known names may be meant; empty where none is alike."""
    alike = get_close_matches(name[:MAX_COMPARED].lower(), known, n=1)
    return f"Is {alike[0]} meant?" if alike else ""


def _known_parameters(request: Request) -> list[str]:
    """The names of the parameters that the route of this request takes."""
    names: list[str] = []
    for field in request.scope["route"].dependant.query_params:
        kind = field.field_info.annotation
        is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
        names += list(kind.model_fields) if is_model else [field.alias]
    return names


def _parameter(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return str(error["loc"][0])  # the rest of the place is the name that the client chose
    if error["type"] == "json_invalid":
        return str(error["loc"][0])  # the rest counts letters
    return ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0])


def _rule(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "a parameter that this address does not know; /docs lists those it does"
    if error["type"] == "json_invalid":
        return "not valid JSON"
    rule = str(error["msg"]).removesuffix(".")
    return rule[:1].lower() + rule[1:]  # the rest may name values, such as mV


def problem_of(error: Exception, known: Collection[str] = ()) -> Problem:
    """Any exception a route may let through, as the Problem to answer with. Others are defects: TypeError.

    known: the parameters that the route takes.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refusal) and isinstance(error, tuple(_STATUS)):
        return _problem_of_refusal(error)
    if isinstance(error, RequestValidationError):
        return problem_of_validation(error.errors(), known)
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        return Problem(status.name.lower(), f"{status.phrase}.", headers=error.headers, status=status)
    raise TypeError(f"no problem is known for {type(error).__name__}")


def noted_problem(request: Request, error: Exception) -> Problem:
    """The same, its code noted for the request's log line and for what is told of recent refusals."""
    known = _known_parameters(request) if isinstance(error, RequestValidationError) else ()
    problem = problem_of(error, known)
    request.state.code = problem.code
    return problem


def _allowed_methods(request: Request) -> list[str]:
    """All methods that some route of this address takes."""
    asked = dict(request.scope)
    return [
        method
        for method in METHODS
        if any(route.matches(asked | {"method": method})[0] is Match.FULL for route in request.app.routes)
    ]


EXPECTED: tuple[type[Exception], ...] = (*_STATUS, RequestValidationError, HTTPException)


def install_handlers(app: FastAPI) -> None:
    """Every expected exception becomes `application/problem+json`."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        problem = noted_problem(request, error)
        if problem.status_code == HTTPStatus.METHOD_NOT_ALLOWED:  # the router names those of one route of several
            problem.headers = {"Allow": ", ".join(_allowed_methods(request))}
        body = problem.body(request.state.request_id)
        return JSONResponse(body, problem.status_code, headers=problem.headers, media_type=PROBLEM_TYPE)

    for kind in EXPECTED:
        app.add_exception_handler(kind, answer)
