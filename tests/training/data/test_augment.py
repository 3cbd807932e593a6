from pathlib import Path

import numpy as np
import pytest
import torch

from training.data.augment import (
    Augmentation,
    augment,
    fourier_surrogate,
    jitter,
    positive_frequencies,
    rescale,
    sign_flip,
    time_flip,
)

PUBLISHED = np.load(Path(__file__).parents[1] / "data" / "published.npz")
STILL = Augmentation(
    fourier_probability=0, jitter_strength=0, rescale_sd=0, time_flip_probability=0, sign_flip_probability=0
)


def published(name):
    return torch.from_numpy(PUBLISHED[f"augment_{name}"])[None]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_each_augmentation_equals_the_published_one_given_its_draws():
    x, yes = published("in"), torch.tensor([True])
    ours = {
        "ft_out": fourier_surrogate(x, torch.from_numpy(PUBLISHED["augment_ft_u"]), strength=0.075),
        "jitter_out": jitter(x, published("jitter_noise"), strength=0.6),
        "rescale_out": rescale(x, torch.tensor([float(PUBLISHED["augment_rescale_factor"])])),
        "time_flip_out": time_flip(x, yes),
        "sign_flip_out": sign_flip(x, yes),
    }
    for name, value in ours.items():
        np.testing.assert_allclose(value.numpy(), published(name).numpy(), atol=1e-5, err_msg=name)


@pytest.mark.parametrize("samples", [1008, 1009])
def test_fourier_surrogate_equals_a_naive_two_sided_transform(samples):
    draw = np.random.default_rng(1)
    x, u = draw.standard_normal((3, samples)), draw.uniform(size=positive_frequencies(samples))
    spectrum = np.fft.fft(x, axis=-1)
    for k in range(1, len(u) + 1):
        spectrum[:, k] *= np.exp(2j * np.pi * 0.2 * u[k - 1])
        spectrum[:, samples - k] *= np.exp(-2j * np.pi * 0.2 * u[k - 1])
    ours = fourier_surrogate(torch.from_numpy(x)[None], torch.from_numpy(u)[None], strength=0.2)[0]
    np.testing.assert_allclose(ours.numpy(), np.fft.ifft(spectrum, axis=-1).real, atol=1e-10)


def test_nothing_switched_on_changes_nothing():
    x = torch.randn(4, 12, 64, generator=generator())
    assert torch.equal(augment(x, STILL, generator()), x)


def test_input_is_not_written_to():
    x = torch.randn(16, 2, 64, generator=generator())
    before = x.clone()
    augment(x, Augmentation(), generator())
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("time_flip_probability", lambda x, y: (y == x.flip(-1)).all(-1).all(-1)),
        ("sign_flip_probability", lambda x, y: (y == -x).all(-1).all(-1)),
        ("fourier_probability", lambda x, y: (y != x).any(-1).any(-1)),
    ],
)
def test_each_window_is_chosen_with_its_probability_for_all_leads_at_once(field, changed):
    x = torch.randn(4000, 2, 16, generator=generator(5))
    y = augment(x, STILL.model_copy(update={field: 0.33}), generator(6))
    which = changed(x, y)
    assert which.float().mean().item() == pytest.approx(0.33, abs=0.03)
    assert torch.equal(y[~which], x[~which])


def test_rescaling_draws_one_normal_factor_per_window():
    x = torch.ones(4000, 3, 8)
    factor = augment(x, STILL.model_copy(update={"rescale_sd": 0.5}), generator())
    assert torch.equal(factor, factor[:, :1, :1].expand_as(factor))
    assert factor[:, 0, 0].mean().item() == pytest.approx(1.0, abs=0.03)
    assert factor[:, 0, 0].std().item() == pytest.approx(0.5, abs=0.03)
    assert factor.min() < 0


def test_jitter_is_independent_per_sample_and_scales_with_the_signal():
    x = torch.full((50, 12, 100), 2.0)
    difference = augment(x, STILL.model_copy(update={"jitter_strength": 0.6}), generator()) - x
    assert difference.std().item() == pytest.approx(2.0 * 0.6 * 0.2, rel=0.02)
    assert abs(np.corrcoef(difference[:, 0].flatten(), difference[:, 1].flatten())[0, 1]) < 0.05


def test_same_generator_state_gives_the_same_windows():
    x = torch.randn(8, 12, 64, generator=generator())
    assert torch.equal(augment(x, Augmentation(), generator(9)), augment(x, Augmentation(), generator(9)))
