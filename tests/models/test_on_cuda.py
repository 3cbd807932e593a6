"""The models on a GPU against the same models on the CPU. Nothing here says anything where there is no CUDA device."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from models.bundle import Bundle

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

RNG = np.random.default_rng(22)
WINDOWS = RNG.normal(size=(70, 2, 12, 1008)).astype(np.float32)


def lowest_cosine(a, b):
    a, b = (torch.as_tensor(x).cpu().double() for x in (a, b))
    return torch.nn.functional.cosine_similarity(a, b, dim=1).min().item()


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.99999), ("bf16", 0.999)])
def test_a_bundle_gives_the_cpus_vectors(bundle_dir, precision, least):
    cpu, gpu = Bundle.load(bundle_dir, device="cpu"), Bundle.load(bundle_dir, device="cuda", precision=precision)
    assert lowest_cosine(cpu.embed_ecgs(WINDOWS).embeddings_BD, gpu.embed_ecgs(WINDOWS).embeddings_BD) >= least
    clips = RNG.normal(size=(5, 3, 16, 64, 64)).astype(np.float32)
    assert lowest_cosine(cpu.embed_clips(clips), gpu.embed_clips(clips)) >= least
    views = RNG.normal(size=(4, 128)).astype(np.float32)
    studies = [bundle.pool_study(views).embedding_D[None] for bundle in (cpu, gpu)]
    assert lowest_cosine(*studies) >= least


def test_the_published_encoder_keeps_its_direction_in_bf16(published_ecg_tower):
    windows = torch.from_numpy(WINDOWS[:16, 0]).cuda()
    tower = deepcopy(published_ecg_tower).cuda()
    with torch.inference_mode():
        exact = published_ecg_tower(windows.cpu())[1]
        with torch.autocast("cuda", dtype=torch.bfloat16):
            half = tower(windows)[1]
    assert lowest_cosine(exact, half.float()) >= 0.999
