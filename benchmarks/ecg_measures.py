"""What a person with a ruler finds in an ECG: on one beat without noise, and on a whole recording of any origin.

Letters in array names: L leads (in the order of STANDARD_LEADS), K independent leads, N samples, W samples of a beat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from inputs.records import STANDARD_LEADS
from simulator.ecg.electrics import Electrics
from simulator.ecg.heart import Beat, shape_beat
from simulator.ecg.placement import LEAD_FIELD_KD
from simulator.ecg.signal import seen_by_leads, twelve_leads
from simulator.ecg.waves import dipole_at
from simulator.physiology import Physiology

_Floats = NDArray[np.float64]

AT = {lead: row for row, lead in enumerate(STANDARD_LEADS)}
INDEPENDENT = [AT[lead] for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]
TERRITORY_LEADS = {
    "LAD": ("V1", "V2", "V3", "V4"),
    "RCA": ("II", "III", "aVF"),
    "LCx": ("I", "aVL", "V5", "V6"),
}
_DIPOLE_DK = np.linalg.pinv(LEAD_FIELD_KD)
"""What dipole the leads saw, were this the textbook's body."""
_ONSET = 250
"""Sample of QRS onset in a noise-free beat, at 1,000 Hz."""
_Q_MS, _Q_MV = 30, 0.1
"""A pathological Q wave: Thygesen et al., Fourth universal definition, Circulation 2018;138:e618."""


@dataclass(frozen=True, eq=False)
class Read:
    """One beat, measured. Heights in millivolt, r and s never negative, t with its sign; by lead."""

    r_L: _Floats
    s_L: _Floats
    t_L: _Floats
    q_L: NDArray[np.bool_]
    """Leads with a pathological Q wave or QS."""
    axis_deg: float
    p_ii_mv: float
    qrs_ms: float
    pr_ms: float
    qrs_area_uvs: float
    """Length of the area of the dipole that the leads saw; a microvolt second is a millivolt times a millisecond."""

    def of(self, wave: str, lead: str) -> float:
        return float(getattr(self, f"{wave}_L")[AT[lead]])

    @property
    def sokolow_lyon_mv(self) -> float:
        """S in V1 and the taller R of V5 and V6: Sokolow and Lyon, Am Heart J 1949;37:161."""
        return self.of("s", "V1") + max(self.of("r", "V5"), self.of("r", "V6"))

    @property
    def cornell_mv(self) -> float:
        """R in aVL and S in V3: Casale et al., J Am Coll Cardiol 1985;6:572."""
        return self.of("r", "aVL") + self.of("s", "V3")

    @property
    def low_limb_voltage(self) -> bool:
        return bool((self.r_L + self.s_L)[:6].max() < 0.5)

    def has_q(self, territory: str) -> bool:
        """In two leads of an artery's territory."""
        return bool(sum(self.q_L[AT[lead]] for lead in TERRITORY_LEADS[territory]) >= 2)

    def inverted_t(self, territory: str) -> bool:
        """Beyond 0.1 mV in two leads; not counting V1 and V2, where T may be inverted in health."""
        leads = [lead for lead in TERRITORY_LEADS[territory] if lead not in ("V1", "V2", "III")]
        return bool(sum(self.t_L[AT[lead]] < -0.1 for lead in leads) >= 2)


def beat_without_noise(beat: Beat) -> _Floats:
    """(L, W) millivolt at 1,000 Hz, from 250 ms before QRS onset."""
    times_ms = np.arange(-_ONSET, 650.0)
    bumps = tuple(bump for bump in beat.bumps if bump.before_ms > 1.0)  # a pacemaker's spike is no wave
    return twelve_leads(seen_by_leads(beat, dipole_at(bumps, times_ms))).astype(np.float64)


def read_beat(physiology: Physiology, electrics: Electrics, rng: np.random.Generator) -> Read:
    """The beat of one recording of this heart, read."""
    beat = shape_beat(physiology, electrics, rng)
    beat_LW = beat_without_noise(beat)
    ends = _ONSET + round(beat.qrs_ms)
    qrs_LW = beat_LW[:, _ONSET - 5 : ends + 5]
    t_LW = beat_LW[:, ends + 60 : _ONSET + round(beat.qt_ms) + 40]
    r_L, s_L = qrs_LW.max(axis=1).clip(0.0), (-qrs_LW.min(axis=1)).clip(0.0)
    net_L = r_L - s_L
    return Read(
        r_L=r_L,
        s_L=s_L,
        t_L=_furthest(t_LW),
        q_L=np.array([_pathological_q(row) for row in qrs_LW]),
        axis_deg=float(np.degrees(np.arctan2(net_L[AT["aVF"]] * 2 / np.sqrt(3), net_L[AT["I"]]))),
        p_ii_mv=float(beat_LW[AT["II"], : _ONSET - 20].max()),
        qrs_ms=beat.qrs_ms,
        pr_ms=beat.pr_ms,
        qrs_area_uvs=float(np.linalg.norm(_DIPOLE_DK @ qrs_LW[INDEPENDENT].sum(axis=1))),
    )


def _furthest(wave_LW: _Floats) -> _Floats:
    high_L, low_L = wave_LW.max(axis=1), wave_LW.min(axis=1)
    return np.asarray(np.where(high_L > -low_L, high_L, low_L))


def _pathological_q(qrs_W: _Floats) -> bool:
    """Whether QRS begins downwards for 30 ms and by 0.1 mV or more."""
    starts = int(np.argmax(np.abs(qrs_W) > 0.02))
    down_W = qrs_W[starts:] < -0.02
    lasts = int(np.argmin(down_W)) if not down_W.all() else len(down_W)
    return bool(lasts >= _Q_MS and -qrs_W[starts : starts + lasts].min() >= _Q_MV)


def median_beat(signal_LN: _Floats, rate_hz: float, before_s: float, after_s: float) -> tuple[_Floats, _Floats] | None:
    """(L, W) median of the beats around their steepest part, and the seconds between them; None without beats."""
    band = signal.butter(2, [8.0, 30.0], "bandpass", fs=rate_hz, output="sos")
    energy_N = np.sqrt(np.square(signal.sosfiltfilt(band, signal_LN[INDEPENDENT], axis=1)).sum(axis=0))
    width = max(1, round(0.06 * rate_hz))
    energy_N = np.convolve(energy_N, np.ones(width) / width, "same")
    peaks, _ = signal.find_peaks(energy_N, distance=round(0.28 * rate_hz), height=0.4 * np.percentile(energy_N, 98))
    before, after = round(before_s * rate_hz), round(after_s * rate_hz)
    inside = peaks[(peaks >= before) & (peaks + after <= signal_LN.shape[1])]
    if len(inside) < 3:
        return None
    beats = np.stack([signal_LN[:, peak - before : peak + after] for peak in inside])
    return np.median(beats, axis=0), np.diff(peaks) / rate_hz


def measures_of(signal_LN: _Floats, rate_hz: float) -> dict[str, float] | None:
    """Seventeen measures of a recording, millivolt and ms; None where no beats are found."""
    if rate_hz != 500.0:
        signal_LN = signal.resample(signal_LN, round(signal_LN.shape[1] * 500.0 / rate_hz), axis=1)
    slow = signal.butter(1, 0.5, "highpass", fs=500.0, output="sos")
    found = median_beat(signal.sosfiltfilt(slow, signal_LN, axis=1), 500.0, 0.35, 0.55)
    if found is None:
        return None
    beat_LW, rr_s = found
    middle = 175
    flat_L = np.median(beat_LW[:, middle - 45 : middle - 35], axis=1)
    qrs_LW = beat_LW[:, middle - 30 : middle + 35] - flat_L[:, None]
    t_L = _furthest(beat_LW[:, middle + 60 :] - flat_L[:, None])
    around_LW = beat_LW[:, middle - 35 : middle + 45]
    hz, power_LF = signal.welch(signal_LN - np.median(signal_LN, axis=1, keepdims=True), 500.0, nperseg=1024, axis=1)
    all_L = power_LF[:, (hz > 1.0) & (hz < 100.0)].sum(axis=1)

    def share(low_hz: float, high_hz: float) -> float:
        return float(np.median(power_LF[:, (hz > low_hz) & (hz < high_hz)].sum(axis=1) / all_L))

    def turns(row_W: _Floats) -> int:
        slope_W = np.diff(row_W)
        turning_W = np.diff(np.sign(slope_W)) != 0
        return int((turning_W & (np.abs(row_W[1:-1] - row_W[0]) > 0.02)).sum())

    heights = {f"r_{lead}": qrs_LW[AT[lead]].max() for lead in ("I", "II", "V1", "V4", "V5", "V6")}
    heights |= {f"s_{lead}": -qrs_LW[AT[lead]].min() for lead in ("V1", "V2")}
    heights |= {f"t_{lead}": t_L[AT[lead]] for lead in ("II", "V2", "V5")}
    return {
        "rate_bpm": 60.0 / float(np.median(rr_s)),
        "qrs_by_slope_ms": qrs_by_slope_ms(beat_LW),
        **{name: float(value) for name, value in heights.items()},
        "sharpness_mv": float(np.abs(np.diff(around_LW, n=2, axis=1)).max()),
        "turns": float(np.median([turns(row_W) for row_W in around_LW])),
        "power_1_to_5_hz": share(1.0, 5.0),
        "power_15_to_40_hz": share(15.0, 40.0),
    }


def qrs_by_slope_ms(beat_LW: _Floats) -> float:
    """How long the leads together change by 12 % of their steepest or more; a beat at 500 Hz, its QRS at 350 ms."""
    slope_W = np.sqrt(np.square(np.diff(beat_LW[INDEPENDENT], axis=1)).sum(axis=0))
    steep = np.flatnonzero(slope_W[125:245] > 0.12 * slope_W[140:220].max())
    return 2.0 * float(steep[-1] - steep[0])
