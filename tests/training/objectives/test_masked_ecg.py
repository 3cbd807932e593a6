import numpy as np
import pytest
import torch

from ground.progress import silent
from models.architecture import EcgArchitecture
from models.device import Machine
from models.ecg_encoder import EcgEncoder
from training.engine.checkpoint import load_checkpoint
from training.engine.place import Place
from training.engine.schedule import Schedule
from training.objectives.masked_ecg import MaskedReconstruction, pretrain_ecg_encoder, reconstruction_loss
from training.recipes import MaskedEcgPretraining

SIZES = EcgArchitecture(leads=3, window_samples=96, patch_samples=12, embed_dim=24, depth=2, heads=2)
SETTINGS = MaskedEcgPretraining(
    epochs=4, batch_size=16, learning_rate=3e-3, weight_decay=0.01, warmup_epochs=0.5, patience=4,
    decoder_dim=16, decoder_depth=1, decoder_heads=2,
)  # fmt: skip


def encoder():
    torch.manual_seed(0)
    return EcgEncoder(SIZES)


def records(count, seed):
    """Three leads of one wave, so that a hidden patch can be told from the visible ones."""
    draw = np.random.default_rng(seed)
    t = np.arange(120) / 24
    return [
        np.stack([a * np.sin(2 * np.pi * (t + phase)) for a in (1, -1, 0.5)]).astype(np.float32)
        for phase in draw.uniform(0, 1, count)
    ]


def run(folder, settings=SETTINGS, progress=silent):
    model = encoder()
    with Place(folder).logged() as place:
        machine = Machine.named("cpu", progress=progress)
        result = pretrain_ecg_encoder(model, records(64, 1), records(24, 2), settings, place, machine, seed=0)
    return result, model.state_dict()


def test_hidden_samples_reach_neither_the_tokens_nor_the_reconstruction():
    model = MaskedReconstruction(encoder(), SETTINGS).eval()
    windows = torch.randn(4, 3, 96)
    visible = model.choose_visible(4, np.random.default_rng(0))
    shown = torch.zeros(4, 24, dtype=torch.bool).scatter(1, visible, value=True)
    shown = shown.repeat_interleave(12, dim=1).view(4, 3, 96)
    spoilt = torch.where(shown, windows, torch.nan)
    tokens, spoilt_tokens = (model.encoder(x, visible) for x in (windows, spoilt))
    assert torch.equal(tokens, spoilt_tokens)
    assert torch.equal(model.reconstruct(tokens[:, 1:], visible), model.reconstruct(spoilt_tokens[:, 1:], visible))
    other = torch.where(shown, windows + 1.0, windows)
    assert not torch.allclose(tokens, model.encoder(other, visible))


def test_with_every_patch_visible_the_tokens_are_the_encoders_own():
    model, windows = encoder().eval(), torch.randn(2, 3, 96)
    everything = torch.arange(24).expand(2, -1)
    torch.testing.assert_close(model(windows, everything), model(windows))


def test_each_window_keeps_its_own_share_of_patches():
    visible = MaskedReconstruction(encoder(), SETTINGS).choose_visible(500, np.random.default_rng(0))
    assert visible.shape == (500, 6)  # a quarter of 24
    assert all(len(set(row)) == 6 for row in visible.tolist())
    counts = np.bincount(visible.flatten(), minlength=24)
    assert np.abs(counts - 125).max() < 5 * np.sqrt(500 * 0.25 * 0.75)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_loss_equals_a_naive_twin(weight):
    draw = np.random.default_rng(4)
    reconstructed, signal = draw.standard_normal((2, 5, 3, 40)).astype(np.float32)
    hidden = draw.random((5, 3, 40)) < 0.6
    hidden[0, 0] = False  # a lead that nothing is asked of
    errors, correlations = [], []
    for r, s, h in zip(*(x.reshape(15, 40) for x in (reconstructed, signal, hidden)), strict=True):
        errors.extend((r[h] - s[h]) ** 2)
        if h.any():
            correlations.append(np.corrcoef(r[h], s[h])[0, 1])
    expected = (1 - weight) * np.mean(errors) + weight * (1 - np.mean(correlations))
    loss = reconstruction_loss(*map(torch.from_numpy, (reconstructed, signal, hidden)), correlation_weight=weight)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_a_flat_lead_gives_a_finite_gradient():
    reconstructed = torch.zeros(1, 3, 40, requires_grad=True)
    hidden = torch.ones(1, 3, 40, dtype=torch.bool)
    reconstruction_loss(reconstructed, torch.zeros(1, 3, 40), hidden, correlation_weight=0.5).backward()
    assert torch.isfinite(reconstructed.grad).all()


def test_hidden_patches_are_learnt_from_visible_ones(tmp_path):
    result, _ = run(tmp_path, SETTINGS.model_copy(update={"epochs": 120, "patience": 120}))
    untrained = 0.9 * np.mean([1, 1, 0.25]) / 2 + 0.1  # what a flat line scores
    assert -result.best_score < 0.5 * untrained


def test_a_stopped_and_resumed_pretraining_ends_with_the_same_weights(tmp_path):
    whole, weights = run(tmp_path / "whole")

    def stop_after_two(done, total, message):
        if "epoch 2: loss" in message:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", progress=stop_after_two)
    parts, resumed = run(tmp_path / "parts")
    assert parts == whole
    assert all(torch.equal(resumed[name], value) for name, value in weights.items())


def test_a_decoder_whose_heads_do_not_divide_it_is_refused():
    with pytest.raises(ValueError, match="multiple of decoder_heads"):
        MaskedEcgPretraining.model_validate(SETTINGS.model_dump() | {"decoder_heads": 3})


def test_the_rate_ends_near_the_floor_of_the_settings(tmp_path):
    for floor in (0.02, 0.5):
        run(tmp_path / str(floor), SETTINGS.model_copy(update={"lr_floor": floor}))
        (group, *_) = load_checkpoint(tmp_path / str(floor) / "pretrain ecg-last.pt")["optimizer"]["param_groups"]
        last = Schedule(4, 4, 0.5, floor).factor(15)  # 64 records in batches of 16, four epochs
        assert group["lr"] == pytest.approx(3e-3 * last)
        assert last == pytest.approx(floor, abs=0.02)
