"""Other encoders in the probes of a bundle: one of random weights, and whatever gives features from elsewhere.

Their probes are fitted here, on the same patients. Letters: E ECGs, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from ground.errors import Refusal
from ground.findings import SHD_FLAGS
from models.bundle import Bundle
from models.towers import EcgTower
from training.data.embedded import EmbeddedEcgs, embed_features
from training.evaluation.answers import fitted_answers, flag_answers
from training.evaluation.few_shot import FewShotCurve, few_shot_curves
from training.evaluation.measured import Measured
from training.evaluation.metrics import ReportPart
from training.evaluation.probe_reports import (
    FlagReport,
    PhenotypeReport,
    ProbeReport,
    flag_reports,
    knn_probe_report,
    phenotype_reports,
    probe_report,
)

RANDOM_SEED = 1
RANDOM_ENCODER = f"random weights, seed {RANDOM_SEED}"

_Float32 = NDArray[np.float32]


class EncoderReport(ReportPart):
    """What the probes read from another encoder's features; as in an evaluation, all of them fitted there."""

    encoder: str
    features: int
    """How many numbers an ECG has."""
    linear_probe: ProbeReport
    knn_probe: ProbeReport | None
    flags: tuple[FlagReport, ...]
    phenotypes: tuple[PhenotypeReport, ...]
    few_shot: tuple[FewShotCurve, ...]
    not_measured: dict[str, str] = Field(default_factory=dict)


def random_encoder(found: Measured) -> EncoderReport:
    """The bundle's own ECG encoder with weights as training begins: what the shape of the network gives alone."""
    manifest = found.bundle.manifest
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        tower = EcgTower(manifest.architecture)
    untrained = Bundle(
        manifest,
        found.bundle.sha256,
        found.bundle.device,
        ecg_tower=tower,
        echo_encoder=None,
        echo_tower=None,
        probes=None,
    )

    def features(data: EmbeddedEcgs) -> _Float32:
        return embed_features(untrained, [found.signals[ecg_id] for ecg_id in data.labels.index])

    test = features(found.test)
    known = None if found.known is None else features(found.known)
    choosing = None if found.choosing is None else features(found.choosing)
    return _report(RANDOM_ENCODER, found, test, known, choosing)


def foreign_encoder(found: Measured, name: str, features: Mapping[str, _Float32]) -> EncoderReport:
    """Of features by ecg_id, as `read_features` gives them. Refusal where an ECG that is needed has none."""
    data = [part for part in (found.test, found.known, found.choosing) if part is not None]
    needed = [ecg_id for part in data for ecg_id in part.labels.index]
    missing = sum(ecg_id not in features for ecg_id in needed)
    if missing:
        raise _refused(f"has no row for {missing} of the {len(needed)} ECGs that are needed")

    def rows(part: EmbeddedEcgs | None) -> _Float32 | None:
        return None if part is None else np.stack([features[ecg_id] for ecg_id in part.labels.index])

    test = rows(found.test)
    assert test is not None
    return _report(name, found, test, rows(found.known), rows(found.choosing))


def read_features(path: Path) -> Mapping[str, _Float32]:
    """Features (F,) by ecg_id of an NPZ file with `ids` (text) and `features` (floating-point, a row for each id).

    Nothing in the file is ever unpickled. Refusal (`features_unreadable`) for anything else.
    """
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            ids, features_EF = file["ids"], file["features"]
    except (KeyError, IndexError) as error:
        raise _refused("is no NPZ file with the arrays ids and features") from error
    except Exception as error:  # damaged headers and archives fail in many ways, objects to unpickle included
        raise _refused("cannot be read as an NPZ file of plain arrays") from error
    if ids.dtype.kind != "U" or ids.ndim != 1:
        raise _refused("must have ids as one row of text")
    if features_EF.dtype.kind != "f" or features_EF.ndim != 2 or not features_EF.shape[1]:
        raise _refused("must have features as a matrix of floating-point numbers")
    if len(ids) != len(features_EF):
        raise _refused(f"has {len(ids)} ids for {len(features_EF)} rows of features")
    if len(set(ids.tolist())) < len(ids):
        raise _refused(f"names {len(ids) - len(set(ids.tolist()))} ids more than once")
    with np.errstate(over="ignore"):  # too large for float32: not finite, and refused below
        rows_EF = features_EF.astype(np.float32)
    if not np.isfinite(rows_EF).all():
        raise _refused("has features that are not finite numbers")
    return dict(zip(ids.tolist(), rows_EF, strict=True))


def _refused(says: str) -> Refusal:
    return Refusal("features_unreadable", f"The file of features {says}.")


def _report(
    name: str, found: Measured, test_EF: _Float32, known_EF: _Float32 | None, choosing_EF: _Float32 | None
) -> EncoderReport:
    test = _with(found.test, test_EF)
    known = None if found.known is None or known_EF is None else _with(found.known, known_EF)
    choosing = None if found.choosing is None or choosing_EF is None else _with(found.choosing, choosing_EF)
    classes = found.classes
    return EncoderReport(
        encoder=name,
        features=test_EF.shape[1],
        linear_probe=probe_report(test, classes, fitted_answers(known, choosing, test, classes)),
        knn_probe=None if known is None else knn_probe_report(known, test, classes),
        flags=flag_reports(known, test, flag_answers(known, choosing, test, SHD_FLAGS)),
        phenotypes=phenotype_reports(known, test),
        few_shot=few_shot_curves(known, test, classes),
        not_measured={"retrieval": "retrieval needs vectors in the space of the studies, and these are features alone"},
    )


def _with(data: EmbeddedEcgs, features_EF: _Float32) -> EmbeddedEcgs:
    """The same ECGs and labels with these features, and without anything that the bundle says of them."""
    return replace(data, features_EF=features_EF, embeddings_ED=None, lvef_EC=None, shd_E=None, flags={})
