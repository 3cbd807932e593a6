"""A recording to its tracing, its rhythm and its typical beats: what measuring and judging both start from."""

from __future__ import annotations

from dataclasses import dataclass

from inputs.ecg.measured.beats import Beats, Rhythm, find_beats, gather_beats
from inputs.ecg.measured.tracing import Tracing, parts, trace
from inputs.records import EcgRecording


@dataclass(frozen=True, eq=False)
class TracedEcg:
    """parts: stretches whose leads were recorded together, each with the beats that were found in it, if any were."""

    tracing: Tracing
    rhythm: Rhythm
    parts: tuple[tuple[Beats, Tracing], ...]


def trace_ecg(recording: EcgRecording) -> TracedEcg | None:
    """Of the first 20 s. None where no lead has anything to trace, or its rate is impossible."""
    tracing = trace(recording)
    if tracing is None:
        return None
    rhythm = find_beats(tracing)
    found = []
    for part in parts(tracing):
        own = rhythm if part.leads == tracing.leads else find_beats(part)  # the tracing itself was searched already
        beats = gather_beats(part, own)
        if beats is not None:
            found.append((beats, part))
    return TracedEcg(tracing, rhythm, tuple(found))
