"""An answer that was kept: its page, the documents that are taken along, and what its drawings are made of.

The address of an answer holds what was asked of the studies, so that Back, reload and a bookmark show the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError

from app.answering.answered import search_answer
from app.answering.kept_answers import AnswerGone
from app.answering.pipeline import Question
from app.http.dependencies import ServiceDep, caller_of
from app.http.problems import InvalidParameter, NotFound, Problem, noted_problem, problem_of, problem_of_validation
from app.http.uploads import admitted
from app.schemas import DEFAULT_K, MAX_K, StudyQuery
from app.service import Service
from app.web import render
from app.web.drawn import Drawing, switches
from app.web.kept import KeptAnswer, KeptUpload
from app.web.labels import in_labels
from app.web.page import address, as_query
from app.web.session import owner_of
from app.web.shown import drawn_for, page, viewer_of
from index.catalogue.filters import FilterRefused
from outputs.answer_csv import answer_csv
from outputs.answer_pdf import answer_pdf
from outputs.beside import compared_rows, shared_sentence
from outputs.ecg_svg import ecg_svg
from outputs.lvef_svg import lvef_svg
from outputs.report import SearchAnswer
from outputs.tracing import Tracing

Result = TypeVar("Result")

router = APIRouter(include_in_schema=False)

ASKED = (*StudyQuery.model_fields, *Drawing.NAMES)
"""What the address of an answer may ask."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """One kept answer, and what an address asks of it. problem: why what it asks of the studies is refused."""

    kept: KeptAnswer
    question: Question
    drawing: Drawing
    filled: Mapping[str, str]
    problem: Problem | None


def kept_answer(request: Request, service: Service, name: str) -> KeptAnswer:
    """Raises AnswerGone where there is none of this name for who asks."""
    kept = service.kept.get(owner_of(request, service), name)
    if not isinstance(kept, KeptAnswer):
        raise AnswerGone(service.settings.kept_answers_minutes)
    return kept


def _asked(request: Request, service: Service, name: str) -> _Asked:
    """Raises AnswerGone, InvalidParameter."""
    kept = kept_answer(request, service, name)
    given = {name: value for name, value in request.query_params.items() if value}
    filled = {name: value for name, value in given.items() if name not in Drawing.NAMES}
    drawing = Drawing.of(given)
    try:
        question = StudyQuery.model_validate(filled).narrows(kept.question)
    except ValidationError as error:
        problem: Problem = problem_of_validation(as_query(error))
    except FilterRefused as error:
        problem = problem_of(error)
    else:
        return _Asked(kept, question, drawing, filled, None)
    return _Asked(kept, kept.question, drawing, filled, noted_problem(request, problem))


async def _drawn(request: Request, service: Service, asked: _Asked, draw: Callable[[SearchAnswer], Result]) -> Result:
    """Of what was kept where the same is asked, else of a new search with the same ECG."""
    caller, request_id = caller_of(request), request.state.request_id

    async def drawn() -> Result:
        if asked.question == asked.kept.question:
            return await service.draw(lambda: draw(asked.kept.report), caller)
        answer = await service.ask_again(asked.kept.ecg, asked.question)
        drawn = await service.draw(lambda: draw(search_answer(answer, request_id)), caller)
        service.metrics.observe_stages(answer.timing_ms)
        return drawn

    return await admitted(request, service, drawn)


@router.get("/answers/{name}.json")
@page(*ASKED)
async def show_json(request: Request, service: ServiceDep, name: str) -> Response:
    return await _document(request, service, name, "application/json", "json", _as_json)


@router.get("/answers/{name}.csv")
@page(*ASKED)
async def show_csv(request: Request, service: ServiceDep, name: str) -> Response:
    return await _document(request, service, name, "text/csv", "csv", lambda report, _: answer_csv(report))


@router.get("/answers/{name}.pdf")
@page(*ASKED)
async def show_pdf(request: Request, service: ServiceDep, name: str) -> Response:
    """One page of A4, its warnings in the words of the page."""

    def written(report: SearchAnswer, asked: _Asked) -> bytes:
        told = [one.model_copy(update={"message": in_labels(one.message)}) for one in report.warnings]
        said = report.model_copy(update={"warnings": told})
        return answer_pdf(said, asked.kept.ecg.facts.tracing, asked.kept.answered_at)

    return await _document(request, service, name, "application/pdf", "pdf", written)


@router.get("/answers/{name}.svg")
@page(*ASKED)
async def show_svg(request: Request, service: ServiceDep, name: str) -> Response:
    """The ECG alone, true to scale."""

    def written(_: SearchAnswer, asked: _Asked) -> str:
        return ecg_svg(_tracing_of(asked.kept), **asked.drawing.options, whole_file=True)

    return await _document(request, service, name, "image/svg+xml", "svg", written)


@router.get("/answers/{name}/samples")
@page("lead")
async def show_samples(request: Request, service: ServiceDep, name: str) -> Response:
    """One lead as numbers, for a closer look: seconds and millivolt."""
    lead = request.query_params.get("lead", "")
    tracing = _tracing_of(service.kept.get(owner_of(request, service), name))
    if lead not in tracing.lead_names:
        raise NotFound("unknown_lead", "The ECG has no such lead.")
    content = await drawn_for(request, service, lambda: samples_json(tracing, lead))
    return Response(content, media_type="application/json")


def samples_json(tracing: Tracing, lead: str) -> bytes:
    """One lead as numbers: millivolt, null where nothing was recorded."""
    row_N = tracing.signal_mv_LN[tracing.lead_names.index(lead)]
    signal_mv = [None if value != value else round(value, 4) for value in row_N.tolist()]
    said = {"lead": lead, "rate_hz": tracing.rate_hz, "start_s": tracing.start_s, "signal_mv": signal_mv}
    return json.dumps(said, separators=(",", ":")).encode()


@router.get("/answers/{name}")
@page(*ASKED)
async def show_answer(request: Request, service: ServiceDep, name: str) -> Response:
    """The answer, beside the studies that its address asks for."""
    asked = _asked(request, service, name)
    html = await _drawn(request, service, asked, lambda report: _page(service, name, asked, report))
    status = 200 if asked.problem is None else asked.problem.status_code
    return HTMLResponse(html, status)


def _page(service: Service, name: str, asked: _Asked, report: SearchAnswer) -> str:
    tracing, here = asked.kept.ecg.facts.tracing, f"/answers/{name}"
    lvef = None if report.predictions is None else report.predictions.lvef
    generation = service.retriever.current.generation
    svg = {} if tracing is None else {"tracing_svg": ecg_svg(tracing, **asked.drawing.options)}
    return render(
        "answer.html",
        answer=report,
        name=name,
        here=here,
        problem=asked.problem,
        filled=asked.filled,
        asked=address("", asked.filled),
        tracing=tracing,
        drawing=asked.drawing.asked,
        drawn=address("", asked.drawing.asked),
        switches=switches(asked.drawing, asked.filled, here),
        lvef_chart="" if lvef is None else lvef_svg(lvef, report.neighbours or [], narrowed=report.filters is not None),
        kept_minutes=service.settings.kept_answers_minutes,
        view_names=generation.view_names if generation else (),
        default_k=DEFAULT_K,
        max_k=MAX_K,
        viewer_of=viewer_of(service.settings),
        targets=service.explains(asked.kept.ecg),
        with_keys=service.keys.enforced,
        **svg,
    )


@router.get("/beside")
@page("of", twice="of")
async def show_beside(request: Request, service: ServiceDep) -> Response:
    """Two kept answers, as `of` names them twice."""
    owner, names = owner_of(request, service), request.query_params.getlist("of")
    if len(names) != 2:
        raise InvalidParameter("invalid_parameter", "Two ECGs are compared: tick two of the list.")
    two = [service.kept.get(owner, name) for name in names]
    if not all(isinstance(kept, KeptAnswer) for kept in two):
        raise AnswerGone(service.settings.kept_answers_minutes)
    return HTMLResponse(await drawn_for(request, service, lambda: _beside(service, names, two)))


def _beside(service: Service, names: Sequence[str], two: Sequence[KeptAnswer]) -> str:
    first, second = (kept.report for kept in two)
    shown = [
        {"name": name, "answer": report, "svg": ecg_svg(_tracing_of(kept), name=f"ecg-{place}")}
        for place, (name, kept, report) in enumerate(zip(names, two, (first, second), strict=True))
    ]
    return render(
        "beside.html",
        first=shown[0],
        second=shown[1],
        rows=list(compared_rows(first, second)),
        shared=shared_sentence(first, second),
        with_keys=service.keys.enforced,
    )


@router.get("/uploads/{name}")
@page()
async def show_upload(request: Request, service: ServiceDep, name: str) -> Response:
    """Several ECGs that came together."""
    owner = owner_of(request, service)
    upload = service.kept.get(owner, name)
    if not isinstance(upload, KeptUpload):
        raise AnswerGone(service.settings.kept_answers_minutes)
    found = [_kept_or_gone(service, owner, answer) for answer in upload.answers]
    return HTMLResponse(await drawn_for(request, service, lambda: _upload(service, upload, found)))


def _kept_or_gone(service: Service, owner: str, answer: str | Problem) -> KeptAnswer | Problem:
    if isinstance(answer, Problem):
        return answer
    try:
        kept: KeptAnswer = service.kept.get(owner, answer)
    except AnswerGone as gone:
        return problem_of(gone)
    return kept


def _upload(service: Service, upload: KeptUpload, found: Sequence[KeptAnswer | Problem]) -> str:
    rows = [
        {"problem": one} if isinstance(one, Problem) else {"name": name, "answer": one.report}
        for name, one in zip(upload.answers, found, strict=True)
    ]
    first = next((row["answer"] for row in rows if "answer" in row), None)
    return render(
        "upload.html", rows=rows, first=first, asked=address("", upload.asked), with_keys=service.keys.enforced
    )


def _as_json(report: SearchAnswer, _: _Asked) -> str:
    return report.model_dump_json(exclude_unset=True, indent=1)


def _tracing_of(kept: KeptAnswer | KeptUpload) -> Tracing:
    tracing = kept.ecg.facts.tracing if isinstance(kept, KeptAnswer) else None
    if tracing is None:
        raise NotFound("no_tracing", "There is no tracing at this address.")
    return tracing


async def _document(
    request: Request,
    service: Service,
    name: str,
    media_type: str,
    ending: str,
    write: Callable[[SearchAnswer, _Asked], str | bytes],
) -> Response:
    """A file to take along; its name is the request's id, and nothing of the upload's."""
    asked = _asked(request, service, name)
    if asked.problem is not None:
        raise asked.problem
    name, content = await _drawn(request, service, asked, lambda report: (report.request_id, write(report, asked)))
    headers = {"Content-Disposition": f'attachment; filename="echo2ecg-{name}.{ending}"'}
    return Response(content, media_type=media_type, headers=headers)
