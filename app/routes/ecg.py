"""An ECG in, its answer out: search, predict, embed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from app.answering.answered import embed_answer, predict_answer, search_answer
from app.answering.pipeline import Answer, Question
from app.http.bodies import takes_upload
from app.http.dependencies import QueryKey, ServiceDep
from app.http.described import refuses
from app.http.uploads import MULTIPART_BODY, admit, ask_and_write, read_upload
from app.schemas import ReadQuery, SearchQuery
from app.service import Service
from outputs.report import EmbedAnswer, PredictAnswer, SearchAnswer

router = APIRouter(prefix="/v1", tags=["ECG"], dependencies=[QueryKey])


_REFUSED: dict[int, tuple[str, ...]] = {
    400: ("not_multipart", "bad_multipart", "no_file", "charset_unknown", "type_too_long"),
    429: ("busy",),
    503: ("starting", "start_failed", "lane_dead", "reader_unavailable", "took_too_long"),
    507: ("no_space",),
}
_NO_INDEX = {503: (*_REFUSED[503], "index_missing", "index_damaged", "index_newer", "index_mismatch")}


def _documented(model: type[BaseModel], codes: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    """Answers are written straight from the model, so FastAPI only documents them."""
    return {"responses": {200: {"model": model}} | refuses(codes), "openapi_extra": MULTIPART_BODY}


@router.post("/search", **_documented(SearchAnswer, _REFUSED | _NO_INDEX | {404: ("no_embeddings",)}))
@takes_upload
async def search(request: Request, service: ServiceDep, query: Annotated[SearchQuery, Query()]) -> Response:
    """The most similar echo studies of one ECG, with predictions."""
    return await _respond(request, service, query.question(), search_answer)


@router.post("/predict", **_documented(PredictAnswer, _REFUSED | {404: ("no_probes",)}))
@takes_upload
async def predict(request: Request, service: ServiceDep, query: Annotated[ReadQuery, Query()]) -> Response:
    """LVEF class and structural heart disease, without a search."""
    return await _respond(request, service, query.question(), predict_answer)


@router.post("/embed", **_documented(EmbedAnswer, _REFUSED))
@takes_upload
async def embed(request: Request, service: ServiceDep, query: Annotated[ReadQuery, Query()]) -> Response:
    """The vectors of one ECG, of whatever quality; `withheld` says what would forbid an answer."""
    question = replace(query.question(), measured=False, withhold=False)
    return await _respond(request, service, question, embed_answer)


async def _respond(
    request: Request, service: Service, question: Question, shape: Callable[[Answer, str], BaseModel]
) -> Response:
    with admit(request, service):
        if question.k:
            _ = service.retriever.current.searchable  # before the body is read: without an index there is no use in it
        form = await read_upload(request, max_files=service.settings.max_upload_files)
        write = partial(_written, shape, request.state.request_id)
        content = await ask_and_write(request, service, form.upload, question, write)
    return Response(content, media_type="application/json")


def _written(shape: Callable[[Answer, str], BaseModel], request_id: str, answer: Answer) -> str:
    """A hundred studies of many views take tens of milliseconds: not on the event loop."""
    return shape(answer, request_id).model_dump_json(exclude_unset=True)
