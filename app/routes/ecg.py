"""An ECG in, its answer out: search, predict, embed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from app.answering.pipeline import Answer, Question
from app.http.dependencies import QueryKey, ServiceDep
from app.http.problems import PROBLEMS, NoSpace
from app.http.uploads import (
    MULTIPART_BODY,
    Upload,
    read_upload,
    while_connected,
)
from app.schemas import (
    EmbedAnswer,
    PredictAnswer,
    ReadQuery,
    SearchAnswer,
    SearchQuery,
    embed_answer,
    predict_answer,
    search_answer,
)
from app.service import Service
from inputs.errors import NO_ROOM_TO_READ

router = APIRouter(prefix="/v1", tags=["ECG"], dependencies=[QueryKey])


def _documented(model: type[BaseModel]) -> dict[str, Any]:
    """Answers are written straight from the model, so FastAPI only documents them."""
    return {"responses": {200: {"model": model}} | PROBLEMS, "openapi_extra": MULTIPART_BODY}


@router.post("/search", **_documented(SearchAnswer))
async def search(request: Request, service: ServiceDep, query: Annotated[SearchQuery, Query()]) -> Response:
    """The most similar echo studies of one ECG, with predictions."""
    question = search_question(query)
    return await _respond(request, service, question, search_answer)


@router.post("/predict", **_documented(PredictAnswer))
async def predict(request: Request, service: ServiceDep, query: Annotated[ReadQuery, Query()]) -> Response:
    """LVEF class and structural heart disease, without a search."""
    return await _respond(request, service, read_question(query), predict_answer)


@router.post("/embed", **_documented(EmbedAnswer))
async def embed(request: Request, service: ServiceDep, query: Annotated[ReadQuery, Query()]) -> Response:
    """The vectors of one ECG."""
    return await _respond(request, service, read_question(query), embed_answer)


def search_question(query: SearchQuery) -> Question:
    return Question(query.k, query.exclude_patient, query.rate_hz, query.unit, query.lead_names)


def read_question(query: ReadQuery) -> Question:
    return Question(rate_hz=query.rate_hz, unit=query.unit, leads=query.lead_names)


async def answer_upload(request: Request, service: Service, upload: Upload, question: Question) -> tuple[Answer, str]:
    """The answer and the upload's sha256. Gives up when the caller leaves or the time is over."""
    service.reading.check_room()
    sha256 = await asyncio.to_thread(upload.sha256)
    request.state.upload_sha256 = sha256[:12]
    work = service.pipeline.answer(upload.files, question)
    try:
        answer = await while_connected(request, work, timeout_s=service.settings.answer_timeout_s)
    except OSError as error:
        if error.errno in NO_ROOM_TO_READ:
            raise NoSpace from error
        raise
    service.metrics.observe_stages(answer.timing_ms)
    return answer, sha256


async def _respond(
    request: Request, service: Service, question: Question, shape: Callable[[Answer, str, str], BaseModel]
) -> Response:
    service.require_able()
    if question.k:
        _ = service.retriever.current.searchable
    upload = await read_upload(request, max_files=service.settings.max_upload_files)
    answer, sha256 = await answer_upload(request, service, upload, question)
    content = shape(answer, request.state.request_id, sha256).model_dump_json(exclude_unset=True)
    return Response(content, media_type="application/json")
