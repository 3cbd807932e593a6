"""The median beat of a prepared ECG and the rhythm around it: plain numbers that say most of what an ECG says.

No label and no echo is needed for them. They are targets of `training.objectives.own_beat`, and what an ideal ranking
knows of an ECG (`training.evaluation.ideal`).
Letters: L leads, N samples, B beats, W samples of a beat, E ECGs, C components, R rhythm measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt
from sklearn.decomposition import PCA

COMPONENTS = 60
RHYTHM_MEASURES = 6
_BAND_HZ = (8.0, 30.0)
"""Where the QRS complex is and P and T waves are not (Elgendi, PLoS One 2013;8:e73557 keeps 8 to 20 Hz)."""
_SMOOTH_S = 0.025
"""SD of a Gaussian, which leaves one peak of a complex, in its middle; a flat window leaves a plateau."""
_REFRACTORY_S = 0.27
_BEFORE_S, _AFTER_S = 0.275, 0.425
"""Around the R peak: from before the P wave to the end of most T waves."""
_SHARE_OF_HIGHEST = 0.35
_FEWEST_BEATS = 2

_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]


def beat_and_rhythm(signal_LN: _Float32, rate_hz: float) -> tuple[_Float64, _Float64]:
    """The median over beats (L, W) aligned at their R peaks, and six measures of rhythm (R,).

    Those are the median RR interval (s), its coefficient of variation, the mean change from one interval to the next
    (s), the largest and the median departure of a beat from the median beat, and the coefficient of variation of the
    beats' heights. A record of fewer than two whole beats has the mean of all as its beat, and zeros.
    """
    before, after = round(_BEFORE_S * rate_hz), round(_AFTER_S * rate_hz)
    peak_B = r_peaks(signal_LN, rate_hz)
    peak_B = peak_B[(peak_B >= before) & (peak_B + after <= signal_LN.shape[1])]
    if len(peak_B) < _FEWEST_BEATS:
        flat_LW = np.repeat(signal_LN.mean(axis=1, dtype=np.float64)[:, None], before + after, axis=1)
        return flat_LW, np.zeros(RHYTHM_MEASURES)
    beats_BLW = np.stack([signal_LN[:, peak - before : peak + after] for peak in peak_B]).astype(np.float64)
    median_LW = np.median(beats_BLW, axis=0)
    rr_s = np.diff(peak_B) / rate_hz
    away_B = np.sqrt(np.mean((beats_BLW - median_LW) ** 2, axis=(1, 2)))
    height_B = np.abs(beats_BLW).max(axis=(1, 2))
    rhythm_R = np.array(
        [
            np.median(rr_s),
            rr_s.std() / rr_s.mean(),
            np.abs(np.diff(rr_s)).mean() if len(rr_s) > 1 else 0.0,
            away_B.max(),
            np.median(away_B),
            height_B.std() / max(height_B.mean(), 1e-9),
        ]
    )
    return median_LW, rhythm_R


def r_peaks(signal_LN: _Float32, rate_hz: float) -> NDArray[np.intp]:
    """Samples at which the energy of all leads between 8 and 30 Hz is highest, a refractory period apart."""
    band_hz = (_BAND_HZ[0], min(_BAND_HZ[1], 0.45 * rate_hz))
    band_LN = sosfiltfilt(butter(2, band_hz, "bandpass", fs=rate_hz, output="sos"), signal_LN, axis=1)
    energy_N = np.sqrt(gaussian_filter1d(np.sum(band_LN**2, axis=0), _SMOOTH_S * rate_hz))
    height = _SHARE_OF_HIGHEST * float(np.percentile(energy_N, 98))
    peak_B, _ = find_peaks(energy_N, distance=round(_REFRACTORY_S * rate_hz), height=height)
    return np.asarray(peak_B, np.intp)


@dataclass(frozen=True)
class BeatSpace:
    """Principal components of some ECGs' median beats: how records become vectors of `width` numbers.

    mean_V, axes_CV: of beats laid flat, leads after another. scale: SD of every number over those ECGs.
    """

    rate_hz: float
    mean_V: _Float64
    axes_CV: _Float64
    centre: _Float64
    scale: _Float64

    @property
    def width(self) -> int:
        return len(self.centre)

    @property
    def weights(self) -> _Float64:
        """How much each number is worth learning: a component by its SD over the first one's, a rhythm measure 1.

        Late components are mostly noise, and there are many of them.
        """
        components = len(self.axes_CV)
        of_components = self.scale[:components] / self.scale[0]
        return np.concatenate([of_components, np.ones(self.width - components)])

    @classmethod
    def of(cls, signals_LN: Sequence[_Float32], rate_hz: float, components: int = COMPONENTS) -> BeatSpace:
        """Fitted on these records; of fewer records than components there are as many as records."""
        beats_EV, rhythm_ER = _flat(signals_LN, rate_hz)
        pca = PCA(min(components, *beats_EV.shape), svd_solver="randomized", random_state=0).fit(beats_EV)
        mean_V, axes_CV = pca.mean_, pca.components_
        numbers = np.concatenate([(beats_EV - mean_V) @ axes_CV.T, rhythm_ER], axis=1)
        sd = numbers.std(axis=0)
        return cls(rate_hz, mean_V, axes_CV, numbers.mean(axis=0), np.where(sd > 0, sd, 1.0))

    def vectors(self, signals_LN: Sequence[_Float32]) -> _Float32:
        """(E, width): components and rhythm measures, each over mean and SD of the ECGs it was fitted on."""
        beats_EV, rhythm_ER = _flat(signals_LN, self.rate_hz)
        numbers = np.concatenate([(beats_EV - self.mean_V) @ self.axes_CV.T, rhythm_ER], axis=1)
        vectors: _Float32 = ((numbers - self.centre) / self.scale).astype(np.float32)
        return vectors


def _flat(signals_LN: Sequence[_Float32], rate_hz: float) -> tuple[_Float64, _Float64]:
    found = [beat_and_rhythm(np.asarray(signal), rate_hz) for signal in signals_LN]
    return np.stack([beat.ravel() for beat, _ in found]), np.stack([rhythm for _, rhythm in found])
