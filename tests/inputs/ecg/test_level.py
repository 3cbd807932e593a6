"""What lies beside an ECG is no ECG: a constant on its leads, bits that lost their sign, a unit that is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from inputs.ecg.prepare import FAR_OFF_MV, prepare_ecg
from inputs.ecg.quality import check_ecg
from inputs.errors import UnusableRecording
from inputs.specs import EcgSpec

PUBLISHED = EcgSpec()
CENTRED = EcgSpec(centre="median")


def codes(warnings):
    return [warning.code for warning in warnings]


def offsets_mv(seed, least_mv, most_mv, *, alike):
    random = np.random.default_rng(seed)
    size_mv = np.exp(random.uniform(np.log(least_mv), np.log(most_mv), size=1 if alike else 12))
    return (size_mv * random.choice([-1.0, 1.0], size=len(size_mv)))[:, None] * np.ones((12, 1))


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_with_the_median_off_a_constant_changes_nothing(ecg, seed, alike):
    signal = ecg.signal_mv(seed)
    plain = prepare_ecg(ecg.recording(signal), CENTRED)
    off = prepare_ecg(ecg.recording(signal + offsets_mv(seed, 0.05, 5.0, alike=alike)), CENTRED)
    np.testing.assert_allclose(off.signal_LN, plain.signal_LN, rtol=0, atol=2e-3)
    assert "leads_centred" not in codes(off.warnings)


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_in_the_published_order_leads_far_off_zero_are_centred_all_the_same_and_it_is_said(ecg, seed, alike):
    signal = ecg.signal_mv(seed).astype(np.float64)
    signal -= np.median(signal, axis=1, keepdims=True)
    plain = prepare_ecg(ecg.recording(signal), PUBLISHED)
    off = prepare_ecg(ecg.recording(signal + offsets_mv(seed, 0.11, 5.0, alike=alike)), PUBLISHED)
    np.testing.assert_allclose(off.signal_LN, plain.signal_LN, rtol=0, atol=2e-3)
    (said,) = [warning for warning in off.warnings if warning.code == "leads_centred"]
    assert said.leads == PUBLISHED.leads
    assert "leads_centred" not in codes(plain.warnings)


def test_in_the_published_order_a_lead_near_zero_stays_where_it_is(ecg):
    signal = ecg.signal_mv().astype(np.float64)
    signal -= np.median(signal, axis=1, keepdims=True)
    near = prepare_ecg(ecg.recording(signal + 0.9 * FAR_OFF_MV), PUBLISHED)
    assert "leads_centred" not in codes(near.warnings)
    assert np.abs(near.signal_LN - prepare_ecg(ecg.recording(signal), PUBLISHED).signal_LN).max() > 0


def test_twelve_bits_that_lost_their_sign_are_noticed(ecg):
    counts = np.round(ecg.signal_mv() / 0.005).astype(np.int64)
    read_wrong = ecg.recording((counts & 0xFFF) * 0.005)
    (said,) = [one for one in check_ecg(read_wrong, PUBLISHED).warnings if one.code == "samples_wrapped"]
    assert set(said.leads) >= {"I", "II", "V5"}
    assert "samples_wrapped" not in codes(check_ecg(ecg.recording(counts * 0.005), PUBLISHED).warnings)


def test_a_unit_that_is_wrong_by_a_thousand_is_noticed(ecg):
    found = check_ecg(ecg.recording(1000.0 * ecg.signal_mv()), PUBLISHED)
    assert "amplitude_implausible" in codes(found.warnings)
    with pytest.raises(UnusableRecording, match="flat") as refused:
        check_ecg(ecg.recording(0.001 * ecg.signal_mv()), PUBLISHED)
    assert "unit" in refused.value.hint
