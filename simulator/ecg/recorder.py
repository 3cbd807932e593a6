"""The electrocardiograph and the skin under its electrodes: everything in a recording that is not the heart.

Noise arises at the nine electrodes against the right leg, so that limb leads still obey Einthoven and Goldberger and a
bad arm electrode disturbs the leads that it should. Which machine records depends on the site alone; nothing here
sees the physiology.

Letters in array names: K independent leads (I, II, V1..V6), E electrodes (RA, LA, LL, V1..V6), N samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import signal

EcgFileKind = Literal["wfdb", "dicom"]


@dataclass(frozen=True)
class EcgRecorder:
    """One electrocardiograph as it is set up at a site. Voltages are typical, before a patient's `skin_noise`."""

    site: int

    rate_hz: int
    file_kind: EcgFileKind
    augmented_order: Literal["aVR aVL aVF", "aVR aVF aVL"]
    """Some archives write aVF before aVL; readers must go by name."""
    resolution_uv: float
    mains_hz: float
    mains_uv: float
    highpass_hz: float
    lowpass_hz: float
    notch: bool
    """A filter takes the mains frequency out of what is recorded, and a little of the QRS with it."""
    arms_reversed: bool
    """The electrodes of the two arms are swapped in this recording: true of the file, told by nothing in it."""
    gain: float
    hiss_uv: float
    muscle_uv: float
    wander_uv: float
    pop_chance: float
    loose_chance: float


# Per site: rates and their shares, file kinds and their shares.
_RATES = (((500, 1000), (0.7, 0.3)), ((250, 500), (0.45, 0.55)), ((250, 500, 1000), (0.4, 0.3, 0.3)))
_DICOM_SHARE = (0.65, 0.0, 0.35)
_MAINS_HZ = (60.0, 60.0, 50.0)
_HIGHPASS_HZ = ((0.05, 0.05, 0.15), (0.05, 0.15, 0.5), (0.05, 0.5, 0.5))
_LOWPASS_HZ = ((150.0, 150.0, 100.0), (150.0, 100.0, 40.0), (100.0, 40.0, 40.0))
_NOTCH_SHARE = (0.5, 0.7, 0.4)
_ARMS_REVERSED = 0.01
"""Of recordings; textbooks say one or two in a hundred."""
_NOTCH_QUALITY = 60.0  # as narrow as an adaptive filter: a broad one rings after every QRS
_NOISE = (1.0, 0.8, 1.3)


def choose_recorder(site: int, rng: Generator) -> EcgRecorder:
    """Draw the electrocardiograph of one recording at a site."""
    rates, shares = _RATES[site]
    noise = _NOISE[site] * np.exp(rng.normal(0.0, 0.3))
    dicom = bool(rng.random() < _DICOM_SHARE[site])
    return EcgRecorder(
        site=site,
        rate_hz=int(rng.choice(rates, p=shares)),
        file_kind="dicom" if dicom else "wfdb",
        augmented_order="aVR aVF aVL" if site == 1 else "aVR aVL aVF",
        resolution_uv=float(rng.choice([1.25, 2.5, 4.88] if dicom else [1.0, 4.88, 5.0])),
        mains_hz=_MAINS_HZ[site],
        mains_uv=float(noise * rng.gamma(0.8, 4.0)),
        highpass_hz=float(rng.choice(_HIGHPASS_HZ[site])),
        lowpass_hz=float(rng.choice(_LOWPASS_HZ[site])),
        notch=bool(rng.random() < _NOTCH_SHARE[site]),
        arms_reversed=bool(rng.random() < _ARMS_REVERSED),
        gain=float(np.exp(rng.normal(0.0, 0.03))),
        hiss_uv=float(noise * rng.uniform(1.5, 5.0)),
        muscle_uv=float(noise * rng.gamma(1.5, 5.0)),
        wander_uv=float(noise * rng.gamma(1.5, 45.0)),
        pop_chance=0.08,
        loose_chance=0.03,
    )


def record(
    leads_KN: NDArray[np.float64], *, recorder: EcgRecorder, skin_noise: float, rng: Generator
) -> NDArray[np.float64]:
    """Add electrode noise, mains, wander and artefacts, then filter and scale: (8, N) millivolt in, the same out."""
    noise_EN = electrode_noise(leads_KN.shape[1], recorder=recorder, skin_noise=skin_noise, rng=rng)
    ra, la, ll = noise_EN[:3]
    seen_KN = np.concatenate([[la - ra, ll - ra], noise_EN[3:] - (ra + la + ll) / 3.0])
    if recorder.arms_reversed:  # what is called I runs the other way, and II and III change places
        leads_KN = np.concatenate([[-leads_KN[0], leads_KN[1] - leads_KN[0]], leads_KN[2:]])
    recorded_KN = recorder.gain * (leads_KN + seen_KN)
    # The filters have been running before the recording starts: the high-pass has settled on the mean, the low-pass
    # on the first sample.
    notch_hz = recorder.mains_hz if recorder.notch else None
    highpass, fast = _filters(recorder.rate_hz, recorder.highpass_hz, recorder.lowpass_hz, notch_hz)
    recorded_KN = _run(highpass, recorded_KN, settled_on_K=recorded_KN.mean(axis=1))
    return recorded_KN if fast is None else _run(fast, recorded_KN, settled_on_K=recorded_KN[:, 0])


def electrode_noise(samples: int, *, recorder: EcgRecorder, skin_noise: float, rng: Generator) -> NDArray[np.float64]:
    """Potentials of RA, LA, LL, V1..V6 that do not come from the heart: (9, N) millivolt."""
    rate_hz = recorder.rate_hz
    t_s = np.arange(samples) / rate_hz
    contact_E = skin_noise * np.exp(rng.normal(0.0, 0.35, size=9))
    scale_E = contact_E / 1000.0

    # A recorder of a higher rate sees more bandwidth, not more noise in the band of the heart.
    hiss_EN = rng.standard_normal((9, samples), dtype=np.float32) * np.float32(np.sqrt(rate_hz / 500.0))
    noise_EN = hiss_EN * (recorder.hiss_uv * scale_E)[:, None]

    tension = 0.5 + 0.5 * np.sin(2.0 * np.pi * (rng.uniform(0.05, 0.3) * t_s + rng.random()))
    muscle_EN = np.diff(rng.standard_normal((9, samples + 1), dtype=np.float32), axis=1) / np.sqrt(2.0)
    noise_EN += muscle_EN * (recorder.muscle_uv * scale_E)[:, None] * tension

    hum = np.sin(2.0 * np.pi * (recorder.mains_hz * t_s + rng.random()))
    hum += 0.2 * np.sin(2.0 * np.pi * (3.0 * recorder.mains_hz * t_s + rng.random()))
    noise_EN += np.multiply.outer(recorder.mains_uv * scale_E * rng.gamma(1.0, 1.0, size=9), hum)

    for hz, share in ((rng.uniform(0.04, 0.12), 1.0), (rng.uniform(0.18, 0.35), 0.6), (rng.uniform(0.4, 0.7), 0.2)):
        wave_2N = np.stack([np.sin(2.0 * np.pi * hz * t_s), np.cos(2.0 * np.pi * hz * t_s)])
        weights_E2 = share * recorder.wander_uv * scale_E[:, None] * rng.normal(0.0, 1.0, size=(9, 2))
        noise_EN += weights_E2 @ wave_2N

    if rng.random() < recorder.pop_chance:
        electrode, at_s = rng.integers(9), rng.uniform(0.0, t_s[-1])
        height_mv, fade_s = rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1.8), rng.uniform(0.1, 0.8)
        after = t_s >= at_s
        noise_EN[electrode, after] += height_mv * np.exp(-(t_s[after] - at_s) / fade_s)
    if rng.random() < recorder.loose_chance:
        electrode, at_s, for_s = rng.integers(9), rng.uniform(0.0, t_s[-1]), rng.uniform(0.3, 2.0)
        loose = (t_s >= at_s) & (t_s < at_s + for_s)
        steps = rng.normal(0.0, 0.25, size=int(loose.sum())).cumsum()
        noise_EN[electrode, loose] += steps / np.sqrt(max(1.0, 0.04 * rate_hz))
    return np.asarray(noise_EN, dtype=np.float64)


@lru_cache(maxsize=64)
def _filters(
    rate_hz: int, highpass_hz: float, lowpass_hz: float, notch_hz: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Second-order sections: the high-pass; low-pass and notch, the former only where the sampling rate has room."""
    highpass = signal.butter(1, highpass_hz, "highpass", fs=rate_hz, output="sos")
    fast = []
    if lowpass_hz < 0.4 * rate_hz:
        fast.append(signal.butter(2, lowpass_hz, "lowpass", fs=rate_hz, output="sos"))
    if notch_hz is not None:
        fast.append(signal.tf2sos(*signal.iirnotch(notch_hz, _NOTCH_QUALITY, fs=rate_hz)))
    return highpass, np.concatenate(fast) if fast else None


def _run(
    sections: NDArray[np.float64], signal_KN: NDArray[np.float64], *, settled_on_K: NDArray[np.float64]
) -> NDArray[np.float64]:
    settled = signal.sosfilt_zi(sections)[:, None, :] * settled_on_K[None, :, None]
    filtered_KN, _ = signal.sosfilt(sections, signal_KN, axis=1, zi=settled)
    return np.asarray(filtered_KN)
