"""Every component of the pages on one page, for who works on them: it exists only where the setting `ui_page` is on.

It shows the pages' own templates with invented values, so that what is looked at here is what people see.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.answering.explained import TARGETS
from app.http.dependencies import ServiceDep
from app.http.problems import NotFound, Problem
from app.schemas import DEFAULT_K, MAX_K
from app.web import render
from app.web.answers import samples_json
from app.web.drawn import Drawing, switches
from app.web.shown import drawn_for, page
from inputs.records import STANDARD_LEADS, InputWarning
from outputs.ecg_svg import ecg_svg
from outputs.lvef_svg import lvef_svg
from outputs.report import SearchAnswer
from outputs.tracing import Tracing
from outputs.words import DISCLAIMER

router = APIRouter(include_in_schema=False)

UI_PAGE = "/ui"
_RATE_HZ, _SECONDS = 500.0, 10
_COLOURS = (
    ("ink", "text"),
    ("quiet", "text beside it"),
    ("paper", "the page"),
    ("raised", "what lies on it"),
    ("line", "lines"),
    ("act", "what can be done"),
    ("act-soft", "chosen"),
    ("heed", "what to heed"),
    ("heed-soft", "behind it"),
)


@router.get(UI_PAGE)
@page(*Drawing.NAMES)
async def show_components(request: Request, service: ServiceDep) -> Response:
    """All of them."""
    drawing = Drawing.of(request.query_params)
    return HTMLResponse(await drawn_for(request, service, lambda: _written(drawing)))


@router.get(f"{UI_PAGE}/samples")
@page("lead")
async def show_invented_samples(request: Request, service: ServiceDep) -> Response:
    """One lead of the invented tracing."""
    lead = request.query_params.get("lead", "")
    if lead not in STANDARD_LEADS:
        raise NotFound("unknown_lead", "The ECG has no such lead.")
    return Response(samples_json(_tracing(), lead), media_type="application/json")


@router.get(f"{UI_PAGE}/picture")
@page()
async def show_invented_picture(request: Request, service: ServiceDep) -> Response:
    """What stands for a still of an echo clip: a grey sector."""
    sector = '<path d="M50 5 90 80A85 85 0 0 1 10 80Z" fill="#777"/><circle cx="50" cy="55" r="18" fill="#222"/>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" width="120" height="120">{sector}</svg>'
    return Response(svg, media_type="image/svg+xml")


def _written(drawing: Drawing) -> str:
    answer, tracing = _answer(), _tracing()
    assert answer.predictions is not None
    assert answer.predictions.lvef is not None
    return render(
        "ui.html",
        colours=_COLOURS,
        answer=answer,
        name="invented",
        targets=TARGETS,
        viewer_of=lambda study_id: f"{UI_PAGE}#similar",
        here=UI_PAGE,
        filled={},
        problem=None,
        refused=Problem("invented", "This is what a problem looks like.", hint="And this is what would help."),
        tracing=tracing,
        tracing_svg=ecg_svg(tracing, **drawing.options),
        switches=switches(drawing, {}, UI_PAGE),
        lvef_chart=lvef_svg(answer.predictions.lvef, answer.neighbours or []),
        drawing={},
        drawn="",
        view_names=("A2C", "A4C", "PLAX"),
        default_k=DEFAULT_K,
        max_k=MAX_K,
    )


@cache
def _tracing() -> Tracing:
    """Gaussians for waves: enough to look at, and no heart. One lead is missing, one computed, one doubtful."""
    time_N = np.arange(int(_RATE_HZ * _SECONDS)) / _RATE_HZ
    phase_N = (time_N % 0.85)[:, None]
    centres, widths = np.array([0.16, 0.30, 0.33, 0.36, 0.58]), np.array([0.025, 0.01, 0.012, 0.012, 0.05])
    heights_mv = np.array([0.12, -0.1, 1.0, -0.2, 0.28])
    beat_N = (heights_mv * np.exp(-0.5 * ((phase_N - centres) / widths) ** 2)).sum(axis=1)
    scales_L = np.array([0.7, 1.0, 0.3, -0.85, 0.2, 0.65, -0.4, 0.3, np.nan, 1.2, 1.1, 0.8])
    doubt = InputWarning("lead_noise", "Lead V5 is noisy.", leads=("V5",))
    return Tracing(
        signal_mv_LN=(scales_L[:, None] * beat_N).astype(np.float32),
        rate_hz=_RATE_HZ,
        start_s=0.0,
        duration_s=float(_SECONDS),
        windows_s=((1.0, 2.52), (5.0, 2.52)),
        missing=("V3",),
        derived=("aVF",),
        findings={"V5": (doubt,)},
        caption=("An invented tracing: V3 is missing, aVF computed, V5 doubtful.",),
    )


@cache
def _answer() -> SearchAnswer:
    """Of everything one, and of what differs one of each."""
    finding = {
        "probability": 0.21,
        "base_rate": 0.06,
        "finding": "raised",
        "raised_ppv": 0.2,
        "raised_sensitivity": 0.7,
    }
    ruled_out = {"probability": 0.02, "base_rate": 0.04, "finding": "not_raised"}
    point = {"threshold": 0.4, "sensitivity": 0.81, "specificity": 0.76, "n_cases": 120, "n_others": 300}
    patients = {"coverage": 0.9, "coverage_kind": "per_class", "n_calibration": 420}
    warnings: list[tuple[str, str, list[str], str]] = [
        ("noise", "Lead V5 is noisy.", ["V5"], "warning"),
        ("resampled", "500 Hz became 400 Hz.", [], "note"),
        ("no_qrs", "Only noise was found, and no QRS complex.", [], "withheld"),
    ]
    return SearchAnswer.model_validate(
        {
            "request_id": "0" * 16,
            "bundle": "invented",
            "device": "cpu",
            "ecg": {
                "format": "WFDB",
                "rate_hz": _RATE_HZ,
                "duration_s": _SECONDS,
                "leads": [lead for lead in STANDARD_LEADS if lead != "V3"],
                "resampled_to_hz": 400.0,
                "sha256": "0" * 64,
            },
            "warnings": [
                {"code": code, "message": message, "leads": leads, "severity": severity}
                for code, message, leads, severity in warnings
            ],
            "timing_ms": {},
            "disclaimer": DISCLAIMER,
            "trained_on": "It was trained on simulated patients alone.",
            "generation": "000001",
            "studies_simulated": True,
            "predictions": {
                "lvef": patients
                | {
                    "classes": [
                        {"label": "reduced", "range": "below 40", "probability": 0.62, "base_rate": 0.2},
                        {"label": "mildly reduced", "range": "40 to 49", "probability": 0.31, "base_rate": 0.2},
                        {"label": "normal", "range": "50 and more", "probability": 0.07, "base_rate": 0.6},
                    ],
                    "predicted": "reduced",
                    "prediction_set": ["reduced", "mildly reduced"],
                    "estimate": {"percent": 37.0, "low": 29.0, "high": 46.0, "coverage": 0.9, "n_calibration": 420},
                },
                "shd": {
                    "probability": 0.58,
                    "threshold": 0.4,
                    "positive": True,
                    "base_rate": 0.3,
                    "operating_point": point,
                    "flags": [
                        finding | {"flag": "rv_systolic_dysfunction_moderate_or_greater_flag"},
                        ruled_out | {"flag": "aortic_stenosis_moderate_or_greater_flag"},
                    ],
                },
            },
            "neighbours": [_study(1, pictures=True), _study(2, pictures=False)],
        }
    )


def _study(rank: int, *, pictures: bool) -> dict[str, Any]:
    picture = {"thumbnail_url": f"{UI_PAGE}/picture"} if pictures else {"made_of": "vector"}
    views = [("A4C", 0.52, 0.71), ("PLAX", 0.31, 0.64), (None, 0.17, 0.4)]
    return {
        "rank": rank,
        "study_id": f"invented-study-{rank}",
        "acquired_at": "2026-01-02T10:00:00Z" if pictures else None,
        "age": 71.0 if pictures else None,
        "sex": "female" if pictures else None,
        "lvef_percent": 38.0 + rank,
        "shd": True if pictures else None,
        "similarity": 0.8 - 0.1 * rank,
        "percentile": 99.0 if pictures else 41.0,
        "n_views": len(views),
        "views": [
            {"view_id": f"view-{place}", "view": name, "pool_weight": share, "similarity": alone} | picture
            for place, (name, share, alone) in enumerate(views)
        ],
    }
