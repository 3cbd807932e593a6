"""What one clip really shows: of its own plane, this hand's cut and this window, not of the patient as a whole."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from simulator.echo.anatomy import Anatomy
from simulator.echo.planes import (
    AcrossPlane,
    AlongPlane,
    disc_volume_ml_T,
    see_across,
    see_along,
    see_atrium,
)
from simulator.echo.quality import POOR_BELOW
from simulator.echo.scene import Hand, septal_flatness
from simulator.echo.solid import Solid, beating_solid, septal_flash
from simulator.echo.ventricle import TURN_N, Floats, Ring, Ventricle
from simulator.physiology import Grade, Physiology
from simulator.segments import SEGMENTS

_MID_RING_LEVEL = 0.6
_LENGTH_SHARE = 0.30
"""Shortening of the axis that goes with a change of area: 15 % with a normal halving."""
_TIPS = 0.70
"""Where the mitral leaflets' tips lie, from the tip of the cavity to its base."""
_STILL = np.array([0.0, 1.0])
_NONE_SEEN = (None,) * len(SEGMENTS)


@dataclass(frozen=True)
class ClipTruth:
    """None is: this view does not show it. Lengths in cm, areas in cm2.

    plane_ef_percent, plane_edv_ml: what a reader without error would measure of this plane alone. Along the axis from
    the apex or below the ribs: discs. PLAX: Teichholz's formula for the diameter at the tips of the mitral leaflets
    (Am J Cardiol 1976;37:7). PSAX: EF from the areas as Quinones et al. (Circulation 1981;64:744) have it from squared
    diameters, with a shortening of the axis in proportion; EDV by Teichholz from the diameter of a circle of this area,
    at mid level only.
    foreshortening: share of the length that an apical or subcostal plane misses.
    segment_motion: as in `Physiology`, of segments whose middle the plane cuts.
    septum_cm, posterior_wall_cm: as thick as they show here; the latter is the wall opposite (A2C: both walls).
    la_area_cm2: at end systole. septal_flatness: at end systole, 0 round.
    Grades of valves: of their jets in colour; aortic stenosis: of its cusps.
    quality: 0 nothing to see, 1 perfect; below POOR_BELOW poor.
    """

    view: str
    quality: float = 1.0
    heart_rate_bpm: float | None = None
    plane_ef_percent: float | None = None
    plane_edv_ml: float | None = None
    foreshortening: float | None = None
    segment_motion: tuple[float | None, ...] = _NONE_SEEN
    septum_cm: float | None = None
    posterior_wall_cm: float | None = None
    la_area_cm2: float | None = None
    rv_basal_cm: float | None = None
    tapse_cm: float | None = None
    septal_flatness: float | None = None
    aortic_stenosis: Grade | None = None
    aortic_regurgitation: Grade | None = None
    mitral_regurgitation: Grade | None = None
    tricuspid_regurgitation: Grade | None = None
    pulmonary_regurgitation: Grade | None = None
    tr_velocity_m_s: float | None = None
    effusion: Grade | None = None

    @property
    def poor(self) -> bool:
        return self.quality < POOR_BELOW

    def as_row(self) -> dict[str, float | int | str | None]:
        """One column each, segments as `motion_basal_anterior` and so on."""
        row = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "segment_motion"}
        return row | motion_columns(self.segment_motion)


_AS_IT_IS = (
    "heart_rate_bpm", "rv_basal_cm", "tapse_cm", "aortic_stenosis", "aortic_regurgitation", "mitral_regurgitation",
    "tricuspid_regurgitation", "pulmonary_regurgitation", "effusion",
)  # fmt: skip
"""Shown by whichever view may read it."""


def motion_columns(segment_motion: tuple[float | None, ...]) -> dict[str, float | None]:
    """Motion of the sixteen segments under the names of table columns."""
    return {f"motion_{segment.name}": value for segment, value in zip(SEGMENTS, segment_motion, strict=True)}


def truth_of(
    view: str,
    plane: AlongPlane | AcrossPlane | None,
    may_show: tuple[str, ...],
    seen: Physiology,
    anatomy: Anatomy,
    hand: Hand,
    quality: float,
) -> ClipTruth:
    """may_show: fields of the physiology that this view reads; `seen` holds a standard heart's for all others."""
    shown: dict[str, float | int | tuple[float | None, ...] | None] = {
        name: getattr(seen, name) for name in _AS_IT_IS if name in may_show
    }
    if shown.get("tricuspid_regurgitation"):
        shown["tr_velocity_m_s"] = seen.tr_velocity_m_s
    if "pasp_mmhg" in may_show:
        shown["septal_flatness"] = float(septal_flatness(seen, hand, np.array(1.0)))
    if isinstance(plane, AlongPlane) and "la_volume_index" in may_show:
        half, long = see_atrium(plane, seen, hand, np.array(1.0))
        shown["la_area_cm2"] = float(np.pi * half * long)
    if plane is not None:
        shown |= _ventricle_shown(plane, still_solid(seen, anatomy), anatomy, hand)
    return ClipTruth(view=view, quality=quality, **shown)  # type: ignore[arg-type]


def still_solid(seen: Physiology, anatomy: Anatomy) -> Solid:
    """The ventricle in two frames: end diastole, end systole."""
    return beating_solid(seen, anatomy, np.array([seen.lvedv_ml, seen.lvesv_ml]), septal_flash(_STILL))


def _ventricle_shown(
    plane: AlongPlane | AcrossPlane, solid: Solid, anatomy: Anatomy, hand: Hand
) -> dict[str, float | int | tuple[float | None, ...] | None]:
    missed = None
    if isinstance(plane, AlongPlane):
        lv = see_along(plane, hand, anatomy, solid)
        measured = _along_measured(plane, lv)
        if plane.missed[0]:
            missed = float(1.0 - lv.cut_length_T[0] / solid.length_cm)
        segments = frozenset(k for k in lv.segments if SEGMENTS[k].level <= plane.shown_to)
        walls = _along_walls(plane, lv)
    else:
        ring = see_across(plane, hand, solid)
        measured = _ring_measured(plane, ring)
        segments, walls = ring.segments, (_ring_wall(ring, 180.0), _ring_wall(ring, 300.0))
    motion = tuple(float(m) if k in segments else None for k, m in enumerate(solid.motion_K))
    return {
        "plane_edv_ml": measured[0],
        "plane_ef_percent": measured[1],
        "foreshortening": missed,
        "segment_motion": motion,
        "septum_cm": walls[0],
        "posterior_wall_cm": walls[1],
    }


def _along_measured(plane: AlongPlane, lv: Ventricle) -> tuple[float | None, float]:
    """EDV in ml and EF in percent."""
    volume_T = disc_volume_ml_T(lv)
    if not plane.missed[0]:
        widths_TG = lv.widths()
        volume_T = teichholz_ml(widths_TG[:, int(_TIPS * widths_TG.shape[1])])
    return float(volume_T[0]), float(100.0 * (1.0 - volume_T[1] / volume_T[0]))


def _ring_measured(plane: AcrossPlane, ring: Ring) -> tuple[float | None, float]:
    area_T = ring.area_cm2_T
    change = 1.0 - float(area_T[1] / area_T[0])
    ef_percent = 100.0 * (change + (1.0 - change) * _LENGTH_SHARE * change)
    edv_ml = float(teichholz_ml(2.0 * np.sqrt(area_T[:1] / np.pi))[0])
    return edv_ml if plane.level < _MID_RING_LEVEL else None, ef_percent


def teichholz_ml(diameter_cm: Floats) -> Floats:
    return np.asarray(7.0 / (2.4 + diameter_cm) * diameter_cm**3)


def _along_walls(plane: AlongPlane, lv: Ventricle) -> tuple[float | None, float]:
    if abs(plane.minus_deg - 180.0) <= 45.0:
        return lv.minus_wall_cm, lv.plus_wall_cm
    return None, 0.5 * (lv.minus_wall_cm + lv.plus_wall_cm)


def _ring_wall(ring: Ring, centre_deg: float) -> float:
    """Mean thickness within 30 degrees of a direction, at end diastole."""
    away = np.abs((np.rad2deg(TURN_N) - centre_deg + 180.0) % 360.0 - 180.0)
    return float(ring.wall_cm_TN[0, away <= 30.0].mean())
