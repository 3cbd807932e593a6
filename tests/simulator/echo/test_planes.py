"""Planes through the solid: what each cuts, what it misses, by how much it misleads, and what a clip's truth tells."""

from dataclasses import fields, replace

import numpy as np
import pytest

from benchmarks.simulator_planes import BANDS, PLANES, cut_patients, spread, without_scar_in_plane
from simulator.echo import planes
from simulator.echo.anatomy import Anatomy
from simulator.echo.cycle import BEATS_DRAWN, cardiac_cycle
from simulator.echo.long_axis import dropout_share, four_chamber, two_chamber
from simulator.echo.scene import BLOOD_DB, MUSCLE_DB, Hand
from simulator.echo.truth import still_solid, truth_of
from simulator.echo.ventricle import LongCut, ShortCut, cut_across, cut_along
from simulator.echo.views import VIEWS, only_visible
from simulator.segments import SEGMENTS, sample_motion
from tests.healthy import HEALTHY

ROUND = Anatomy(oval=0.0, oval_deg=0.0, roundness=0.0, window=0.0)
STEADY = Hand(**{f.name: 0.0 for f in fields(Hand)})
ON_THE_APEX = replace(STEADY, missed=-planes.A4C.missed[0] / planes.A4C.missed[1])
SCARRED = replace(
    HEALTHY, segment_motion=sample_motion("ischaemic", "LAD", 0.8, np.random.default_rng(0)), lvesv_ml=70.0
)
NUMBERS = {segment.name: number for number, segment in enumerate(SEGMENTS)}
CENTRE_CM = {four_chamber: 1.5, two_chamber: 0.0}
"""Where the long axis lies in the picture, right of the probe."""
SEEN = {
    "A4C": {"inferoseptal", "anterolateral"},
    "A2C": {"inferior", "anterior"},
    "A3C": {"anteroseptal", "inferolateral"},
    "PLAX": {"anteroseptal", "inferolateral"},
}


def truth(view, physiology=HEALTHY, anatomy=ROUND, hand=ON_THE_APEX):
    spec = VIEWS[view]
    return truth_of(view, spec.plane, spec.fields, only_visible(physiology, view), anatomy, hand, 1.0)


def names_of(segments):
    return {SEGMENTS[number].name for number in segments}


@pytest.mark.parametrize("view", ["A4C", "A2C", "A3C"])
def test_a_plane_through_axis_and_apex_of_a_round_heart_measures_the_truth(view):
    shown = truth(view)
    assert shown.plane_edv_ml == pytest.approx(HEALTHY.lvedv_ml, rel=0.01)
    assert shown.plane_ef_percent == pytest.approx(HEALTHY.lvef_percent, abs=1.0)
    assert shown.foreshortening == pytest.approx(0.0, abs=1e-9)


def test_readers_formulas_are_near_the_truth_in_a_usual_heart():
    for view in ("PLAX", "PSAX"):
        assert truth(view).plane_ef_percent == pytest.approx(HEALTHY.lvef_percent, abs=4.0)
        assert truth(view).plane_edv_ml == pytest.approx(HEALTHY.lvedv_ml, rel=0.25)


@pytest.mark.parametrize("missed", [0.03, 0.08, 0.15, 0.20])
def test_foreshortening_takes_its_share_of_the_length_and_hides_volume(missed):
    solid = still_solid(HEALTHY, ROUND)
    whole, short = (cut_along(solid, LongCut(210.0, missed_length=share)) for share in (0.0, missed))
    assert short.cut_length_T[0] == pytest.approx((1.0 - missed) * whole.cut_length_T[0], rel=0.01)
    assert planes.disc_volume_ml_T(short)[0] < planes.disc_volume_ml_T(whole)[0]
    tip = short.cavity_TNX.shape[1] // 2
    moved_cm = short.cavity_TNX[1, tip, 0] - short.cavity_TNX[0, tip, 0]
    assert moved_cm > 0.1, "the tip of a foreshortened ventricle moves, a true apex does not"
    assert whole.cavity_TNX[1, tip, 0] == pytest.approx(whole.cavity_TNX[0, tip, 0], abs=1e-6)


def test_a_plane_beside_the_axis_is_narrower_by_pythagoras():
    solid = still_solid(HEALTHY, ROUND)
    middle, beside = (cut_along(solid, LongCut(150.0, beside_cm=cm)) for cm in (0.0, 0.6))
    assert beside.radius_T[0] == pytest.approx(np.sqrt(middle.radius_T[0] ** 2 - 0.36), rel=2e-3)


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("beside_cm", [0.0, 0.5, 0.9])
def test_every_point_of_an_outline_lies_on_the_body(beside_cm, side):
    """Of an oval, scarred heart: seen from the axis each point is as far away as the body's radius there."""
    solid = still_solid(SCARRED, Anatomy(0.15, 60.0, 0.0, 0.0))
    lv = cut_along(solid, LongCut(210.0, beside_cm=beside_cm, side=side))
    points = lv.cavity_TNX.shape[1]
    apart = np.abs(np.arange(points) - points // 2) > 5  # at the very tip the outline is rounded off
    z, w = lv.cavity_TNX[:, apart, 0], lv.cavity_TNX[:, apart, 1]
    along = 1.0 - (z + solid.length_T[0] - lv.length_T[0]) / solid.length_T[:, None]
    minus = np.deg2rad(210.0)
    x = -w * np.cos(minus) - side * beside_cm * np.sin(minus)
    y = -w * np.sin(minus) + side * beside_cm * np.cos(minus)
    away = np.hypot(x, y)
    assert away == pytest.approx(solid.radius(along, x / away, y / away), abs=0.025)


@pytest.mark.parametrize("missed", [0.05, 0.12, 0.20])
def test_outlines_of_foreshortened_planes_have_no_gaps(missed):
    solid = still_solid(SCARRED, Anatomy(0.15, 60.0, 0.0, 0.0))
    steps_cm = np.linalg.norm(np.diff(cut_along(solid, LongCut(270.0, missed)).cavity_TNX, axis=1), axis=-1)
    assert steps_cm.max() < 0.8


@pytest.mark.parametrize("view", SEEN)
def test_a_plane_shows_the_segments_it_cuts_and_no_others(view):
    shown = {SEGMENTS[k].name for k, motion in enumerate(truth(view).segment_motion) if motion is not None}
    levels = ("basal", "mid")
    assert {name for name in shown if not name.startswith("apical")} == {
        f"{level}_{wall}" for level in levels for wall in SEEN[view]
    }
    assert any(name.startswith("apical") for name in shown) == (view != "PLAX")


def test_a_ring_shows_all_walls_of_its_level():
    solid = still_solid(HEALTHY, ROUND)
    for level, name, count in ((0.46, "mid", 6), (0.80, "apical", 4)):
        shown = names_of(cut_across(solid, ShortCut(level)).segments)
        assert len(shown) == count
        assert all(segment.startswith(name) for segment in shown)


@pytest.mark.parametrize(
    ("artery", "sees", "misses"), [("LAD", "A2C", "PLAX"), ("RCA", "A2C", "A3C"), ("LCx", "A3C", "A2C")]
)
def test_the_plane_without_the_scar_overestimates_and_the_one_through_it_underestimates(artery, sees, misses):
    apart = []
    for seed in range(12):
        motion = sample_motion("ischaemic", artery, 0.6, np.random.default_rng(seed))
        if artery == "LAD":  # an apical infarct, which the parasternal plane cannot see
            motion = tuple(
                m if s.name.startswith("apical") or s.name == "mid_anterior" else 1.0
                for m, s in zip(motion, SEGMENTS, strict=True)
            )
        scarred = replace(HEALTHY, segment_motion=motion, lvef_percent=42.0, lvesv_ml=0.58 * HEALTHY.lvedv_ml)
        apart.append([truth(view, scarred).plane_ef_percent - 42.0 for view in (sees, misses)])
    through, beside = np.mean(apart, axis=0)
    assert through < -2.0
    assert beside > 2.0


@pytest.fixture(scope="module")
def cuts():
    return cut_patients(400, seed=1)


def test_two_planes_err_little_without_an_infarct(cuts):
    whole = [cut for cut in cuts if cut.infarct == "none"]
    assert spread(whole, "biplane") <= 3.0


@pytest.mark.parametrize("plane", PLANES)
def test_one_plane_errs_as_published_methods_differ(cuts, plane):
    scarred = [cut for cut in cuts if cut.infarct != "none"]
    for value, (low, high) in zip((spread(cuts, plane), spread(scarred, plane)), BANDS[plane], strict=True):
        assert 0.85 * low <= value <= 1.15 * high


def test_the_parasternal_plane_errs_most_and_the_ring_least(cuts):
    by_spread = sorted(PLANES, key=lambda plane: spread(cuts, plane))
    assert (by_spread[0], by_spread[-1]) == ("PSAX", "PLAX")


@pytest.mark.parametrize("plane", ["A4C", "A2C", "A3C", "PLAX"])
def test_planes_that_miss_the_scar_overestimate(cuts, plane):
    whole = [cut.ef_error[plane] for cut in cuts if cut.infarct == "none"]
    unseen = [cut.ef_error[plane] for cut in without_scar_in_plane(cuts, plane)]
    assert np.mean(unseen) > np.mean(whole) + 2.0


def test_a_fifth_of_apical_clips_lose_more_than_an_eighth_of_the_length(cuts):
    assert 0.13 < np.mean([cut.missed_length > 0.12 for cut in cuts]) < 0.27


def test_hypertrophy_shows_in_every_plane_but_less_surely_from_the_apex():
    errors = {}
    for view in ("PLAX", "PSAX", "A4C", "A2C"):
        read = {wall: [] for wall in (0.9, 1.6)}
        for wall, walls in read.items():
            thick = replace(HEALTHY, septum_cm=wall, posterior_wall_cm=wall)
            for seed in range(60):
                walls.append(truth(view, thick, hand=Hand.draw(np.random.default_rng(seed))).posterior_wall_cm)
        assert np.mean(read[1.6]) > np.mean(read[0.9]) + 0.5
        errors[view] = np.std(read[1.6])
    assert min(errors["A4C"], errors["A2C"]) > 1.4 * errors["PLAX"]


def test_a_clip_tells_only_what_its_view_shows():
    ill = replace(HEALTHY, mitral_regurgitation=2, effusion=1, pasp_mmhg=60.0, tricuspid_regurgitation=1)
    grey, colour, base = truth("A2C", ill), truth("A4C_COLOUR", ill), truth("PSAX_COLOUR", ill)
    assert grey.mitral_regurgitation is None
    assert colour.mitral_regurgitation == 2
    assert colour.tr_velocity_m_s == ill.tr_velocity_m_s
    assert (grey.effusion, grey.rv_basal_cm, grey.septum_cm) == (None, None, None)
    assert (colour.effusion, colour.rv_basal_cm) == (1, ill.rv_basal_cm)
    assert truth("PSAX", ill).septal_flatness > 0.2 > truth("PSAX").septal_flatness
    assert {name for name, value in base.as_row().items() if value is not None} == {
        "view", "quality", "heart_rate_bpm", "tricuspid_regurgitation", "pulmonary_regurgitation", "tr_velocity_m_s",
    }  # fmt: skip


def test_a_row_of_truth_has_a_column_for_each_segment():
    row = truth("A2C").as_row()
    assert {f"motion_{name}" for name in NUMBERS} < set(row)
    assert row["motion_mid_inferior"] == 1.0
    assert row["motion_mid_inferoseptal"] is None


def test_poor_windows_lose_more_of_a_wall():
    rng = np.random.default_rng(0)
    drawn = [(replace(ROUND, window=float(rng.normal())), Hand.draw(rng)) for _ in range(2000)]
    lost = np.array([dropout_share(h, a) for a, h in drawn])
    poor = np.array([a.window < 0 for a, _ in drawn])
    assert lost.min() == 0.0
    assert lost.max() <= 0.6
    assert lost[poor].mean() > 2.0 * lost[~poor].mean()


@pytest.mark.parametrize(("scene_of", "side"), [(four_chamber, 1.0), (two_chamber, 1.0)])
def test_where_a_wall_drops_out_its_echo_fades_on_that_side_only(scene_of, side):
    cycle = cardiac_cycle(
        np.array([0.0, 0.3]), heart_rate_bpm=68.0, rhythm="sinus", interval_noise=np.zeros(BEATS_DRAWN)
    )
    whole, faded = (
        scene_of(HEALTHY, ROUND, replace(ON_THE_APEX, dropout=dropout), cycle).layers for dropout in (-3.0, 3.0)
    )
    kept = {layer.outline_TNX.tobytes() for layer in whole}
    strips = [layer for layer in faded if layer.outline_TNX.tobytes() not in kept]
    assert len(strips) >= 4
    assert len(faded) == len(whole) + len(strips)
    heart_cm = float(np.ptp(whole[0].outline_TNX[0, :, 1]))
    for strip in strips:
        assert BLOOD_DB < strip.level_db < MUSCLE_DB
        assert (side * (strip.outline_TNX[..., 0] - CENTRE_CM[scene_of]) > 0.0).all()
        assert np.ptp(strip.outline_TNX[0, :, 1]) < 0.75 * heart_cm
    assert [strip.level_db for strip in strips] == sorted((strip.level_db for strip in strips), reverse=True)
