"""What is being served: bundle, labels, limits."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter

from app.http.dependencies import QueryKey, ServiceDep
from app.http.problems import PROBLEMS
from app.schemas import DEFAULT_K, MAX_K
from outputs.words import DISCLAIMER, lacking_sentence

router = APIRouter(prefix="/v1", tags=["Operation"], responses=PROBLEMS)


@router.get("/info", dependencies=[QueryKey])
async def show_info(service: ServiceDep) -> dict[str, Any]:
    """The bundle's manifest, what its labels mean, what its answers lack, and the limits of this service."""
    snapshot = service.retriever.current
    generation = {} if snapshot.generation is None else {"generation": snapshot.generation.id}
    lacks = snapshot.embedder.lacking
    return {
        "version": version("echo2ecg"),
        "device": snapshot.embedder.device_name,
        "bundle": snapshot.embedder.about,
        **({"bundle_lacks": {"parts": list(lacks), "message": lacking_sentence(lacks)}} if lacks else {}),
        **generation,
        "limits": {
            "max_body_bytes": service.settings.max_body_bytes,
            "max_upload_files": service.settings.max_upload_files,
            "default_k": DEFAULT_K,
            "max_k": MAX_K,
        },
        "rebuild_sources": sorted(service.settings.cohorts),
        "disclaimer": DISCLAIMER,
    }
