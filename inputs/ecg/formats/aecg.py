"""HL7 annotated ECG (aECG, root `AnnotatedECG`), the XML in which trials hand ECGs to the FDA.

Source: HL7 V3 Annotated ECG, Release 1 (ANSI, 2004), and its implementation guide of 21 March 2005. A series of the
code RHYTHM is a recording; derived series and representative beats are averages and are never read. A sequence set is
sequences of one length: one of times (GLIST: head and increment) and one a lead (SLIST: origin + scale * digit, each
with its unit). Lead codes are MDC's, `MDC_ECG_LEAD_AVR`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import Element

import numpy as np

from inputs.ecg.formats.base import (
    Channel,
    EcgFormat,
    agreed_rate,
    build_recording,
    check_no_lead_twice,
    check_size,
    millivolts_per,
    of_one_file,
)
from inputs.ecg.formats.digits import count_written, written_number, written_samples
from inputs.ecg.formats.given import other_unit
from inputs.ecg.formats.xml import parse_xml, root_of, text_at
from inputs.ecg.leads import lead_from_name
from inputs.ecg.said import device_said
from inputs.errors import UnreadableFile
from inputs.limits import MAX_CHANNELS
from inputs.records import STANDARD_LEADS, DeviceSaid, EcgRecording, InputWarning, ReadHints

_ROOT = "AnnotatedECG"
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_MILLISECONDS = {"ms": 1.0, "s": 1e3, "us": 1e-3}
_PER_MINUTE = {"bpm": 1.0, "/min": 1.0, "1/min": 1.0, "{beats}/min": 1.0, "{H.B.}/min": 1.0, "beats/min": 1.0}
_DEGREES = {"deg": 1.0}
_LEAD_CODE = re.compile(r"MDC_ECG_(?:LEAD|ELEC_POTL)_(.+)", re.IGNORECASE)
_LIMB, _CHEST = frozenset(STANDARD_LEADS[:6]), frozenset(STANDARD_LEADS[6:])
_MEASURES = {
    "MDC_ECG_HEART_RATE": ("heart_rate_bpm", _PER_MINUTE),
    "MDC_ECG_TIME_PD_PR": ("pr_ms", _MILLISECONDS),
    "MDC_ECG_TIME_PD_QRS": ("qrs_ms", _MILLISECONDS),
    "MDC_ECG_TIME_PD_QT": ("qt_ms", _MILLISECONDS),
    "MDC_ECG_TIME_PD_QTC": ("qtc_ms", _MILLISECONDS),
    "MDC_ECG_TIME_PD_QTCB": ("qtc_ms", _MILLISECONDS),
    "MDC_ECG_ANGLE_P_FRONT": ("p_axis_deg", _DEGREES),
    "MDC_ECG_ANGLE_QRS_FRONT": ("qrs_axis_deg", _DEGREES),
    "MDC_ECG_ANGLE_T_FRONT": ("t_axis_deg", _DEGREES),
}
_FILTERS = {
    "MDC_ECG_CTL_VBL_ATTR_FILTER_LOW_PASS": "low pass",
    "MDC_ECG_CTL_VBL_ATTR_FILTER_HIGH_PASS": "high pass",
    "MDC_ECG_CTL_VBL_ATTR_FILTER_NOTCH": "notch",
}
_STATEMENT = "MDC_ECG_INTERPRETATION_STATEMENT"
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?(\.\d{1,6})?)?([+-]\d{4})?", re.ASCII)
_WHOLE_SECONDS = 1.5
"""Ends are often whole seconds: by so much they may say more than is held."""
_ONE_AT_ONCE = "Export one rhythm with all leads at the same time, 10 s of it."


@dataclass(frozen=True)
class _Stretch:
    """Leads that were recorded at once. began: code and head of its times. leads: by our name, None for others."""

    series: Element
    began: tuple[str, str]
    step_s: float
    leads: tuple[tuple[str | None, Element], ...]

    def is_full(self) -> bool:
        """Whether all twelve standard leads are there or follow from those that are."""
        names = {lead for lead, _ in self.leads}
        return names >= _CHEST and len(names & _LIMB) >= 2

    def known(self) -> frozenset[str]:
        return frozenset(lead for lead, _ in self.leads if lead is not None)


def looks_like_aecg(data: bytes) -> bool:
    root = root_of(data)
    return root is not None and root[0] == _ROOT


def read_aecg(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read the first rhythm that has all standard leads at once; `hints.rate_hz` may only confirm its rate.

    Of several such the first is read, with a warning. Where none is full, the one stretch there is is read, and several
    are refused: leads of different times or rates are no recording. Raises UnreadableFile.
    """
    root = parse_xml(data)
    chosen, warnings = _chosen(_stretches(root))
    rate_hz = agreed_rate(hints.rate_hz, _rate(chosen.step_s))
    check_size(len(chosen.leads), 0)
    channels = [_channel(lead, value, len(chosen.leads)) for lead, value in chosen.leads]
    warnings += other_unit(hints.unit, channels)
    held_s = max(len(channel.samples) for channel in channels) * chosen.step_s
    stated_s = _stated_s(chosen.series)
    if stated_s is not None and stated_s - held_s > _WHOLE_SECONDS:
        message = f"The file says that its rhythm lasts {stated_s:.0f} s and holds {held_s:.3g} s of it."
        warnings.append(InputWarning("shorter_than_stated", message))
    return build_recording(channels, rate_hz, "aecg", warnings, said=_said(root, chosen.series))


def _stretches(root: Element) -> list[_Stretch]:
    """Those of the rhythms, sets of the same times made one. Raises UnreadableFile."""
    series = root.findall("component/series")
    rhythms = [one for one in series if _code(one) == "RHYTHM"]
    if not rhythms:
        what = "only averaged beats" if series else "no waveform"
        raise UnreadableFile(
            "no_rhythm", f"This HL7 aECG file holds {what}, no rhythm.", hint="Export it with its rhythm series."
        )
    found: list[_Stretch] = []
    for rhythm in rhythms:
        of_this: list[_Stretch] = []
        for each in rhythm.iterfind("component/sequenceSet"):
            if len(found) + len(of_this) > MAX_CHANNELS:
                raise UnreadableFile(
                    "too_many_channels", "This HL7 aECG file holds too many stretches.", hint=_ONE_AT_ONCE
                )
            one = _stretch(rhythm, each)
            twin = next((k for k, other in enumerate(of_this) if _are_one(other, one)), None)
            if twin is None:
                of_this.append(one)
            else:
                of_this[twin] = _Stretch(rhythm, one.began, one.step_s, of_this[twin].leads + one.leads)
        found += [one for one in of_this if one.leads]
    if not found:
        raise UnreadableFile("no_rhythm", "The rhythm of this HL7 aECG file has no leads.")
    return found


def _are_one(one: _Stretch, other: _Stretch) -> bool:
    """Whether two sets are parts of one: the same times, other leads. Their lengths are compared with the others'."""
    return (one.began, one.step_s) == (other.began, other.step_s) and not one.known() & other.known()


def _chosen(found: list[_Stretch]) -> tuple[_Stretch, list[InputWarning]]:
    full = [one for one in found if one.is_full()]
    if not full and len(found) > 1:
        if len({one.step_s for one in found}) > 1:
            raise UnreadableFile("rates_differ", "The leads of this HL7 aECG file differ in rate.", hint=_ONE_AT_ONCE)
        raise UnreadableFile(
            "leads_not_simultaneous", "This HL7 aECG file holds its leads in stretches of different times.",
            hint=_ONE_AT_ONCE,
        )  # fmt: skip
    if len(full) > 1:
        message = f"The file holds {len(full)} rhythms of all leads: the first was read."
        return full[0], [InputWarning("rhythms_ignored", message)]
    if full and len(found) > 1:
        message = "The file holds further stretches of single leads: the one of all leads was read."
        return full[0], [InputWarning("rhythms_ignored", message)]
    return (full or found)[0], []


def _stretch(series: Element, sequences: Element) -> _Stretch:
    began, step_s, leads = None, 0.0, []
    for sequence in sequences.iterfind("component/sequence"):
        code, value = _code(sequence), sequence.find("value")
        if value is None:
            raise UnreadableFile("unreadable_file", "A sequence of the HL7 aECG file has no value.")
        if code.startswith("TIME_"):
            if began is not None:
                raise UnreadableFile("rate_missing", "The HL7 aECG file states the times of its leads twice.")
            step_s = _step_s(value)
            head = value.find("head")
            began = (code, "" if head is None else head.get("value", ""))
        else:
            match = _LEAD_CODE.fullmatch(code)
            leads.append((None if match is None else lead_from_name(match[1]), value))
    if began is None:
        raise UnreadableFile("rate_missing", "The HL7 aECG file does not state the times of its leads.")
    check_size(len(leads), 0)
    check_no_lead_twice([lead for lead, _ in leads if lead is not None])
    return _Stretch(series, began, step_s, tuple(leads))


def _step_s(value: Element) -> float:
    increment = value.find("increment")
    step = None if increment is None else written_number(increment.get("value"))
    unit = None if increment is None else _SECONDS.get(increment.get("unit", "").strip())
    if step is None or unit is None:
        raise UnreadableFile("rate_missing", "The HL7 aECG file does not state its time step in s or ms.")
    step_s = step * unit
    if step_s <= 0:
        raise UnreadableFile("rate_out_of_range", "The time step of the HL7 aECG file is not positive.")
    return step_s


def _rate(step_s: float) -> float:
    """1 / step, without what binary fractions add: 2 ms are 500 Hz."""
    return float(f"{1 / step_s:.9g}")


def _channel(lead: str | None, value: Element, leads: int) -> Channel:
    """A lead in its scale's unit. Raises UnreadableFile for one without scale or unit."""
    if lead is None:
        return Channel(None, "", np.empty(0))
    scale, origin = value.find("scale"), value.find("origin")
    per_digit = None if scale is None else written_number(scale.get("value"))
    unit = "" if scale is None else scale.get("unit", "").strip()
    if not per_digit or not unit:
        raise UnreadableFile("unit_missing", f"The HL7 aECG file states no scale for lead {lead}.", leads=(lead,))
    zero = 0.0 if origin is None else written_number(origin.get("value"))
    if zero is None:
        raise UnreadableFile("unreadable_file", f"The origin of lead {lead} in the HL7 aECG file is no number.")
    if zero and origin is not None:
        own, other = millivolts_per(unit), millivolts_per(origin.get("unit", ""))
        if own is None or other is None:
            raise UnreadableFile(
                "unit_not_voltage", f"The origin of lead {lead} in the HL7 aECG file is no voltage.", leads=(lead,)
            )
        zero *= other / own
    digits = value.findtext("digits") or ""
    check_size(leads, samples := count_written(digits, "HL7 aECG"))
    return Channel(lead, unit, written_samples(digits, samples, "HL7 aECG") * per_digit + zero)


def _code(element: Element) -> str:
    code = element.find("code")
    return "" if code is None else code.get("code", "").strip().upper()


def _said(root: Element, series: Element) -> DeviceSaid:
    author = "author/seriesAuthor/"
    times = (f"effectiveTime/{end}" for end in ("low", "center"))
    began = next((time for path in times for one in (series, root) if (time := one.find(path)) is not None), None)
    return device_said(
        vendor=text_at(series, author + "manufacturerOrganization/name"),
        model=text_at(series, author + "manufacturedSeriesDevice/manufacturerModelName"),
        recorded_at=None if began is None else _iso(began.get("value", "")),
        filters=_filters(series),
        measures=_measures(series),
        statements=_statements(root),
    )


def _stated_s(series: Element) -> float | None:
    """From the start to the end that a series states, None where it does not."""
    ends = (series.find(f"effectiveTime/{end}") for end in ("low", "high"))
    texts = [_iso("" if end is None else end.get("value", "")) for end in ends]
    try:
        low, high = (datetime.fromisoformat(text or "") for text in texts)
        return (high - low).total_seconds()
    except (ValueError, TypeError):  # no such day, or a zone at one end alone
        return None


def _iso(time: str) -> str | None:
    match = _TIME.fullmatch(time.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, part, zone = match.groups()
    if hour is None:
        return f"{year}-{month}-{day}"
    clock = f"{hour}:{minute}" + (f":{second}{part or ''}" if second else "")
    return f"{year}-{month}-{day}T{clock}" + (f"{zone[:3]}:{zone[3:]}" if zone else "")


def _filters(series: Element) -> Iterator[str]:
    for control in series.iterfind("controlVariable/controlVariable"):
        name = _FILTERS.get(_code(control))
        values = [value for value in control.iterfind("component/controlVariable/value") if value.get("unit") == "Hz"]
        if name is not None:
            yield " ".join([name, *(f"{value.get('value', '')} Hz" for value in values[:1])])


def _measures(series: Element) -> dict[str, float]:
    """Those of the whole ECG: of the representative beat, else of the rhythm. Those of single beats are left."""
    found: dict[str, float] = {}
    for path in ("derivation/derivedSeries/subjectOf", "subjectOf"):
        for annotation in series.iterfind(f"{path}/annotationSet/component/annotation"):
            measure, units = _MEASURES.get(_code(annotation).removesuffix("_GL"), ("", {}))
            value = annotation.find("value")
            if not measure or value is None or annotation.find("support") is not None:
                continue
            number, unit = written_number(value.get("value")), units.get(value.get("unit", "").strip())
            if number is not None and unit is not None:
                found.setdefault(measure, number * unit)
    return found


def _statements(root: Element) -> Iterator[str]:
    for annotation in root.iter("annotation"):
        value = annotation.find("value")
        if _code(annotation) == _STATEMENT and value is not None:
            yield value.get("displayName") or value.text or ""


AECG = EcgFormat("aecg", looks_like_aecg, of_one_file(read_aecg), states_itself=True, checks_unit=True)
