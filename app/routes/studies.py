"""The studies of the index: what is known of one, its pictures, and the studies like it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.answering.answered import similar_answer, study_detail
from app.http.dependencies import QueryKey, ServiceDep, caller_of
from app.http.described import refuses
from app.http.problems import NotFound
from app.http.uploads import admitted
from app.schemas import SimilarQuery
from outputs.study import SimilarAnswer, StudyDetail

router = APIRouter(prefix="/v1/studies", tags=["Studies"], dependencies=[QueryKey])

_NO_INDEX = ("index_missing", "index_damaged", "index_newer", "index_mismatch")


@router.get(
    "/{study_id}",
    response_model_exclude_unset=True,
    responses=refuses({404: ("unknown_study", "no_embeddings"), 503: _NO_INDEX}),
)
async def show_study(service: ServiceDep, study_id: str) -> StudyDetail:
    """One study of the index."""
    snapshot = service.retriever.current  # held, so that a swap does not close its generation while it is read
    generation = snapshot.searchable
    card = await asyncio.to_thread(generation.catalogue.card, study_id)
    if card is None:
        raise _unknown_study()
    return study_detail(card, generation)


@router.get(
    "/{study_id}/similar",
    responses={200: {"model": SimilarAnswer}, **refuses({404: ("unknown_study", "no_embeddings"), 503: _NO_INDEX})},
)
async def show_similar(
    request: Request, service: ServiceDep, study_id: str, query: Annotated[SimilarQuery, Query()]
) -> Response:
    """The studies of the index that are most similar to this one, by its vector alone."""
    caller = caller_of(request)

    async def written() -> str:
        found = await service.similar(study_id, k=query.k, exclude_patient=query.exclude_patient)
        if found is None:
            raise _unknown_study()
        return await service.write(lambda: similar_answer(found).model_dump_json(exclude_unset=True), caller)

    return Response(await admitted(request, service, written), media_type="application/json")


@router.get(
    "/{study_id}/views/{view_id}/thumbnail",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **refuses({404: ("unknown_view", "no_embeddings"), 503: _NO_INDEX}),
    },
)
async def show_thumbnail(service: ServiceDep, study_id: str, view_id: str) -> Response:
    """A still of one view."""
    snapshot = service.retriever.current  # held, as above
    jpeg = await asyncio.to_thread(snapshot.searchable.catalogue.thumbnail, study_id, view_id)
    if jpeg is None:
        raise NotFound("unknown_view", "There is no thumbnail of this view in the index.")
    return Response(jpeg, media_type="image/jpeg")


@router.get(
    "/{study_id}/views/{view_id}/cine",
    response_class=Response,
    responses={
        200: {"content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}}},
        **refuses({404: ("unknown_view", "no_cine", "no_embeddings"), 503: _NO_INDEX}),
    },
)
async def show_cine(service: ServiceDep, study_id: str, view_id: str) -> Response:
    """A small moving picture of one view, as a looping WebP at the speed of the heart."""
    snapshot = service.retriever.current  # held, as above
    catalogue = snapshot.searchable.catalogue
    webp = await asyncio.to_thread(catalogue.cine, study_id, view_id)
    if webp is not None:
        return Response(webp, media_type="image/webp")
    card = await asyncio.to_thread(catalogue.card, study_id)
    if card is None or view_id not in {view.view_id for view in card.views}:
        raise NotFound("unknown_view", "There is no such view in the index.")
    raise NotFound(
        "no_cine",
        "The index has no moving picture of this view.",
        hint="An older version may have built the index: `echo2ecg index rebuild` makes them of clips.",
    )


def _unknown_study() -> NotFound:
    return NotFound("unknown_study", "There is no study with this id in the index.")
