"""The page of one study of the index, for a look at a neighbour without losing the answer it came from."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.answering.answered import similar_answer, study_detail
from app.answering.similar import Similar
from app.http.dependencies import ServiceDep, caller_of
from app.http.problems import NotFound
from app.http.uploads import admitted
from app.service import Service
from app.web import render
from app.web.shown import page, viewer_of
from ground.findings import phenotype_of
from index.catalogue.cards import StudyCard
from index.generation import Generation

router = APIRouter(include_in_schema=False)

SIMILAR_SHOWN = 5
_NAME_LETTERS = 22
"""Of `secrets.token_urlsafe(16)`."""


@router.get("/studies/{study_id}")
@page("of")
async def show_study_page(request: Request, service: ServiceDep, study_id: str) -> Response:
    """Measurements, findings and views of one study. `of`: the answer to go back to."""
    snapshot = service.retriever.current  # held, so that a swap does not close its generation while it is read
    generation = snapshot.searchable
    card = await asyncio.to_thread(generation.catalogue.card, study_id)
    if card is None:
        raise NotFound("unknown_study", "There is no study with this id in the index.")
    of = request.query_params.get("of", "")
    caller = caller_of(request)

    async def drawn() -> str:
        similar = await service.similar(study_id, k=SIMILAR_SHOWN, exclude_patient=True)
        return await service.draw(lambda: _page(service, card, generation, similar, of), caller)

    return HTMLResponse(await admitted(request, service, drawn))


def _page(service: Service, card: StudyCard, generation: Generation, similar: Similar | None, of: str) -> str:
    return render(
        "study.html",
        study=study_detail(card, generation),
        similar=[] if similar is None else similar_answer(similar).neighbours,
        simulated=bool(generation.manifest.build.get("simulated")),
        back=f"/answers/{of}" if len(of) == _NAME_LETTERS and of.replace("-", "").replace("_", "").isalnum() else "",
        phenotype_of=phenotype_of,
        viewer_of=viewer_of(service.settings),
        with_keys=service.keys.enforced,
    )
