"""Can this recording be used as the spec asks, and what should a person know about it?

Refusals are UnusableRecording; everything short of that is a warning. Leads are found here by name, and the four limb
leads that follow from I and II are computed where the file lacks them.
Letters in array names: L leads, N samples.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.gate.levels import (
    FLAT_MV,
    LOST_LEADS_ALLOWED,
    Levels,
    carries_signal,
    come_in_turn,
    judge_levels,
    listing,
    sentence_listing,
)
from inputs.ecg.gate.limb_laws import LIMB_LEADS, from_two
from inputs.ecg.still import without_held, without_padding
from inputs.errors import UnusableRecording
from inputs.records import EcgRecording, InputWarning
from inputs.specs import EcgSpec

RATE_RANGE_HZ = (50.0, 20_000.0)
MAX_DURATION_S = 300.0
"""A resting ECG lasts 10 s. Preparation needs about 0.2 MB of memory per second."""
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


@dataclass(frozen=True)
class CheckedEcg:
    """rows_mv: one array of N float32 a lead, in the order of the spec's leads, NaN where samples are missing.

    They are the recording's own where it holds them: not to be written to. A long record is not held twice.
    recording: what is left of it without padding, NaN where leads stood still.
    """

    rows_mv: tuple[NDArray[np.float32], ...]
    warnings: tuple[InputWarning, ...]
    recording: EcgRecording

    @property
    def signal_mv_LN(self) -> NDArray[np.float32]:
        """A copy of all of them."""
        return np.stack(self.rows_mv)


def check_ecg(recording: EcgRecording, spec: EcgSpec, *, despite_lost_leads: bool = False) -> CheckedEcg:
    """Bring the spec's leads in order, deriving limb leads, and judge them. Raises UnusableRecording.

    The warnings are those of preparation; `recording.warnings` holds those of reading. Padding at the ends is cut, and
    where leads stand still their samples count as missing. despite_lost_leads: too many lost leads are a warning of
    severity `withheld` rather than a refusal; what has no sample at all is refused always.
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
        leads, (first, second) = derived
        was = "was" if len(leads) == 1 else "were"
        message = f"{sentence_listing(leads)} {was} computed from leads {first} and {second}."
        warnings.append(InputWarning("leads_derived", message, leads, "note"))
    levels = judge_levels(rows, spec.leads, any_held=any_held)
    _refuse_lost(levels, despite_lost_leads=despite_lost_leads)
    warnings += levels.warnings
    if len(levels.lost) <= LOST_LEADS_ALLOWED:
        warnings += _unseen(rows, recording.rate_hz, spec, despite_lost_leads=despite_lost_leads)
    return CheckedEcg(rows, tuple(warnings), recording)


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
    return bool(recording.signal_mv.shape[1] * spec.rate_hz / recording.rate_hz >= spec.window_samples)


def _select_leads(
    recording: EcgRecording, spec: EcgSpec
) -> tuple[tuple[NDArray[np.float32], ...], tuple[tuple[str, ...], tuple[str, str]] | None]:
    """The spec's leads; of limb leads that were computed, which, and from which two.

    I and II must be in the file; where one of them carries no signal it follows from two other limb leads.
    """
    rows = dict(zip(recording.lead_names, recording.signal_mv, strict=True))
    derived, pair = limb_leads_to_compute(rows, spec.leads)
    rows |= computed_limb_leads(rows, derived, pair)
    missing = tuple(lead for lead in spec.leads if lead not in rows)
    if missing:
        raise UnusableRecording(
            "leads_missing",
            f"The ECG lacks {listing(missing)}.",
            hint="Send a standard 12-lead ECG, or at least I, II and V1 to V6.",
            leads=missing,
        )
    selected = tuple(rows[lead].astype(np.float32, copy=False) for lead in spec.leads)
    return selected, (derived, pair) if derived else None


def limb_leads_to_compute(
    rows: Mapping[str, NDArray[np.float32]], wanted: Container[str]
) -> tuple[tuple[str, ...], tuple[str, str]]:
    """Which of the limb leads that are wanted follow from two others by name, and from which two.

    Those that are not in `rows`, or carry no signal there while two others do; none without I and II.
    """
    live = [lead for lead in LIMB_LEADS if lead in rows and carries_signal(rows[lead])]
    pair = (live[0], live[1]) if len(live) > 1 else ("I", "II")
    if "I" not in rows or "II" not in rows:
        return (), pair
    lacking = (lead for lead in LIMB_LEADS if lead not in rows or (lead not in live and len(live) > 1))
    return tuple(lead for lead in lacking if lead in wanted), pair


def computed_limb_leads(
    rows: Mapping[str, NDArray[np.float32]], derived: Sequence[str], pair: tuple[str, str]
) -> dict[str, NDArray[np.float32]]:
    """These leads from those two, sample by sample."""
    computed = {}
    for lead in derived:
        of_one, of_two = from_two(lead, *pair)
        computed[lead] = np.float32(of_one) * rows[pair[0]] + np.float32(of_two) * rows[pair[1]]
    return computed


def _refuse_lost(levels: Levels, *, despite_lost_leads: bool) -> None:
    lost = levels.lost
    if levels.all_empty:
        raise UnusableRecording("signal_empty", "The ECG holds no sample: every value is missing.")
    if len(lost) <= LOST_LEADS_ALLOWED or despite_lost_leads:
        return
    code, what = ("signal_empty", "hold no sample") if levels.empty > levels.flat else ("signal_flat", "are flat")
    if levels.empty and levels.flat:
        what = "are flat or hold no sample"
    raise UnusableRecording(
        code,
        f"Too much of the ECG is unusable: {listing(lost)} {what}.",
        hint="Check the electrodes, and that the unit and gain are right.",
        leads=lost,
    )


def window_starts(samples: int, spec: EcgSpec) -> list[int]:
    """Where the windows begin that an encoder sees of so many samples at `spec.rate_hz`, at least one window."""
    width = spec.window_samples
    count = 1 if spec.windows == "first" else min(spec.max_windows, -(-samples // width))
    return np.linspace(0, samples - width, count).round().astype(int).tolist() if count > 1 else [0]


def _unseen(
    rows: Sequence[NDArray[np.float32]], rate_hz: float, spec: EcgSpec, *, despite_lost_leads: bool
) -> list[InputWarning]:
    """What too many leads lack of a window that the model sees, as if they lacked altogether."""
    in_turn = come_in_turn(rows)
    turn = "Some leads come in turn, each with a part of the time to itself, as on a printout of 3 by 4."
    own_per_sample = rate_hz / spec.rate_hz
    for start in window_starts(int(len(rows[0]) / own_per_sample), spec):
        seen = slice(int(start * own_per_sample), int((start + spec.window_samples) * own_per_sample))
        lost = tuple(lead for lead, row in zip(spec.leads, rows, strict=True) if not _shows(row[seen]))
        if len(lost) <= LOST_LEADS_ALLOWED:
            continue
        missing = (
            f"Too much of the ECG is missing: in {spec.window_samples / spec.rate_hz:.2f} s that the model sees, "
            f"{listing(lost)} hold no signal most of the time."
        )
        if despite_lost_leads:
            code, message = ("leads_in_turn", turn) if in_turn else ("leads_lost", missing)
            return [InputWarning(code, message, lost, "withheld")]
        hint = _OF_A_PRINTOUT if in_turn else "Send a stretch that all leads share, without gaps."
        raise UnusableRecording("signal_empty", missing, hint=hint, leads=lost)
    return [InputWarning("leads_in_turn", turn)] if in_turn else []


def _shows(seen_N: NDArray[np.float32]) -> bool:
    """Whether a lead holds and moves, in what the model sees."""
    if np.isfinite(seen_N).mean() < LEAST_SEEN:
        return False
    return bool(np.fmax.reduce(seen_N) - np.fmin.reduce(seen_N) >= FLAT_MV)
