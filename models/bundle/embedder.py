"""What a service needs of a model, whichever it is: windows of prepared ECGs in, one verdict per ECG out.

Knows no torch, no files and no words: a stand-in behind `Embedder` is as good as a bundle. A new output of a model is
added to `EcgOutput.row` and `EcgVerdict` here, to the bundle that computes it, and to the report that shows it.

Letters in array names: B batch, W windows, L leads, N samples, F features, D embedding, C LVEF classes, Q SHD flags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import JsonValue

from inputs.specs import EcgSpec
from models.labels import LvefClasses

if TYPE_CHECKING:
    from models.ood import OodOutput
    from models.probes import PredictionSets, Probes

_Float32 = NDArray[np.float32]

Gift = Literal["ecg_features", "ecg_embeddings", "predictions", "unusual"]
"""Features of an ECG; embeddings to search with; probabilities of LVEF and SHD; how unusual an ECG is."""


class Embedder(Protocol):
    """A model that is being served. One thread at a time calls `embed_ecgs`.

    `sha256` tells two models of one `id` apart: an index belongs to the model with this hash. `about` is what callers
    may know of it, as JSON.
    """

    @property
    def id(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def gives(self) -> frozenset[Gift]: ...

    @property
    def ecg(self) -> EcgSpec:
        """How the ECGs that it takes are prepared."""
        ...

    @property
    def lvef(self) -> LvefClasses:
        """What the LVEF classes of its verdicts are called."""
        ...

    @property
    def device_name(self) -> str:
        """`cpu`, `cuda` or `cuda:N`."""
        ...

    @property
    def about(self) -> dict[str, JsonValue]: ...

    def embed_ecgs(self, windows_BWLN: _Float32) -> EcgOutput:
        """Float32 windows, equally many of each ECG, to one row of output per ECG."""
        ...


@dataclass(frozen=True)
class PredictionSet:
    """The numbers of the classes not ruled out, rising; such sets hold the truth for a share `coverage` of patients."""

    classes: tuple[int, ...]
    coverage: float
    n_calibration: int


@dataclass(frozen=True, eq=False)
class LvefVerdict:
    """Probabilities of the LVEF classes; `called` is the number of the most probable one."""

    probability_C: _Float32
    called: int
    prediction_set: PredictionSet | None


@dataclass(frozen=True)
class YesNoVerdict:
    """A probability and the decision on it. In a prediction set, class 0 is negative and 1 positive."""

    probability: float
    threshold: float
    prediction_set: PredictionSet | None = None

    @property
    def positive(self) -> bool:
        return self.probability > self.threshold


@dataclass(frozen=True)
class Unusual:
    """How unlike the ECGs of training one is: a score, and the share of held-out ECGs with a lower one, 0 to 100."""

    score: float
    percentile: float


@dataclass(frozen=True, eq=False)
class EcgVerdict:
    """All that a model says of one ECG: the one shape it has from the model to the answer.

    embedding_D has unit length. lvef and shd are None, and flags empty, where the model gives no predictions;
    `unusual` is None where it cannot tell.
    """

    features_F: _Float32
    embedding_D: _Float32
    lvef: LvefVerdict | None
    shd: YesNoVerdict | None
    flags: Mapping[str, YesNoVerdict]
    unusual: Unusual | None


@dataclass(frozen=True)
class EcgOutput:
    """features_BF for probes; embeddings_BD of unit length; probabilities, or None in a bundle without probes.

    flags_BQ has a column for each of `probes.flag_names`, maybe none. ood is None where the bundle cannot tell how
    unusual an ECG is, and with precision bf16, whose rounded features are not those it was fitted on. `probes` are
    those that gave the probabilities: without them `row` decides nothing.
    """

    features_BF: _Float32
    embeddings_BD: _Float32
    lvef_BC: _Float32 | None
    shd_B: _Float32 | None
    flags_BQ: _Float32 | None = None
    ood: OodOutput | None = None
    probes: Probes | None = None

    def row(self, number: int) -> EcgVerdict:
        """What is said of one ECG of the batch, its decisions and prediction sets included."""
        lvef, shd, flags = self._predictions(number)
        unusual = None
        if self.ood is not None:
            unusual = Unusual(float(self.ood.score_B[number]), float(self.ood.percentile_B[number]))
        return EcgVerdict(self.features_BF[number], self.embeddings_BD[number], lvef, shd, flags, unusual)

    def _predictions(self, number: int) -> tuple[LvefVerdict | None, YesNoVerdict | None, Mapping[str, YesNoVerdict]]:
        probes = self.probes
        if probes is None or self.lvef_BC is None or self.shd_B is None:
            return None, None, {}
        probability_C = self.lvef_BC[number]
        called = int(probability_C.argmax())
        lvef = LvefVerdict(probability_C, called, _set(probes.lvef.sets, probability_C, called))
        shd = YesNoVerdict(float(self.shd_B[number]), probes.shd.threshold)
        both = [1.0 - shd.probability, shd.probability]
        shd = YesNoVerdict(shd.probability, shd.threshold, _set(probes.shd.sets, both, int(shd.positive)))
        if self.flags_BQ is None:
            return lvef, shd, {}
        flags = {
            name: YesNoVerdict(probability, probes.flags[name].threshold)
            for name, probability in zip(probes.flag_names, self.flags_BQ[number].tolist(), strict=True)
        }
        return lvef, shd, flags


def _set(sets: PredictionSets | None, probability_C: ArrayLike, called: int) -> PredictionSet | None:
    if sets is None:
        return None
    return PredictionSet(sets.classes(probability_C, called), sets.coverage, sets.n_calibration)
