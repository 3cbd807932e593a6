"""Spectral stills: velocities over time through one valve, drawn once, with a scale on which the peak can be read.

No clip: whoever reads clips passes them over. Letters in array names: H rows, W columns, C colours, T columns in time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simulator.echo.machine import EchoMachine, Picture
from simulator.echo.ventricle import Floats
from simulator.physiology import Physiology

_SWEEP_S = 3.2
_AORTIC_M_S = ((1.3, 0.18), (2.4, 0.25), (3.5, 0.28), (4.6, 0.40))
"""Mean and SD by the grade of stenosis: 2.6 to 2.9 mild, 3 to 4 moderate, above 4 severe (Baumgartner et al., JASE
2017;30:372), and what readers of a still call mild below that."""
_IRREGULAR = {"atrial_fibrillation": 0.17, "atrial_flutter": 0.06}
_TEXT_GREY, _LINE_GREY = 200, 110


@dataclass(frozen=True)
class SpectralStill:
    """One picture. region_px: the spectrum's rectangle x0, y0, x1, y1, inclusive.

    baseline_px: the row of 0 m/s in the picture; rows above it are velocities towards the probe.
    """

    frame_HWC: Picture
    view: str
    doppler: Literal["continuous", "pulsed"]
    region_px: tuple[int, int, int, int]
    baseline_px: int
    m_s_per_px: float
    s_per_px: float
    jpeg_quality: int


@dataclass(frozen=True)
class _Trace:
    """Envelope of the velocities over time in m/s, and how dense the flow is, 0 none to 1."""

    velocity_T: Floats
    density_T: Floats


@dataclass(frozen=True)
class _Still:
    """fields: what it may read."""

    fields: tuple[str, ...]
    doppler: Literal["continuous", "pulsed"]
    trace: Callable[[Physiology, Floats, Floats, Generator], _Trace]


def _tricuspid(seen: Physiology, time_s_T: Floats, r_waves_s: Floats, rng: Generator) -> _Trace:
    """Regurgitation away from the probe, as dense as it is severe; without any there is nothing to measure."""
    peak = seen.tr_velocity_m_s * float(np.exp(rng.normal(0.0, 0.025)))
    phase_T = _systole(time_s_T, r_waves_s)
    shape_T = np.sin(np.pi * np.clip(phase_T, 0.0, 1.0)) ** 0.75
    dense = (0.0, 0.35, 0.65, 0.95)[seen.tricuspid_regurgitation]
    return _Trace(-peak * shape_T, dense * np.minimum(shape_T / 0.3, 1.0))


def _aortic(seen: Physiology, time_s_T: Floats, r_waves_s: Floats, rng: Generator) -> _Trace:
    """Ejection away from the probe: early and short in a normal valve, late and round in a narrow one."""
    mean, sd = _AORTIC_M_S[seen.aortic_stenosis]
    peak = max(mean + sd * float(np.clip(rng.standard_normal(), -2.0, 2.0)), 0.8)
    phase_T = np.clip(_systole(time_s_T, r_waves_s), 0.0, 1.0)
    late = (0.72, 0.80, 0.90, 1.0)[seen.aortic_stenosis]
    shape_T = np.sin(np.pi * phase_T**late) ** 0.85
    return _Trace(-peak * shape_T, 0.9 * np.minimum(shape_T / 0.3, 1.0))


def _mitral(seen: Physiology, time_s_T: Floats, r_waves_s: Floats, rng: Generator) -> _Trace:
    """Inflow towards the probe: E, and A where the atrium contracts. A overtakes E at about 60 years of age."""
    elderly = (seen.age_years - 60.0) / 40.0
    early = 0.72 * float(np.exp(-0.30 * elderly + rng.normal(0.0, 0.15)))
    late = 0.70 * float(np.exp(0.35 * elderly + rng.normal(0.0, 0.15)))
    beat_T = np.clip(np.searchsorted(r_waves_s, time_s_T, side="right") - 1, 0, len(r_waves_s) - 2)
    interval_T = np.diff(r_waves_s)[beat_T]
    since_T = time_s_T - r_waves_s[beat_T] - _ejection_s(interval_T) - 0.07
    velocity_T = early * np.exp(-0.5 * ((since_T - 0.10) / 0.06) ** 2)
    if seen.rhythm == "sinus":
        velocity_T = np.maximum(
            velocity_T, late * np.exp(-0.5 * ((r_waves_s[beat_T + 1] - time_s_T - 0.10) / 0.042) ** 2)
        )
    return _Trace(velocity_T, np.minimum(velocity_T / 0.12, 1.0) * 0.95)


STILLS: dict[str, _Still] = {
    "CW_TRICUSPID": _Still(
        ("heart_rate_bpm", "rhythm", "tricuspid_regurgitation", "tr_velocity_m_s"), "continuous", _tricuspid
    ),
    "CW_AORTIC": _Still(("heart_rate_bpm", "rhythm", "aortic_stenosis"), "continuous", _aortic),
    "PW_MITRAL": _Still(("heart_rate_bpm", "rhythm", "age_years"), "pulsed", _mitral),
}


def render_still(physiology: Physiology, view: str, machine: EchoMachine, rng: Generator) -> SpectralStill:
    """A still of one of STILLS. The operator sets the scale to what there is. ValueError for an unknown view."""
    if view not in STILLS:
        raise ValueError(f"unknown spectral still {view!r}; known are {', '.join(STILLS)}")
    still = STILLS[view]
    height, width = machine.frame_height, machine.frame_width
    x0, y0, x1, y1 = int(0.04 * width), int(0.30 * height), int(0.88 * width), int(0.94 * height)
    time_s_T = np.linspace(0.0, _SWEEP_S, x1 - x0 + 1)
    trace = still.trace(physiology, time_s_T, _r_waves(physiology, rng), rng)
    away = still.doppler == "continuous"
    largest = float(np.abs(trace.velocity_T).max())
    scale_m_s = max(1.0 if not away else 2.0, np.ceil(largest * 1.25 * 2.0) / 2.0)
    baseline_px = y0 + round((0.14 if away else 0.80) * (y1 - y0))
    room_px = y1 - baseline_px if away else baseline_px - y0
    m_s_per_px = scale_m_s / room_px
    velocity_H = (baseline_px - np.arange(y0, y1 + 1)) * m_s_per_px
    spectrum = _spectrum(trace, velocity_H[:, None], machine, away=away, rng=rng)
    frame_HWC = np.zeros((height, width, 3), np.uint8)
    frame_HWC[y0 : y1 + 1, x0 : x1 + 1] = (spectrum[..., None] * np.array(machine.tint)).astype(np.uint8)
    frame_HWC[baseline_px, x0 : x1 + 1] = _LINE_GREY
    _scale(frame_HWC, x1, baseline_px, m_s_per_px, (y0, y1))
    return SpectralStill(
        frame_HWC=frame_HWC,
        view=view,
        doppler=still.doppler,
        region_px=(x0, y0, x1, y1),
        baseline_px=baseline_px,
        m_s_per_px=m_s_per_px,
        s_per_px=_SWEEP_S / (x1 - x0),
        jpeg_quality=machine.jpeg_quality,
    )


def _r_waves(physiology: Physiology, rng: Generator) -> Floats:
    """Beats from before the sweep to after it; the same number of draws whatever the rate."""
    noise = np.clip(rng.standard_normal(16), -2.0, 2.0)
    spread = _IRREGULAR.get(physiology.rhythm, 0.02)
    intervals_s = 60.0 / physiology.heart_rate_bpm * np.exp(spread * noise)
    return np.asarray(np.cumsum(intervals_s) - intervals_s[0] * (1.0 + float(rng.random())))


def _ejection_s(interval_s: Floats) -> Floats:
    return np.minimum(0.37 * np.sqrt(interval_s), 0.55 * interval_s)


def _systole(time_s_T: Floats, r_waves_s: Floats) -> Floats:
    """0 at the beginning of ejection, 1 at its end."""
    beat_T = np.clip(np.searchsorted(r_waves_s, time_s_T, side="right") - 1, 0, len(r_waves_s) - 2)
    lasts_T = _ejection_s(np.diff(r_waves_s)[beat_T])
    return np.asarray((time_s_T - r_waves_s[beat_T] - 0.06) / lasts_T)


def _spectrum(
    trace: _Trace, velocity_H1: Floats, machine: EchoMachine, *, away: bool, rng: Generator
) -> NDArray[np.float64]:
    """Grey levels, (H, T). Continuous waves fill the envelope, pulsed ones follow it closely."""
    along = velocity_H1 / np.where(np.abs(trace.velocity_T) > 0.05, trace.velocity_T, np.inf)
    inside = 1.0 / (1.0 + np.exp(np.clip((along - 1.0) / 0.012, -40.0, 40.0))) * (along > 0.0)
    filled = 0.55 + 0.45 * np.clip(along, 0.0, 1.0) ** 3 if away else np.exp(-0.5 * ((along - 0.86) / 0.13) ** 2)
    shape = (velocity_H1.shape[0], len(trace.velocity_T))
    grain = cv2.GaussianBlur(rng.exponential(1.0, shape), (0, 0), 0.7)
    # The wall filter takes what hardly moves, but for a bright band beside it.
    slow = np.exp(-0.5 * ((np.abs(velocity_H1) / np.abs(velocity_H1).max() - 0.045) / 0.02) ** 2)
    level = inside * filled * trace.density_T + 0.25 * slow
    haze = 0.022 + 0.008 * (machine.haze_db + 58.0) / 6.0
    return np.asarray(np.clip(255.0 * np.sqrt(np.clip(level * 0.8 + haze, 0.0, None) * grain), 0.0, 255.0))


def _scale(frame_HWC: Picture, x1: int, baseline_px: int, m_s_per_px: float, rows: tuple[int, int]) -> None:
    """Ticks every half m/s and the numbers of whole ones beside the spectrum."""
    size = 0.32 * frame_HWC.shape[0] / 300.0
    for halves in range(-16, 17):
        row = baseline_px - round(0.5 * halves / m_s_per_px)
        if not rows[0] <= row <= rows[1]:
            continue
        whole = halves % 2 == 0
        cv2.line(frame_HWC, (x1 + 1, row), (x1 + (6 if whole else 3), row), (_TEXT_GREY,) * 3, 1)
        if whole:
            place = (x1 + 9, row + int(10 * size))
            cv2.putText(frame_HWC, f"{halves // 2}", place, cv2.FONT_HERSHEY_SIMPLEX, size, (_TEXT_GREY,) * 3, 1)
    cv2.putText(frame_HWC, "m/s", (x1 + 5, rows[0] - 4), cv2.FONT_HERSHEY_SIMPLEX, size, (_TEXT_GREY,) * 3, 1)
