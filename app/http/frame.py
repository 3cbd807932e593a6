"""What holds for every request, whatever its address: one small middleware for each job, put together here."""

from __future__ import annotations

from fastapi import FastAPI

from app.http.bodies import BodyLimits
from app.http.defects import DefectsAsProblems
from app.http.headers import SecurityHeaders
from app.http.requests import RequestLog
from app.metrics import Metrics
from app.recent_refusals import RecentRefusals
from app.settings import Settings


def add_frame(app: FastAPI, settings: Settings, metrics: Metrics, refusals: RecentRefusals | None = None) -> None:
    """Around the whole application; the one added last sees a request first and its answer last.

    The log line counts what was really sent, and an answer to a defect has an id and headers like any other.
    """
    app.add_middleware(BodyLimits, max_body_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s)
    app.add_middleware(DefectsAsProblems)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestLog, metrics=metrics, refusals=refusals or RecentRefusals())
