"""A model on disk and in memory: the one door to both."""

from __future__ import annotations

from models.bundle.embedder import (
    EcgOutput,
    EcgVerdict,
    Embedder,
    Gift,
    LvefVerdict,
    PredictionSet,
    Unusual,
    YesNoVerdict,
)
from models.bundle.files import (
    check_card,
    read_ecg_tower,
    read_echo_encoder,
    read_echo_tower,
    read_manifest,
    read_probes,
    verify_bundle,
    without,
    write_bundle,
)
from models.bundle.loaded import Bundle, PooledStudies, StudyOutput, clips_per_chunk, ecgs_per_chunk
from models.bundle.manifest import (
    CARD,
    ECG_TOWER,
    ECHO_ENCODER,
    ECHO_TOWER,
    MANIFEST,
    PART_FILES,
    PROBES,
    TOWER_COMPONENTS,
    BundleError,
    BundleManifest,
)

__all__ = [
    "CARD",
    "ECG_TOWER",
    "ECHO_ENCODER",
    "ECHO_TOWER",
    "MANIFEST",
    "PART_FILES",
    "PROBES",
    "TOWER_COMPONENTS",
    "Bundle",
    "BundleError",
    "BundleManifest",
    "EcgOutput",
    "EcgVerdict",
    "Embedder",
    "Gift",
    "LvefVerdict",
    "PooledStudies",
    "PredictionSet",
    "StudyOutput",
    "Unusual",
    "YesNoVerdict",
    "check_card",
    "clips_per_chunk",
    "ecgs_per_chunk",
    "read_ecg_tower",
    "read_echo_encoder",
    "read_echo_tower",
    "read_manifest",
    "read_probes",
    "verify_bundle",
    "without",
    "write_bundle",
]
