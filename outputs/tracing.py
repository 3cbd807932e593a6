"""An ECG as it is drawn: what a person sees of a recording beside its answer. Knows neither paper nor files.

Letters in array names: L leads, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.quality import computed_limb_leads, limb_leads_to_compute
from inputs.records import STANDARD_LEADS, EcgRecording, InputWarning

DRAWN_S = 10.0
"""A page of paper. With MOST_HZ it also bounds what is kept of an answer: 240 kB."""
MOST_HZ = 500.0


@dataclass(frozen=True, eq=False)
class Tracing:
    """At most DRAWN_S seconds of the twelve standard leads, in their order, before any scaling for a model.

    signal_mv_LN: (12, N) float32 millivolt at `rate_hz`, at most MOST_HZ; NaN where nothing was recorded.
    start_s: of its first sample, from the start of the recording without padding, which lasts `duration_s`.
    missing: leads that the recording does not hold and that were not computed. derived: those computed from `pair`.
    findings: of a lead the warnings that name it, what is merely good to know left out.
    windows_s: start and length of each stretch that the model saw, on the recording's clock.
    caption: what was recorded, and what is drawn of it, in sentences.
    """

    signal_mv_LN: NDArray[np.float32]
    rate_hz: float
    start_s: float
    duration_s: float
    windows_s: tuple[tuple[float, float], ...] = ()
    missing: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    pair: tuple[str, str] = ("I", "II")
    findings: Mapping[str, tuple[InputWarning, ...]] | None = None
    caption: tuple[str, ...] = ()

    lead_names = STANDARD_LEADS

    @property
    def drawn_s(self) -> float:
        return float(self.signal_mv_LN.shape[1] / self.rate_hz)

    @property
    def seen_whole(self) -> bool:
        """Whether the model saw all that is drawn."""
        reached_s = self.start_s
        for start_s, length_s in sorted(self.windows_s):
            if start_s > reached_s + 1.0 / self.rate_hz:
                return False
            reached_s = max(reached_s, start_s + length_s)
        return reached_s >= self.start_s + self.drawn_s - 1.0 / self.rate_hz

    def found_of(self, lead: str) -> tuple[InputWarning, ...]:
        return (self.findings or {}).get(lead, ())


def tracing_of(
    recording: EcgRecording, warnings: Sequence[InputWarning], windows_s: Sequence[tuple[float, float]]
) -> Tracing:
    """The ten seconds around the first window, or all of a shorter recording.

    recording: as it was read, without padding, as `windows_s` count (`PreparedEcg.recording`).
    """
    rows = dict(zip(recording.lead_names, recording.signal_mv, strict=True))
    derived, pair = limb_leads_to_compute(rows, STANDARD_LEADS)
    first, last = _drawn(recording, windows_s)
    drawn = {lead: row[first:last] for lead, row in rows.items()}
    drawn |= computed_limb_leads(drawn, derived, pair)
    missing = tuple(lead for lead in STANDARD_LEADS if lead not in drawn)
    empty_N = np.full(last - first, np.nan, np.float32)
    signal_mv_LN = np.stack([drawn.get(lead, empty_N) for lead in STANDARD_LEADS]).astype(np.float32, copy=False)
    step = int(np.ceil(2.0 * recording.rate_hz / MOST_HZ)) if recording.rate_hz > MOST_HZ else 0
    drawn_s = first / recording.rate_hz, last / recording.rate_hz
    serious = [one for one in warnings if one.severity != "note" and _holds(one, drawn_s)]
    found = {lead: tuple(one for one in serious if lead in one.leads) for lead in STANDARD_LEADS}
    start_s = first / recording.rate_hz
    return Tracing(
        signal_mv_LN=extremes(signal_mv_LN, step) if step else signal_mv_LN,
        rate_hz=2.0 * recording.rate_hz / step if step else recording.rate_hz,
        start_s=start_s,
        duration_s=recording.duration_s,
        windows_s=tuple(windows_s),
        missing=missing,
        derived=derived,
        pair=pair,
        findings={lead: of_lead for lead, of_lead in found.items() if of_lead},
        caption=_caption(recording, start_s, (last - first) / recording.rate_hz, missing, derived, pair),
    )


def _holds(warning: InputWarning, drawn_s: tuple[float, float]) -> bool:
    """Whether it is of what is drawn."""
    stretch_s = warning.stretch_s
    return stretch_s is None or (stretch_s[0] < drawn_s[1] and stretch_s[1] > drawn_s[0])


def extremes(signal_LN: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Of every `step` samples, two at least, the least and the greatest, as they came: (L, 2 * cells).

    Peaks keep their height, as a mean over the step would not; a pacemaker's pulse lasts half a millisecond. What is
    missing counts only where a whole step is missing.
    """
    L, N = signal_LN.shape
    cells = -(-N // step)
    padded_LCS = np.full((L, cells * step), np.nan, np.float32)
    padded_LCS[:, :N] = signal_LN
    padded_LCS = padded_LCS.reshape(L, cells, step)
    missing_LCS = np.isnan(padded_LCS)
    low_LC1 = np.where(missing_LCS, np.inf, padded_LCS).argmin(axis=2)[..., None]
    high_LC1 = np.where(missing_LCS, -np.inf, padded_LCS).argmax(axis=2)[..., None]
    places_LC2 = np.sort(np.concatenate([low_LC1, high_LC1], axis=2), axis=2)
    kept_LC2 = np.take_along_axis(padded_LCS, places_LC2, axis=2)
    return kept_LC2.reshape(L, 2 * cells)


def _drawn(recording: EcgRecording, windows_s: Sequence[tuple[float, float]]) -> tuple[int, int]:
    """The first sample that is drawn, and the first that is not."""
    samples, rate_hz = recording.signal_mv.shape[1], recording.rate_hz
    drawn = min(samples, round(DRAWN_S * rate_hz))
    start_s, length_s = windows_s[0] if windows_s else (0.0, 0.0)
    middle = round((start_s + length_s / 2.0) * rate_hz)
    first = max(0, min(middle - drawn // 2, samples - drawn))
    return first, first + drawn


def _caption(
    recording: EcgRecording,
    start_s: float,
    drawn_s: float,
    missing: Sequence[str],
    derived: Sequence[str],
    pair: tuple[str, str],
) -> tuple[str, ...]:
    stretch = ""
    if recording.duration_s - drawn_s > 0.05:
        stretch = f", of which {drawn_s:.1f} s from {start_s:.1f} s on are drawn"
    lines = [f"Recorded at {recording.rate_hz:g} Hz for {recording.duration_s:.1f} s{stretch}."]
    if derived:
        lines.append(f"Computed from {pair[0]} and {pair[1]}: {', '.join(derived)}.")
    if missing:
        lines.append(f"Not recorded: {', '.join(missing)}.")
    if others := [lead for lead in recording.lead_names if lead not in STANDARD_LEADS]:
        lines.append(f"Recorded and not drawn: {', '.join(others)}.")
    return tuple(lines)
