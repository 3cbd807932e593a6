"""What lies in a sector's cone stays, though black blood parts it from the rest; what is written does not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from echo_scenes import Scene, as_jpegs, beside, clocks, fan, margins, text, trace

from inputs.echo.cone import cone
from inputs.echo.sector import sector_mask


def parted(scene: Scene) -> Scene:
    """A black band runs across the whole sector, lit up to its rim: a bright near field lies apart from the rest."""
    frames_THWC = np.where(scene.sector_HW[..., None], np.maximum(scene.frames_THWC, 40), 0).astype(np.uint8)
    rows = len(scene.sector_HW)
    frames_THWC[:, round(0.2 * rows) : round(0.32 * rows)] = 0
    return Scene(frames_THWC, scene.sector_HW, scene.marks_HW)


@pytest.mark.parametrize("jpeg", [False, True])
def test_a_near_field_beyond_a_black_band_stays_and_what_is_written_around_goes(jpeg: bool):
    scene = parted(fan()).with_marks(margins).with_marks(clocks).with_marks(trace())
    mask_HW = np.asarray(sector_mask((as_jpegs(scene) if jpeg else scene).frames_THWC), bool)
    assert (mask_HW & scene.sector_HW).sum() >= 0.97 * scene.sector_HW.sum()
    assert not (mask_HW & scene.marks_HW).any()


def test_text_in_the_corner_beside_the_cone_goes():
    scene = parted(fan()).with_marks(text("A4C\nDOE J", 0.2, 0.2))
    mask_HW = np.asarray(sector_mask(scene.frames_THWC), bool)
    assert scene.marks_HW.sum() > 50
    assert not (mask_HW & scene.marks_HW).any()
    assert (mask_HW & scene.sector_HW)[:48].sum() >= 0.97 * scene.sector_HW[:48].sum()


def test_letters_within_the_cone_go_where_they_hang_together_with_nothing():
    scene = parted(fan())
    written_THWC = scene.frames_THWC.copy()
    text("DOE", 0.47, 0.27)(written_THWC)
    letters_HW = (written_THWC != scene.frames_THWC).any(axis=(0, 3))
    mask_HW = np.asarray(sector_mask(written_THWC), bool)
    assert letters_HW.sum() > 30
    assert not (mask_HW & letters_HW).any()
    assert mask_HW[14:40, 155:165].all()


def test_the_cone_is_told_by_one_flank_and_a_part_of_the_rim():
    whole_HW = fan().sector_HW.astype(np.uint8)
    seen_HW = whole_HW.copy()
    seen_HW[:70] = 0
    seen_HW[:, 230:] = 0
    told_HW = cone(seen_HW, 3)
    assert (told_HW & whole_HW).sum() >= 0.95 * whole_HW.sum()
    assert told_HW.sum() <= 1.1 * whole_HW.sum()


def test_rectangles_ellipses_and_two_sectors_beside_each_other_have_no_cone():
    box_HW, ellipse_HW = np.zeros((2, 240, 320), np.uint8)
    box_HW[20:200, 40:280] = 1
    cv2.ellipse(ellipse_HW, (160, 120), (96, 86), 0, 0, 360, 1, cv2.FILLED)
    half = fan(columns=160, half_angle=0.55, depth=0.75)
    joined_HW = beside(half, half).sector_HW.astype(np.uint8)
    joined_HW[100:110] = 1
    for area_HW in (box_HW, ellipse_HW, joined_HW, np.zeros_like(box_HW)):
        assert not cone(area_HW, 3).any()
