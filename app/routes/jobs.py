"""Rebuilds as jobs: which there were, how far one is, as it goes on, and its end before its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from functools import partial

from fastapi import APIRouter, Request, Response

from app.http.connected import while_connected
from app.http.dependencies import AdminKey, OperatorsPlace, ServiceDep, caller_of, may_still, require_still
from app.http.described import refuses
from app.http.event_stream import EVENT_STREAM_TYPE, STILL_HERE, EventStream, event_text
from app.job_files import StoredJob
from app.operator_views import JobList, JobSummary, JobView
from app.service import Service

MOST_LISTED = 100

EVENTS = {
    "schema": {},
    "itemSchema": {  # of OpenAPI 3.2; what does not know it reads whatever comes
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "event": {"enum": ["progress", "end"]},
            "data": {"type": "string", "contentMediaType": "application/json"},
        },
    },
}

router = APIRouter(prefix="/v1/jobs", tags=["Jobs"], dependencies=[AdminKey])


@router.get("", response_model_exclude_none=True, dependencies=[OperatorsPlace])
async def list_jobs(request: Request, service: ServiceDep) -> JobList:
    """Rebuilds, the newest first, without their reports."""
    newest = await while_connected(request, service.jobs.newest(MOST_LISTED))
    return JobList(jobs=[JobSummary.of(job) for job in newest])


@router.get(
    "/{job_id}", dependencies=[OperatorsPlace], responses={200: {"model": JobView}, **refuses({404: ("unknown_job",)})}
)
async def show_job(request: Request, service: ServiceDep, job_id: str) -> Response:
    """How far a rebuild is."""
    content = await while_connected(request, _written(service.jobs.get(job_id)))
    return Response(content, media_type="application/json")


@router.get(
    "/{job_id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events, each with a JobSummary as its data: `progress` after every change, at "
            "most four a second, and `end` when the job has ended, which ends the stream.",
            "content": {EVENT_STREAM_TYPE: EVENTS},
        },
        **refuses({404: ("unknown_job",), 429: ("too_many_streams",)}),
    },
)
async def follow_job(request: Request, service: ServiceDep, job_id: str) -> Response:
    """A rebuild as it goes on."""
    await service.job_streams.look(job_id)  # raises for a job that there is not
    await request.body()  # of which there should be none: one that is refused is refused before the stream begins
    caller = caller_of(request)
    return EventStream(_events(request, service, job_id), service.job_streams.enter(caller))


@router.delete(
    "/{job_id}",
    dependencies=[OperatorsPlace],
    responses={
        200: {"model": JobView},
        **refuses({404: ("unknown_job",), 409: ("job_ended", "job_elsewhere")}),
    },
)
async def cancel_job(request: Request, service: ServiceDep, job_id: str) -> Response:
    """End a running rebuild; what it embedded is kept for the next one."""
    content = await _written(service.jobs.cancel(job_id, partial(require_still, request, service, "admin")))
    return Response(content, media_type="application/json")


async def _events(request: Request, service: Service, job_id: str) -> AsyncIterator[str]:
    def goes_on() -> bool:
        """Who could not ask now sees nothing more, and nobody keeps a service from ending."""
        return not service.draining and (not service.keys.enforced or may_still(request, service, "admin"))

    async for job in service.job_streams.follow(job_id, goes_on):
        if job is None:
            yield STILL_HERE
        else:
            name = "progress" if job.state == "running" else "end"
            yield event_text(name, JobSummary.of(job).model_dump_json(exclude_none=True))


async def _written(asked: Awaitable[StoredJob]) -> str:
    """Its report names clips that were left out, an older version's every one of them: not on the event loop."""
    job = await asked
    return await asyncio.to_thread(lambda: JobView.of(job).model_dump_json(exclude_none=True))
