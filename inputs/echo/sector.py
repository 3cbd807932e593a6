"""Where the ultrasound sector of a clip lies, so that what machines burn in around it can be left out.

Letters in array names: T frames, H rows, W columns, C colours (RGB).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inputs.echo.cone import cone
from inputs.records import Region

Mask = NDArray[np.uint8]

_LIT_GREY_LEVELS = 12
"""The black around a sector stays darker, compressed or not."""
_LEAST_LIT_GREY_LEVELS = 5
"""The same where a dark clip asks for less."""
_LIT_SHARE_OF_SWING = 0.25
"""Of what 70 % of the changing pixels change by at most."""
_NOISE_SHARE_OF_LIT = 1 / 12
"""Noise of so many grey levels (SD) around the sector asks for as many times more, and makes no change that counts."""
_MUCH_NOISE = 1.0
"""Of more of it the pixels beside each other are averaged first."""
_APART = 3
"""How many times more a sector changes than what is around it, where that is told from it."""
_MAX_BLACK_GREY_LEVELS = 48
"""What is around a sector is black up to here, lifted by the machine that captured it; what is lighter is a picture."""
_PAIRS_FOR_NOISE = 16
_MAX_BAR_SHARE, _ENOUGH_BAR_PX = 0.5, 10_000
"""A bar is smaller than the sector, and is judged by some rows."""
_NOISE_SHARE_OF_LEVEL, _ALONE, _STAYS = 1 / 16, 0.3, 0.5
"""Noise on a bar is less of its level than speckle; neighbours share less of it; from one frame to the next it makes
more of its variance over all frames than what moves does."""
_SD_OF_STEP = 1.128
"""The mean step from one value of noise to the next, in standard deviations."""
_WHOLE_SHARE, _MAX_LEVEL_SHARE = 0.9, 0.25
"""A sector that fills the frame is of many levels; where so much of what moves is of one, the black around moves."""
_MIN_STEPS = 3
"""A pixel of a sweep changes as it passes, once or twice; one of a beating heart goes on."""
_FEW_FRAMES, _MANY_FRAMES = 5, 10
"""In fewer than many a change less is enough."""
_NEXT_FRAME_SHARE = 0.005
"""Of the pixels, that differ where a frame is another one; a clock runs also while a picture stands."""
_DENSE, _DENSE_OF_FEW = 0.5, 0.3
"""Of a small square: text that stands still fills a third of it, a sector nearly all. In a handful of frames less of it
has had time to change."""
_NEXT = np.ones((3, 3), np.uint8)
_ENOUGH_PX = 500
"""On the shorter side: larger frames are looked at in half their size and less."""
_ENOUGH_FRAMES = 64
_MIN_MOVING_SHARE = 0.01
_MIN_SECTOR_SHARE = 0.02
_MIN_PART_SHARE = 0.1
"""Of the largest moving area: the halves of a biplane picture are alike, and so are the walls around a dark cavity."""
_MIN_CUT_SHARE = 0.05
"""Of a moving area; a spectrum that begins where the sector's region ends may reach into it by less."""
_ONE_SECTOR_SHARE = 0.85
"""Of its convex hull that one sector fills; two beside each other leave a wedge between them."""


def sector_mask(frames_THWC: NDArray[np.uint8], regions: tuple[Region, ...] = ()) -> Mask | None:
    """1 inside the ultrasound sector, 0 outside, (H, W) uint8; None where nothing moves as a sector does.

    regions: outside of which no sector lies, where the file says so; not believed where they cut most of one off.

    A pixel moves when it goes on changing between moments at which it is lit, by its own brightness: what changes in
    text, a trace, a clock or the curve of respiration goes out in between. Moving pixels count where they lie densely.
    Large moving areas are the sector's, and so is what stays lit beside them without a gap, densely and not flat, such
    as still walls. The convex hull of both, one for each sector of a biplane picture, keeps dark cavities and what
    moves in them. Where the largest part that is lit shows its cone, all of that is kept as well, with what is lit in
    it and thicker than letters, such as the near field beyond black blood. What is lit in hull or cone but neither
    enclosed by such areas nor hangs together with one goes. All levels are lower in a dark clip. EchoPrime masks with
    the same idea, motion against still overlays, by other steps: the masks are alike, not equal.
    """
    n_rows, n_columns = frames_THWC.shape[1:3]
    some_THWC = frames_THWC[:: 1 + (len(frames_THWC) - 1) // _ENOUGH_FRAMES]
    greys = _greys(some_THWC, 1 + min(n_rows, n_columns) // _ENOUGH_PX)
    reach = 1 + min(greys[0].shape) // 100
    noise, black = _around(greys, reach)
    plain = greys
    if noise > _MUCH_NOISE:
        greys = [np.asarray(cv2.blur(grey_HW, (3, 3)), np.uint8) for grey_HW in greys]
        noise, black = _around(greys, reach)
    if black:
        greys = [cv2.subtract(grey_HW, black) for grey_HW in greys]  # type: ignore[call-overload]
    brightest_HW, darkest_HW = _extremes(greys)
    lit_level = max(_lit_level(brightest_HW - darkest_HW), round(noise / _NOISE_SHARE_OF_LIT))
    goes_on_HW, n_lit_HW = _changes(greys, brightest_HW, lit_level, reach)
    moves_HW = goes_on_HW & (brightest_HW - darkest_HW > lit_level // 2)
    enough = _DENSE_OF_FEW if len(greys) <= _FEW_FRAMES else _DENSE
    inside_HW = _inside(regions, (n_rows, n_columns))
    within_HW = _resized(inside_HW, brightest_HW.shape)
    if regions and _cuts_off_most(within_HW, moves_HW, _large_areas(_dense(moves_HW, 4 * reach + 1, enough))):
        inside_HW[:], within_HW[:] = 1, 1
    moves_HW &= within_HW
    lit_HW = (brightest_HW > lit_level) & within_HW
    grainy_HW = cv2.morphologyEx(brightest_HW, cv2.MORPH_GRADIENT, _NEXT) > lit_level // 4
    stays_HW = (n_lit_HW >= len(greys) * 3 / 4) & grainy_HW & within_HW
    moving_HW = _without_noisy_bars(_large_areas(_dense(moves_HW, 4 * reach + 1, enough)), plain)
    sector_HW = moving_HW | _touching(_dense(stays_HW, 4 * reach + 1), moving_HW)
    if not moving_HW.any() or sector_HW.mean() < _MIN_SECTOR_SHARE:
        return None
    sector_HW |= cv2.dilate(sector_HW, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) & (moves_HW | stays_HW)
    solid_HW = _without_thin(lit_HW, 2 * reach - 1)
    cone_HW = cone(solid_HW, reach)
    sector_HW = _filled(sector_HW | (cone_HW & solid_HW))
    hull_HW = _hull(sector_HW, 12 * reach + 1) | cone_HW
    if hull_HW.mean() > _WHOLE_SHARE and _share_of_one_level(greys, moves_HW, 1 + lit_level // 2) > _MAX_LEVEL_SHARE:
        return None
    apart_HW = (lit_HW & hull_HW) ^ _touching(lit_HW & hull_HW, sector_HW)
    hull_HW[cv2.dilate(apart_HW, _NEXT) > 0] = 0
    return np.asarray(_resized(hull_HW, (n_rows, n_columns)) & inside_HW, np.uint8)


def _inside(regions: tuple[Region, ...], shape: tuple[int, int]) -> Mask:
    """1 in any of the regions, as far as they lie in the picture; everywhere where none does."""
    inside_HW = np.zeros(shape, np.uint8)
    for top, left, bottom, right in regions:
        inside_HW[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 1
    return inside_HW if inside_HW.any() else np.ones(shape, np.uint8)


def _cuts_off_most(within_HW: Mask, moves_HW: Mask, areas_HW: Mask) -> bool:
    """Whether regions part most of a sector from the rest of it; what lies apart from them is none.

    A spectrum that touches the sector makes no convex area with it.
    """
    n, labels_HW = cv2.connectedComponents(areas_HW)
    n_all, n_within = (np.bincount(labels_HW[is_HW > 0], minlength=n) for is_HW in (moves_HW, moves_HW & within_HW))
    cut = n_within > _MIN_CUT_SHARE * n_all
    cut[0] = False
    if areas_HW.mean() > _WHOLE_SHARE or 2 * n_within[cut].sum() >= n_all[cut].sum():
        return False
    sector_HW = cut[labels_HW].astype(np.uint8)
    return bool(_filled(sector_HW).sum() > _ONE_SECTOR_SHARE * _convex(sector_HW).sum())


def _resized(mask_HW: Mask, shape: tuple[int, ...]) -> Mask:
    if mask_HW.shape == shape:
        return mask_HW
    return np.asarray(cv2.resize(mask_HW, shape[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)


def _greys(frames_THWC: NDArray[np.uint8], step: int) -> list[NDArray[np.uint8]]:
    """Each frame in grey, (H, W), smaller by `step`."""
    greys = [np.asarray(cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY), np.uint8) for frame_HWC in frames_THWC]
    if step == 1:
        return greys
    size = (greys[0].shape[1] // step, greys[0].shape[0] // step)
    return [np.asarray(cv2.resize(grey_HW, size, interpolation=cv2.INTER_AREA), np.uint8) for grey_HW in greys]


def _extremes(greys: list[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The brightest and the darkest moment of each pixel, (H, W) each."""
    brightest_HW, darkest_HW = greys[0].copy(), greys[0].copy()
    for grey_HW in greys[1:]:
        cv2.max(brightest_HW, grey_HW, brightest_HW)
        cv2.min(darkest_HW, grey_HW, darkest_HW)
    return brightest_HW, darkest_HW


def _pairs(greys: list[NDArray[np.uint8]]) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Some frames and those that follow them, where they differ."""
    pairs = [(before_HW, after_HW) for before_HW, after_HW in pairwise(greys) if (before_HW != after_HW).any()]
    return pairs[:: 1 + len(pairs) // _PAIRS_FOR_NOISE]


def _around(greys: list[NDArray[np.uint8]], reach: int) -> tuple[float, int]:
    """Noise (SD) and black level of what is around the sector, in grey levels: zeros where nothing tells it apart.

    It is what changes least, by Otsu's threshold.
    """
    pairs = _pairs(greys)
    if not pairs:
        return 0.0, 0
    steps_THW = np.stack(
        [_own_change(before_HW[::reach, ::reach], after_HW[::reach, ::reach]) for before_HW, after_HW in pairs]
    )
    steps_HW = cv2.blur(steps_THW.mean(axis=0), (3, 3))
    logarithms_HW = (30 * np.log2(1 + steps_HW)).astype(np.uint8)
    split, _parts = cv2.threshold(logarithms_HW, 0, 1, cv2.THRESH_OTSU)
    quiet_HW = logarithms_HW <= split
    step = float(np.median(steps_HW[quiet_HW]))
    if quiet_HW.all() or np.median(steps_HW[~quiet_HW]) < _APART * step:
        return 0.0, 0
    levels_HW = np.stack([before_HW[::reach, ::reach] for before_HW, _after_HW in pairs]).mean(axis=0)
    black = round(float(np.median(levels_HW[quiet_HW])))
    return step / _SD_OF_STEP, black if step and black <= _MAX_BLACK_GREY_LEVELS else 0


def _without_noisy_bars(areas_HW: Mask, greys: list[NDArray[np.uint8]]) -> Mask:
    """Without bars along a whole edge of the frame that change by noise alone; the largest area is never one."""
    n, labels_HW, stats, _centres = cv2.connectedComponentsWithStats(areas_HW)
    largest = stats[1:, cv2.CC_STAT_AREA].max(initial=0)
    kept = (np.arange(n) > 0).astype(np.uint8)
    for label, (left, top, width, height, size) in enumerate(stats[1:].tolist(), 1):
        is_whole = height == len(areas_HW) or width == len(areas_HW[0])
        if is_whole and size < _MAX_BAR_SHARE * largest:
            pairs = zip(*_pairs(greys), strict=True)
            bar = np.s_[top : top + height : 1 + size // _ENOUGH_BAR_PX, left : left + width]
            before_THW, after_THW = (np.stack([grey_HW[bar] for grey_HW in some]) for some in pairs)
            kept[label] = not _is_noise(before_THW, after_THW)
    return np.asarray(kept[labels_HW], np.uint8)


def _is_noise(before_THW: NDArray[np.uint8], after_THW: NDArray[np.uint8]) -> bool:
    """Whether frames differ from those that follow them by less than speckle does, in each pixel for itself, and by
    about as much as from any others. A handful tells nothing.
    """
    if len(before_THW) < _FEW_FRAMES:
        return False
    own_THW = before_THW - before_THW.mean(axis=(1, 2), keepdims=True)  # without flicker
    changes_THW = after_THW - after_THW.mean(axis=(1, 2), keepdims=True) - own_THW
    step = (changes_THW**2).mean() / 2
    beside = (changes_THW[..., 1:] * changes_THW[..., :-1]).mean() / 2
    over_time = own_THW.var(axis=0, ddof=1).mean()
    is_small = step < (_NOISE_SHARE_OF_LEVEL * before_THW.mean()) ** 2
    return bool(is_small and beside < _ALONE * step and step > _STAYS * over_time)


def _own_change(before_HW: NDArray[np.uint8], after_HW: NDArray[np.uint8], reach: int = 1) -> NDArray[np.int16]:
    """How much each pixel changes apart from what most pixels around it share, such as flicker and fades.

    What is shared is told by every `reach`-th pixel of every `reach`-th row.
    """
    change_HW = cv2.subtract(after_HW, before_HW, dtype=cv2.CV_16S)
    shared_HW = cv2.medianBlur((change_HW[::reach, ::reach] + 256).astype(np.uint16), 5).astype(np.int16) - 256
    if reach > 1:
        full_size = change_HW.shape[::-1]
        shared_HW = np.asarray(cv2.resize(shared_HW, full_size, interpolation=cv2.INTER_NEAREST), np.int16)
    return np.asarray(cv2.absdiff(change_HW, shared_HW), np.int16)


def _share_of_one_level(greys: list[NDArray[np.uint8]], moves_HW: Mask, width: int) -> float:
    """Of the pixels that move, those that do so about the commonest grey level, in so many levels."""
    means_HW = np.mean(greys[:: 1 + len(greys) // _PAIRS_FOR_NOISE], axis=0)
    counts = np.bincount(means_HW[moves_HW > 0].astype(int), minlength=256)
    return float(np.convolve(counts, np.ones(width)).max() / moves_HW.sum())


def _lit_level(swing_HW: NDArray[np.uint8]) -> int:
    """What is brighter is lit, in this clip."""
    some = swing_HW[::4, ::4]
    some = some[some > _LEAST_LIT_GREY_LEVELS]
    if not some.size:
        return _LIT_GREY_LEVELS
    of_swing = _LIT_SHARE_OF_SWING * np.quantile(some, 0.7)
    return int(np.clip(of_swing, _LEAST_LIT_GREY_LEVELS, _LIT_GREY_LEVELS))


def _changes(
    greys: list[NDArray[np.uint8]], brightest_HW: NDArray[np.uint8], lit_level: int, reach: int
) -> tuple[Mask, Mask]:
    """1 where a pixel goes on changing while it is lit, and in how many frames it is lit, (H, W) each.

    A change counts from the level that was counted last, so that slow ones add up, and between levels above half of the
    pixel's brightest. Fewer do where frames stand still, as in a video of a slower clip. Of a handful of frames one
    change has to do, between any levels at which a pixel is lit.
    """
    few = len(greys) <= _FEW_FRAMES
    quarter_HW = cv2.max(brightest_HW // 4, lit_level)  # type: ignore[call-overload]
    half_HW = quarter_HW if few else cv2.max(brightest_HW // 2, lit_level)  # type: ignore[call-overload]
    steps_HW, n_lit_HW = np.zeros((2, *brightest_HW.shape), np.uint8)
    counted_HW = greys[0].copy()
    n_other = 0
    for grey_HW in greys:
        n_lit_HW -= cv2.compare(grey_HW, quarter_HW, cv2.CMP_GT)  # 255 is one less than none
        changed_HW = cv2.compare(cv2.absdiff(counted_HW, grey_HW), lit_level // 4, cv2.CMP_GT)  # type: ignore[call-overload]
        own_HW = cv2.compare(_own_change(counted_HW, grey_HW, reach), lit_level // 4, cv2.CMP_GT)  # type: ignore[call-overload]
        own_HW &= changed_HW
        n_other += cv2.countNonZero(own_HW) > _NEXT_FRAME_SHARE * own_HW.size
        steps_HW -= own_HW & cv2.compare(cv2.min(counted_HW, grey_HW), half_HW, cv2.CMP_GT)
        cv2.copyTo(grey_HW, changed_HW, counted_HW)
    enough = 1 if few else max(1, min(_MIN_STEPS if n_other >= _MANY_FRAMES else _MIN_STEPS - 1, n_other))
    return (steps_HW >= enough).astype(np.uint8), n_lit_HW


def _dense(areas_HW: Mask, size: int, enough: float = _DENSE) -> Mask:
    """1 where the areas fill much of a square around, without what is thin; edges of the frame mirror them."""
    share_HW = cv2.boxFilter(255 * areas_HW, -1, (size, size), borderType=cv2.BORDER_REFLECT_101)
    return (share_HW > 255 * enough).astype(np.uint8)


def _without_thin(areas_HW: NDArray[Any], size: int) -> Mask:
    """1 where a square of that size fits in, such as no stroke of a letter holds."""
    opened_HW = cv2.morphologyEx(areas_HW.astype(np.uint8), cv2.MORPH_OPEN, np.ones((size, size), np.uint8))
    return np.asarray(opened_HW, np.uint8)


def _large_areas(moving_HW: NDArray[Any]) -> Mask:
    """The moving areas that are large enough to be a sector or a part of one; nothing where no sector is there."""
    _n, labels_HW, stats, _centres = cv2.connectedComponentsWithStats(moving_HW)
    sizes = stats[:, cv2.CC_STAT_AREA]
    sizes[0] = 0
    if sizes.max() < _MIN_MOVING_SHARE * moving_HW.size:
        return np.zeros_like(moving_HW)
    return np.asarray((sizes >= _MIN_PART_SHARE * sizes.max())[labels_HW], np.uint8)


def _touching(areas_HW: NDArray[Any], seeds_HW: Mask) -> Mask:
    """The connected areas that hold a pixel of the seeds."""
    n, labels_HW = cv2.connectedComponents(areas_HW)
    touched = np.zeros(n, np.uint8)
    touched[labels_HW[seeds_HW > 0]] = 1
    touched[0] = 0
    return np.asarray(np.take(touched, np.asarray(labels_HW, np.int32)), np.uint8)  # half the time of [labels_HW]


def _hull(sector_HW: Mask, narrow: int) -> Mask:
    """The convex hull of a sector, or those of the two of a biplane picture. narrow: as a bridge between them is."""
    hull_HW = _convex(sector_HW)
    if sector_HW.sum() > _ONE_SECTOR_SHARE * hull_HW.sum():
        return hull_HW
    cores_HW = cv2.morphologyEx(sector_HW, cv2.MORPH_OPEN, np.ones((narrow, narrow), np.uint8))
    n, labels_HW, stats, _centres = cv2.connectedComponentsWithStats(cores_HW)
    sizes = stats[:, cv2.CC_STAT_AREA]
    if n < 3:  # the background is one
        return hull_HW
    second, first = 1 + np.argsort(sizes[1:])[-2:]
    if sizes[second] < sizes[first] / 2:
        return hull_HW
    away = [cv2.distanceTransform((labels_HW != label).astype(np.uint8), cv2.DIST_L2, 3) for label in (first, second)]
    nearer_HW = (away[0] < away[1]).astype(np.uint8)
    parts = (sector_HW & nearer_HW, sector_HW & (1 - nearer_HW))
    between_HW = np.zeros_like(sector_HW)
    cv2.line(between_HW, _top(parts[0]), _top(parts[1]), 1)
    if 2 * (between_HW & sector_HW).sum() > between_HW.sum():  # both come from one apex: walls beside a dark cavity
        return hull_HW
    return _convex(parts[0]) | _convex(parts[1])


def _filled(area_HW: Mask) -> Mask:
    """With what it encloses."""
    filled_HW = np.zeros_like(area_HW)
    outlines, _tree = cv2.findContours(area_HW, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(filled_HW, outlines, -1, 1, cv2.FILLED)
    return filled_HW


def _convex(area_HW: Mask) -> Mask:
    hull_HW = np.zeros_like(area_HW)
    outlines, _tree = cv2.findContours(area_HW, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.fillConvexPoly(hull_HW, cv2.convexHull(np.concatenate(outlines)), 1)
    return hull_HW


def _top(area_HW: Mask) -> tuple[int, int]:
    """Column and row of the middle of its highest tenth: an apex may be cut to an arc."""
    ys, xs = np.nonzero(area_HW)
    high = ys <= ys[0] + (ys[-1] - ys[0]) / 10
    return int(xs[high].mean()), int(ys[high].mean())
