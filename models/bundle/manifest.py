"""What a bundle says of itself: the manifest, and the names of files and components."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from ground.errors import Refusal
from inputs.specs import EcgSpec, EchoSpec
from inputs.view_source import MEMBER, ViewSource
from models.architecture import Architecture
from models.labels import LabelDefinitions

MANIFEST = "manifest.json"
ECG_TOWER = "ecg_tower.safetensors"
ECHO_ENCODER = "echo_encoder.safetensors"
ECHO_TOWER = "echo_tower.safetensors"
PROBES = "probes.json"
SELF_TEST = "self_test.safetensors"
CARD = "README.md"

PART_FILES: dict[str, tuple[str, ...]] = {"ecg": (ECG_TOWER,), "echo": (ECHO_ENCODER, ECHO_TOWER)}

TOWER_COMPONENTS: dict[str, tuple[str, ...]] = {
    ECG_TOWER: ("ecg_encoder", "token_aggregator", "ecg_alignment_global_token"),
    ECHO_TOWER: ("echo_projection_for_agg", "echo_view_aggregator", "echo_alignment_global_token"),
}

Use = Literal[
    "ecg_encoder",
    "ecg_features",
    "probe_features",
    "ecg_embeddings",
    "predictions",
    "view_vectors",
    "study_tokens",
    "study_embeddings",
    "retrieval",
]
"""What a bundle may be asked for; `retrieval` is all of it, from the files of both sides to embeddings.

`ecg_features` are those of the method; `probe_features` are the same, or the plain mean of the tokens where there is no
token aggregator: to fit probes on."""

_NEEDS: dict[Use, dict[str, tuple[str, ...]]] = {
    "ecg_encoder": {ECG_TOWER: ("ecg_encoder",)},
    "ecg_features": {ECG_TOWER: TOWER_COMPONENTS[ECG_TOWER][:2]},
    "probe_features": {ECG_TOWER: ("ecg_encoder",)},
    "ecg_embeddings": {ECG_TOWER: TOWER_COMPONENTS[ECG_TOWER]},
    "predictions": {ECG_TOWER: ("ecg_encoder",), PROBES: ()},
    "view_vectors": {ECHO_ENCODER: ()},
    "study_tokens": {ECHO_TOWER: TOWER_COMPONENTS[ECHO_TOWER][:2]},
    "study_embeddings": {ECHO_TOWER: TOWER_COMPONENTS[ECHO_TOWER]},
    "retrieval": {
        ECG_TOWER: TOWER_COMPONENTS[ECG_TOWER],
        ECHO_ENCODER: (),
        ECHO_TOWER: TOWER_COMPONENTS[ECHO_TOWER],
    },
}
"""The files and, of a tower's file, the components that each use takes."""

SCHEMA_VERSION: Literal[2] = 2
"""Version 1 has no self-test."""
_BLANK = "0" * 64


class BundleError(Refusal):
    """A bundle is damaged, incomplete or not what it says it is. One sentence; names files, never a folder's path."""

    def __init__(self, sentence: str, *, code: str = "bundle_refused", hint: str = "") -> None:
        super().__init__(code, sentence, hint=hint)


class BundleDraft(BaseModel):
    """What whoever makes a bundle says of it; the rest of the manifest follows from the files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1, 2] = SCHEMA_VERSION
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

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> BundleDraft:
        self.architecture.check_prepared(self.ecg, self.echo)
        if not set(self.absent) <= {name for names in TOWER_COMPONENTS.values() for name in names}:
            raise ValueError("a component is listed as absent that no tower has")
        return self


class BundleManifest(BundleDraft):
    """What a bundle is. `manifest_sha256` is the hash of manifest.json itself with this one value blanked by zeros."""

    files: dict[str, str]
    """sha256 of every file beside the manifest."""
    manifest_sha256: str = _BLANK

    @model_validator(mode="after")
    def _lists_files_of_a_bundle(self) -> BundleManifest:
        if not set(self.files) <= {ECG_TOWER, ECHO_ENCODER, ECHO_TOWER, PROBES, CARD, SELF_TEST}:
            raise ValueError("a file is listed that does not belong in a bundle")
        return self

    @property
    def view_source(self) -> ViewSource | None:
        """Whose view vectors it takes: its own echo encoder's or, without one, those that it was made with."""
        if ECHO_ENCODER not in self.files:
            return self._made_with_views
        return ViewSource(
            name=self.id[:200],
            width=self.architecture.view_dim,
            sha256=self.files[ECHO_ENCODER],
            preparation=self.echo.model_dump(mode="json"),
        )

    @property
    def takes_clips(self) -> bool:
        """Whether its views are clips: always, unless it was made with vectors and has no echo encoder."""
        return ECHO_ENCODER in self.files or self._made_with_views is None

    @property
    def _made_with_views(self) -> ViewSource | None:
        try:
            return ViewSource.model_validate(self.training_data.get(MEMBER))
        except ValidationError:
            return None

    @staticmethod
    def files_for(use: Use) -> tuple[str, ...]:
        """The files that this takes, whether the bundle has them or not."""
        return tuple(_NEEDS[use])

    def gives(self, use: Use) -> bool:
        """Whether the bundle has all that this takes."""
        return not self.lacks(use)

    def lacks(self, use: Use) -> tuple[str, ...]:
        """The files that this takes and the bundle has not, then the components that its files lack."""
        files = tuple(name for name in self.files_for(use) if name not in self.files)
        if use == "retrieval" and not self.takes_clips:
            files = tuple(name for name in files if name != ECHO_ENCODER)
        components = {component for of_file in _NEEDS[use].values() for component in of_file}
        return files + tuple(name for name in self.absent if name in components)
