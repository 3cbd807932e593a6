"""An ECG prepared for the model and judged by the gate: what answers, tables and the gate's benchmark start from."""

from __future__ import annotations

from dataclasses import dataclass

from inputs.ecg.gate.gate import LeadQuality, gate_warnings, lead_quality, withheld_codes
from inputs.ecg.measured.traced import TracedEcg, trace_ecg
from inputs.ecg.prepare import PreparedEcg, prepare_ecg
from inputs.records import EcgRecording, InputWarning
from inputs.specs import EcgSpec

_RELATIVE = InputWarning(
    "amplitude_relative",
    "This model was trained on ECGs without a unit, each lead scaled by itself, and on none in millivolt as this one.",
)


@dataclass(frozen=True, eq=False)
class JudgedEcg:
    """warnings: of reading, preparation and the gate. traced: what was prepared; None where nothing can be traced."""

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
    """Prepare a recording as `spec` says, and judge it. Raises UnusableRecording where it cannot even be prepared."""
    prepared = prepare_ecg(recording, spec, despite_lost_leads=True)
    traced = trace_ecg(prepared.recording)
    of_spec = (_RELATIVE,) if spec.amplitude == "relative" else ()
    return JudgedEcg(prepared, traced, (*prepared.warnings, *gate_warnings(traced), *of_spec))
