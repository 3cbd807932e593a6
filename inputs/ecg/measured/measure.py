"""The door: a recording to its classic measurements, each with the judgement whether it can be relied on.

Letters in array names: B beats.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from inputs.ecg.measured.beat import BeatMeasures, measure_beats
from inputs.ecg.measured.beats import Beats, Rhythm
from inputs.ecg.measured.traced import TracedEcg, trace_ecg
from inputs.ecg.measured.tracing import Tracing
from inputs.records import EcgRecording

CONTRAST = 3.8
"""A QRS stands out at least so far at ordinary rates; noise of any colour stays below 3.3."""
CONTRAST_WHEN_ALIKE = 2.2
"""At 200 beats a minute little rest is left to stand out of; but nearly all beats are alike, which noise never is."""
_SHARE_ALIKE = 0.4
_SHARE_OF_FEW = 0.7
"""Where fewer than four are alike, as two or three may be by chance."""
_LONELY_ALLOWED, _SHARE_FOR_RATE = 1, 0.8
_NEARLY_ALL = 0.9
_MANY_BEATS = 8
_RATES_BPM = (20.0, 300.0)
_FEWEST_BEATS = 3
_FEWEST_INTERVALS = 4
"""Three may agree by chance in atrial fibrillation."""
_LONGEST_PAUSE = 3.5
"""Of the usual distance: beyond, beats were lost rather than the heart at rest."""
_SAME_RHYTHM = 0.10
_SHARE_REGULAR = 0.75
_SHARE_FOR_P = 0.5
"""Where no rhythm prevails, what looks like P before QRS may be a fibrillation wave."""
_LARGEST_DISAGREEMENT = BeatMeasures(pr_ms=40.0, qrs_ms=30.0, qt_ms=50.0, axis_deg=30.0)
"""Between groups of leads that were recorded one after the other."""


@dataclass(frozen=True)
class MeasuredEcg:
    """What a person would read off the tracing. A measure that cannot be relied on is None and named in not_reliable.

    heart_rate_bpm: ventricular, from the mean distance of all QRS complexes, extra beats included.
    regular: whether three quarters of these distances lie within 10 % of their median; one extra beat is forgiven.
    pr_ms: from the first onset of P to that of QRS, over all leads, in the typical beat. None in atrial fibrillation.
    qrs_ms, qt_ms: from the first onset of QRS over all leads to its last end, and to the end of T by the tangent
        method, which reads some 20 to 30 ms less than electrocardiographs print.
    qtc_ms: QT corrected by Fridericia (1920), QT / cube root of the mean RR in seconds; Bazett's square root
        overcorrects at high rates and undercorrects at low ones (Rautaharju et al. 2009).
    axis_deg: of QRS in the frontal plane, by net areas; 0 points left, 90 to the feet; above -180, at most 180.
    not_reliable: names of the fields that are None, in their order.
    """

    heart_rate_bpm: float | None
    regular: bool | None
    pr_ms: float | None
    qrs_ms: float | None
    qt_ms: float | None
    qtc_ms: float | None
    axis_deg: float | None
    not_reliable: tuple[str, ...]


def measure_ecg(recording: EcgRecording) -> MeasuredEcg:
    """Measure the first 20 s of a recording; never raises, whatever the signal.

    Any rate of 50 to 20,000 Hz and any standard leads will do; what they do not show is not reliable.
    """
    return measure_traced(trace_ecg(recording))


def measure_traced(traced: TracedEcg | None) -> MeasuredEcg:
    """The same of a recording that was traced already."""
    found = beats_of_heart(traced)
    if traced is None or not found:
        return _measured(None, None, BeatMeasures())
    rhythm = traced.rhythm
    alike = _share_alike(rhythm)
    rate_bpm = _rate_bpm(rhythm) if all(_most_are_beats(beats) for beats, _ in found) else None
    beat = _together([measure_beats(beats, part.leads) for beats, part in found])
    if alike is not None and alike < _SHARE_FOR_P:
        beat = replace(beat, pr_ms=None)
    regular = None if rate_bpm is None or alike is None else alike >= _SHARE_REGULAR
    return _measured(rate_bpm, regular, beat)


def beats_of_heart(traced: TracedEcg | None) -> list[tuple[Beats, Tracing]]:
    """The parts whose beats are a heart's; none where nothing stands out or what does is not alike."""
    if traced is None:
        return []
    return [(beats, part) for beats, part in traced.parts if _are_beats(beats, traced.rhythm)]


def _are_beats(beats: Beats, rhythm: Rhythm) -> bool:
    """Whether what was found is a heart's: it stands out, and enough of it is alike."""
    if rhythm.contrast >= CONTRAST:
        few = beats.share * len(rhythm.r_B) < _MANY_BEATS / 2
        return beats.share >= (_SHARE_OF_FEW if few else _SHARE_ALIKE)
    of_a_kind = beats.share + len(beats.next_C) / beats.count  # of two, where the rhythm changes
    return beats.contrast >= CONTRAST_WHEN_ALIKE and of_a_kind >= _NEARLY_ALL and len(rhythm.r_B) >= _MANY_BEATS


def _most_are_beats(beats: Beats) -> bool:
    """Whether the rate may be told: of several beats like no other, among few of one kind, some are an electrode's."""
    return beats.lonely <= _LONELY_ALLOWED or beats.share >= _SHARE_FOR_RATE


def _rate_bpm(rhythm: Rhythm) -> float | None:
    rr_ms_B = rhythm.rr_ms_B
    if len(rhythm.r_B) < _FEWEST_BEATS or rr_ms_B.max() > _LONGEST_PAUSE * np.median(rr_ms_B):
        return None
    rate_bpm = 60_000.0 / float(rr_ms_B.mean())
    return rate_bpm if _RATES_BPM[0] <= rate_bpm <= _RATES_BPM[1] else None


def _share_alike(rhythm: Rhythm) -> float | None:
    """Of the distances of beats, those within 10 % of their median; None of too few."""
    rr_ms_B = rhythm.rr_ms_B
    if len(rr_ms_B) < _FEWEST_INTERVALS:
        return None
    middle_ms = np.median(rr_ms_B)
    return float(np.mean(np.abs(rr_ms_B - middle_ms) <= _SAME_RHYTHM * middle_ms))


def _together(found: list[BeatMeasures]) -> BeatMeasures:
    """The median over parts of what each part measured, where they agree."""
    if len(found) == 1:
        return found[0]
    together = {}
    for field in fields(BeatMeasures):
        values = [value for value in (getattr(one, field.name) for one in found) if value is not None]
        agree = bool(values) and max(values) - min(values) <= getattr(_LARGEST_DISAGREEMENT, field.name)
        together[field.name] = float(np.median(values)) if agree else None
    return BeatMeasures(**together)


def _measured(rate_bpm: float | None, regular: bool | None, beat: BeatMeasures) -> MeasuredEcg:
    qtc_ms = None
    if beat.qt_ms is not None and rate_bpm is not None:
        qtc_ms = beat.qt_ms / (60.0 / rate_bpm) ** (1.0 / 3.0)
    values: dict[str, float | bool | None] = {
        "heart_rate_bpm": rate_bpm,
        "regular": regular,
        "pr_ms": beat.pr_ms,
        "qrs_ms": beat.qrs_ms,
        "qt_ms": beat.qt_ms,
        "qtc_ms": qtc_ms,
        "axis_deg": beat.axis_deg,
    }
    missing = tuple(name for name, value in values.items() if value is None)
    return MeasuredEcg(**values, not_reliable=missing)  # type: ignore[arg-type]  # each name has its field's type
