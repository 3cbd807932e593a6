"""What a bundle says of itself: the manifest, and the names of files and components."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from ground.errors import Refusal
from inputs.specs import EcgSpec, EchoSpec
from models.architecture import Architecture
from models.labels import LabelDefinitions

MANIFEST = "manifest.json"


ECG_TOWER = "ecg_tower.safetensors"


ECHO_ENCODER = "echo_encoder.safetensors"


ECHO_TOWER = "echo_tower.safetensors"


PROBES = "probes.json"


CARD = "README.md"


PART_FILES: dict[str, tuple[str, ...]] = {"ecg": (ECG_TOWER,), "echo": (ECHO_ENCODER, ECHO_TOWER)}


TOWER_COMPONENTS: dict[str, tuple[str, ...]] = {
    ECG_TOWER: ("ecg_encoder", "token_aggregator", "ecg_alignment_global_token"),
    ECHO_TOWER: ("echo_projection_for_agg", "echo_view_aggregator", "echo_alignment_global_token"),
}


SCHEMA_VERSION = 1


_BLANK = "0" * 64


class BundleError(Refusal):
    """A bundle is damaged, incomplete or not what it says it is. One sentence; names files, never a folder's path."""

    def __init__(self, sentence: str, *, code: str = "bundle_refused", hint: str = "") -> None:
        super().__init__(code, sentence, hint=hint)


class BundleManifest(BaseModel):
    """What a bundle is. `manifest_sha256` is the hash of manifest.json itself with this one value blanked by zeros."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    id: str = Field(min_length=1)
    created: datetime
    code_version: str
    seeds: dict[str, int]
    architecture: Architecture
    ecg: EcgSpec
    echo: EchoSpec
    labels: LabelDefinitions
    metrics: dict[str, JsonValue]
    training_data: dict[str, JsonValue]
    absent: tuple[str, ...] = ()
    """Components that a tower's file lacks, as when only some weights were imported; see `TOWER_COMPONENTS`."""
    files: dict[str, str]
    """sha256 of every file beside the manifest."""
    manifest_sha256: str = _BLANK

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> BundleManifest:
        ecg, echo = self.architecture.ecg, self.architecture.echo
        if (len(self.ecg.leads), self.ecg.window_samples) != (ecg.leads, ecg.window_samples):
            raise ValueError("the ECG specification prepares other windows than the ECG encoder takes")
        if (self.echo.frames, self.echo.size) != (echo.frames, echo.size):
            raise ValueError("the echo specification prepares other clips than the echo encoder takes")
        if not set(self.files) <= {ECG_TOWER, ECHO_ENCODER, ECHO_TOWER, PROBES, CARD}:
            raise ValueError("a file is listed that does not belong in a bundle")
        if not set(self.absent) <= {name for names in TOWER_COMPONENTS.values() for name in names}:
            raise ValueError("a component is listed as absent that no tower has")
        return self
