"""The device is what was asked for, or a sentence."""

from __future__ import annotations

import pytest
import torch

from ground.errors import Refusal
from models.device import resolve_device


def test_auto_takes_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(Refusal, match="only 2 CUDA devices"):
        resolve_device("cuda:2")


def test_cuda_that_is_not_there_is_refused_rather_than_replaced(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Refusal, match="this machine has none"):
        resolve_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:x", ""])
def test_other_names_are_refused_with_the_ones_that_work(name):
    with pytest.raises(Refusal, match="use auto, cpu, cuda or cuda:N"):
        resolve_device(name)
