"""Can this recording be used as the spec asks, and what should a person know about it?

Refusals are UnusableRecording; everything short of that is a warning. Leads are found here by name, and the four limb
leads that follow from I and II are computed where the file lacks them.
Letters in array names: L leads, N samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.errors import UnusableRecording
from inputs.records import EcgRecording, InputWarning
from inputs.specs import EcgSpec

RATE_RANGE_HZ = (50.0, 20_000.0)
MAX_DURATION_S = 300.0
"""A resting ECG lasts 10 s. Preparation needs about 0.2 MB of memory per second."""
FLAT_MV = 0.005
"""A lead that moves less than this, peak to peak, carries no heartbeat: a QRS is a hundred times larger."""
PLAUSIBLE_MV = (0.1, 20.0)
"""Peak to peak of the middle lead. Outside, the unit or the gain is probably wrong."""
INCONSISTENT = 0.15
"""How far II may be from I + III, as a share of the largest of their standard deviations."""
REVERSED_CORRELATION = -0.6
"""Of I with V6, which see the heart from nearly the same side."""
LOST_LEADS_ALLOWED = 3
"""Flat or empty leads up to here are a warning (an electrode fell off); beyond, too little of the heart is seen."""

# Einthoven's and Goldberger's laws: coefficients of I and II.
_FROM_LIMB_LEADS = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}


@dataclass(frozen=True)
class CheckedEcg:
    """signal_mv_LN: float32, L in the order of the spec's leads, NaN where samples are missing."""

    signal_mv_LN: NDArray[np.float32]
    warnings: tuple[InputWarning, ...]


def check_ecg(recording: EcgRecording, spec: EcgSpec) -> CheckedEcg:
    """Bring the spec's leads in order, deriving limb leads, and judge them. Raises UnusableRecording.

    The warnings are those of preparation; `recording.warnings` holds those of reading.
    """
    _check_time_base(recording, spec)
    signal_LN, derived = _select_leads(recording, spec)
    warnings = []
    if derived:
        names = ", ".join(derived)
        warnings.append(InputWarning("leads_derived", f"{names} were computed from leads I and II.", derived))
    warnings += _check_signal(signal_LN, spec.leads)
    warnings += _check_wiring(recording)
    return CheckedEcg(signal_LN, tuple(warnings))


def _check_time_base(recording: EcgRecording, spec: EcgSpec) -> None:
    low, high = RATE_RANGE_HZ
    if not low <= recording.rate_hz <= high:
        raise UnusableRecording(
            "rate_out_of_range",
            f"The sampling rate of {recording.rate_hz:g} Hz is outside {low:g} to {high:g} Hz.",
            hint="Check the rate that the file or the request states.",
        )
    if recording.duration_s > MAX_DURATION_S:
        raise UnusableRecording(
            "too_long",
            f"The ECG lasts {recording.duration_s:.0f} s; at most {MAX_DURATION_S:.0f} s are prepared.",
            hint="Cut a stretch of 10 s out of it.",
        )
    samples = int(recording.signal_mv.shape[1] * spec.rate_hz / recording.rate_hz)
    if samples < spec.window_samples:
        needed_s = spec.window_samples / spec.rate_hz
        raise UnusableRecording(
            "too_short",
            f"The ECG lasts {recording.duration_s:.2f} s; at least {needed_s:.2f} s are needed.",
            hint="Send a 10 s rhythm recording.",
        )


def _select_leads(recording: EcgRecording, spec: EcgSpec) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    rows = {
        name: row
        for name, row in zip(recording.lead_names, recording.signal_mv, strict=True)
        if name not in _FROM_LIMB_LEADS or np.isfinite(row).any()
    }
    derived = []
    for lead, (of_i, of_ii) in _FROM_LIMB_LEADS.items():
        if lead in spec.leads and lead not in rows and "I" in rows and "II" in rows:
            rows[lead] = np.float32(of_i) * rows["I"] + np.float32(of_ii) * rows["II"]
            derived.append(lead)
    missing = tuple(lead for lead in spec.leads if lead not in rows)
    if missing:
        raise UnusableRecording(
            "leads_missing",
            f"The ECG lacks {_listing(missing)}.",
            hint="Send a standard 12-lead ECG, or at least I, II and V1 to V6.",
            leads=missing,
        )
    return np.stack([rows[lead] for lead in spec.leads]).astype(np.float32, copy=False), tuple(derived)


def _check_signal(signal_LN: NDArray[np.float32], leads: tuple[str, ...]) -> list[InputWarning]:
    present_LN = np.isfinite(signal_LN)
    empty_L = ~present_LN.any(axis=1)
    if empty_L.all():
        raise UnusableRecording("signal_empty", "The ECG holds no sample: every value is missing.")
    swing_L = np.fmax.reduce(signal_LN, axis=1) - np.fmin.reduce(signal_LN, axis=1)  # of what is present
    flat_L = ~empty_L & (swing_L < FLAT_MV)
    lost_L = empty_L | flat_L
    lost = tuple(np.array(leads)[lost_L].tolist())
    if lost_L.sum() > LOST_LEADS_ALLOWED:
        code, what = ("signal_empty", "hold no sample") if empty_L.sum() > flat_L.sum() else ("signal_flat", "are flat")
        if empty_L.any() and flat_L.any():
            what = "are flat or hold no sample"
        raise UnusableRecording(
            code,
            f"Too much of the ECG is unusable: {_listing(lost)} {what}.",
            hint="Check the electrodes, and that the unit and gain are right.",
            leads=lost,
        )
    warnings = []
    if lost:
        message = f"{_listing(lost)} carried no signal and counted as zero."
        warnings.append(InputWarning("leads_flat", message, lost))
    gaps_L = ~empty_L & ~present_LN.all(axis=1)
    if gaps_L.any():
        share = 1.0 - present_LN[~empty_L].mean()
        names = tuple(np.array(leads)[gaps_L].tolist())
        message = f"{share:.2%} of the samples are missing and counted as zero ({', '.join(names)})."
        warnings.append(InputWarning("samples_missing", message, names))
    low, high = PLAUSIBLE_MV
    middle_mv = float(np.median(swing_L[~lost_L]))
    if not low <= middle_mv <= high:
        message = f"A typical lead swings {middle_mv:.3g} mV peak to peak, which is not plausible for an ECG."
        warnings.append(InputWarning("amplitude_implausible", message + " Check unit and gain."))
    clipped = _clipped_leads(signal_LN, lost_L, leads)
    if clipped:
        message = f"{_listing(clipped)} stay at their largest or smallest value for long: the signal seems cut off."
        warnings.append(InputWarning("signal_clipped", message, clipped))
    return warnings


def _clipped_leads(
    signal_LN: NDArray[np.float32], lost_L: NDArray[np.bool_], leads: tuple[str, ...]
) -> tuple[str, ...]:
    """Leads with more than 2 % of their samples, in runs of at least five, exactly at an extreme value."""
    clipped_L = np.zeros(len(leads), bool)
    enough = 0.02 * signal_LN.shape[1]
    for extreme_L in (np.fmax.reduce(signal_LN, axis=1), np.fmin.reduce(signal_LN, axis=1)):
        at_LN = signal_LN == extreme_L[:, None]
        for row in np.flatnonzero(~lost_L & (at_LN.sum(axis=1) > enough)):
            edges = np.flatnonzero(np.diff(at_LN[row].astype(np.int8), prepend=0, append=0))
            runs = edges[1::2] - edges[::2]
            clipped_L[row] |= runs[runs >= 5].sum() > enough
    return tuple(np.array(leads)[clipped_L].tolist())


def _check_wiring(recording: EcgRecording) -> list[InputWarning]:
    """Leads that are in the file must obey Einthoven's law, and I must not be V6 upside down (arms exchanged)."""
    warnings = []
    limb_LN = _common_samples(recording, ("I", "II", "III"))
    if limb_LN is not None:
        residual = limb_LN[1] - limb_LN[0] - limb_LN[2]  # an offset between amplifiers does not matter
        if residual.std() > INCONSISTENT * limb_LN.std(axis=1).max():
            message = "Leads I, II and III contradict each other (II is not I + III): leads may be mislabelled."
            warnings.append(InputWarning("leads_inconsistent", message, ("I", "II", "III")))
    left_LN = _common_samples(recording, ("I", "V6"))
    if left_LN is not None and _correlation(left_LN[0], left_LN[1]) < REVERSED_CORRELATION:
        message = "Lead I looks like V6 upside down: the arm electrodes may be exchanged."
        warnings.append(InputWarning("arms_exchanged", message, ("I",)))
    return warnings


def _correlation(a_N: NDArray[np.float32], b_N: NDArray[np.float32]) -> float:
    spread = float(a_N.std() * b_N.std())
    return float(((a_N - a_N.mean()) * (b_N - b_N.mean())).mean()) / spread if spread > 0 else 0.0


def _common_samples(recording: EcgRecording, leads: tuple[str, ...]) -> NDArray[np.float32] | None:
    """(L, N) of `leads` where all have samples; None when a lead is not in the file or nothing remains."""
    if not set(leads) <= set(recording.lead_names):
        return None
    signal_LN = recording.signal_mv[[recording.lead_names.index(lead) for lead in leads]]
    present_N = np.isfinite(signal_LN).all(axis=0)
    return signal_LN[:, present_N] if present_N.any() else None


def _listing(leads: tuple[str, ...]) -> str:
    return ("lead " if len(leads) == 1 else "leads ") + ", ".join(leads)
