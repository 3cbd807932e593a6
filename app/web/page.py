"""The page for people: an upload form and the answer as tables. Works without scripts."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from app.access.sessions import SESSION_COOKIE
from app.answering.answered import search_answer
from app.answering.pipeline import Answer, Question
from app.http.bodies import takes_at_most, takes_upload
from app.http.dependencies import (
    ServiceDep,
    find_caller,
    refuse_other_sites,
    require,
)
from app.http.problems import (
    EXPECTED,
    Problem,
    Unauthorised,
    noted_problem,
    problem_of_validation,
)
from app.http.uploads import admit, ask, read_upload
from app.schemas import DEFAULT_K, MAX_K, SearchQuery
from app.service import Service
from app.web import render
from app.web.login import LOGIN_BYTES, forget_cookie, key_of_form, set_cookie
from inputs.ecg.readable import READABLE, UNSTATED
from inputs.records import MAX_EXAM_LETTERS, MAX_STRETCH_S

router = APIRouter(include_in_schema=False)

NOT_FILLED_IN = ""
FORM_FIELDS = frozenset(SearchQuery.model_fields) - {"quality"}
"""People see no answer that the quality of their ECG forbids."""

_NO_COOKIE = (
    "The key is right, but the browser kept no session. Over plain HTTP it keeps one only where the service runs with "
    "ECHO2ECG_SESSION_COOKIE_SECURE=false."
)


@router.get("/")
async def show_page(request: Request, service: ServiceDep, logged_in: bool = False) -> HTMLResponse:
    """The upload form, or the log-in form where keys are in force. `logged_in`: the log-in form sent them here."""
    refuse_other_sites(request, service)
    if service.keys.enforced and find_caller(request, service) is None:
        return HTMLResponse(render("login.html", problem=_NO_COOKIE if logged_in else None))
    return _form(service)


@router.post("/")
@takes_upload
async def ask_by_form(request: Request, service: ServiceDep) -> HTMLResponse:
    """The answer to an upload from the form, or the form again with what was wrong."""
    try:
        require(request, service, "query")
        with admit(request, service):
            form = await read_upload(request, max_files=service.settings.max_upload_files, fields=FORM_FIELDS)
            query = SearchQuery.model_validate({n: v for n, v in form.fields.items() if v != NOT_FILLED_IN})
            question = query.question()
            answer = await ask(request, service, form.upload, question)
            page = await asyncio.to_thread(_answer_page, answer, request.state.request_id, question)
    except Unauthorised as problem:
        noted_problem(request, problem)
        return HTMLResponse(render("login.html", problem=problem.sentence), problem.status_code, problem.headers)
    except ValidationError as error:
        return _form(service, noted_problem(request, problem_of_validation(_as_query(error))))
    except EXPECTED as error:
        return _form(service, noted_problem(request, error))
    return HTMLResponse(page)


@router.post("/login")
@takes_at_most(LOGIN_BYTES)
async def log_in(request: Request, service: ServiceDep) -> Response:
    """Exchange a key for a session cookie."""
    refuse_other_sites(request, service)
    valid = service.keys.find(await key_of_form(request))
    if valid is None or "query" not in valid.scopes:
        return HTMLResponse(render("login.html", problem="This key is not valid here."), HTTPStatus.UNAUTHORIZED)
    response = RedirectResponse("/?logged_in=true", HTTPStatus.SEE_OTHER)
    set_cookie(response, service, SESSION_COOKIE, service.sessions.open(valid), max_age_s=service.sessions.lifetime_s)
    return response


@router.post("/logout")
async def log_out(request: Request, service: ServiceDep) -> Response:
    """Forget the session."""
    refuse_other_sites(request, service)
    service.sessions.close(request.cookies.get(SESSION_COOKIE, ""))
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    forget_cookie(response, service, SESSION_COOKIE)
    return response


def _answer_page(answer: Answer, request_id: str, question: Question) -> str:
    return render("answer.html", answer=search_answer(answer, request_id), said_asked=question.device_said)


def _form(service: Service, problem: Problem | None = None) -> HTMLResponse:
    generation = service.retriever.current.generation
    page = render(
        "form.html",
        problem=problem,
        studies=generation.index.count if generation else 0,
        bundle=service.retriever.current.embedder.id,
        default_k=DEFAULT_K,
        max_k=MAX_K,
        readable=READABLE,
        unstated=UNSTATED,
        max_exam_letters=MAX_EXAM_LETTERS,
        max_stretch_s=MAX_STRETCH_S,
        with_keys=service.keys.enforced,
    )
    return HTMLResponse(page, problem.status_code if problem else HTTPStatus.OK, problem.headers if problem else None)


def _as_query(error: ValidationError) -> list[dict[str, Any]]:
    """As FastAPI names the place of a query parameter."""
    return [{**e, "loc": ("query", *e["loc"])} for e in error.errors(include_url=False, include_input=False)]
