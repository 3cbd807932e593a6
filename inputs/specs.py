"""What preparation does, as data: stored in every bundle, so that training and serving cannot drift apart."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from inputs.records import STANDARD_LEADS, PreparedFor

Amplitude = Literal["millivolt", "relative"]


class EcgSpec(BaseModel):
    """ECG preparation (arXiv 2603.08505; values measured on the published implementation).

    Order: lead selection by name, level and gaps (`centre`), resample to `rate_hz`, clip at +-`clip_sd` standard
    deviations of the whole record around zero, subtract an asymmetric-least-squares baseline, z-score each lead
    group, cut windows of `window_samples`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rate_hz: float = Field(default=400.0, gt=0)
    amplitude: Amplitude = "millivolt"
    """What training saw. `relative`: ECGs without a unit, such as z-scores of each lead."""
    leads: tuple[str, ...] = STANDARD_LEADS
    centre: Literal["none", "median"] = "none"
    """`none`: the published order, which clips around zero, so that a lead far off zero is cut; one whose median lies
    more than 0.1 mV off zero is centred all the same. `median`: the median of every lead is taken off before the clip,
    and a constant changes nothing. Missing samples lie at the median of their lead."""
    clip_sd: float = Field(default=4.0, gt=0)
    baseline_lambda: float = Field(default=1e7, gt=0)
    baseline_p: float = Field(default=0.3, gt=0, lt=1)
    baseline_iterations: int = Field(default=5, ge=1)
    normalisation_groups: tuple[tuple[int, int], ...] = ((0, 3), (3, 6), (6, 12))
    variance_floor: float = Field(default=1e-12, gt=0)
    window_samples: int = Field(default=1008, ge=1)
    windows: Literal["first", "mean"] = "first"
    """`first`: one window from the start, as published. `mean`: the vectors of evenly spaced windows are averaged."""
    max_windows: int = Field(default=4, ge=1)

    @model_serializer(mode="wrap")
    def _as_before_there_was_a_choice(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is as it always was: names of what was prepared in the published order stay as they were."""
        fields: dict[str, Any] = written(self)
        for name, always in (("centre", "none"), ("amplitude", "millivolt")):
            if fields[name] == always:
                del fields[name]
        return fields

    @model_validator(mode="after")
    def _groups_cover_leads(self) -> EcgSpec:
        covered = [i for a, b in self.normalisation_groups for i in range(a, b)]
        if covered != list(range(len(self.leads))):
            raise ValueError("normalisation_groups must cover every lead once, in order")
        return self


class EchoSpec(BaseModel):
    """Echo clip preparation: frame choice, square crop, zoom, cubic resize on uint8, normalisation of 0..255 values."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    frames: int = Field(default=16, ge=1)
    stride: int = Field(default=2, ge=1)
    size: int = Field(default=224, ge=8)
    zoom: float = Field(default=0.1, ge=0, lt=0.5)
    mean: tuple[float, float, float] = (29.110628, 28.076836, 29.096405)
    std: tuple[float, float, float] = (47.989223, 46.456997, 47.20083)
    padding: Literal["black_frames", "zeros_after_normalising"] = "black_frames"
    mask_outside_sector: bool = False
    """EchoPrime's own pipeline blackens everything outside the moving ultrasound sector before anything else."""
    max_views: int = Field(default=128, ge=1)

    @property
    def frames_needed(self) -> int:
        """How many frames of a file decide the prepared clip. Two at least: a single frame is a still, not a clip."""
        return max(2, (self.frames - 1) * self.stride + 1)

    @property
    def prepared_for(self) -> PreparedFor:
        """Which frames and which pixels of a clip are kept."""
        return PreparedFor(frames=self.frames, stride=self.stride, size=self.size, zoom=self.zoom)
