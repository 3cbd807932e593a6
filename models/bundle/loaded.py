"""A loaded model bundle: prepared arrays in, vectors and probabilities out.

Nothing here knows how files are read, how models are trained or what an index is.

Letters in array names: B batch, W windows, L leads, N samples (or views, or clips), F features, D embedding, V views,
C LVEF classes, Q SHD flags. In clips_NCTHW: C colours, T frames, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everyone uses

from inputs.specs import EcgSpec
from models.architecture import Architecture
from models.attribution import Explainer
from models.bundle.embedder import EcgOutput, Gift
from models.bundle.files import (
    check_card,
    read_ecg_tower,
    read_echo_encoder,
    read_echo_tower,
    read_manifest,
    read_probes,
)
from models.bundle.manifest import (
    ECG_TOWER,
    ECHO_ENCODER,
    ECHO_TOWER,
    PART_FILES,
    BundleError,
    BundleManifest,
    Use,
)
from models.device import resolve_device
from models.ecg_shape import describe_windows
from models.echo_encoder import EchoEncoder
from models.labels import LvefClasses
from models.lacking import Lacking, lacking_parts, trained_on_sentence
from models.lvef_number import LvefNumberHead
from models.ood import OodHead, OodOutput
from models.probe_heads import ProbeHeads
from models.probes import Probes
from models.towers import EcgTower, EchoTower

Part = Literal["ecg", "echo"]
Precision = Literal["fp32", "bf16"]

# Activations of the first block per chunk. On a CPU a batch that outgrows the cache is slower per ECG (at the paper's
# size 8 ECGs at a time beat 32); on a GPU this only bounds memory.
_CHUNK_NUMBERS = {"cpu": 800_000, "cuda": 25_000_000}

_Float32 = NDArray[np.float32]

_TOLD = {"id", "created", "code_version", "architecture", "ecg", "echo", "labels", "metrics", "training_data"}
"""Of a manifest, to whoever asks a service what it serves."""


@dataclass(frozen=True)
class StudyOutput:
    """One echo study. embedding_D and view_embeddings_VD have unit length; pool_weights_V sum to 1."""

    embedding_D: _Float32
    token: _Float32
    pool_weights_V: _Float32
    view_embeddings_VD: _Float32


@dataclass(frozen=True)
class PooledStudies:
    """One row per study: study tokens, unit embeddings (None in a bundle without alignment), weights that sum to 1."""

    tokens_BP: _Float32
    embeddings_BD: _Float32 | None
    pool_weights_BV: _Float32


class Bundle:
    """A loaded model: float32 numpy in and out (float64 of own labels), no gradients. One thread at a time calls it."""

    def __init__(
        self,
        manifest: BundleManifest,
        sha256: str,
        device: torch.device,
        *,
        ecg_tower: EcgTower | None,
        echo_encoder: EchoEncoder | None,
        echo_tower: EchoTower | None,
        probes: Probes | None,
        precision: Precision = "fp32",
    ) -> None:
        """Takes the modules over: they are moved to the device and the ECG tower's attention is folded."""
        self.manifest = manifest
        self.sha256 = sha256
        self.device = device
        self.precision = precision
        self.probes = probes
        self._heads, self._number_head = self._heads_of(probes)
        # A distance fitted on exact features says nothing of rounded ones.
        ood = None if probes is None or precision == "bf16" else probes.ood
        self._ood_head = None if ood is None else OodHead(ood).to(device)
        if ecg_tower is not None and manifest.gives("ecg_encoder"):
            ecg_tower.ecg_encoder = ecg_tower.ecg_encoder.folded()
        self._ecg_tower = None if ecg_tower is None else ecg_tower.eval().to(device)
        self._echo_encoder = None if echo_encoder is None else echo_encoder.eval().to(device)
        self._echo_tower = None if echo_tower is None else echo_tower.eval().to(device)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        device: str = "auto",
        parts: Sequence[Part] = ("ecg", "echo"),
        precision: Precision = "fp32",
    ) -> Bundle:
        """Read and check the parts asked for, and no other weights. With bf16 there is no out-of-distribution score.

        A part counts as present when the bundle has one of its files. BundleError when anything does not agree.
        """
        manifest, sha256 = read_manifest(path)
        check_card(path, manifest)
        probes = read_probes(path, manifest)
        wanted = set()
        for part in parts:
            present = [name for name in PART_FILES[part] if name in manifest.files]
            if not present:
                raise BundleError(f"this bundle has no {part} part: {' and '.join(PART_FILES[part])} missing")
            wanted.update(present)
        return cls(
            manifest,
            sha256,
            resolve_device(device),
            ecg_tower=read_ecg_tower(path, manifest) if ECG_TOWER in wanted else None,
            echo_encoder=read_echo_encoder(path, manifest) if ECHO_ENCODER in wanted else None,
            echo_tower=read_echo_tower(path, manifest) if ECHO_TOWER in wanted else None,
            probes=probes,
            precision=precision,
        )

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def gives(self) -> frozenset[Gift]:
        """What of its ECG part was loaded can say of an ECG."""
        if self._ecg_tower is None or not self.manifest.gives("probe_features"):
            return frozenset()
        gifts: set[Gift] = {"ecg_features"} if self.manifest.gives("ecg_features") else set()
        if self.manifest.gives("ecg_embeddings"):
            gifts.add("ecg_embeddings")
            if self.manifest.gives("study_embeddings"):
                gifts.add("search")
        if self.probes is not None:
            gifts.add("predictions")
        if self._ood_head is not None:
            gifts.add("unusual")
        return frozenset(gifts)

    @property
    def ecg(self) -> EcgSpec:
        return self.manifest.ecg

    @property
    def lvef(self) -> LvefClasses:
        return self.manifest.labels.lvef

    @property
    def lacking(self) -> tuple[Lacking, ...]:
        """By its probes alone, whatever was loaded of the rest."""
        return lacking_parts(self.probes)

    @property
    def trained_on(self) -> str | None:
        return trained_on_sentence(self.manifest.training_data)

    @property
    def device_name(self) -> str:
        return str(self.device)

    @property
    def about(self) -> dict[str, JsonValue]:
        """The manifest without the hashes of files, and its own hash."""
        described = self.manifest.model_dump(mode="json", include=_TOLD)
        return described | {"sha256": self.sha256}

    @property
    def embedding_dim(self) -> int:
        return self.manifest.architecture.embedding_dim

    @property
    def echo_encoder_sha256(self) -> str:
        """Identifies view vectors together with the echo specification: they depend on nothing else."""
        if ECHO_ENCODER not in self.manifest.files:
            raise BundleError(f"this bundle has no {ECHO_ENCODER}")
        return self.manifest.files[ECHO_ENCODER]

    def embed_ecgs(self, windows_BWLN: _Float32) -> EcgOutput:
        """Windows of prepared ECGs, equally many of each, to vectors and probabilities.

        Over several windows the features are averaged, and so are the unit embeddings, which then get unit length
        again: every window counts alike, however long its aligned vector is. Probes see the averaged features. Of a
        bundle without alignment there are no embeddings.
        """
        aligns = self.manifest.gives("ecg_embeddings")
        tower = self._ecg(windows_BWLN, "probe_features")
        B, W = windows_BWLN.shape[:2]
        with self._inference():
            chunks = self._window_chunks(windows_BWLN)
            outputs: list[tuple[Tensor, ...]]
            outputs = [tower(windows) if aligns else (tower.features(windows),) for windows in chunks]
        with torch.inference_mode():
            features_BF = torch.cat([output[0].float() for output in outputs]).view(B, W, -1).mean(dim=1)
            embeddings_BD = None
            if aligns:
                aligned_BWD = torch.cat([output[1].float() for output in outputs]).view(B, W, -1)
                embeddings_BD = _numpy(F.normalize(F.normalize(aligned_BWD, dim=2).mean(dim=1), dim=1))
            if self._heads is None:
                return EcgOutput(_numpy(features_BF), embeddings_BD, lvef_BC=None, shd_B=None)
            lvef_BC, shd_B, flags_BQ, own_BK = self._heads(features_BF)
            return EcgOutput(
                _numpy(features_BF),
                embeddings_BD,
                None if lvef_BC is None else _numpy(lvef_BC),
                None if shd_B is None else _numpy(shd_B),
                _numpy(flags_BQ),
                self._judge(features_BF, windows_BWLN),
                self.probes,
                None if self._number_head is None else _numpy(self._number_head(features_BF)),
                self._flags_without_probe(),
                own_BK.cpu().numpy(),
            )

    def with_prevalence(
        self,
        *,
        lvef_C: Sequence[float] | None = None,
        shd: float | None = None,
        flags: Mapping[str, float] | None = None,
    ) -> Bundle:
        """The same model, its probabilities moved to other shares of the classes: see `Probes.with_prevalence`."""
        if self.probes is None:
            raise BundleError("this bundle has no probes")
        moved = copy(self)
        moved.probes = self.probes.with_prevalence(lvef_C=lvef_C, shd=shd, flags=flags)
        moved._heads, moved._number_head = self._heads_of(moved.probes)
        return moved

    def _heads_of(self, probes: Probes | None) -> tuple[ProbeHeads | None, LvefNumberHead | None]:
        if probes is None:
            return None, None
        number = None
        if probes.lvef is not None and probes.lvef.number is not None:
            number = LvefNumberHead(probes.lvef.number, probes.feature_mean_F, probes.feature_std_F).to(self.device)
        return ProbeHeads(probes).to(self.device), number

    def _flags_without_probe(self) -> tuple[str, ...]:
        probed = () if self.probes is None else self.probes.flag_names
        return tuple(flag for flag in self.manifest.labels.shd_flags if flag not in probed)

    def _judge(self, features_BF: Tensor, windows_BWLN: _Float32) -> OodOutput | None:
        if self._ood_head is None or self.probes is None or self.probes.ood is None:
            return None
        B, W = windows_BWLN.shape[:2]
        chunk = max(1, ecgs_per_chunk(self.manifest.architecture, self.device) // W)
        scores = [
            self._ood_head(
                features_BF[i : i + chunk],
                describe_windows(self._tensor(windows_BWLN[i : i + chunk]), self.manifest.ecg),
            )
            for i in range(0, B, chunk)
        ]
        score_B = torch.cat(scores).cpu().numpy()
        return OodOutput(score_B, self.probes.ood.percentile(score_B))

    def ecg_features(self, windows_BWLN: _Float32) -> _Float32:
        """The features (B, F) of `embed_ecgs` alone, which a bundle without alignment has too."""
        tower = self._ecg(windows_BWLN, "ecg_features")
        B, W = windows_BWLN.shape[:2]
        with self._inference():
            features = [tower.features(windows).float() for windows in self._window_chunks(windows_BWLN)]
            return _numpy(torch.cat(features).view(B, W, -1).mean(dim=1))

    def explainer(self) -> Explainer:
        """What tells which patches speak for what `embed_ecgs` says: fp32 also where precision is bf16."""
        if self._ecg_tower is None:
            raise self._without(ECG_TOWER)
        self._check_gives("probe_features")
        rows = ecgs_per_chunk(self.manifest.architecture, self.device)
        return Explainer(self._ecg_tower, self._heads, self._number_head, rate_hz=self.manifest.ecg.rate_hz, rows=rows)

    def embed_clips(self, clips_NCTHW: _Float32) -> _Float32:
        """Prepared clips (N, 3, T, size, size) to view vectors (N, view_dim), not normalised."""
        if self._echo_encoder is None:
            raise self._without(ECHO_ENCODER)
        if clips_NCTHW.ndim != 5 or len(clips_NCTHW) == 0:
            raise ValueError(f"clips must be (clips, colours, frames, rows, columns), not {clips_NCTHW.shape}")
        chunk = clips_per_chunk(self.manifest.architecture, self.device)
        with self._inference():
            chunks = range(0, len(clips_NCTHW), chunk)
            views = [self._echo_encoder(self._tensor(clips_NCTHW[i : i + chunk])).float() for i in chunks]
            return _numpy(torch.cat(views))

    def pool_study(self, views_VD: _Float32) -> StudyOutput:
        """View vectors (V, view_dim) of one study to its embedding. Of more than `max_views`, the first ones count.

        view_embeddings_VD are those of studies of each view alone: what it is similar to by itself.
        """
        tower = self._echo("study_embeddings")
        if views_VD.ndim != 2 or len(views_VD) == 0:
            raise ValueError("a study needs at least one view vector, as an array (views, view_dim)")
        with self._inference():
            views = self._tensor(views_VD)
            counted = views[: self.manifest.echo.max_views]
            study = tower(counted[None], torch.ones(1, len(counted), dtype=torch.bool, device=self.device))
            alone = tower(views[:, None], torch.ones(len(views), 1, dtype=torch.bool, device=self.device))
            return StudyOutput(
                _numpy(F.normalize(study.aligned_BD[0].float(), dim=0)),
                _numpy(study.tokens_BP[0].float()),
                _numpy(F.pad(study.pool_weights_BV[0].float(), (0, len(views) - len(counted)))),
                _numpy(F.normalize(alone.aligned_BD.float(), dim=1)),
            )

    def pool_studies(self, views_BVW: _Float32, view_present_BV: NDArray[np.bool_]) -> PooledStudies:
        """Studies padded to equally many views (True = present), pooled together: as `pool_study`, without its views.

        Absent slots may hold anything. Of more than `max_views` present views of a study, the first ones count.
        """
        tower = self._echo("study_tokens")
        aligned = self.manifest.gives("study_embeddings")
        counted_BV = view_present_BV & (view_present_BV.cumsum(axis=1) <= self.manifest.echo.max_views)
        with self._inference():
            tokens_BP, weights_BV = tower.pool(self._tensor(views_BVW), torch.from_numpy(counted_BV).to(self.device))
            embeddings = F.normalize(tower.echo_alignment_global_token(tokens_BP).float(), dim=1) if aligned else None
            return PooledStudies(
                _numpy(tokens_BP.float()),
                None if embeddings is None else _numpy(embeddings),
                _numpy(weights_BV.float()),
            )

    def _ecg(self, windows_BWLN: _Float32, use: Use) -> EcgTower:
        if self._ecg_tower is None:
            raise self._without(ECG_TOWER)
        self._check_gives(use)
        if windows_BWLN.ndim != 4 or 0 in windows_BWLN.shape:
            raise ValueError(f"ECG windows must be (batch, windows, leads, samples), not {windows_BWLN.shape}")
        if not np.isfinite(windows_BWLN).all():
            raise ValueError("ECG windows must be finite")
        return self._ecg_tower

    def _echo(self, use: Use) -> EchoTower:
        if self._echo_tower is None:
            raise self._without(ECHO_TOWER)
        self._check_gives(use)
        return self._echo_tower

    def _without(self, file: str) -> BundleError:
        lacks = f"{file} was not loaded" if file in self.manifest.files else f"this bundle has no {file}"
        return BundleError(f"{lacks}, which these vectors need")

    def _check_gives(self, use: Use) -> None:
        if missing := self.manifest.lacks(use):
            raise BundleError(f"this bundle has no {' and no '.join(missing)}, which these vectors need")

    def _window_chunks(self, windows_BWLN: _Float32) -> Iterator[Tensor]:
        windows = windows_BWLN.reshape(-1, *windows_BWLN.shape[2:])
        chunk = ecgs_per_chunk(self.manifest.architecture, self.device)
        return (self._tensor(windows[i : i + chunk]) for i in range(0, len(windows), chunk))

    def _tensor(self, array: _Float32) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self.device)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        half = self.precision == "bf16"
        # cuDNN's default would round the convolutions' inputs to 10 bits where fp32 was asked for.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=half)
        with torch.inference_mode(), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half), exact:
            yield


def ecgs_per_chunk(architecture: Architecture, device: torch.device) -> int:
    """How many ECG windows to encode at a time."""
    sizes = architecture.ecg
    return max(1, _CHUNK_NUMBERS[device.type] // (sizes.leads * sizes.patches_per_lead * sizes.embed_dim))


def clips_per_chunk(architecture: Architecture, device: torch.device) -> int:
    """How many echo clips to encode at a time."""
    sizes = architecture.echo
    return max(1, _CHUNK_NUMBERS[device.type] // (prod(sizes.grids()[0].tokens_in) * sizes.stem_dim))


def _numpy(tensor: Tensor) -> _Float32:
    return np.asarray(tensor.cpu().numpy(), dtype=np.float32)
