"""Two models of one kind beside each other: the first weight, or the first setting, in which they differ."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from torch import nn


def first_difference(module: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """One clause about the first key, in the model's own order, that is missing, of another shape or not expected."""
    expected = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
    for key, shape in expected.items():
        if key not in shapes:
            return f"{key} {shape} is missing"
        if shapes[key] != shape:
            return f"{key} is {shapes[key]} instead of {shape}"
    extra = next((key for key in shapes if key not in expected), None)
    return None if extra is None else f"{extra} {shapes[extra]} is not expected"


def first_setting(found: BaseModel, wanted: BaseModel, *, apart_from: Collection[str] = ()) -> str | None:
    """One clause about the first setting in which two specifications or architectures of one kind differ."""
    theirs = dict(_settings(found.model_dump()))
    for name, ours in _settings(wanted.model_dump()):
        if name not in apart_from and theirs.get(name) != ours:
            return f"{name} is {theirs.get(name)} instead of {ours}"
    return None


def _settings(dumped: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names as `blocks[2].heads`, and values."""
    for name, value in dumped.items():
        if isinstance(value, tuple) and value and isinstance(value[0], dict):
            for number, inner in enumerate(value):
                yield from _settings(inner, f"{prefix}{name}[{number}].")
        else:
            yield f"{prefix}{name}", value
