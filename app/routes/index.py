"""The index: what is served, and how a rebuild begins."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response

from app.http.bodies import takes_at_most
from app.http.dependencies import AdminKey, OperatorsPlace, QueryKey, ServiceDep, refuse_repeated_names, require_still
from app.http.described import refuses
from app.http.problems import InvalidParameter
from app.operator_views import JobView
from app.schemas import IndexView, RebuildRequest
from app.service import Service

REBUILD_BYTES = 1024
"""This body is taken apart before anybody is known: the name of a source needs no more."""

router = APIRouter(prefix="/v1", tags=["Index"])


_UNSERVED = {404: ("no_embeddings",), 503: ("index_missing", "index_damaged", "index_newer", "index_mismatch")}


@router.get("/index", dependencies=[QueryKey], response_model_exclude_none=True, responses=refuses(_UNSERVED))
async def show_index(service: ServiceDep) -> IndexView:
    """The generation being served."""
    generation = service.retriever.current.searchable
    return IndexView(
        generation=generation.id,
        bundle=generation.manifest.bundle_id,
        studies=generation.index.count,
        backend=generation.index.backend,
        exact=generation.index.exact,
        degraded=service.degraded,
        manifest=generation.manifest,
        running_job=service.jobs.running,
    )


@router.post(
    "/index/rebuild",
    dependencies=[AdminKey, OperatorsPlace, Depends(refuse_repeated_names)],
    status_code=202,
    response_model_exclude_none=True,
    responses=refuses(
        {
            409: ("job_running",),
            422: ("unknown_source",),
            503: ("index_read_only", "job_not_started"),
            507: ("no_space",),
        }
    ),
)
@takes_at_most(REBUILD_BYTES)
async def rebuild_index(
    request: Request, service: ServiceDep, response: Response, wanted: Annotated[RebuildRequest | None, Body()] = None
) -> JobView:
    """Embed a cohort named in the settings and swap to the new generation when it is complete."""
    source = _source(service, wanted.source if wanted else None)
    still = partial(require_still, request, service, "admin")
    job = await service.jobs.start(source, service.settings.cohorts[source], still)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return JobView.of(job)


def _source(service: Service, wanted: str | None) -> str:
    names = sorted(service.settings.cohorts)
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted not in names:
        hint = f"Known sources: {', '.join(names)}." if names else "Name one with ECHO2ECG_COHORTS or `serve --cohort`."
        raise InvalidParameter("unknown_source", "The settings name no such source of studies.", hint=hint)
    assert wanted is not None
    return wanted
