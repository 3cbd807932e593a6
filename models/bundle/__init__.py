"""A model on disk and in memory: the one door to both."""

from __future__ import annotations

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
from models.bundle.loaded import Bundle, EcgOutput, PooledStudies, StudyOutput, clips_per_chunk, ecgs_per_chunk
from models.bundle.manifest import (
    CARD,
    ECG_TOWER,
    ECHO_ENCODER,
    ECHO_TOWER,
    MANIFEST,
    PART_FILES,
    PROBES,
    TOWER_COMPONENTS,
    BundleDraft,
    BundleError,
    BundleManifest,
    Use,
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
    "BundleDraft",
    "BundleError",
    "BundleManifest",
    "EcgOutput",
    "PooledStudies",
    "StudyOutput",
    "Use",
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
