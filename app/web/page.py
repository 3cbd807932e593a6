"""The upload form: an ECG goes in by it, and the browser is sent on to the address of its answer.

Post, redirect, get: Back and reload show an answer again and ask nothing again. Works without scripts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from app.answering.pipeline import Question, Upload
from app.http.bodies import takes_upload
from app.http.dependencies import ServiceDep, find_caller, refuse_other_sites, require
from app.http.problems import EXPECTED, Problem, Unauthorised, noted_problem, problem_of, problem_of_validation
from app.http.uploads import UploadForm, admit, ask, read_upload
from app.refusals import TookTooLong
from app.schemas import DEFAULT_K, MAX_K, SearchQuery, StudyQuery
from app.service import Service
from app.web import render
from app.web.kept import KeptUpload, in_words, keep, keep_upload
from app.web.login import LACKS_QUERY, NO_COOKIE
from app.web.sample import SAMPLE
from app.web.session import know_browser
from app.web.shown import log_in_first
from inputs.ecg.readable import READABLE, UNSTATED
from inputs.records import MAX_EXAM_LETTERS, MAX_STRETCH_S, UploadedFile

router = APIRouter(include_in_schema=False)

NOT_FILLED_IN = ""
FORM_FIELDS = frozenset(SearchQuery.model_fields) - {"quality"}
"""People see no answer that the quality of their ECG forbids."""
_SAY_MORE = ("rate_missing", "unit_missing", "leads_missing", "exam_missing")
"""Refusals that a field of the form answers: it stands open beside them."""
_OF_READING = ("rate_hz", "unit", "leads", "exam", "start_s", "length_s")


@router.get("/")
async def show_page(request: Request, service: ServiceDep, logged_in: bool = False) -> HTMLResponse:
    """The upload form, or the log-in form where keys are in force. `logged_in`: the log-in form sent them here."""
    refuse_other_sites(request, service)
    if service.keys.enforced:
        key = find_caller(request, service)
        if key is None:
            return HTMLResponse(render("login.html", problem=NO_COOKIE if logged_in else None))
        if "query" not in key.scopes:
            request.state.code = "scope_missing"
            return HTMLResponse(render("login.html", problem=LACKS_QUERY), HTTPStatus.FORBIDDEN)
    return _form(service)


@router.post("/")
@takes_upload
async def ask_by_form(request: Request, service: ServiceDep) -> Response:
    """On to the answer to an upload, or the form again with what was wrong and what was filled in."""
    filled: Mapping[str, str] = {}
    try:
        require(request, service, "query")
        with admit(request, service):
            form = await read_upload(request, max_files=service.settings.max_upload_files, fields=FORM_FIELDS)
            filled = {name: value for name, value in form.fields.items() if value != NOT_FILLED_IN}
            return await _answered(request, service, form, filled)
    except Unauthorised as problem:
        return log_in_first(request, problem)
    except ValidationError as error:
        return _form(service, noted_problem(request, problem_of_validation(as_query(error))), filled)
    except EXPECTED as error:
        return _form(service, noted_problem(request, error), filled)


@router.post("/sample")
@takes_upload
async def ask_with_sample(request: Request, service: ServiceDep) -> Response:
    """The same with an invented ECG; whatever the form held is passed over."""
    try:
        require(request, service, "query")
        with admit(request, service):
            return await _answered(request, service, UploadForm(SAMPLE, {}), {})
    except Unauthorised as problem:
        return log_in_first(request, problem)
    except EXPECTED as error:
        return _form(service, noted_problem(request, error))


async def _answered(request: Request, service: Service, form: UploadForm, filled: Mapping[str, str]) -> Response:
    query = SearchQuery.model_validate(filled)
    question = replace(query.question(), device_said=True, traced=True)
    narrowing = narrowing_of(query)
    until = asyncio.get_running_loop().time() + service.settings.answer_timeout_s
    response = RedirectResponse("", HTTPStatus.SEE_OTHER)
    several: Sequence[Upload] = ()
    try:
        answer = await ask(request, service, form.upload, question)
    except EXPECTED as error:
        if problem_of(error).code == "several_ecgs":
            several = each_ecg(form.upload)
        if len(several) < 2:
            raise
    owner = know_browser(request, response, service)
    if several:
        answers = await _answers(request, service, owner, several, question, until)
        name = keep_upload(service, request, owner, KeptUpload(answers, narrowing))
        response.headers["location"] = f"/uploads/{name}"
    else:
        name = await keep(service, request, owner, answer, question)
        response.headers["location"] = address(f"/answers/{name}", narrowing)
    return response


async def _answers(
    request: Request, service: Service, owner: str, several: Sequence[Upload], question: Question, until: float
) -> tuple[str | Problem, ...]:
    """One after another until that moment of the event loop: their caller waits for all of them."""
    answers: list[str | Problem] = []
    try:
        async with asyncio.timeout_at(until):
            for one in several:
                try:
                    answer = await ask(request, service, one, question)
                    answers.append(await keep(service, request, owner, answer, question))
                except Unauthorised:
                    raise
                except EXPECTED as error:
                    answers.append(in_words(problem_of(error)))
    except TimeoutError:
        answers += [problem_of(TookTooLong())] * (len(several) - len(answers))
    return tuple(answers)


def narrowing_of(query: StudyQuery) -> dict[str, str]:
    """What was asked of the studies, as an address says it: as it was understood, and so in few letters."""
    asked = StudyQuery.model_fields.keys() & query.model_fields_set
    given = ((name, getattr(query, name)) for name in StudyQuery.model_fields if name in asked)
    return {name: _in_address(value) for name, value in given if value is not None}


def _in_address(value: str | float | date) -> str:
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str) else json.dumps(value).removesuffix(".0")


def each_ecg(upload: Upload) -> list[Upload]:
    """The ECGs of an upload of several, by their names: a WFDB header goes with the files of its own name, any other
    file is one by itself. Their contents are looked at where every upload is read."""
    of_headers = {_stem(file) for file in upload.files if file.name.lower().endswith(".hea")}
    groups: dict[str, list[UploadedFile]] = {}
    for place, file in enumerate(upload.files):
        groups.setdefault(_stem(file) if _stem(file) in of_headers else f"/{place}", []).append(file)
    return [Upload(tuple(files)) for files in groups.values()]


def _stem(file: UploadedFile) -> str:
    return PurePosixPath(file.name.replace("\\", "/")).stem.lower()


def address(path: str, parameters: Mapping[str, str]) -> str:
    """A path with what was asked behind it."""
    return f"{path}?{urlencode(parameters)}" if parameters else path


def _form(service: Service, problem: Problem | None = None, filled: Mapping[str, str] | None = None) -> HTMLResponse:
    generation = service.retriever.current.generation
    filled = filled or {}
    page = render(
        "form.html",
        problem=problem,
        filled=filled,
        reading=any(name in filled for name in _OF_READING) or (problem is not None and problem.code in _SAY_MORE),
        narrowing=any(name not in (*_OF_READING, "k", "device_said") for name in filled),
        studies=generation.index.count if generation else 0,
        view_names=generation.view_names if generation else (),
        bundle=service.retriever.current.embedder.id,
        default_k=DEFAULT_K,
        max_k=MAX_K,
        readable=READABLE,
        unstated=UNSTATED,
        max_exam_letters=MAX_EXAM_LETTERS,
        max_stretch_s=MAX_STRETCH_S,
        max_files=service.settings.max_upload_files,
        max_bytes=service.settings.max_body_bytes,
        kept_minutes=service.settings.kept_answers_minutes,
        with_keys=service.keys.enforced,
    )
    return HTMLResponse(page, problem.status_code if problem else HTTPStatus.OK, problem.headers if problem else None)


def as_query(error: ValidationError) -> list[dict[str, Any]]:
    """As FastAPI names the place of a query parameter."""
    return [{**e, "loc": ("query", *e["loc"])} for e in error.errors(include_url=False, include_input=False)]
