"""The published implementation's numbers, within the tolerances that its own fp32 error leaves."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from models.architecture import paper
from models.echo_encoder import EchoEncoder
from models.layers import folded_projection
from models.towers import EcgTower, EchoTower

TOKENS, VECTORS, CLIPS = 5e-4, 2e-5, 1e-3


def assert_within(found: torch.Tensor, expected: np.ndarray, tolerance: float) -> None:
    assert tuple(found.shape) == expected.shape
    assert np.abs(found.numpy() - expected).max() <= tolerance


def test_seeded_inputs_and_weights_are_the_ones_the_numbers_were_made_with(published):
    numbers = published.numbers
    digests = {
        "ecg_input_sha256": published.ecg_windows,
        "views_sha256": published.views[0],
        "clips_sha256": published.clips,
    }
    for key, tensor in digests.items():
        assert hashlib.sha256(tensor.numpy().tobytes()).hexdigest() == str(numbers[key]), key
    for component in ("ecg_encoder", "echo_view_aggregator"):
        joined = hashlib.sha256(b"".join(w.numpy().tobytes() for w in published.weights(component).values()))
        assert joined.hexdigest() == published.components[component]["sha256"]


def test_keys_and_shapes_equal_the_published_components(published, published_ecg_tower, published_echo_tower):
    with torch.device("meta"):
        modules = {"echo_encoder": EchoEncoder(paper().echo, paper().view_dim)}
    modules |= dict(published_ecg_tower.named_children()) | dict(published_echo_tower.named_children())
    assert modules.keys() == published.components.keys()
    for name, module in modules.items():
        shapes = {key: list(tensor.shape) for key, tensor in module.state_dict().items()}
        assert shapes == published.components[name]["shapes"], name


def test_exactly_12_470_368_parameters_train_beside_the_frozen_echo_encoder():
    with torch.device("meta"):
        towers = [EcgTower(paper()), EchoTower(paper())]
    assert sum(p.numel() for tower in towers for p in tower.parameters() if p.requires_grad) == 12_470_368
    assert sum(p.numel() for p in towers[0].ecg_encoder.parameters() if p.requires_grad) == 7_123_680


def test_patch_embedding(published, published_ecg_tower):
    embedded = published_ecg_tower.ecg_encoder.patch_embed(published.ecg_windows)
    grid_BDLP = embedded.view(4, 12, 42, 192).permute(0, 3, 1, 2)
    assert_within(grid_BDLP[:, :, ::5, ::13], published.numbers["ecg_patch_embed_slice"], VECTORS)


@pytest.mark.parametrize("folded", [False, True], ids=["in training", "folded for inference"])
def test_ecg_tokens_features_and_vectors(published, published_ecg_tower, folded):
    numbers, tower = published.numbers, published_ecg_tower
    encoder = tower.ecg_encoder.folded() if folded else tower.ecg_encoder
    tokens = encoder(published.ecg_windows)
    assert_within(tokens[:, torch.from_numpy(numbers["ecg_token_rows"])], numbers["ecg_tokens_slice"], TOKENS)
    assert_within(tokens.mean(dim=(1, 2)), numbers["ecg_tokens_mean"], VECTORS)
    assert_within(tokens.flatten(1).std(dim=1), numbers["ecg_tokens_std"], VECTORS)
    assert np.allclose(tokens.flatten(1).double().norm(dim=1).numpy(), numbers["ecg_tokens_l2"], rtol=1e-6)
    assert_within(tokens.mean(dim=1), numbers["ecg_cls_plus_all_token_mean_no_ln"], TOKENS)
    features = tower.token_aggregator(tokens)
    assert_within(features, numbers["ecg_global_token"], VECTORS)
    aligned = tower.ecg_alignment_global_token(features)
    assert_within(aligned, numbers["ecg_aligned"], VECTORS)
    assert_within(F.normalize(aligned, dim=1), numbers["ecg_aligned_l2norm"], VECTORS)


def test_attention_of_the_last_block_looks_where_the_published_one_does(published, published_ecg_tower):
    block = published_ecg_tower.ecg_encoder.blocks[11]
    seen = []
    hook = block.attn.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    published_ecg_tower.ecg_encoder(published.ecg_windows)
    hook.remove()
    folded = folded_projection(block.attn)
    q, k, _ = F.linear(seen[0], folded.qkv_weight, folded.qkv_bias).view(4, 505, 3, 3, 64).permute(2, 0, 3, 1, 4)
    row0 = (q[:, :, :1] @ k.transpose(2, 3) / 8).softmax(dim=3).mean(dim=1)[:, 0]
    assert_within(row0, published.numbers["ecg_block11_attn_mean_row0"], VECTORS)


def test_study_tokens_and_vectors_of_1_3_17_and_128_views(published, published_echo_tower):
    numbers, (views, present) = published.numbers, published.views
    projected = published_echo_tower.echo_projection_for_agg(views)
    assert_within(projected[:, :2, :64], numbers["echo_projected_slice"], VECTORS)
    study = published_echo_tower(views, present)
    assert_within(study.tokens_BP, numbers["echo_study_token"], VECTORS)
    assert_within(study.aligned_BD, numbers["echo_aligned"], VECTORS)
    assert_within(F.normalize(study.aligned_BD, dim=1), numbers["echo_aligned_l2norm"], VECTORS)


def test_128_views_without_padding(published, published_echo_tower):
    views = published.views[0][3:]
    study = published_echo_tower(views, torch.ones(1, 128, dtype=torch.bool))
    assert_within(study.tokens_BP, published.numbers["echo_study_token_128_no_mask"], VECTORS)


def test_similarity_of_the_four_pairs(published, published_ecg_tower, published_echo_tower):
    _, ecgs = published_ecg_tower(published.ecg_windows)
    studies = published_echo_tower(*published.views).aligned_BD
    similarity = F.normalize(ecgs, dim=1) @ F.normalize(studies, dim=1).T
    assert_within(similarity, published.numbers["similarity_4x4"], VECTORS)


def test_clip_vectors_with_and_without_alignment(published, published_echo_tower):
    with torch.device("meta"):
        encoder = EchoEncoder(paper().echo, paper().view_dim).eval().requires_grad_(False)
    encoder.load_state_dict(published.weights("echo_encoder"), assign=True)
    views = encoder(published.clips)
    assert_within(views, published.numbers["mvit_embedding"], CLIPS)
    assert_within(published_echo_tower.single_view(views), published.numbers["single_view_aligned"], CLIPS)
