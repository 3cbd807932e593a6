"""Can this recording be used as the spec asks, and what should a person know about it?

Refusals are UnusableRecording; everything short of that is a warning. Leads are found here by name, and the four limb
leads that follow from I and II are computed where the file lacks them.
Letters in array names: L leads, N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.still import without_held, without_padding
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
LEAST_SEEN = 0.5
"""The share of a window that a lead must hold, not to count as lost to the model that sees it."""
LITTLE_PADDING_S = 0.5
"""What is shorter is not cut from a record that would be too short without it."""

_COLUMN_S = 2.5
"""What a printout of 3 by 4 shows of each lead."""
_OF_A_PRINTOUT = (
    "A printout of 3 by 4 shows 2.5 s of each lead, one group of leads after the other, which is too little: export "
    "the digital ECG of 10 s, in which all leads run all the time."
)

# Einthoven's and Goldberger's laws: coefficients of I and II.
_FROM_LIMB_LEADS = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}


@dataclass(frozen=True)
class CheckedEcg:
    """rows_mv: one array of N float32 a lead, in the order of the spec's leads, NaN where samples are missing.

    They are the recording's own where it holds them: not to be written to. A long record is not held twice.
    """

    rows_mv: tuple[NDArray[np.float32], ...]
    warnings: tuple[InputWarning, ...]

    @property
    def signal_mv_LN(self) -> NDArray[np.float32]:
        """A copy of all of them."""
        return np.stack(self.rows_mv)


def check_ecg(recording: EcgRecording, spec: EcgSpec) -> CheckedEcg:
    """Bring the spec's leads in order, deriving limb leads, and judge them. Raises UnusableRecording.

    The warnings are those of preparation; `recording.warnings` holds those of reading. Padding at the ends is cut, and
    where leads stand still their samples count as missing.
    """
    cut, warnings = without_padding(recording)
    if _lasts_a_window(recording, spec) and not _lasts_a_window(cut, spec):
        short = recording.duration_s - cut.duration_s < LITTLE_PADDING_S  # as of a heart at rest, which is no reason
        cut, warnings = (recording, []) if short else (cut, warnings)
    recording = cut
    _check_time_base(recording, spec)
    recording, any_held = without_held(recording)
    rows, derived = _select_leads(recording, spec)
    if derived:
        names = ", ".join(derived)
        warnings.append(InputWarning("leads_derived", f"{names} were computed from leads I and II.", derived))
    warnings += _check_signal(rows, spec.leads, any_held=any_held)
    _check_seen(rows, recording.rate_hz, spec)
    warnings += _check_wiring(recording)
    return CheckedEcg(rows, tuple(warnings))


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
    if not _lasts_a_window(recording, spec):
        needed_s = spec.window_samples / spec.rate_hz
        raise UnusableRecording(
            "too_short",
            f"The ECG lasts {recording.duration_s:.2f} s; at least {needed_s:.2f} s are needed.",
            hint=_OF_A_PRINTOUT if abs(recording.duration_s - _COLUMN_S) < 0.2 else "Send a 10 s rhythm recording.",
        )


def _lasts_a_window(recording: EcgRecording, spec: EcgSpec) -> bool:
    return int(recording.signal_mv.shape[1] * spec.rate_hz / recording.rate_hz) >= spec.window_samples


def _select_leads(recording: EcgRecording, spec: EcgSpec) -> tuple[tuple[NDArray[np.float32], ...], tuple[str, ...]]:
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
    return tuple(rows[lead].astype(np.float32, copy=False) for lead in spec.leads), tuple(derived)


def _check_signal(rows: Sequence[NDArray[np.float32]], leads: tuple[str, ...], *, any_held: bool) -> list[InputWarning]:
    samples = len(rows[0])
    present_L = np.array([np.count_nonzero(np.isfinite(row)) for row in rows])
    empty_L = present_L == 0
    if empty_L.all():
        raise UnusableRecording("signal_empty", "The ECG holds no sample: every value is missing.")
    highest_L = np.array([np.fmax.reduce(row) for row in rows])  # of what is present
    lowest_L = np.array([np.fmin.reduce(row) for row in rows])
    swing_L = highest_L - lowest_L
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
    gaps_L = ~empty_L & (present_L < samples)
    if gaps_L.any():
        share = 1.0 - present_L[~empty_L].sum() / (samples * np.count_nonzero(~empty_L))
        names = tuple(np.array(leads)[gaps_L].tolist())
        what = "are missing, or stay at one value for long," if any_held else "are missing"
        message = f"{share:.2%} of the samples {what} and counted as their lead's level ({', '.join(names)})."
        warnings.append(InputWarning("samples_missing", message, names))
    low, high = PLAUSIBLE_MV
    middle_mv = float(np.median(swing_L[~lost_L]))
    if not low <= middle_mv <= high:
        message = f"A typical lead swings {middle_mv:.3g} mV peak to peak, which is not plausible for an ECG."
        warnings.append(InputWarning("amplitude_implausible", message + " Check unit and gain."))
    if _come_in_turn(rows):
        message = "Some leads come in turn, each with a part of the time to itself, as on a printout of 3 by 4."
        warnings.append(InputWarning("leads_in_turn", message))
    wrapped = tuple(
        lead for lead, row, lost_one in zip(leads, rows, lost_L, strict=True) if not lost_one and _is_wrapped(row)
    )
    if wrapped:
        message = (
            f"{_listing(wrapped)} jump between the ends of their range: samples of fewer bits may have lost their sign."
        )
        warnings.append(InputWarning("samples_wrapped", message, wrapped))
    clipped = tuple(
        lead
        for lead, row, lost_one, *extremes in zip(leads, rows, lost_L, highest_L, lowest_L, strict=True)
        if not lost_one and any(_is_clipped(row, extreme) for extreme in extremes)
    )
    if clipped:
        message = f"{_listing(clipped)} stay at their largest or smallest value for long: the signal seems cut off."
        warnings.append(InputWarning("signal_clipped", message, clipped))
    return warnings


def window_starts(samples: int, spec: EcgSpec) -> list[int]:
    """Where the windows begin that an encoder sees of so many samples at `spec.rate_hz`, at least one window."""
    width = spec.window_samples
    count = 1 if spec.windows == "first" else min(spec.max_windows, -(-samples // width))
    return np.linspace(0, samples - width, count).round().astype(int).tolist() if count > 1 else [0]


def _check_seen(rows: Sequence[NDArray[np.float32]], rate_hz: float, spec: EcgSpec) -> None:
    """Refuse where too many leads lack most of a window that the model sees, as if they lacked altogether."""
    gaps = [row for row in range(len(rows)) if not np.isfinite(rows[row]).all()]
    if len(gaps) <= LOST_LEADS_ALLOWED:
        return
    own_per_sample = rate_hz / spec.rate_hz
    for start in window_starts(int(len(rows[0]) / own_per_sample), spec):
        seen = slice(int(start * own_per_sample), int((start + spec.window_samples) * own_per_sample))
        lost = tuple(spec.leads[row] for row in gaps if np.isfinite(rows[row][seen]).mean() < LEAST_SEEN)
        if len(lost) <= LOST_LEADS_ALLOWED:
            continue
        raise UnusableRecording(
            "signal_empty",
            f"Too much of the ECG is missing: in {spec.window_samples / spec.rate_hz:.2f} s that the model sees, "
            f"{_listing(lost)} hold no signal most of the time.",
            hint=_OF_A_PRINTOUT if _come_in_turn(rows) else "Send a stretch that all leads share, without gaps.",
            leads=lost,
        )


def _come_in_turn(rows: Sequence[NDArray[np.float32]]) -> bool:
    """Whether leads are zero or missing but for a part of the time that others do not share."""
    parts = []
    for row in rows:
        (live,) = np.nonzero(np.nan_to_num(row))
        if 0 < len(live) <= len(row) / 2:  # others run along as a strip of rhythm
            parts.append((live[0], live[-1]))
    return any(first[1] < second[0] for first in parts for second in parts)


def _is_wrapped(row: NDArray[np.float32]) -> bool:
    """Whether samples lie near both ends of their range, hardly any between, and jump from end to end several times.

    So do 12 bits of a signed number that are read as an unsigned one: what lies just below zero becomes the largest.
    """
    low, high = np.fmin.reduce(row), np.fmax.reduce(row)
    place_N = (row - low) / (high - low)
    near_low, near_high = np.mean(place_N < 0.25), np.mean(place_N > 0.75)
    jumps = np.count_nonzero(np.abs(np.diff(place_N)) > 0.75)
    return bool(min(near_low, near_high) > 0.05 and near_low + near_high > 0.95 and jumps >= 8)


def _is_clipped(row: NDArray[np.float32], extreme: np.float32) -> bool:
    """Whether more than 2 % of the samples, in runs of at least five, are exactly at an extreme value."""
    enough = 0.02 * len(row)
    at_N = row == extreme
    if np.count_nonzero(at_N) <= enough:
        return False
    edges = np.flatnonzero(np.diff(at_N.astype(np.int8), prepend=0, append=0))
    runs = edges[1::2] - edges[::2]
    return bool(runs[runs >= 5].sum() > enough)


def _check_wiring(recording: EcgRecording) -> list[InputWarning]:
    """Leads that are in the file must obey Einthoven's law, and I must not be V6 upside down (arms exchanged)."""
    warnings = []
    limbs = _common_samples(recording, ("I", "II", "III"))
    if limbs is not None and _contradict([limbs[1], limbs[0], limbs[2]], (1.0, 1.0)):
        message = "Leads I, II and III contradict each other (II is not I + III): leads may be mislabelled."
        warnings.append(InputWarning("leads_inconsistent", message, ("I", "II", "III")))
    for lead, (of_i, of_ii) in _FROM_LIMB_LEADS.items():
        rows = None if lead == "III" else _common_samples(recording, ("I", "II", lead))
        if rows is None:
            continue
        if _contradict([rows[2], rows[0], rows[1]], (of_i, of_ii)):
            message = (
                f"Lead {lead} contradicts leads I and II, from which it follows: it may be mislabelled or inverted."
            )
            warnings.append(InputWarning("leads_inconsistent", message, (lead,)))
    left = _common_samples(recording, ("I", "V6"))
    if left is not None and _correlation(*left) < REVERSED_CORRELATION:
        message = "Lead I looks like V6 upside down: the arm electrodes may be exchanged."
        warnings.append(InputWarning("arms_exchanged", message, ("I",)))
    return warnings


def _contradict(rows: Sequence[NDArray[np.float32]], factors: tuple[float, float]) -> bool:
    """Whether the first of three leads is not the sum of the others by their factors, but for offsets and rounding."""
    residual = rows[0] - np.float32(factors[0]) * rows[1] - np.float32(factors[1]) * rows[2]
    limit = INCONSISTENT * max(float(row.std()) for row in rows)
    spread = float(residual.std())
    if spread <= limit:
        return False
    # A twelfth of the step squared, and a little: the errors of a lead that hardly moves are not spread evenly.
    rounding = sum((factor * _step(row)) ** 2 / 9.0 for factor, row in zip((1.0, *factors), rows, strict=True))
    return spread**2 - rounding > limit**2


def _step(row: NDArray[np.float32]) -> float:
    """The smallest difference between values: of the converter, or of who rounded them."""
    values = np.unique(row)
    return float(np.diff(values).min()) if len(values) > 1 else 0.0


def _correlation(a_N: NDArray[np.float32], b_N: NDArray[np.float32]) -> float:
    spread = float(a_N.std() * b_N.std())
    return float(((a_N - a_N.mean()) * (b_N - b_N.mean())).mean()) / spread if spread > 0 else 0.0


def _common_samples(recording: EcgRecording, leads: tuple[str, ...]) -> list[NDArray[np.float32]] | None:
    """Each of `leads` where all have samples; None when a lead is not in the file or nothing remains."""
    if not set(leads) <= set(recording.lead_names):
        return None
    rows = [recording.signal_mv[recording.lead_names.index(lead)] for lead in leads]
    present_N = np.isfinite(rows[0])
    for row in rows[1:]:
        present_N &= np.isfinite(row)
    if present_N.all():
        return rows  # the recording's own, which a copy would hold twice
    return [row[present_N] for row in rows] if present_N.any() else None


def _listing(leads: tuple[str, ...]) -> str:
    return ("lead " if len(leads) == 1 else "leads ") + ", ".join(leads)
