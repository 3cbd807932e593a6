"""An ECG prepared for the model and judged by the gate: what answers, tables and the gate's benchmark start from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from inputs.ecg.gate.gate import (
    LeadQuality,
    gate_warnings,
    lead_quality,
    lost_leads,
    lost_warnings,
    withheld_codes,
)
from inputs.ecg.gate.heartbeat import PATIENT_FIRST, judged_beats
from inputs.ecg.gate.levels import LOST_LEADS_ALLOWED, listing
from inputs.ecg.gate.limb_laws import law_warnings, usual_spreads
from inputs.ecg.gate.seen import Seen, seen_between
from inputs.ecg.measured.traced import TracedEcg, trace_ecg
from inputs.ecg.measured.tracing import LONGEST_S
from inputs.ecg.prepare import PreparedEcg, prepare_ecg
from inputs.ecg.quality import window_starts
from inputs.records import EcgRecording, InputWarning
from inputs.specs import EcgSpec

_RELATIVE = InputWarning(
    "amplitude_relative",
    "This model was trained on ECGs without a unit, each lead scaled by itself, and on none in millivolt as this one.",
)
_AROUND_WINDOW_S = 10.0
"""What is traced around a window that lies beyond what is measured: enough beats to tell a typical one."""
_ROUNDED_S = 0.02
"""The model's samples and those of the recording do not end together."""


@dataclass(frozen=True, eq=False)
class JudgedEcg:
    """warnings: of reading, preparation and the gate. traced: what is measured; None where nothing can be traced."""

    prepared: PreparedEcg
    traced: TracedEcg | None
    warnings: tuple[InputWarning, ...]

    @property
    def withheld(self) -> tuple[str, ...]:
        """Codes of what forbids an answer."""
        return withheld_codes(self.warnings)

    def lead_quality(self, leads: tuple[str, ...]) -> tuple[LeadQuality, ...]:
        """Of each of these leads what the warnings say."""
        return lead_quality(leads, self.warnings)


def judge_ecg(recording: EcgRecording, spec: EcgSpec) -> JudgedEcg:
    """Prepare a recording as `spec` says, and judge it. Raises UnusableRecording where it cannot even be prepared.

    Judged are the first LONGEST_S seconds, which are measured, and beyond these whatever the model sees.
    """
    prepared = prepare_ecg(recording, spec, despite_lost_leads=True)
    whole = prepared.recording
    derived = {lead for one in prepared.warnings if one.code == "leads_derived" for lead in one.leads}
    lost = {*lost_leads(spec.leads, prepared.warnings), *derived}  # what the file holds of the latter is no signal
    windows = _windows(whole, spec)
    traced = trace_ecg(whole)
    found: list[InputWarning] = []
    for first_s, last_s in [(0.0, LONGEST_S), *_beyond(whole.duration_s, windows)]:
        part = traced if first_s == 0.0 else trace_ecg(_between(whole, first_s, last_s))
        more = list(gate_warnings(part, lost))
        more += _unseen(part, first_s, last_s, windows, (*prepared.warnings, *more), spec)
        said = {(one.code, one.leads) for one in found}
        found += [_at(one, first_s, last_s) if first_s else one for one in more if (one.code, one.leads) not in said]
    lifeless = {lead for one in found if one.code == "disconnected" for lead in one.leads}
    laws = _laws(whole, {*lost, *lifeless}, windows)
    of_spec = (_RELATIVE,) if spec.amplitude == "relative" else ()
    warnings = (*prepared.warnings, *laws, *found, *of_spec)
    warnings = (*warnings, *lost_warnings(spec.leads, warnings))
    return JudgedEcg(prepared, traced, tuple(sorted(warnings, key=lambda one: one.code not in PATIENT_FIRST)))


def _laws(recording: EcgRecording, without: set[str], windows: list[tuple[float, float]]) -> list[InputWarning]:
    """The limb leads' laws in the whole, and, where none forbids an answer, in what the model sees."""
    laws = law_warnings(recording, without)
    if withheld_codes(laws):
        return laws
    usual_mv = usual_spreads(recording)
    for first_s, last_s in windows:
        seen = law_warnings(_between(recording, first_s, last_s), without, part_of=usual_mv)
        broken = [one for one in seen if one.severity == "withheld"]
        if broken:
            return [*laws, *(_at(one, first_s, last_s) for one in broken)]
    return laws


def _windows(recording: EcgRecording, spec: EcgSpec) -> list[tuple[float, float]]:
    """First and last second of what the model sees."""
    samples = int(recording.signal_mv.shape[1] * spec.rate_hz / recording.rate_hz)
    starts = window_starts(samples, spec)
    return [(start / spec.rate_hz, (start + spec.window_samples) / spec.rate_hz) for start in starts]


def _beyond(duration_s: float, windows: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches around those windows that do not lie within the first LONGEST_S seconds, few windows in each."""
    stretches: list[tuple[float, float]] = []
    reached_s = LONGEST_S
    for first_s, last_s in windows:
        if last_s <= reached_s:
            continue
        start_s = max(0.0, min((first_s + last_s - _AROUND_WINDOW_S) / 2.0, duration_s - _AROUND_WINDOW_S))
        reached_s = max(start_s + _AROUND_WINDOW_S, last_s)
        stretches.append((min(start_s, first_s), min(reached_s, duration_s)))
    return stretches


def _between(recording: EcgRecording, first_s: float, last_s: float) -> EcgRecording:
    cut = slice(round(first_s * recording.rate_hz), round(last_s * recording.rate_hz))
    return replace(recording, signal_mv=recording.signal_mv[:, cut])


def _unseen(
    traced: TracedEcg | None,
    first_s: float,
    last_s: float,
    windows: list[tuple[float, float]],
    warnings: Sequence[InputWarning],
    spec: EcgSpec,
) -> list[InputWarning]:
    """`no_qrs` where a window of the model's, within a stretch of leads that run together, holds no heartbeat.

    `leads_lost` where too many leads do not show it there, or could not be traced, with those that are lost anyhow, as
    the warnings say.
    """
    lost = lost_leads(spec.leads, warnings)
    said = len(lost) > LOST_LEADS_ALLOWED or "leads_lost" in withheld_codes(warnings)
    held = traced.tracing.leads if traced else ()
    derived = {lead for one in warnings if one.code == "leads_derived" for lead in one.leads}
    absent = tuple(lead for lead in spec.leads if lead not in held and lead not in derived)
    inside = [(start, end) for start, end in windows if first_s <= start + _ROUNDED_S and end <= last_s + _ROUNDED_S]
    sights: Iterable[Seen] = [Seen(True)] * len(inside)  # where no beats can be held against each other
    if traced and len(traced.parts) == 1 and (judged := judged_beats(traced)):
        sights = seen_between(traced, judged[0], lost, [(start - first_s, end - first_s) for start, end in inside])
    for (start_s, end_s), seen in zip(inside, sights, strict=True):
        where = f"from {start_s:.1f} to {end_s:.1f} s, which the model sees"
        if not seen.heartbeat:
            return [InputWarning("no_qrs", f"No QRS complex was found {where}.", severity="withheld")]
        not_there = lost_leads(spec.leads, (*warnings, InputWarning("disconnected", "", (*seen.without, *absent))))
        if len(not_there) > LOST_LEADS_ALLOWED and not said:
            message = f"Too much of the ECG is unusable: no heartbeat can be told in {listing(not_there)} {where}."
            return [InputWarning("leads_lost", message, not_there, "withheld")]
    return []


def _at(warning: InputWarning, first_s: float, last_s: float) -> InputWarning:
    """The finding of a later stretch, which says when."""
    message = f"At {first_s:.0f} to {last_s:.0f} s: {warning.message}"
    return replace(warning, message=message, stretch_s=(first_s, last_s))
