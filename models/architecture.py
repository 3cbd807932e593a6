"""The sizes of both towers, as data: stored in every bundle, so that weights are never loaded into another geometry."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inputs.specs import EcgSpec, EchoSpec

Size3 = tuple[int, int, int]
"""Frames, rows, columns."""


class EcgArchitecture(BaseModel):
    """A vision transformer over patches of one lead each (OTiS base at the paper's size)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    leads: int = Field(default=12, ge=1)
    window_samples: int = Field(default=1008, ge=1)
    patch_samples: int = Field(default=24, ge=1)
    embed_dim: int = Field(default=192, ge=4)
    depth: int = Field(default=12, ge=1)
    heads: int = Field(default=3, ge=1)
    mlp_ratio: int = Field(default=4, ge=1)
    drop_path: float = Field(default=0.1, ge=0, lt=1)
    """Stochastic depth of the last block in training; it grows linearly from 0 in the first."""

    @model_validator(mode="after")
    def _sizes_divide(self) -> EcgArchitecture:
        if self.window_samples % self.patch_samples:
            raise ValueError("window_samples must be a multiple of patch_samples")
        if self.embed_dim % self.heads or self.embed_dim % 4:
            raise ValueError("embed_dim must be a multiple of heads and of 4")
        return self

    @property
    def patches_per_lead(self) -> int:
        return self.window_samples // self.patch_samples


class EchoBlock(BaseModel):
    """One row of the multiscale table: output width, heads, and how far queries and keys are pooled."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dim: int = Field(ge=1)
    heads: int = Field(ge=1)
    stride_q: Size3 = (1, 1, 1)
    stride_kv: Size3 = (1, 1, 1)

    @model_validator(mode="after")
    def _heads_divide(self) -> EchoBlock:
        if self.dim % self.heads:
            raise ValueError("dim must be a multiple of heads")
        return self


class BlockGrid(NamedTuple):
    """Token grids inside one block: what comes in, what queries (and the output) have, what keys and values have."""

    tokens_in: Size3
    queries: Size3
    keys: Size3


class EchoArchitecture(BaseModel):
    """A multiscale vision transformer with pooled attention over one clip (MViTv2-S at the paper's size)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    frames: int = Field(ge=1)
    size: int = Field(ge=8)
    stem_dim: int = Field(ge=1)
    patch_kernel: Size3
    patch_stride: Size3
    blocks: tuple[EchoBlock, ...] = Field(min_length=1)
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    """Stochastic depth of the last block in training; it grows linearly from 0 in the first."""

    @model_validator(mode="after")
    def _grids_divide(self) -> EchoArchitecture:
        self.grids()
        return self

    def grids(self) -> tuple[BlockGrid, ...]:
        """Token grid of every block; ValueError where a stride does not divide it."""
        grid = _divided((self.frames, self.size, self.size), self.patch_stride, "patch_stride")
        grids = []
        for i, block in enumerate(self.blocks):
            queries = _divided(grid, block.stride_q, f"stride_q of block {i}")
            grids.append(BlockGrid(grid, queries, _divided(grid, block.stride_kv, f"stride_kv of block {i}")))
            grid = queries
        return tuple(grids)


class Architecture(BaseModel):
    """Both towers: encoders, view pooling and the shared embedding space."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ecg: EcgArchitecture
    echo: EchoArchitecture
    view_dim: int = Field(default=512, ge=1)
    """Length of one echo view's vector: the echo encoder's head."""
    projection_dim: int = Field(default=1024, ge=1)
    """Width in which the views of a study are pooled; length of a study token."""
    embedding_dim: int = Field(default=512, ge=1)
    """Length of the aligned vectors of both towers."""
    pool_heads: int = Field(default=4, ge=1)
    pool_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the pooling weights in training."""

    @model_validator(mode="after")
    def _pool_heads_divide(self) -> Architecture:
        if self.projection_dim % self.pool_heads:
            raise ValueError("projection_dim must be a multiple of pool_heads")
        return self

    def check_prepared(self, ecg: EcgSpec, echo: EchoSpec) -> None:
        """ValueError where specifications prepare something else than the encoders take."""
        for spec, part, name, prepared, taken in (
            ("ECG", "windows", "ecg.leads", len(ecg.leads), self.ecg.leads),
            ("ECG", "windows", "ecg.window_samples", ecg.window_samples, self.ecg.window_samples),
            ("echo", "clips", "echo.frames", echo.frames, self.echo.frames),
            ("echo", "clips", "echo.size", echo.size, self.echo.size),
        ):
            if prepared != taken:
                raise ValueError(
                    f"the {spec} specification prepares other {part} than the {spec} encoder takes: "
                    f"{name} is {prepared} and architecture.{name} {taken}"
                )

    @property
    def features_dim(self) -> int:
        """Length of the ECG feature vector that probes use."""
        return self.ecg.embed_dim


def paper() -> Architecture:
    """The published sizes (arXiv 2603.08505): OTiS base, MViTv2-S for video, 512-d embeddings."""
    middle = EchoBlock(dim=384, heads=4, stride_kv=(1, 2, 2))
    return Architecture(
        ecg=EcgArchitecture(),
        echo=EchoArchitecture(
            frames=16,
            size=224,
            stem_dim=96,
            patch_kernel=(3, 7, 7),
            patch_stride=(2, 4, 4),
            blocks=(
                EchoBlock(dim=96, heads=1, stride_kv=(1, 8, 8)),
                EchoBlock(dim=192, heads=2, stride_q=(1, 2, 2), stride_kv=(1, 4, 4)),
                EchoBlock(dim=192, heads=2, stride_kv=(1, 4, 4)),
                EchoBlock(dim=384, heads=4, stride_q=(1, 2, 2), stride_kv=(1, 2, 2)),
                *[middle] * 10,
                EchoBlock(dim=768, heads=8, stride_q=(1, 2, 2)),
                EchoBlock(dim=768, heads=8),
            ),
            drop_path=0.2,
        ),
        pool_dropout=0.1,
    )


def demo() -> Architecture:
    """The same classes, small enough to train and serve on two CPU cores."""
    return Architecture(
        ecg=EcgArchitecture(patch_samples=48, embed_dim=96, depth=5, heads=3),
        echo=EchoArchitecture(
            frames=16,
            size=64,
            stem_dim=48,
            patch_kernel=(3, 7, 7),
            patch_stride=(2, 8, 8),
            blocks=(
                EchoBlock(dim=48, heads=1, stride_kv=(1, 4, 4)),
                EchoBlock(dim=96, heads=2, stride_q=(1, 2, 2), stride_kv=(1, 4, 4)),
                EchoBlock(dim=96, heads=2, stride_kv=(1, 2, 2)),
                EchoBlock(dim=192, heads=4, stride_q=(1, 2, 2), stride_kv=(1, 2, 2)),
                EchoBlock(dim=192, heads=4),
            ),
        ),
        view_dim=128,
        projection_dim=256,
        embedding_dim=128,
    )


def tiny() -> Architecture:
    """Small enough to see a whole training run in a minute; too small to learn anything."""
    return Architecture(
        ecg=EcgArchitecture(patch_samples=84, embed_dim=48, depth=2, heads=2),
        echo=EchoArchitecture(
            frames=8,
            size=32,
            stem_dim=24,
            patch_kernel=(3, 7, 7),
            patch_stride=(2, 8, 8),
            blocks=(EchoBlock(dim=24, heads=1, stride_kv=(1, 2, 2)), EchoBlock(dim=48, heads=2)),
        ),
        view_dim=32,
        projection_dim=64,
        embedding_dim=32,
        pool_heads=2,
    )


def _divided(grid: Size3, stride: Size3, name: str) -> Size3:
    if any(s < 1 or n % s for n, s in zip(grid, stride, strict=True)):
        raise ValueError(f"{name} {stride} does not divide the grid {grid}")
    return (grid[0] // stride[0], grid[1] // stride[1], grid[2] // stride[2])
