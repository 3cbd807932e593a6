"""GE MUSE XML (root `RestingECG`), as the MUSE archive and GE's electrocardiographs export it.

GE describes it in the MUSE XML Developer's Guide and the MAC 5000 XML Technical Reference Manual (2015196-110); what is
said here was found in a real MUSE 9 export and holds in public readers (BRAVEHEART, ECGToolkit). A file has several
`Waveform`s in any order: the rhythm, and a median beat, which is never read. A lead is base64 of 16-bit little-endian
counts, `LeadAmplitudeUnitsPerBit` of `LeadAmplitudeUnits` each, at SampleBase * 10^SampleExponent Hz, where no exponent
is 0. `LeadDataCRC32` is the CRC-32 of the decoded bytes. Mostly I, II and V1 to V6 are stored.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np

from inputs.ecg.formats.base import Channel, EcgFormat, agreed_rate, build_recording, check_size, of_one_file, stretch
from inputs.ecg.formats.encoded import SAMPLE_BYTES, bytes_from_base64, samples_of
from inputs.ecg.formats.given import other_unit
from inputs.ecg.formats.text import number
from inputs.ecg.formats.xml import parse_xml, root_of, text_at
from inputs.ecg.leads import lead_from_name
from inputs.ecg.said import device_said
from inputs.ecg.statements import without_people
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, DeviceSaid, EcgRecording, InputWarning, ReadHints

_EXPORT = "Export the resting ECG from MUSE as XML with its waveforms."
_BEAT = re.compile(r"median|average|representative|template", re.IGNORECASE)
"""In the type of a waveform or of its samples: one beat made of many."""
_WHOLE = re.compile(r"[0-9]{1,12}")
_MOST_EXPONENT = 6
_MOST_PER_BIT = 1e6
_YES = ("true", "yes", "1")
_STARTS = ("LeadTimeOffset", "LeadOffsetFirstSample")
"""When a lead begins: 0 in what MUSE writes, not in what other programs make of split recordings."""

_MEASURES = {
    "heart_rate_bpm": "VentricularRate",
    "pr_ms": "PRInterval",
    "qrs_ms": "QRSDuration",
    "qt_ms": "QTInterval",
    "qtc_ms": "QTCorrected",
    "p_axis_deg": "PAxis",
    "qrs_axis_deg": "RAxis",
    "t_axis_deg": "TAxis",
}
_DATE = re.compile(r"(?P<month>[0-9]{2})-(?P<day>[0-9]{2})-(?P<year>[0-9]{4})")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_ABOUT_PEOPLE = ("PatientDemographics", "TestDemographics", "Order")
_NAMES = re.compile(r"(?:Last|First|Middle)Name$|ID$", re.IGNORECASE)


def looks_like_muse(data: bytes) -> bool:
    root = root_of(data)
    return root is not None and root[0].casefold() == "restingecg"


def read_muse(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read the rhythm; `hints.rate_hz` may only confirm its rate. Raises UnreadableFile."""
    root = parse_xml(data)
    strip, left_out = _rhythm(root)
    rate_hz = agreed_rate(hints.rate_hz, strip.rate_hz)
    part = stretch(hints, strip.samples, rate_hz)
    check_size(len(strip.leads), part.stop - part.start)
    _check_starts(strip.leads)
    warnings = []
    if left_out:
        message = f"{left_out} further rhythm waveforms of the GE MUSE file were not read."
        warnings.append(InputWarning("waveforms_ignored", message))
    decoded = {lead: _decoded(element, lead, len(strip.leads)) for lead, element in strip.known}
    if len(set(map(len, decoded.values()))) > 1:
        raise UnreadableFile("length_mismatch", "The leads of this GE MUSE file differ in length.")
    warnings += _checksum_warnings(dict(strip.known), decoded)
    off = tuple(lead for lead, element in strip.known if _is_off(element))
    if off:
        message = f"The electrocardiograph marks {', '.join(off)} as not connected: no sample of them was used."
        warnings.append(InputWarning("leads_off", message, off))
    channels = []
    for lead, element in strip.known:
        samples = samples_of(decoded[lead]) * _per_bit(element, lead)
        samples = np.full_like(samples, np.nan) if lead in off else samples
        channels.append(Channel(lead, text_at(element, "LeadAmplitudeUnits") or "", samples[part]))
    if any(_number_at(element, "FirstSampleBaseline") for _, element in strip.known):
        message = "The GE MUSE file states a baseline of its leads, which was not applied: its sign is not known."
        warnings.append(InputWarning("baseline_ignored", message))
    warnings += other_unit(hints.unit, channels)
    channels += [Channel(None, "", np.empty(0))] * (len(strip.leads) - len(strip.known))
    return build_recording(channels, rate_hz, "muse", warnings, said=_said(root, strip.waveform))


@dataclass(frozen=True)
class _Strip:
    """Leads recorded at one time. known: those that are leads of ours, by name, in the file's order."""

    waveform: Element
    leads: tuple[Element, ...]
    known: tuple[tuple[str, Element], ...]
    rate_hz: float
    samples: int

    @property
    def names(self) -> set[str]:
        return {lead for lead, _ in self.known}

    @property
    def worth(self) -> tuple[int, int]:
        return len(self.names & {*STANDARD_LEADS}), self.samples


def _rhythm(root: Element) -> tuple[_Strip, int]:
    """The rhythm with the most leads, those of its time that stand in waveforms of their own with it; and how many
    rhythm waveforms are not read. Raises UnreadableFile."""
    waveforms = [waveform for waveform in root.iter("Waveform") if waveform.find("LeadData") is not None]
    if not waveforms:
        raise UnreadableFile("signal_empty", "This GE MUSE file holds no waveform.", hint=_EXPORT)
    no_beats = [waveform for waveform in waveforms if not _BEAT.search(_kind(waveform))]
    named = [waveform for waveform in no_beats if "rhythm" in _kind(waveform).casefold()]
    if not no_beats:
        raise UnreadableFile("no_rhythm", "This GE MUSE file holds only the median beat, not the rhythm.", hint=_EXPORT)
    if not named and len(no_beats) > 1:
        raise UnreadableFile(
            "no_rhythm", "This GE MUSE file does not say which of its waveforms is the rhythm.", hint=_EXPORT
        )
    best, *others = sorted(map(_strip, named or no_beats), key=lambda strip: strip.worth, reverse=True)
    left_out = 0
    for other in others:
        new = other.names - best.names
        if new & {*STANDARD_LEADS} and other.rate_hz != best.rate_hz:
            raise UnreadableFile(
                "rates_differ", "The leads of this GE MUSE file have different sampling rates.", hint=_EXPORT
            )
        if new == other.names and other.samples == best.samples and _start(other) == _start(best):
            best = _Strip(best.waveform, best.leads + other.leads, best.known + other.known, best.rate_hz, best.samples)
        else:
            left_out += 1
    return best, left_out


def _kind(waveform: Element) -> str:
    return f"{text_at(waveform, 'WaveformType') or ''} {text_at(waveform, 'SampleType') or ''}"


def _start(strip: _Strip) -> str:
    return text_at(strip.waveform, "WaveformStartTime") or "0"


def _strip(waveform: Element) -> _Strip:
    leads = tuple(waveform.iterfind("LeadData"))
    check_size(len(leads), 0)
    known = tuple((name, lead) for lead in leads if (name := lead_from_name(text_at(lead, "LeadID") or "")))
    samples = max((_whole_at(lead, "LeadSampleCountTotal") or _samples_held(lead) for _, lead in known), default=0)
    return _Strip(waveform, leads, known, _rate_hz(waveform), samples)


def _samples_held(lead: Element) -> int:
    """Of a lead that does not say how many it has."""
    return len(bytes_from_base64(_text(lead), "A lead of the GE MUSE file", 1)) // SAMPLE_BYTES


def _rate_hz(waveform: Element) -> float:
    base = _number_at(waveform, "SampleBase")
    exponent = _number_at(waveform, "SampleExponent") or 0.0
    if base is None:
        raise UnreadableFile("rate_missing", "This GE MUSE file does not say its sampling rate.", hint=_EXPORT)
    if not (abs(exponent) <= _MOST_EXPONENT and exponent == int(exponent)):
        raise UnreadableFile("rate_out_of_range", "The sampling rate of this GE MUSE file is no rate.", hint=_EXPORT)
    return float(base * 10.0**exponent)


def _text(lead: Element) -> str:
    return lead.findtext("WaveFormData") or lead.findtext("WaveformData") or ""


def _decoded(element: Element, lead: str, channels: int) -> bytes:
    """The bytes of a lead, as many as it says."""
    whose = f"Lead {lead} of the GE MUSE file"
    data = bytes_from_base64(_text(element), whose, channels)
    held, samples = _whole_at(element, "LeadByteCountTotal"), _whole_at(element, "LeadSampleCountTotal")
    size = _whole_at(element, "LeadSampleSize")
    if size is None and held and samples:
        size = held // samples
    if size not in (None, SAMPLE_BYTES):
        raise UnreadableFile(
            "unsupported_format",
            f"{whose} has samples of {size} bytes; those of {SAMPLE_BYTES} are read.",
            hint=_EXPORT,
        )
    if held not in (None, len(data)) or samples not in (None, len(data) // SAMPLE_BYTES):
        raise UnreadableFile("truncated", f"{whose} has not the length that it states.", hint=_EXPORT, leads=(lead,))
    return data


def _per_bit(element: Element, lead: str) -> float:
    per_bit = _number_at(element, "LeadAmplitudeUnitsPerBit")
    if per_bit is None or not 0 < per_bit < _MOST_PER_BIT or text_at(element, "LeadAmplitudeUnits") is None:
        raise UnreadableFile(
            "unit_missing",
            f"Lead {lead} of the GE MUSE file does not say what voltage a bit is.",
            hint=_EXPORT,
            leads=(lead,),
        )
    return per_bit


def _checksum_warnings(leads: Mapping[str, Element], decoded: Mapping[str, bytes]) -> list[InputWarning]:
    """Refuse a lead that alone does not match; where none does, whoever wrote the file computes it in another way."""
    stated = {lead: _whole_at(element, "LeadDataCRC32") for lead, element in leads.items()}
    wrong = tuple(lead for lead, crc in stated.items() if crc and crc != zlib.crc32(decoded[lead]))
    if not wrong:
        return []
    if len(wrong) < sum(map(bool, stated.values())):
        raise UnreadableFile(
            "checksum_mismatch",
            f"The samples of {', '.join(wrong)} do not match their checksums: the GE MUSE file is damaged.",
            hint=_EXPORT,
            leads=wrong,
        )
    return [InputWarning("checksum_mismatch", "No lead of the GE MUSE file matches its checksum.")]


def _is_off(element: Element) -> bool:
    return any((text_at(element, tag) or "").casefold() in _YES for tag in ("LeadOff", "ElectrodeOff"))


def _check_starts(leads: Sequence[Element]) -> None:
    for tag in _STARTS:
        if len({_number_at(element, tag) or 0.0 for element in leads}) > 1:
            raise UnreadableFile(
                "leads_not_simultaneous", "The leads of this GE MUSE file do not begin at one time.", hint=_EXPORT
            )


def _whole_at(element: Element, tag: str) -> int | None:
    text = text_at(element, tag)
    if text is None:
        return None
    if not _WHOLE.fullmatch(text):
        raise UnreadableFile("unreadable_file", "A number of the GE MUSE file is damaged.", hint=_EXPORT)
    return int(text)


def _number_at(element: Element, tag: str) -> float | None:
    text = text_at(element, tag)
    try:
        return None if text is None else number(text)
    except ValueError as error:
        raise UnreadableFile("unreadable_file", "A number of the GE MUSE file is damaged.", hint=_EXPORT) from error


def _said(root: Element, waveform: Element) -> DeviceSaid:
    measured = root.find("RestingECGMeasurements")
    if measured is None:
        measured = root.find("OriginalRestingECGMeasurements")
    diagnosis = root.find("OriginalDiagnosis")  # the electrocardiograph's; the other may have been edited by a person
    if diagnosis is None:
        diagnosis = root.find("Diagnosis")
    about = [element for tag in _ABOUT_PEOPLE for part in root.iterfind(tag) for element in part.iter()]
    names = [element.text for element in about if _NAMES.search(element.tag)]
    spikes = waveform.find("PaceSpikes")
    return device_said(
        vendor="GE",
        model=text_at(root, "TestDemographics/AcquisitionDevice"),
        recorded_at=_recorded_at(root),
        filters=_filters(waveform),
        measures={} if measured is None else {name: text_at(measured, tag) for name, tag in _MEASURES.items()},
        statements=[] if diagnosis is None else without_people(_lines(diagnosis), names),
        paced=True if spikes is not None and "".join(spikes.itertext()).strip() else None,
    )


def _recorded_at(root: Element) -> str | None:
    date = _DATE.fullmatch(text_at(root, "TestDemographics/AcquisitionDate") or "")
    time = _TIME.fullmatch(text_at(root, "TestDemographics/AcquisitionTime") or "")
    if date is None or int(date["month"]) > 12:  # an order of day and month that is not the guide's
        return None
    return f"{date['year']}-{date['month']}-{date['day']}" + (f"T{time[0]}" if time else "")


def _filters(waveform: Element) -> Iterator[str]:
    """The high pass is written in hundredths of a hertz, the others in hertz, and NONE for none."""
    for tag, name, share in (
        ("HighPassFilter", "high", 0.01),
        ("LowPassFilter", "low", 1.0),
        ("ACFilter", "mains", 1.0),
    ):
        try:
            value = number(text_at(waveform, tag) or "")
        except ValueError:
            continue
        if value > 0:
            yield f"{name} {'filter' if name == 'mains' else 'pass'} {value * share:g} Hz"


def _lines(diagnosis: Element) -> Iterator[str]:
    """Lines of the interpretation, each of the fragments up to the next that ends a line."""
    line: list[str] = []
    for statement in diagnosis.iterfind("DiagnosisStatement"):
        line.append(text_at(statement, "StmtText") or "")
        if any((flag.text or "").strip().upper() == "ENDSLINE" for flag in statement.iterfind("StmtFlag")):
            yield " ".join(line)
            line = []
    yield " ".join(line)


MUSE = EcgFormat(
    "muse",
    looks_like_muse,
    of_one_file(read_muse),
    states_itself=True,
    chooses=frozenset({"stretch"}),
    checks_unit=True,
)
