import numpy as np
import pytest

from training.data.median_beat import RHYTHM_MEASURES, BeatSpace, beat_and_rhythm, r_peaks

RATE = 400.0


def record(rr_s, *, seconds=10, heights=None, noise=0.02, seed=0):
    """Narrow beats at the distances `rr_s` in turn, upright in the first lead and inverted in the second."""
    draw, at, time = np.random.default_rng(seed), 0.4, np.arange(int(seconds * RATE)) / RATE
    signal, beat = noise * draw.standard_normal((2, len(time))), 0
    peaks = []
    while at < seconds:
        height = 1.0 if heights is None else heights[beat % len(heights)]
        for lead, sign in enumerate((1, -1)):
            signal[lead] += sign * height * np.exp(-0.5 * ((time - at) / 0.012) ** 2)
            signal[lead] += sign * 0.3 * np.exp(-0.5 * ((time - at - 0.25) / 0.05) ** 2)
        peaks.append(at)
        at += rr_s[beat % len(rr_s)]
        beat += 1
    return signal.astype(np.float32), np.array(peaks)


def test_beats_are_found_where_they_are_and_no_t_wave_is_one():
    signal, truth_s = record([0.8])
    found = r_peaks(signal, RATE) / RATE
    assert len(found) == len(truth_s)
    np.testing.assert_allclose(found, truth_s, atol=0.012)


def test_the_median_beat_is_the_usual_one_whatever_one_of_ten_looks_like():
    usual, _ = beat_and_rhythm(record([0.8])[0], RATE)
    beat, _ = beat_and_rhythm(record([0.8], heights=[1.0] * 9 + [2.5])[0], RATE)
    peak = usual[0].argmax()
    assert beat.shape == usual.shape == (2, 280)
    assert beat[0, peak] == pytest.approx(1.0, abs=0.06)
    assert beat[1, peak] == pytest.approx(-1.0, abs=0.06)


def test_rhythm_measures_tell_rate_irregularity_and_uneven_beats():
    regular, fast, irregular, uneven = (
        beat_and_rhythm(record(rr, heights=heights)[0], RATE)[1]
        for rr, heights in (([0.8], None), ([0.5], None), ([0.5, 0.9, 0.7, 1.1], None), ([0.8], [1.0, 1.6]))
    )
    assert regular[0] == pytest.approx(0.8, abs=0.01)
    assert fast[0] == pytest.approx(0.5, abs=0.01)
    assert irregular[1] > 10 * regular[1]
    assert irregular[2] > 0.2 > regular[2]
    assert uneven[3] > 2 * regular[3]
    assert uneven[5] > 5 * regular[5]


def test_a_record_without_beats_has_no_rhythm_and_finite_numbers():
    beat, rhythm = beat_and_rhythm(np.zeros((2, 1200), np.float32), RATE)
    assert not beat.any()
    assert rhythm.tolist() == [0.0] * RHYTHM_MEASURES


def test_vectors_are_standardised_over_the_fitted_ecgs_and_keep_others_on_that_scale():
    draw = np.random.default_rng(1)
    records = [record([draw.uniform(0.5, 1.1)], heights=[draw.uniform(0.7, 1.5)], seed=i)[0] for i in range(30)]
    space = BeatSpace.of(records, RATE, components=5)
    vectors = space.vectors(records)
    assert vectors.shape == (30, 5 + RHYTHM_MEASURES)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(vectors.std(axis=0), 1, atol=1e-3)
    assert space.weights[0] == 1
    assert (np.diff(space.weights[:5]) < 0).all(), "components in their order"
    assert (space.weights[5:] == 1).all(), "the rhythm's are worth as much as the first"
    slow = space.vectors([record([1.6])[0]])[0, 5]
    assert slow > vectors[:, 5].max(), "slower than all, by their scale"
