"""What machines burn in around the sector does not reach the encoder or a thumbnail, and the sector stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
import simplejpeg
from echo_scenes import (
    Scene,
    as_jpegs,
    as_video,
    beside,
    blinking,
    clocks,
    colour_flow,
    darker,
    drifting,
    duplex,
    fan,
    margins,
    numbers,
    respiration,
    still,
    stuttering,
    sweep,
    text,
    ticker,
    title_page,
    trace,
)
from numpy.typing import NDArray

from inputs.echo.pages import without_pages
from inputs.echo.prepare import prepare_clip, thumbnail_jpeg
from inputs.echo.sector import sector_mask
from inputs.errors import UnusableRecording
from inputs.records import EchoClip, Region
from inputs.specs import EchoSpec

MASKED = EchoSpec(size=64, zoom=0.0, mask_outside_sector=True)


def busy(scene: Scene) -> Scene:
    return scene.with_marks(margins).with_marks(clocks).with_marks(trace())


def biplane() -> Scene:
    return beside(fan(columns=160, half_angle=0.55, depth=0.75), fan(columns=160, half_angle=0.55, depth=0.75, seed=9))


def texture(generator: np.random.Generator, grain: float, rows: int = 240, columns: int = 320) -> NDArray[np.float64]:
    """Speckle of an SD of 1."""
    grey_HW = cv2.GaussianBlur(generator.normal(0, 1, (rows, columns)), (0, 0), grain)
    return np.asarray(grey_HW / grey_HW.std())


def shimmering(level: float, sd: float, *, from_depth: float = 0) -> Scene:
    """A sector, or what of it lies that deep, of one level and of faint speckle that is another in every frame."""
    scene, generator = fan(), np.random.default_rng(0)
    rows, columns = np.mgrid[:240, :320]
    part_HW = scene.sector_HW & (np.hypot(rows - 7, columns - 160) >= 204 * from_depth)
    for frame_HWC in scene.frames_THWC:
        frame_HWC[part_HW] = np.clip(level + sd * texture(generator, 1.5), 0, 255).astype(np.uint8)[part_HW, None]
    return scene


def surface() -> Scene:
    """Smooth shades with hardly a texture that sway, as 3D is shown."""
    generator = np.random.default_rng(0)
    shades_HW = 150 + 45 * texture(generator, 17, 280, 360) + 4 * texture(generator, 1.5, 280, 360)
    rows, columns = np.mgrid[:240, :320]
    sector_HW = ((columns - 160) / 96) ** 2 + ((rows - 120) / 86) ** 2 < 1
    sways = np.round(4 * np.sin(np.arange(24) * np.pi / 6)).astype(int)
    greys_THW = np.stack([np.clip(shades_HW[20 + by :, 20 + by :][:240, :320], 0, 255) * sector_HW for by in sways])
    return Scene(greys_THW[..., None].repeat(3, -1).astype(np.uint8), sector_HW, np.zeros_like(sector_HW))


APART: dict[str, Callable[[], Scene]] = {
    "names, settings, a menu and a colour bar": lambda: fan().with_marks(margins),
    "a trace that is drawn": lambda: fan().with_marks(trace()),
    "a trace that scrolls": lambda: fan().with_marks(trace(scrolls=True)),
    "a clock and a heart rate": lambda: fan().with_marks(clocks),
    "a line of text that runs through": lambda: fan().with_marks(ticker),
    "text in the corners beside the sector": lambda: fan().with_marks(text("A4C\nDOE J", 0.2, 0.2)),
    "a line of text that runs through at 800 x 600": lambda: fan(600, 800).with_marks(ticker),
    "a trace that scrolls at 800 x 600": lambda: fan(600, 800).with_marks(trace(scrolls=True)),
    "numbers that change beside 3D in JPEG frames": lambda: as_jpegs(surface().with_marks(numbers(10, 0.02, 0.06)), 50),
    "all of it": lambda: busy(fan()),
    "all of it at 800 x 600": lambda: busy(fan(600, 800)),
    "all of it in JPEG frames": lambda: as_jpegs(busy(fan())),
    "all of it in coarse JPEG frames": lambda: as_jpegs(busy(fan()), 30),
    "all of it in a video": lambda: as_video(busy(fan())),
    "all of it in a video of few bits": lambda: as_video(busy(fan()), bit_rate=300_000),
    "colour flow over most of the sector": lambda: busy(colour_flow(fan())),
    "numbers that change in every frame": lambda: fan().with_marks(numbers(10, y=0.06)),
    "numbers that change in coarse JPEG frames": lambda: as_jpegs(fan().with_marks(numbers(8, 0.84, 0.06)), 30),
    "a curve of respiration": lambda: fan().with_marks(respiration),
    "a curve of respiration in a video": lambda: as_video(fan().with_marks(respiration), bit_rate=600_000),
    "dark blue text between two sectors": lambda: biplane().with_marks(
        text("DOE\nJANE", 0.47, 0.1, colour=(0, 0, 139))
    ),
    "dark red text between two sectors": lambda: biplane().with_marks(text("DOE\nJANE", 0.47, 0.1, colour=(40, 0, 0))),
    "text between two sectors that touch": lambda: beside(fan(columns=160), fan(columns=160, seed=9)).with_marks(
        text("B\n2", 0.49, 0.1)
    ),
    "all of it around a dark sector": lambda: busy(darker(fan(), 0.2)),
    "all of it around a dark sector in JPEG frames": lambda: as_jpegs(busy(darker(fan(), 0.2)), 50),
    "text between two sectors": lambda: biplane().with_marks(text("B\n2", 0.49, 0.1)),
}
TOUCHING: dict[str, Callable[[], Scene]] = {
    "numbers that change beside the sector": lambda: fan().with_marks(numbers()),
    "numbers that change beside it in every second frame": lambda: fan().with_marks(numbers(every=2)),
    "large numbers that change beside it": lambda: fan().with_marks(numbers(7, 0.01, 0.45, size=1.6)),
    "numbers that change beside it in coarse JPEG frames": lambda: as_jpegs(fan().with_marks(numbers()), 30),
    "a name that blinks beside it": lambda: fan().with_marks(blinking),
    "a name that blinks beside it in a video": lambda: as_video(fan().with_marks(blinking), bit_rate=600_000),
    "a trace over two sectors": lambda: biplane().with_marks(trace(0.75, height=0.15)),
    "a trace that is drawn at the sector": lambda: fan().with_marks(trace(0.86)),
    "a trace that is drawn over it": lambda: fan().with_marks(trace(0.8)),
    "a trace that scrolls at it": lambda: fan().with_marks(trace(0.86, scrolls=True)),
    "a sector that the frame cuts": lambda: busy(fan(apex=(0.5, -0.1), depth=1.2, half_angle=0.8)),
    "two sectors up to the edges": lambda: (
        beside(fan(columns=160), fan(columns=160, seed=9)).with_marks(clocks).with_marks(trace())
    ),
}


@pytest.mark.parametrize("name", APART)
def test_nothing_burned_in_apart_from_the_sector_survives_and_97_per_cent_of_the_sector_do(name: str):
    scene = APART[name]()
    mask_HW = np.asarray(sector_mask(scene.frames_THWC), bool)
    assert scene.marks_HW.sum() > 50
    assert not (mask_HW & scene.marks_HW).any()
    assert (mask_HW & scene.sector_HW).sum() >= 0.97 * scene.sector_HW.sum()


@pytest.mark.parametrize("name", TOUCHING)
def test_of_what_touches_the_sector_only_what_lies_at_its_edge_survives(name: str):
    scene = TOUCHING[name]()
    mask_HW = np.asarray(sector_mask(scene.frames_THWC), bool)
    away_HW = cv2.distanceTransform((~scene.sector_HW).astype(np.uint8), cv2.DIST_L2, 5)
    assert away_HW[mask_HW & scene.marks_HW].max(initial=0) <= 0.04 * len(away_HW)
    assert (mask_HW & scene.sector_HW).sum() >= 0.97 * scene.sector_HW.sum()


def test_a_valve_that_moves_in_a_dark_cavity_and_still_walls_stay():
    scene = fan()
    for t, frame_HWC in enumerate(scene.frames_THWC):
        cv2.ellipse(frame_HWC, (160, 110), (34, 40), 0, 0, 360, (0, 0, 0), cv2.FILLED)
        cv2.line(frame_HWC, (122, 110), (160, 90 + 40 * (t % 3) // 2), (200, 200, 200), 3)
        frame_HWC[150:170, 120:160] = scene.frames_THWC[0, 150:170, 120:160]
    mask_HW = np.asarray(sector_mask(scene.frames_THWC), bool)
    assert mask_HW[80:140, 130:190].mean() > 0.99
    assert mask_HW[150:170, 120:160].all()


HONEST: dict[str, Callable[[], Scene]] = {
    "slow": lambda: drifting(fan(), period=160),
    "slow and dark": lambda: drifting(fan(), period=160, gain=0.5),
    "slow in eight frames": lambda: drifting(fan(n_frames=8), period=60, gain=0.5),
    "each frame four times": lambda: stuttering(drifting(fan(), period=12), 4),
    "each frame eight times": lambda: stuttering(drifting(fan(), period=12), 8),
    "of two frames": lambda: fan(n_frames=2),
    "of four frames": lambda: fan(n_frames=4),
    "a third as bright": lambda: darker(fan(), 0.3),
    "a fifth as bright": lambda: darker(fan(), 0.2),
    "of 3.3 per cent of the frame": lambda: fan(480, 640, depth=0.25),
    "all of one level": lambda: shimmering(140, 3),
    "of high gain": lambda: shimmering(210, 10),
    "with a bright far rim that decorrelates": lambda: shimmering(200, 5, from_depth=0.85),
    "3D under noise": lambda: noisy(surface(), 2, 0),
    "on grey": lambda: replace(fan(), frames_THWC=np.maximum(fan().frames_THWC, 40)),
}


@pytest.mark.parametrize("n_frames", [3, 4, 5])
def test_a_small_coarse_sector_of_a_handful_of_frames_is_found(n_frames: int):
    rows, columns = np.mgrid[:90, :120]
    sector_HW = (np.hypot(rows + 20, columns - 60) < 100) & (np.abs(columns - 60) < 0.9 * (rows - 4))
    blocks = np.random.default_rng(3).integers(40, 200, (23, 30), dtype=np.uint8).repeat(4, 0).repeat(4, 1)[:90]
    greys_THW = np.stack([np.roll(blocks, t, 0) * sector_HW for t in range(n_frames)])
    mask_HW = sector_mask(greys_THW[..., None].repeat(3, -1))
    assert mask_HW is not None
    assert (mask_HW.astype(bool) == sector_HW).mean() > 0.95


@pytest.mark.parametrize("name", HONEST)
def test_97_per_cent_of_what_is_lit_in_an_honest_sector_stay(name: str):
    scene = HONEST[name]()
    lit_HW = scene.sector_HW & (scene.frames_THWC.max(axis=(0, 3)) > 16)
    mask_HW = np.asarray(sector_mask(scene.frames_THWC), bool)
    assert (mask_HW & lit_HW).sum() >= 0.97 * lit_HW.sum()


@pytest.mark.parametrize("first", [0.08, 0.2])
def test_a_dark_cavity_that_reaches_the_edge_parts_no_sector(first: float):
    scene = fan()
    y, x = np.mgrid[0:240, 0:320]
    angle, radius = np.arctan2(x - 160, y - 7), np.hypot(x - 160, y - 7) / 204
    cavity_HW = (np.abs(angle) < 0.3) & (radius > first) & (radius < 0.9)
    scene.frames_THWC[:, cavity_HW] = 0
    mask_HW = np.asarray(sector_mask(scene.frames_THWC), bool)
    assert mask_HW[cavity_HW].mean() > 0.95


def test_a_file_that_says_where_its_picture_lies_keeps_the_spectrum_below_it_out():
    scene, region = duplex()
    mask_HW = np.asarray(sector_mask(scene.frames_THWC, (region,)), bool)
    assert not (mask_HW & scene.marks_HW).any()
    assert (mask_HW & scene.sector_HW).sum() >= 0.97 * scene.sector_HW.sum()
    thumbnail = simplejpeg.decode_jpeg(thumbnail_jpeg(EchoClip(scene.frames_THWC, 30.0, "test", regions=(region,))))
    assert thumbnail[100:].max() < 24


def test_regions_that_lie_beside_the_picture_say_nothing():
    scene = fan()
    np.testing.assert_array_equal(
        sector_mask(scene.frames_THWC, ((500, 0, 600, 90), (9, 9, 9, 9))), sector_mask(scene.frames_THWC)
    )


@pytest.mark.parametrize("n_pages", [1, 2, 7])
def test_title_pages_are_left_out_where_masks_are_asked_for(n_pages: int):
    scene = fan()
    paged_THWC = scene.with_marks(title_page(n_pages)).frames_THWC
    spec = EchoSpec(size=64, stride=1, mask_outside_sector=True)
    np.testing.assert_array_equal(
        prepare_clip(EchoClip(paged_THWC, 30.0, "test"), spec),
        prepare_clip(EchoClip(paged_THWC[n_pages:], 30.0, "test"), spec),
    )
    seen = prepare_clip(EchoClip(paged_THWC, 30.0, "test"), EchoSpec(size=64, stride=1))
    assert seen.shape == (3, 16, 64, 64)


def test_frames_of_which_most_are_unlike_each_other_are_all_kept():
    frames_THWC = np.random.default_rng(0).integers(0, 256, (8, 40, 50, 3), dtype=np.uint8)
    assert len(without_pages(frames_THWC)) == 8
    assert len(without_pages(np.zeros((3, 5, 5, 3), np.uint8))) == 3


NO_SECTOR: dict[str, Callable[[], Scene]] = {
    "stills": lambda: still(busy(fan())),
    "stills in a video": lambda: as_video(still(busy(fan()))),
    "black with all that is around it": lambda: busy(Scene(*(np.zeros_like(a) for a in vars(fan()).values()))),
    "an M-mode": lambda: sweep().with_marks(margins),
    "a spectral Doppler": lambda: sweep(spectral=True).with_marks(margins),
}


@pytest.mark.parametrize("name", NO_SECTOR)
def test_without_a_moving_sector_nothing_is_shown_and_nothing_is_embedded_that_is_to_be_masked(name: str):
    scene = NO_SECTOR[name]()
    clip = EchoClip(scene.frames_THWC, 30.0, "test")
    assert sector_mask(scene.frames_THWC) is None
    assert simplejpeg.decode_jpeg(thumbnail_jpeg(clip)).max() == 0
    with pytest.raises(UnusableRecording) as caught:
        prepare_clip(clip, MASKED)
    assert caught.value.code == "no_sector"


def test_what_is_masked_is_black_for_the_encoder_and_in_the_thumbnail():
    scene = busy(fan(240, 240))
    clip = EchoClip(scene.frames_THWC, 30.0, "test")
    prepared_CTHW = prepare_clip(clip, MASKED)
    mean, sd = (np.array(values)[:, None, None, None] for values in (MASKED.mean, MASKED.std))
    grey_CTHW = prepared_CTHW * sd + mean
    assert np.abs(grey_CTHW[:, :, :8, :20]).max() < 1e-3  # where names stood
    assert np.abs(grey_CTHW[:, :, 60:]).max() < 1e-3  # where the trace ran
    assert grey_CTHW[:, :, 20:40, 28:36].mean() > 15
    thumbnail = simplejpeg.decode_jpeg(thumbnail_jpeg(clip))
    assert thumbnail[:40, :30].max() < 40
    assert thumbnail[60:100, 60:100].mean() > 20


def test_equal_frames_are_a_still_image_for_every_specification():
    clip = EchoClip(as_video(still(busy(fan()))).frames_THWC, 30.0, "test")
    with pytest.raises(UnusableRecording, match="still image") as caught:
        prepare_clip(clip, EchoSpec(size=64))
    assert caught.value.code == "still_image"


def test_a_still_of_two_frames_is_no_clip_and_one_frame_alone_is_not_judged():
    frames_THWC = fan(n_frames=1).frames_THWC
    with pytest.raises(UnusableRecording):
        prepare_clip(EchoClip(np.repeat(frames_THWC, 3, axis=0), 30.0, "test"), EchoSpec(size=64))
    assert prepare_clip(EchoClip(frames_THWC, 30.0, "test"), EchoSpec(size=64, frames=1)).shape == (3, 1, 64, 64)


def noisy(scene: Scene, sd: float, black: int = 16) -> Scene:
    noise = np.random.default_rng(0).normal(0, sd, scene.frames_THWC.shape[:3])[..., None]
    return replace(scene, frames_THWC=np.clip(scene.frames_THWC + black + noise, 0, 255).round().astype(np.uint8))


def on(background: int, gains: Sequence[float]) -> Scene:
    """A sector and names on a grey, all of it brighter and darker in turn."""
    scene = fan(n_frames=len(gains))
    scene.frames_THWC[:, ~scene.sector_HW] = background
    scene = scene.with_marks(margins)
    gains_T111 = np.reshape(gains, (-1, 1, 1, 1))
    return replace(scene, frames_THWC=np.clip(scene.frames_THWC * gains_T111, 0, 255).astype(np.uint8))


def panel(frames_THWC: NDArray[np.uint8]) -> None:
    """A name on a flat part of the picture that flickers."""
    for t, frame_HWC in enumerate(frames_THWC):
        frame_HWC[:100, :60] = 40 + 10 * (t % 3)
        text("DOE J\n1951", 0.01, 0.3)(frame_HWC[None])


def banner(frames_THWC: NDArray[np.uint8]) -> None:
    """A name on a flat bar along the top."""
    frames_THWC[:, : len(frames_THWC[0]) // 12] = 120
    text("DOE, JANE 1951-02-03", 0.02, 0.055)(frames_THWC)


def titled() -> Scene:
    return fan(apex=(0.5, 0.15), depth=0.7).with_marks(banner)


RESTLESS: dict[str, Callable[[], Scene]] = {
    "a bar whose noise is clipped on the black around": lambda: noisy(titled(), 2, 0),
    "a bar whose noise is clipped on the black around in JPEG frames": lambda: as_jpegs(noisy(titled(), 3, 0), 90),
    "a bar whose noise is a share of its level": lambda: replace(
        titled(),
        frames_THWC=np.clip(
            titled().frames_THWC * np.random.default_rng(0).normal(1, 0.03, (16, 240, 320, 1)), 0, 255
        ).astype(np.uint8),
    ),
    "lifted black": lambda: noisy(fan().with_marks(margins), 0),
    "lifted black with noise": lambda: noisy(fan().with_marks(margins), 2),
    "lifted black with more noise": lambda: noisy(fan().with_marks(margins), 3.5),
    "lifted black with noise in JPEG frames": lambda: as_jpegs(noisy(fan().with_marks(margins), 2), 90),
    "lifted black with noise in a video": lambda: as_video(noisy(fan().with_marks(margins), 2)),
    "dark grey with noise": lambda: noisy(fan().with_marks(margins), 2, 40),
    "a grey that flickers": lambda: on(120, [1, 0.9] * 8),
    "a light grey that pulses": lambda: on(200, 0.9 + 0.1 * np.sin(np.arange(16))),
    "a grey that fades in": lambda: on(60, np.clip(np.arange(16) / 8, 0.05, 1)),
    "a side panel that flickers": lambda: fan().with_marks(panel),
}


@pytest.mark.parametrize("name", RESTLESS)
def test_what_is_written_on_a_restless_background_does_not_survive(name: str):
    scene = RESTLESS[name]()
    mask_HW = np.asarray(sector_mask(scene.frames_THWC), bool)
    assert not (mask_HW & scene.marks_HW).any()
    assert (mask_HW & scene.sector_HW).sum() >= 0.97 * scene.sector_HW.sum()


def test_where_all_the_black_around_moves_no_sector_is_told_from_it():
    assert sector_mask(noisy(fan(480, 640).with_marks(margins), 8).frames_THWC) is None


def test_a_picture_that_is_cropped_to_its_sector_stays_whole():
    whole = fan(480, 640)
    for scene in (whole, noisy(whole, 3), drifting(whole, period=60), darker(whole, 0.2)):
        mask_HW = sector_mask(scene.frames_THWC[:, 100:340, 240:400])
        assert mask_HW is not None
        assert mask_HW.mean() > 0.97


def test_a_far_wall_across_the_width_of_a_cropped_picture_is_no_bar():
    frames_THWC, generator = fan(480, 640).frames_THWC[:, 100:340, 240:400].copy(), np.random.default_rng(0)
    frames_THWC[:, 170:200] = 0
    for frame_HWC in frames_THWC:
        frame_HWC[200:] = (210 + 8 * texture(generator, 1.5, 40, 160)).clip(0, 255)[..., None].astype(np.uint8)
    mask_HW = sector_mask(frames_THWC)
    assert mask_HW is not None
    assert mask_HW.mean() > 0.97


@pytest.mark.parametrize("region", [(30, 40, 140, 160), (80, 130, 130, 190)])
def test_regions_that_cut_most_of_the_sector_off_are_not_believed_and_names_stay_out(region: Region):
    scene = busy(fan())
    mask_HW = np.asarray(sector_mask(scene.frames_THWC, (region,)), bool)
    assert (mask_HW & scene.sector_HW).sum() >= 0.97 * scene.sector_HW.sum()
    assert not (mask_HW & scene.marks_HW).any()


def test_a_spectrum_that_touches_the_sector_stays_out_by_its_region():
    above, spectrum = fan(120, 320, depth=1.0), sweep(rows=160).frames_THWC[0]
    below_THWC = np.stack([np.roll(spectrum, -10 * t, axis=1) for t in range(16)])[:, 14:]
    frames_THWC = np.concatenate([above.frames_THWC, below_THWC], axis=1)
    mask_HW = sector_mask(frames_THWC, ((0, 0, 120, 320),))
    assert mask_HW is not None
    assert not mask_HW[120:].any()
