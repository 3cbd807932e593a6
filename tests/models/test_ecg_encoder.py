"""The ECG encoder against a plain twin that projects twice, as published, and its behaviour in training."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from models.architecture import EcgArchitecture
from models.ecg_encoder import EcgEncoder, time_positions
from models.layers import DoubleProjectionAttention, DropPath

SIZES = EcgArchitecture(leads=3, window_samples=96, patch_samples=24, embed_dim=48, depth=3, heads=3, drop_path=0.0)


def random_encoder(seed: int, sizes: EcgArchitecture = SIZES) -> EcgEncoder:
    torch.manual_seed(seed)
    encoder = EcgEncoder(sizes)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return encoder


def attended_plainly(attention: DoubleProjectionAttention, x: torch.Tensor) -> torch.Tensor:
    """Project, let nn.MultiheadAttention project again and attend with explicit weights, project."""
    q, k, v = attention.qkv(x).chunk(3, dim=2)
    mixed, _ = attention.mha(q, k, v, need_weights=True)
    return attention.proj(mixed)


def encoded_plainly(encoder: EcgEncoder, windows: torch.Tensor) -> torch.Tensor:
    sizes = encoder.sizes
    x = encoder.patch_embed.proj(windows[:, None])  # (B, D, L, P)
    x = F.gelu(encoder.patch_embed.norm(x.flatten(2).transpose(1, 2)))
    rows = []
    for lead in range(sizes.leads):
        for patch in range(sizes.patches_per_lead):
            rows.append(torch.cat([encoder.pos_embed_y.weight[lead + 1], encoder.pos_embed_x[0, patch + 1]]))
    x = torch.cat([encoder.cls_token.expand(len(x), -1, -1), x + torch.stack(rows)], dim=1)
    for block in encoder.blocks:
        x = x + attended_plainly(block.attn, block.norm1(x))
        x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
    return x


@pytest.mark.parametrize("seed", range(2))
def test_folding_changes_neither_tokens_nor_unit_vectors(seed):
    encoder = random_encoder(seed, EcgArchitecture(depth=2, drop_path=0.0)).eval()
    windows = torch.randn(2, 12, 1008)
    with torch.no_grad():
        plain, in_graph, folded = encoded_plainly(encoder, windows), encoder(windows), encoder.folded()(windows)
    for tokens in (in_graph, folded):
        assert (tokens - plain).abs().max() <= 5e-4
        pooled, expected = F.normalize(tokens.mean(dim=1), dim=1), F.normalize(plain.mean(dim=1), dim=1)
        assert (pooled - expected).abs().max() <= 2e-5


def test_every_parameter_gets_the_gradient_that_projecting_twice_gives_it():
    encoder = random_encoder(0).double()
    windows, weights = torch.randn(2, 3, 96, dtype=torch.float64), torch.randn(2, 13, 48, dtype=torch.float64)
    gradients = []
    for forward in (encoder, lambda x: encoded_plainly(encoder, x)):
        encoder.zero_grad()
        (forward(windows) * weights).sum().backward()
        gradients.append({name: p.grad.clone() for name, p in encoder.named_parameters()})
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-8, atol=1e-10), name


def test_folding_leaves_the_trained_encoder_as_it_was():
    encoder = random_encoder(1)
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    folded = encoder.folded()
    assert all(torch.equal(before[key], tensor) for key, tensor in encoder.state_dict().items())
    assert all(p.requires_grad for p in encoder.parameters())
    assert not any(p.requires_grad for p in folded.parameters())


def test_folding_twice_is_folding_once():
    folded = random_encoder(2).folded()
    windows = torch.randn(2, 3, 96)
    assert torch.equal(folded.folded()(windows), folded(windows))


def test_an_ecg_alone_and_in_a_batch_gives_the_same_tokens():
    encoder, windows = random_encoder(3).eval(), torch.randn(5, 3, 96)
    with torch.no_grad():
        assert torch.allclose(encoder(windows)[2], encoder(windows[2:3])[0], atol=1e-5)


def test_swapped_leads_give_other_features():
    encoder, windows = random_encoder(4).eval(), torch.randn(1, 3, 96)
    with torch.no_grad():
        pooled, swapped = (encoder(w)[:, 1:].mean(dim=1) for w in (windows, windows[:, [1, 0, 2]]))
    assert (pooled - swapped).abs().max() > 1e-2


def test_the_padding_row_of_the_lead_table_stays_zero_in_training():
    encoder = EcgEncoder(SIZES)
    encoder(torch.randn(1, 3, 96)).square().sum().backward()
    assert encoder.pos_embed_y.weight[0].abs().max() == 0
    assert encoder.pos_embed_y.weight.grad[0].abs().max() == 0


@pytest.mark.parametrize("shape", [(1, 3, 95), (1, 2, 96), (3, 96)])
def test_windows_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(batch, 3, 96\)"):
        EcgEncoder(SIZES)(torch.zeros(shape))


def test_time_positions_are_sines_then_cosines_after_a_zero_row():
    table = time_positions(4, 6)[0]
    assert table[0].abs().max() == 0
    assert table[3, 1] == pytest.approx(torch.tensor(2 * 10000 ** (-1 / 3)).sin().item(), abs=1e-6)
    assert table[3, 5] == pytest.approx(torch.tensor(2 * 10000 ** (-2 / 3)).cos().item(), abs=1e-6)


def test_drop_path_drops_whole_samples_keeps_the_mean_and_rests_in_inference():
    torch.manual_seed(0)
    layer, x = DropPath(0.25), torch.ones(4000, 2, 3)
    dropped = layer.train()(x)
    per_sample = dropped.flatten(1)
    assert (per_sample == per_sample[:, :1]).all()
    assert set(per_sample[:, 0].tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.04)  # 4 standard errors
    assert torch.equal(layer.eval()(x), x)


def test_deeper_blocks_drop_more():
    encoder = EcgEncoder(SIZES.model_copy(update={"drop_path": 0.1}))
    assert [block.drop_path.probability for block in encoder.blocks] == pytest.approx([0.0, 0.05, 0.1])


def test_half_precision_does_not_touch_the_folding():
    encoder, windows = random_encoder(5).eval(), torch.randn(2, 3, 96)
    with torch.no_grad():
        exact = encoder(windows)[:, 1:].mean(dim=1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = encoder(windows)[:, 1:].mean(dim=1)
    assert nn.functional.cosine_similarity(exact, half.float()).min() >= 0.999


def test_gradients_of_visible_patches_are_the_same_every_time_on_several_threads():
    sizes = SIZES.model_copy(update={"leads": 12, "window_samples": 480})
    encoder = random_encoder(6, sizes)
    windows = torch.randn(64, 12, 480)
    visible = torch.rand(64, 240).argsort(dim=1)[:, :120].sort(dim=1).values
    threads, found = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        for _ in range(6):
            encoder.zero_grad()
            encoder(windows, visible).square().sum().backward()
            found.append(encoder.pos_embed_y.weight.grad.clone())
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(found[0], other) for other in found)
