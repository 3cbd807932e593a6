"""Whether a recording looks as if it were made at another rate than is said: by heart rate, width of QRS and QTc.

A rate that is wrong by a factor makes a heart of 70 beats a minute one of 7 or 700, and its QRS complexes a second or a
hundredth of one wide. Such a record is answered all the same, from what is no heart's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from inputs.ecg.measured.measure import MeasuredEcg, measure_ecg
from inputs.records import EcgRecording, InputWarning

COMMON_RATES_HZ = (100.0, 125.0, 128.0, 200.0, 240.0, 250.0, 256.0, 300.0, 360.0, 400.0, 500.0, 512.0, 1000.0, 2000.0)
"""What electrocardiographs and archives use."""
_COMMONEST_FIRST_HZ = (500.0, 1000.0, 250.0, 100.0, 400.0, 200.0, 360.0, *COMMON_RATES_HZ)
_NEAR = 1.3
_USUAL_BPM, _USUAL_QRS_MS = (45.0, 120.0), (70.0, 130.0)
"""What most resting ECGs have: only such a reading at another rate speaks for that rate."""
_POSSIBLE_BPM, _POSSIBLE_QRS_MS = (25.0, 250.0), (50.0, 220.0)
_POSSIBLE_QTC_MS = (300.0, 550.0)
"""QT follows the heart rate: at half or twice the rate that is said, QTc is wrong by 1.6, in a newborn as in a heart
block. Without it, a slow heart with a wide QRS and a fast one with a narrow QRS are rarer than a rate wrong by two."""
_LEAST_WIDE_MS = 120.0
_SLOW_BPM, _WIDE_MS = 40.0, 150.0
_FAST_BPM, _NARROW_MS = 150.0, 60.0
_LEAST_FACTOR = 1.5
_MIDDLE = (70.0, 95.0)


def rate_warning(recording: EcgRecording, measured: MeasuredEcg) -> InputWarning | None:
    """The warning `rate_implausible` where the record makes a heart at a common other rate, and hardly one at its own.

    measured: of the recording, at the rate that is said. The first 20 s count.
    """
    if _is_possible(measured):
        return None
    likely: dict[float, float] = {}
    for rate_hz in COMMON_RATES_HZ:
        if max(rate_hz / recording.rate_hz, recording.rate_hz / rate_hz) < _LEAST_FACTOR:
            continue
        other = measure_ecg(replace(recording, rate_hz=rate_hz))
        bpm, qrs_ms = other.heart_rate_bpm, other.qrs_ms
        if bpm is None or qrs_ms is None or not _is_usual(bpm, qrs_ms):
            continue
        likely[rate_hz] = abs(math.log(bpm / _MIDDLE[0])) + abs(math.log(qrs_ms / _MIDDLE[1]))
    if not likely:
        return None
    return InputWarning(
        "rate_implausible",
        f"At the {recording.rate_hz:g} Hz that are said this is hardly a heart's rhythm; {_rates_words(likely)} it "
        f"would be a usual one. Check the rate{_unless(measured)}.",
    )


def _rates_words(likely: Mapping[float, float]) -> str:
    """The rates near the likeliest one, which a heart cannot tell apart, and the commonest of them."""
    best_hz = min(likely, key=likely.__getitem__)
    near = sorted(rate_hz for rate_hz in likely if max(rate_hz / best_hz, best_hz / rate_hz) < _NEAR)
    commonest_hz = min(near, key=_COMMONEST_FIRST_HZ.index)
    return f"at {near[0]:g} to {near[-1]:g} Hz, as {commonest_hz:g} Hz," if len(near) > 1 else f"near {best_hz:g} Hz"


def _is_possible(measured: MeasuredEcg) -> bool:
    bpm, qrs_ms, qtc_ms = measured.heart_rate_bpm, measured.qrs_ms, measured.qtc_ms
    if qrs_ms is not None and not _within(qrs_ms, _POSSIBLE_QRS_MS):
        return False
    if bpm is None:  # no rhythm to count, as in a fibrillation or beside a pause
        return qrs_ms is not None
    if not _within(bpm, _POSSIBLE_BPM):
        return False
    if qtc_ms is not None:  # a long QT alone is an illness, and a wide QRS makes QT longer
        more_ms = 0.0 if qrs_ms is None or not _is_wide(bpm, qrs_ms) else qrs_ms - _MIDDLE[1]
        least_ms, most_ms = _POSSIBLE_QTC_MS
        return _within(qtc_ms, (least_ms, most_ms + more_ms)) or _is_usual(bpm, qrs_ms)
    slow_and_wide = qrs_ms is not None and bpm < _SLOW_BPM and qrs_ms > _WIDE_MS
    fast_and_narrow = qrs_ms is not None and bpm > _FAST_BPM and qrs_ms < _NARROW_MS
    return not slow_and_wide and not fast_and_narrow


def _is_wide(bpm: float, qrs_ms: float) -> bool:
    """A bundle branch block's or a pacemaker's QRS, at a usual heart rate."""
    return qrs_ms > _LEAST_WIDE_MS and _within(bpm, _USUAL_BPM)


def _is_usual(bpm: float, qrs_ms: float | None) -> bool:
    return qrs_ms is not None and _within(bpm, _USUAL_BPM) and _within(qrs_ms, _USUAL_QRS_MS)


def _unless(measured: MeasuredEcg) -> str:
    """Whose heart may be so all the same."""
    bpm, qrs_ms = measured.heart_rate_bpm, measured.qrs_ms
    if bpm is not None and _USUAL_BPM[1] < bpm <= _POSSIBLE_BPM[1]:
        return ", unless this is a newborn's or a very fast heart"
    if bpm is not None and _POSSIBLE_BPM[0] <= bpm < _USUAL_BPM[0]:
        return ", unless this heart is so slow (heart block, a pacemaker, a wide QRS)"
    if qrs_ms is not None and _LEAST_WIDE_MS < qrs_ms <= _POSSIBLE_QRS_MS[1]:
        return ", unless this heart has a pacemaker or a wide QRS"
    return ""


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]
