"""Sizes: consistent, or refused with a sentence that names what does not fit."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from inputs.specs import EcgSpec
from models.architecture import Architecture, EcgArchitecture, EchoBlock, demo, paper
from models.echo_encoder import EchoEncoder
from models.towers import EcgTower, EchoTower


def parameters(*modules: torch.nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize("sizes", [paper(), demo()], ids=["paper", "demo"])
def test_sizes_survive_json(sizes):
    assert Architecture.model_validate_json(sizes.model_dump_json()) == sizes


def test_demo_fits_a_small_bundle():
    with torch.device("meta"):
        ecg, echo, tower = EcgTower(demo()), EchoEncoder(demo().echo, demo().view_dim), EchoTower(demo())
    assert 500_000 <= parameters(ecg.ecg_encoder) <= 1_200_000
    assert 500_000 <= parameters(echo) <= 1_500_000
    assert 4 * parameters(ecg, echo, tower) < 12e6  # bytes in float32


@pytest.mark.parametrize("sizes", [paper(), demo()], ids=["paper", "demo"])
def test_encoders_take_what_the_ecg_specification_prepares(sizes):
    assert (len(EcgSpec().leads), EcgSpec().window_samples) == (sizes.ecg.leads, sizes.ecg.window_samples)


def test_paper_grids_shrink_from_8x56x56_to_8x7x7():
    grids = paper().echo.grids()
    assert grids[0].tokens_in == (8, 56, 56)
    assert [grid.queries[1] for grid in grids] == [56, 28, 28, *[14] * 11, 7, 7]
    assert [grid.keys[1] for grid in grids] == [7, 14, 7, 14, *[7] * 10, 14, 7]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"patch_samples": 25}, "patch_samples"),
        ({"heads": 5}, "heads"),
        ({"depth": 0}, "depth"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_ecg_sizes_that_do_not_fit_are_refused_by_name(change, named):
    with pytest.raises(ValidationError, match=named):
        EcgArchitecture(**change)


def test_echo_stride_that_does_not_divide_the_grid_is_refused_by_block():
    blocks = (*demo().echo.blocks[:-1], EchoBlock(dim=192, heads=4, stride_kv=(1, 3, 3)))
    with pytest.raises(ValidationError, match="stride_kv of block 4"):
        type(demo().echo)(**{**demo().echo.model_dump(), "blocks": blocks})
