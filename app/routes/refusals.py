"""What was refused lately, by reason."""

from __future__ import annotations

from fastapi import APIRouter

from app.http.dependencies import AdminKey, OperatorsPlace, ServiceDep
from app.operator_views import RecentRefusalsView, RefusalView

router = APIRouter(prefix="/v1", tags=["Operation"], dependencies=[AdminKey])


@router.get("/refusals", dependencies=[OperatorsPlace])
async def list_refusals(service: ServiceDep) -> RecentRefusalsView:
    """How often each reason for a refusal was given in the last hour, the most frequent first; nothing of whom."""
    counts = service.recent_refusals.counts()
    return RecentRefusalsView(refusals=[RefusalView.of(counted) for counted in counts])
