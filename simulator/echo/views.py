"""Echo clips of invented patients: a beating heart cut by the planes of an examination.

A finding shows only where a sonographer would see it. Each view lists the fields of `Physiology` it may read; before a
scene is built every other field is replaced by a standard heart's, so a hidden finding cannot leave a trace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from inputs.records import PreparedFor
from simulator.echo import planes
from simulator.echo.anatomy import Anatomy
from simulator.echo.cycle import BEATS_DRAWN, Cycle, cardiac_cycle
from simulator.echo.image import draw_frames
from simulator.echo.light import light_clip, used_frames
from simulator.echo.long_axis import apical_long_axis, four_chamber, parasternal_long_axis, subcostal, two_chamber
from simulator.echo.machine import MOST_FRAMES, ColourBox, EchoMachine, Picture, Sector, sector_of
from simulator.echo.other_views import OTHER_VIEWS
from simulator.echo.planes import AcrossPlane, AlongPlane
from simulator.echo.quality import Quality, sample_quality
from simulator.echo.scene import Hand, Scene
from simulator.echo.short_axis import apical_short_axis, base_short_axis, short_axis
from simulator.echo.truth import ClipTruth, truth_of
from simulator.physiology import Physiology
from simulator.segments import NORMAL_MOTION

__all__ = [
    "VIEWS",
    "EchoMachine",
    "RenderedClip",
    "Setup",
    "View",
    "choose_machine",
    "light_view",
    "only_visible",
    "render_view",
    "set_up_view",
]

_FEWEST_FRAMES = 32
_BEATS_SHOWN = 1.3
_APICAL_DEPTH = 1.35
_DEPTH_SPREAD = 0.06
"""The operator fits the picture to the heart, in whole centimetres, so that its size in pixels tells little."""

_USUAL_EXTENT_CM = 13.0
"""Of scenes that do not say theirs."""

SceneMaker = Callable[[Physiology, Anatomy, Hand, Cycle], Scene]

_RHYTHM = ("heart_rate_bpm", "rhythm")
_LV = ("lvedv_ml", "lvesv_ml", "segment_motion", "conduction", "septum_cm", "posterior_wall_cm")
_LA = ("la_volume_index", "height_cm", "weight_kg")
_RV = ("rv_basal_cm", "tapse_cm", "rv_dysfunction")


@dataclass(frozen=True)
class View:
    """fields: what this view may read of the physiology. plane: how it cuts the left ventricle, None where it does not.

    depth: of the picture, as a multiple of the heart's extent in it. near: in a zoom, the share of that depth which is
    too near to be shown. colour_box: its depths are shares of the picture's depth here.
    """

    fields: tuple[str, ...]
    scene: SceneMaker
    plane: AlongPlane | AcrossPlane | None
    depth: float
    near: float = 0.0
    colour_box: ColourBox | None = None


_PLAX = View((*_RHYTHM, *_LV, *_LA, "aortic_stenosis", "effusion"), parasternal_long_axis, planes.PLAX, 1.35)
_PSAX_FIELDS = (*_RHYTHM, *_LV, "pasp_mmhg", "effusion")
_A4C = View((*_RHYTHM, *_LV, *_LA, *_RV, "effusion"), four_chamber, planes.A4C, _APICAL_DEPTH)
_A2C = View((*_RHYTHM, *_LV, *_LA), two_chamber, planes.A2C, _APICAL_DEPTH)
_A3C = View((*_RHYTHM, *_LV, *_LA, "aortic_stenosis"), apical_long_axis, planes.A3C, _APICAL_DEPTH)


def _with_colour(view: View, box: ColourBox, *flows: str) -> View:
    return replace(view, fields=(*view.fields, *flows), colour_box=box)


VIEWS: dict[str, View] = {
    "PLAX": _PLAX,
    "PSAX": View(_PSAX_FIELDS, short_axis, planes.PSAX, 1.32),
    "PSAX_APEX": View(_PSAX_FIELDS, apical_short_axis, planes.PSAX_APEX, 1.40),
    "A4C": _A4C,
    "A2C": _A2C,
    "A3C": _A3C,
    "SUBCOSTAL": View((*_RHYTHM, *_LV, *_RV, "effusion"), subcostal, planes.SUBCOSTAL, 1.50),
    "PLAX_COLOUR": _with_colour(
        _PLAX, ColourBox((0.24, 0.91), (-22.0, 34.0)), "aortic_regurgitation", "mitral_regurgitation"
    ),
    "A4C_COLOUR": _with_colour(
        _A4C,
        ColourBox((0.33, 0.96), (-32.0, 27.0)),
        "mitral_regurgitation",
        "tricuspid_regurgitation",
        "tr_velocity_m_s",
    ),
    "A2C_COLOUR": _with_colour(_A2C, ColourBox((0.33, 0.96), (-20.0, 20.0)), "mitral_regurgitation"),
    "A3C_COLOUR": _with_colour(_A3C, ColourBox((0.26, 0.92), (-18.0, 26.0)), "aortic_regurgitation"),
    "PSAX_COLOUR": View(
        (*_RHYTHM, "tricuspid_regurgitation", "tr_velocity_m_s", "pulmonary_regurgitation"),
        base_short_axis,
        None,
        1.08,
        colour_box=ColourBox((0.18, 0.79), (-34.0, 34.0)),
    ),
    "PSAX_BASE": View(_RHYTHM, base_short_axis, None, 1.08),
    **{
        name: View(other.fields, other.draw, None, other.depth_cm / _USUAL_EXTENT_CM, other.near_cm / other.depth_cm)
        for name, other in OTHER_VIEWS.items()
    },
}
"""Colour views show blood flow; PSAX_BASE and PSAX_COLOUR are taken at the base, through the aortic valve."""

_STANDARD_HEART = Physiology(
    age_years=50.0,
    sex="female",
    height_cm=170.0,
    weight_kg=70.0,
    rhythm="sinus",
    conduction="normal",
    heart_rate_bpm=70.0,
    cause="none",
    segment_motion=NORMAL_MOTION,
    lvef_percent=62.0,
    lvedv_ml=110.0,
    lvesv_ml=42.0,
    septum_cm=0.9,
    posterior_wall_cm=0.9,
    lv_mass_g=140.0,
    la_volume_index=26.0,
    rv_basal_cm=3.3,
    tapse_cm=2.2,
    rv_dysfunction=0,
    pasp_mmhg=25.0,
    tr_velocity_m_s=2.2,
    aortic_stenosis=0,
    aortic_regurgitation=0,
    mitral_regurgitation=0,
    tricuspid_regurgitation=0,
    pulmonary_regurgitation=0,
    effusion=0,
    infarct="none",
    site=0,
)


@dataclass(frozen=True)
class RenderedClip:
    """frames_THWC: uint8 RGB. colour: blood flow is shown.

    region_px: the sector's rectangle x0, y0, x1, y1, inclusive, inside the frame. truth: what the clip really shows.
    """

    frames_THWC: NDArray[np.uint8]
    frame_rate_hz: float
    view: str
    colour: bool
    cm_per_px: float
    region_px: tuple[int, int, int, int]
    jpeg_quality: int
    truth: ClipTruth


def only_visible(physiology: Physiology, view: str) -> Physiology:
    """The physiology as this view can show it: every field outside the view's list is a standard heart's."""
    return replace(_STANDARD_HEART, **{name: getattr(physiology, name) for name in VIEWS[view].fields})


@dataclass(frozen=True)
class _Vendor:
    sizes_hw: tuple[tuple[int, int], ...]
    frame_rates_hz: tuple[float, ...]
    sector_deg: tuple[float, float]
    dynamic_range_db: tuple[float, float]
    blur_beams: tuple[float, float]
    speckle: tuple[float, float]
    tint: tuple[float, float, float]
    jpeg_quality: tuple[int, ...]
    ecg_trace_chance: float


_VENDORS = (
    _Vendor(
        ((240, 320), (300, 400)), (25.0, 30.0, 33.0, 50.0), (74.0, 84.0), (56.0, 66.0), (1.0, 1.6), (0.75, 1.0),
        (1.0, 1.0, 1.0), (62, 75), 0.95,
    ),
    _Vendor(
        ((240, 320), (300, 400)), (30.0, 40.0, 50.0, 60.0), (78.0, 90.0), (60.0, 72.0), (0.8, 1.3), (0.65, 0.85),
        (1.0, 0.93, 0.80), (70, 80), 0.9,
    ),
    _Vendor(
        ((240, 320), (360, 480)), (25.0, 30.0, 46.0), (70.0, 80.0), (50.0, 60.0), (1.3, 2.1), (0.8, 1.05),
        (0.86, 0.95, 1.0), (58, 66), 0.7,
    ),
)  # fmt: skip
_SITE_VENDORS = ((0.60, 0.30, 0.10), (0.25, 0.60, 0.15), (0.30, 0.10, 0.60))


def choose_machine(site: int, rng: Generator) -> EchoMachine:
    """A machine and its settings for one study; the mixture depends on the site alone. ValueError for another site."""
    if not 0 <= site < len(_SITE_VENDORS):
        raise ValueError(f"site must be 0..{len(_SITE_VENDORS) - 1}, not {site}")
    vendor = _VENDORS[int(rng.choice(len(_VENDORS), p=_SITE_VENDORS[site]))]
    height, width = vendor.sizes_hw[int(rng.integers(len(vendor.sizes_hw)))]
    return EchoMachine(
        frame_height=height,
        frame_width=width,
        frame_rate_hz=vendor.frame_rates_hz[int(rng.integers(len(vendor.frame_rates_hz)))],
        sector_deg=float(rng.uniform(*vendor.sector_deg)),
        gain_db=float(rng.normal(0.0, 2.5)),
        dynamic_range_db=float(rng.uniform(*vendor.dynamic_range_db)),
        attenuation_db_per_cm=float(rng.uniform(0.1, 0.7)),
        speckle=float(rng.uniform(*vendor.speckle)),
        blur_beams=float(rng.uniform(*vendor.blur_beams)),
        blur_depths=float(rng.uniform(0.7, 1.1)),
        shadow_db=float(rng.uniform(6.0, 22.0)),
        rim_loss_db=float(rng.uniform(2.0, 14.0)),
        haze_db=float(rng.uniform(-60.0, -50.0)),
        tint=vendor.tint,
        ecg_trace=bool(rng.random() < vendor.ecg_trace_chance),
        jpeg_quality=int(vendor.jpeg_quality[int(rng.integers(len(vendor.jpeg_quality)))]),
    )


@dataclass(frozen=True)
class Setup:
    """A clip before any pixel of it: what is seen, when, with which machine, how well, and what it really shows.

    numbers_T: of the scene's frames in the clip.
    """

    scene: Scene
    cycle: Cycle
    numbers_T: NDArray[np.int_]
    machine: EchoMachine
    sector: Sector
    colour_box: ColourBox | None
    quality: Quality
    truth: ClipTruth


def set_up_view(
    physiology: Physiology,
    anatomy: Anatomy,
    view: str,
    machine: EchoMachine,
    rng: Generator,
    wanted: Callable[[int], NDArray[np.int_]] = np.arange,
) -> Setup:
    """A bit over a beat, 32 to 48 frames, most starting at the R wave. ValueError for an unknown view.

    wanted: from the number of frames to those that are wanted; the same clip, whichever are.
    """
    if view not in VIEWS:
        raise ValueError(f"unknown view {view!r}; known are {', '.join(VIEWS)}")
    seen = only_visible(physiology, view)
    spec = VIEWS[view]
    # Every draw happens in the same order and number whatever the physiology, so equal seeds differ only by disease.
    hand = Hand.draw(rng)
    interval_noise = rng.standard_normal(BEATS_DRAWN)
    depth_noise, gain_noise, start_noise, ungated = rng.normal(), rng.normal(), rng.normal(), rng.random()
    quality = sample_quality(anatomy.window, view, rng)
    setting = replace(machine, gain_db=machine.gain_db + 1.2 * float(gain_noise))
    beat_s = 60.0 / seen.heart_rate_bpm
    frames = int(np.clip(np.ceil(_BEATS_SHOWN * beat_s * machine.frame_rate_hz), _FEWEST_FRAMES, MOST_FRAMES))
    start_s = 0.04 * float(np.clip(start_noise, -2.0, 2.0)) - (beat_s * ungated * 8.0 if ungated < 0.12 else 0.0)
    numbers_T = wanted(frames)
    cycle = cardiac_cycle(
        start_s + numbers_T / machine.frame_rate_hz,
        heart_rate_bpm=seen.heart_rate_bpm,
        rhythm=seen.rhythm,
        interval_noise=interval_noise,
    )
    scene = spec.scene(seen, anatomy, hand, cycle)
    depth_cm = float(np.clip(round(spec.depth * scene.extent_cm * np.exp(_DEPTH_SPREAD * depth_noise)), 8, 28))
    box = spec.colour_box
    if box is not None:
        box = replace(box, depth_cm=(box.depth_cm[0] * depth_cm, box.depth_cm[1] * depth_cm))
    # Without colour a leak is at most guessed at.
    told = tuple(name for name in spec.fields if box is not None or not name.endswith("_regurgitation"))
    truth = truth_of(view, spec.plane, told, seen, anatomy, hand, quality.value)
    sector = sector_of(setting, depth_cm, spec.near * depth_cm)
    return Setup(scene, cycle, numbers_T, setting, sector, box, quality, truth)


def render_view(
    physiology: Physiology, anatomy: Anatomy, view: str, machine: EchoMachine, rng: Generator
) -> RenderedClip:
    """One cine as the machine shows it. ValueError for an unknown view."""
    clip = set_up_view(physiology, anatomy, view, machine, rng)
    return RenderedClip(
        frames_THWC=draw_frames(clip.scene, clip.cycle, clip.machine, clip.sector, rng, clip.colour_box, clip.quality),
        frame_rate_hz=machine.frame_rate_hz,
        view=view,
        colour=clip.colour_box is not None,
        cm_per_px=1.0 / clip.sector.px_per_cm,
        region_px=clip.sector.region_px,
        jpeg_quality=machine.jpeg_quality,
        truth=clip.truth,
    )


def light_view(
    physiology: Physiology,
    anatomy: Anatomy,
    view: str,
    machine: EchoMachine,
    rng: Generator,
    preparation: PreparedFor,
) -> tuple[Picture, ClipTruth]:
    """What `render_view` gives for the same random numbers, as a prepared clip (T, H, W, C) uint8, and its truth."""
    clip = set_up_view(physiology, anatomy, view, machine, rng, lambda frames: used_frames(frames, preparation))
    clip_THWC = light_clip(
        clip.scene, clip.numbers_T, clip.machine, clip.sector, rng, clip.colour_box, clip.quality, preparation
    )
    return clip_THWC, clip.truth
