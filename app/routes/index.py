"""The index: what is served, and rebuilds as jobs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response

from app.http.bodies import takes_at_most
from app.http.dependencies import AdminKey, QueryKey, ServiceDep
from app.http.problems import PROBLEMS, InvalidParameter
from app.jobs import StoredJob
from app.schemas import IndexView, JobView, RebuildRequest
from app.service import Service

REBUILD_BYTES = 1024
"""This body is taken apart before anybody is known: the name of a source needs no more."""

router = APIRouter(prefix="/v1", tags=["Index"], responses=PROBLEMS)


@router.get("/index", dependencies=[QueryKey], response_model_exclude_none=True)
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
        manifest=generation.manifest.model_dump(mode="json"),
        running_job=service.jobs.running,
    )


async def refuse_repeated_names(request: Request) -> None:
    """Raises InvalidParameter where the JSON body gives a name twice: one value would be dropped without a word."""

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(members)) < len(members):
            raise InvalidParameter("invalid_parameter", "A name in the body comes twice.")
        return dict(members)

    with contextlib.suppress(ValueError, RecursionError):  # said where the body is read
        json.loads(await request.body(), object_pairs_hook=once)


@router.post(
    "/index/rebuild",
    dependencies=[AdminKey, Depends(refuse_repeated_names)],
    status_code=202,
    response_model_exclude_none=True,
)
@takes_at_most(REBUILD_BYTES)
async def rebuild(
    service: ServiceDep, response: Response, wanted: Annotated[RebuildRequest | None, Body()] = None
) -> JobView:
    """Embed a cohort named in the settings and swap to the new generation when it is complete."""
    source = _source(service, wanted.source if wanted else None)
    job = await service.jobs.start(source, service.settings.cohorts[source])
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return JobView.of(job)


@router.get("/jobs/{job_id}", dependencies=[AdminKey], responses={200: {"model": JobView}})
async def show_job(service: ServiceDep, job_id: str) -> Response:
    """How far a rebuild is."""
    # Its report names clips that were left out, an older version's every one of them: not on the event loop.
    content = await asyncio.to_thread(_written, await service.jobs.get(job_id))
    return Response(content, media_type="application/json")


@router.delete("/jobs/{job_id}", dependencies=[AdminKey], responses={200: {"model": JobView}})
async def cancel_job(service: ServiceDep, job_id: str) -> Response:
    """End a running rebuild; what it embedded is kept for the next one."""
    content = await asyncio.to_thread(_written, await service.jobs.cancel(job_id))
    return Response(content, media_type="application/json")


def _written(job: StoredJob) -> str:
    return JobView.of(job).model_dump_json(exclude_none=True)


def _source(service: Service, wanted: str | None) -> str:
    names = sorted(service.settings.cohorts)
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted not in names:
        hint = f"Known sources: {', '.join(names)}." if names else "Name one with ECHO2ECG_COHORTS or `serve --cohort`."
        raise InvalidParameter("unknown_source", "The settings name no such source of studies.", hint=hint)
    assert wanted is not None
    return wanted
