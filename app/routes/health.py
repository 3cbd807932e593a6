"""Is it alive, is it ready, how is it doing: for machines that watch. None of this needs a key or tells of anyone."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app import metrics
from app.http.dependencies import ServiceDep
from app.schemas import Liveness, Readiness

router = APIRouter(tags=["Operation"])


@router.get("/healthz", responses={503: {"model": Liveness}})
async def healthz(service: ServiceDep, response: Response) -> Liveness:
    """200 while the thread that runs the models beats, else 503."""
    response.status_code = 200 if service.alive else 503
    return Liveness(alive=service.alive)


@router.get("/readyz", response_model_exclude_none=True, responses={503: {"model": Readiness}})
async def readyz(service: ServiceDep, response: Response) -> Readiness:
    """200 when queries are answered: models warm, index verified, not ending."""
    reasons = service.reasons_not_ready()
    response.status_code = 503 if reasons else 200
    return Readiness(ready=not reasons, reasons=reasons, degraded=service.degraded)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def show_metrics(service: ServiceDep) -> Response:
    """For Prometheus."""
    return Response(service.metrics.text(), headers={"Content-Type": metrics.CONTENT_TYPE})
