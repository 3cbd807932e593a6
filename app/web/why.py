"""Which beats and leads speak for one number of a kept answer, drawn behind its tracing."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.answering.explained import TARGETS, Explained
from app.http.connected import while_connected
from app.http.dependencies import ServiceDep, caller_of
from app.http.problems import InvalidParameter
from app.service import Service
from app.web import render
from app.web.answers import kept_answer
from app.web.kept import KeptAnswer
from app.web.shown import page
from outputs.ecg_svg import ecg_svg
from outputs.patches import lead_shares

router = APIRouter(include_in_schema=False)

MOST_LEADS = 4


@router.get("/answers/{name}/why")
@page("of", "study")
async def show_why(request: Request, service: ServiceDep, name: str) -> Response:
    """`of`: one of TARGETS; `study`: of `match`, the study."""
    kept = kept_answer(request, service, name)
    target, study_id = request.query_params.get("of", ""), request.query_params.get("study")
    if target not in TARGETS or (study_id is not None) != (target == "match"):
        raise InvalidParameter("invalid_parameter", f"of must be one of {', '.join(TARGETS)}, `match` with a study.")
    caller = caller_of(request)

    async def drawn() -> str:
        found = await service.explain(kept.ecg, target, study_id, caller)
        return await service.draw(lambda: _page(service, name, kept, found, (target, study_id)), caller)

    with service.admit(caller, 0):  # each of the two has a time limit of its own
        return HTMLResponse(await while_connected(request, drawn()))


def _page(service: Service, name: str, kept: KeptAnswer, found: Explained, asked: tuple[str, str | None]) -> str:
    tracing, (target, study_id) = kept.ecg.facts.tracing, asked
    assert tracing is not None, "else there is no map"
    return render(
        "why.html",
        answer=kept.report,
        here=f"/answers/{name}",
        target=target,
        study_id=study_id,
        targets=service.explains(kept.ecg),
        found=found,
        shares=lead_shares(found.weights)[:MOST_LEADS],
        tracing=tracing,
        tracing_svg=ecg_svg(tracing, "12x1", weights=found.weights),
        with_keys=service.keys.enforced,
    )
