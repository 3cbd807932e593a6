"""The shape of an ECG: blind to what preparation does not keep, and turned round by time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inputs.records import STANDARD_LEADS
from inputs.specs import EcgSpec
from models.ecg_shape import SHAPE_SIZES, describable, describe_windows

SPEC = EcgSpec()
STREAM = np.random.default_rng(6)


def beats(windows=2):
    """Windows with a P, QRS and T in every lead, limb leads as Einthoven wants them."""
    t_s = np.arange(SPEC.window_samples) / SPEC.rate_hz
    waves = np.zeros((windows, 8, len(t_s)))
    for window in range(windows):
        for onset_s in np.arange(0.1 + 0.3 * window, 2.5, 0.8):
            for at_s, width_s, height in ((0.0, 0.02, 0.15), (0.16, 0.01, 1.0), (0.45, 0.05, 0.35)):
                wave = height * np.exp(-0.5 * ((t_s - onset_s - at_s) / width_s) ** 2)
                waves[window] += np.linspace(0.5, 1.5, 8)[:, None] * wave
    waves += STREAM.normal(0, 0.01, waves.shape)
    one, two = waves[:, 0], waves[:, 1]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return 10 * torch.from_numpy(np.concatenate([np.stack(limb, axis=1), waves[:, 2:]], axis=1)).float()[None]


def in_groups(windows, gains, offsets):
    moved = windows.clone()
    for (first, last), gain, offset in zip(SPEC.normalisation_groups, gains, offsets, strict=True):
        moved[:, :, first:last] = gain * moved[:, :, first:last] + offset
    return moved


def test_offsets_of_lead_groups_and_one_gain_for_all_do_not_count():
    windows = beats()
    moved = in_groups(windows, (3.0, 3.0, 3.0), (1.0, -2.0, 0.3))
    for before, after in zip(describe_windows(windows, SPEC), describe_windows(moved, SPEC), strict=True):
        assert torch.allclose(before, after, atol=1e-2)


def test_the_agreement_of_leads_does_not_compare_the_scales_of_groups():
    windows = beats()
    moved = in_groups(windows, (3.0, 15.0, 0.7), (1.0, -2.0, 0.3))
    agreement = describe_windows(moved, SPEC).leads_BS
    assert torch.allclose(describe_windows(windows, SPEC).leads_BS, agreement, atol=1e-2)


@pytest.mark.parametrize("spec", [SPEC, EcgSpec(rate_hz=250.0, window_samples=500)])
def test_an_ecg_gives_as_many_numbers_as_the_sizes_say(spec):
    shape = describe_windows(torch.randn(1, 1, 12, spec.window_samples), spec)
    assert [kind.shape[1] for kind in shape] == [SHAPE_SIZES[kind] for kind in ("leads", "texture", "direction")]


def test_bands_are_shares_of_the_power_of_a_sine_and_its_neighbour():
    """Six parts of ten at 3 Hz, the rest at 30 Hz: whole periods, so that no power leaks."""
    t_s = torch.arange(SPEC.window_samples, dtype=torch.float32) / SPEC.rate_hz
    hz = [round(wanted * SPEC.window_samples / SPEC.rate_hz) * SPEC.rate_hz / SPEC.window_samples for wanted in (3, 30)]
    wave = sum(share**0.5 * torch.sin(2 * torch.pi * f * t_s) for share, f in zip((0.6, 0.4), hz, strict=True))
    texture = describe_windows(wave.expand(1, 1, 12, -1), SPEC).texture_BS
    assert (10 ** texture[0, :7]).numpy() == pytest.approx([0, 0.6, 0, 0, 0.4, 0, 0], abs=1e-3)


def test_time_backwards_changes_the_sign_of_direction_and_nothing_else():
    windows = beats()
    forwards, backwards = describe_windows(windows, SPEC), describe_windows(windows.flip(-1), SPEC)
    assert forwards.direction_BS.abs().max() > 0.15
    assert torch.allclose(forwards.direction_BS, -backwards.direction_BS, atol=1e-4)
    assert torch.allclose(forwards.texture_BS, backwards.texture_BS, atol=1e-4)
    assert torch.allclose(forwards.leads_BS, backwards.leads_BS, atol=1e-4)


def test_exchanged_limb_leads_break_the_agreement():
    windows = beats()
    agreement = describe_windows(windows, SPEC).leads_BS[0, :5]
    assert (agreement < -1.9).all(), "Einthoven's and Goldberger's laws hold"
    exchanged = windows[:, :, [1, 0, *range(2, 12)]]
    assert describe_windows(exchanged, SPEC).leads_BS[0, :5].max() > -1


def test_lead_order_is_taken_by_name():
    windows = beats()
    turned = SPEC.model_copy(update={"leads": STANDARD_LEADS[::-1]})
    for a, b in zip(describe_windows(windows, SPEC), describe_windows(windows.flip(2), turned), strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_a_batch_is_described_row_by_row():
    windows = torch.cat([beats(), torch.randn(1, 2, 12, SPEC.window_samples)])
    for both, one in zip(describe_windows(windows, SPEC), describe_windows(windows[1:], SPEC), strict=True):
        assert torch.allclose(both[1:], one, atol=1e-5)


@pytest.mark.parametrize("flat", [slice(None), slice(0, 1), slice(3, 6)])
def test_lost_leads_give_numbers(flat):
    windows = beats()
    windows[:, :, flat] = 0
    assert all(torch.isfinite(kind).all() for kind in describe_windows(windows, SPEC))


def test_windows_too_short_or_of_other_leads_cannot_be_described():
    assert describable(SPEC)
    assert not describable(EcgSpec(window_samples=480))
    assert not describable(EcgSpec(leads=(*STANDARD_LEADS[:11], "V7")))
