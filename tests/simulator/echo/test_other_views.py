"""Views beside the standard planes show what they may read, and nothing else of the patient."""

from dataclasses import fields, replace

import numpy as np
import pytest

from simulator.echo.anatomy import Anatomy
from simulator.echo.composition import HABITS
from simulator.echo.cycle import BEATS_DRAWN, cardiac_cycle
from simulator.echo.other_views import OTHER_VIEWS
from simulator.echo.scene import BLOOD_DB, Hand
from simulator.physiology import Physiology
from simulator.segments import NORMAL_MOTION

HEALTHY = Physiology(
    age_years=52.0,
    sex="male",
    height_cm=176.0,
    weight_kg=80.0,
    rhythm="sinus",
    conduction="normal",
    heart_rate_bpm=66.0,
    cause="none",
    segment_motion=NORMAL_MOTION,
    lvef_percent=60.0,
    lvedv_ml=120.0,
    lvesv_ml=48.0,
    septum_cm=0.9,
    posterior_wall_cm=0.9,
    lv_mass_g=150.0,
    la_volume_index=27.0,
    rv_basal_cm=3.4,
    tapse_cm=2.2,
    rv_dysfunction=0,
    pasp_mmhg=26.0,
    tr_velocity_m_s=2.3,
    aortic_stenosis=0,
    aortic_regurgitation=0,
    mitral_regurgitation=0,
    tricuspid_regurgitation=0,
    pulmonary_regurgitation=0,
    effusion=0,
    infarct="none",
    site=1,
)
ANATOMY = Anatomy(oval=0.05, oval_deg=40.0, roundness=0.3, window=0.0)
SICK = {
    "aortic_stenosis": 3,
    "rv_basal_cm": 5.2,
    "tapse_cm": 1.0,
    "rv_dysfunction": 3,
    "tricuspid_regurgitation": 3,
}
# What each view shows beside rate and rhythm, written down a second time on purpose.
SHOWS = {
    "AV_ZOOM": {"aortic_stenosis"},
    "MV_ZOOM": set(),
    "OFF_AXIS": set(),
    "A4C_RV": {"rv_basal_cm", "tapse_cm", "rv_dysfunction"},
    "IVC": {"rv_dysfunction", "tricuspid_regurgitation"},
    "SUPRASTERNAL": set(),
}


def scene_of(view, patient=HEALTHY, *, seed=3, seconds=1.0):
    rng = np.random.default_rng(seed)
    hand, noise = Hand.draw(rng), rng.standard_normal(BEATS_DRAWN)
    cycle = cardiac_cycle(
        np.arange(0.0, seconds, 0.02), heart_rate_bpm=HEALTHY.heart_rate_bpm, rhythm="sinus", interval_noise=noise
    )
    return OTHER_VIEWS[view].draw(patient, ANATOMY, hand, cycle)


def outlines(scene):
    return np.concatenate([layer.outline_TNX.reshape(-1) for layer in scene.layers])


class Watched:
    """Notes which fields are read."""

    def __init__(self, patient):
        self.patient, self.read = patient, set()

    def __getattr__(self, name):
        self.read.add(name)
        return getattr(self.patient, name)


def test_the_table_of_habits_asks_for_every_one_of_these_views():
    assert set(OTHER_VIEWS) < set(HABITS)
    assert not any(HABITS[view].whole_lv for view in OTHER_VIEWS)


@pytest.mark.parametrize("view", OTHER_VIEWS)
def test_a_view_reads_the_fields_that_it_lists_and_no_other(view):
    watched = Watched(HEALTHY)
    scene_of(view, watched)
    listed = set(OTHER_VIEWS[view].fields) - {"heart_rate_bpm", "rhythm"}
    assert watched.read == listed == SHOWS[view]
    assert listed <= {f.name for f in fields(Physiology)}


@pytest.mark.parametrize(("view", "name"), [(view, name) for view, names in SHOWS.items() for name in sorted(names)])
def test_every_listed_finding_leaves_a_trace(view, name):
    before, after = scene_of(view), scene_of(view, replace(HEALTHY, **{name: SICK[name]}))
    assert len(before.layers) != len(after.layers) or not np.array_equal(outlines(before), outlines(after))


@pytest.mark.parametrize("view", OTHER_VIEWS)
def test_outlines_are_finite_lie_in_the_picture_and_move_with_the_heart(view):
    scene = scene_of(view)
    spec = OTHER_VIEWS[view]
    for layer in scene.layers:
        assert np.isfinite(layer.outline_TNX).all()
    depths_cm = np.concatenate([layer.outline_TNX[..., 1].ravel() for layer in scene.layers])
    assert np.mean((depths_cm > spec.near_cm) & (depths_cm < spec.depth_cm)) > 0.5
    assert max(np.ptp(layer.outline_TNX, axis=0).max() for layer in scene.layers) > 0.08


def cusp_opening_cm(grade, seed):
    """Largest distance between the tips of the two cusps, which are the brightest leaflets."""
    cusps = [
        layer
        for layer in scene_of("AV_ZOOM", replace(HEALTHY, aortic_stenosis=grade), seed=seed).layers
        if layer.outline_TNX.shape[1] == 14
    ][-2:]
    tips = [cusp.outline_TNX[:, 6:8].mean(axis=1) for cusp in cusps]
    return float(np.linalg.norm(tips[0] - tips[1], axis=-1).max())


def test_a_narrower_aortic_valve_opens_less():
    for seed in range(4):
        openings = [cusp_opening_cm(grade, seed) for grade in range(4)]
        assert openings == sorted(openings, reverse=True)
        assert openings[3] < 0.5 * openings[0]


def vein_cm(seed, **changes):
    """Widest and narrowest diameter of the vena cava over two breaths, in the middle of its course."""
    layer = scene_of("IVC", replace(HEALTHY, **changes), seed=seed, seconds=7.0).layers[-1]
    assert layer.level_db == BLOOD_DB
    y_TN = layer.outline_TNX[..., 1]
    width_T = y_TN[:, 18] - y_TN[:, 5]
    return float(width_T.max()), float(width_T.min())


def test_the_vena_cava_collapses_with_a_breath_unless_the_right_heart_fails():
    for seed in range(4):
        (wide, narrow), (swollen, stiff) = vein_cm(seed), vein_cm(seed, rv_dysfunction=3, tricuspid_regurgitation=3)
        assert 1.1 < wide < 2.3
        assert 1.0 - narrow / wide > 0.3
        assert swollen > 2.1
        assert 1.0 - stiff / swollen < 0.25


def test_an_off_axis_clip_beats_by_chance():
    """The fragment's shortening differs between clips, so that it cannot stand for the ventricle's."""
    shortening = []
    for seed in range(40):
        squeeze_T = scene_of("OFF_AXIS", seed=seed).squeeze_cm_T
        shortening.append(np.ptp(squeeze_T))
    assert np.std(shortening) / np.mean(shortening) > 0.2
