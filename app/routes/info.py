"""What is being served: bundle, labels, limits."""

from __future__ import annotations

import json
from importlib.metadata import version

from fastapi import APIRouter, Request, Response

from app.answering.snapshots import Snapshot
from app.http.dependencies import QueryKey, ServiceDep
from app.http.kept import Kept
from app.schemas import DEFAULT_K, MAX_K, ServiceInfo
from app.service import Service
from outputs.words import DISCLAIMER, lacking_sentence

router = APIRouter(prefix="/v1", tags=["Operation"])


@router.get("/info", dependencies=[QueryKey], responses={200: {"model": ServiceInfo}})
async def show_info(service: ServiceDep, request: Request) -> Response:
    """The bundle's manifest, what its labels mean, what its answers lack, and the limits of this service."""
    snapshot = service.retriever.current
    about = snapshot.embedder.id, None if snapshot.generation is None else snapshot.generation.id
    kept: Kept[bytes] = request.app.state.info  # a manifest is long
    return Response(await kept.get(about, lambda: _written(service, snapshot)), media_type="application/json")


def _written(service: Service, snapshot: Snapshot) -> bytes:
    generation = {} if snapshot.generation is None else {"generation": snapshot.generation.id}
    lacks = snapshot.embedder.lacking
    return json.dumps(
        {
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
    ).encode()
