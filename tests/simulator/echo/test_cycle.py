"""The timing of the simulated heart: ejection, filling, the atrial kick and irregular rhythm."""

from itertools import pairwise

import numpy as np
import pytest

from simulator.echo.cycle import BEATS_DRAWN, cardiac_cycle

TIMES_S = np.arange(0.0, 4.0, 0.005)


def cycle_of(rhythm, *, rate_bpm=60.0, seed=0):
    noise = np.random.default_rng(seed).standard_normal(BEATS_DRAWN)
    return cardiac_cycle(TIMES_S, heart_rate_bpm=rate_bpm, rhythm=rhythm, interval_noise=noise)


@pytest.mark.parametrize("rate_bpm", [45.0, 60.0, 95.0, 150.0])
@pytest.mark.parametrize("rhythm", ["sinus", "atrial_fibrillation", "atrial_flutter"])
def test_the_ventricle_is_full_at_every_r_wave_and_empties_once_per_beat(rhythm, rate_bpm):
    cycle = cycle_of(rhythm, rate_bpm=rate_bpm)
    inside = cycle.r_waves_s[(cycle.r_waves_s > 0.01) & (cycle.r_waves_s < 3.9)]
    for r_wave_s in inside:
        assert cycle.emptying_T[np.abs(TIMES_S - r_wave_s).argmin()] < 0.02
    for start_s, end_s in pairwise(inside):
        beat = cycle.emptying_T[(start_s <= TIMES_S) & (end_s > TIMES_S)]
        assert beat.max() > 0.98
    assert cycle.emptying_T.min() >= 0.0
    assert cycle.emptying_T.max() <= 1.0


def test_mitral_and_aortic_valve_are_never_open_together():
    for rhythm in ("sinus", "atrial_fibrillation"):
        cycle = cycle_of(rhythm)
        assert np.minimum(cycle.mitral_T, cycle.aortic_T).max() < 0.05


def test_fibrillation_is_irregular_and_has_no_atrial_kick():
    regular, irregular = cycle_of("sinus"), cycle_of("atrial_fibrillation")
    assert np.diff(regular.r_waves_s).std() < 0.04
    assert np.diff(irregular.r_waves_s).std() > 0.10
    assert regular.has_p_waves
    assert not irregular.has_p_waves
    # In the last fifth of diastole a fibrillating ventricle has filled already; a sinus one waits for the atrium.
    for cycle, waits in ((regular, True), (irregular, False)):
        next_r_s = cycle.r_waves_s[cycle.r_waves_s > 1.0][0]
        before_kick = np.abs(TIMES_S - (next_r_s - 0.2)).argmin()
        assert (cycle.emptying_T[before_kick] > 0.1) == waits
