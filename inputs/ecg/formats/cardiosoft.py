"""GE CardioSoft XML (root `CardiologyXML`), as UK Biobank gives it out.

Source: files of CardioSoft 6.73 and UK Biobank's resource on its ECG data (category 104). The rhythm of 10 s is
`StripData`: counts of `Resolution` (uVperLsb), a lead each `WaveformData`, with commas between. `FullDisclosure` holds
the whole recording, a second of each lead after the other, and is read only where there is no strip. `MedianSamples`
and `VectorLoops` are averaged beats and are never read.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import (
    Channel,
    EcgFormat,
    agreed_rate,
    build_recording,
    check_size,
    checked_rate,
    millivolts_per,
    of_one_file,
    stretch,
)
from inputs.ecg.formats.digits import count_written, written_number, written_samples
from inputs.ecg.formats.xml import parse_xml, root_of, text_at
from inputs.ecg.leads import leads_from_names
from inputs.ecg.said import device_said
from inputs.errors import UnreadableFile
from inputs.limits import MAX_VALUES
from inputs.records import DeviceSaid, EcgRecording, InputWarning, ReadHints

_ROOT, _OTHER_ROOT = "CardiologyXML", "sapphire"
_EXPORT = "Export the resting ECG from CardioSoft as XML with its 10 s rhythm (StripData), or as DICOM."
_PER_COUNT = re.compile(r"(.{1,12})perlsb", re.IGNORECASE)
_MOST = 10.0**12
"""Leads or samples: a number of any length would be a sentence of any length."""
_MOST_EINTHOVEN = 3.0
"""Counts by which III may differ from II - I on average: CardioSoft makes it of them, to the count."""


def looks_like_cardiosoft(data: bytes) -> bool:
    """Either of GE's two: of the second this reader says that it is not read."""
    root = root_of(data)
    return root is not None and root[0] in (_ROOT, _OTHER_ROOT)


def read_cardiosoft(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read the strip, else the full disclosure; `hints.rate_hz` may only confirm the rate. Raises UnreadableFile.

    `hints.start_s` and `hints.length_s` choose a stretch of it.
    """
    root = parse_xml(data)
    if root.tag != _ROOT:
        raise UnreadableFile("unsupported_format", "This is a GE Sapphire XML file, which is not read.", hint=_EXPORT)
    kind = text_at(root, "ObservationType")
    if kind is not None and not kind.casefold().startswith("rest"):
        raise UnreadableFile("unsupported_format", "This CardioSoft file is no resting ECG.", hint=_EXPORT)
    strips = [strip for strip in root.iterfind("StripData") if strip.find("WaveformData") is not None]
    if len(strips) > 1:
        raise UnreadableFile("several_ecgs", "This CardioSoft file holds more than one rhythm strip.", hint=_EXPORT)
    warnings: list[InputWarning] = []
    if strips:
        rate_hz, channels = _strip(strips[0], hints)
    elif (whole := root.find("FullDisclosure")) is not None and whole.find("FullDisclosureData") is not None:
        rate_hz, channels = _full_disclosure(whole, hints)
        message = "The file holds no rhythm strip: the full disclosure was read."
        warnings.append(InputWarning("full_disclosure_read", message))
    elif root.find("RestingECGMeasurements/MedianSamples") is not None:
        raise UnreadableFile("no_rhythm", "This CardioSoft file holds only averaged beats, no rhythm.", hint=_EXPORT)
    else:
        raise UnreadableFile("not_an_ecg", "This CardioSoft file holds no rhythm.", hint=_EXPORT)
    return build_recording(channels, rate_hz, "cardiosoft", warnings, said=_said(root))


def _rate(section: Element, hints: ReadHints) -> float:
    rate = section.find("SampleRate")
    rate_hz = None if rate is None else written_number(rate.text)
    if rate is None or rate_hz is None or rate.get("units", "Hz").strip().casefold() != "hz":
        raise UnreadableFile(
            "rate_missing", "The CardioSoft file does not state its sampling rate in Hz.", hint=_EXPORT
        )
    return agreed_rate(hints.rate_hz, checked_rate(rate_hz))


def _millivolts_per_count(section: Element) -> float:
    resolution = section.find("Resolution")
    per_count = None if resolution is None else written_number(resolution.text)
    unit = _PER_COUNT.fullmatch("" if resolution is None else resolution.get("units", "").strip())
    factor = None if unit is None else millivolts_per(unit[1])
    if per_count is None or per_count <= 0 or factor is None:
        raise UnreadableFile(
            "unit_missing", "The CardioSoft file does not state its resolution in a unit of voltage.", hint=_EXPORT
        )
    return per_count * factor


def _count(section: Element, path: str) -> int:
    """A whole number that the file must state. Raises UnreadableFile."""
    value = written_number(text_at(section, path))
    if value is None or value != int(value) or not 1 <= value <= _MOST:
        raise UnreadableFile("unreadable_file", "The CardioSoft file does not state how long it is.", hint=_EXPORT)
    return int(value)


def _strip(strip: Element, hints: ReadHints) -> tuple[float, list[Channel]]:
    rate_hz, per_count = _rate(strip, hints), _millivolts_per_count(strip)
    waves = strip.findall("WaveformData")
    samples = _count(strip, "ChannelSampleCountTotal")
    check_size(len(waves), samples)
    if len(waves) != _count(strip, "NumberOfLeads"):
        raise _wrong_length()
    leads = leads_from_names([wave.get("lead", "") for wave in waves])
    part = stretch(hints, samples, rate_hz)
    counts = [_counts(wave.text or "", samples)[part] for wave in waves]
    return rate_hz, [Channel(lead, "mV", row * per_count) for lead, row in zip(leads, counts, strict=True)]


def _full_disclosure(whole: Element, hints: ReadHints) -> tuple[float, list[Channel]]:
    rate_hz, per_count = _rate(whole, hints), _millivolts_per_count(whole)
    names = (text_at(whole, "LeadOrder") or "").split(",")
    leads = list(leads_from_names(names))
    check_size(len(leads), 0)
    total = _count(whole, "FullDisclosureData/SampleCountTotal")
    block = len(leads) * round(rate_hz)
    if len(leads) != _count(whole, "NumberOfChannels") or rate_hz != round(rate_hz) or total % block:
        raise _wrong_length()
    if total > MAX_VALUES:
        check_size(len(leads), total // len(leads))
    counts = _counts(whole.findtext("FullDisclosureData") or "", total)
    counts_LN = counts.reshape(-1, len(leads), round(rate_hz)).transpose(1, 0, 2).reshape(len(leads), -1)
    _check_einthoven(counts_LN, leads)
    part = stretch(hints, counts_LN.shape[1], rate_hz)
    signal_mv = counts_LN[:, part] * per_count
    return rate_hz, [Channel(lead, "mV", row) for lead, row in zip(leads, signal_mv, strict=True)]


def _counts(text: str, count: int) -> NDArray[np.float64]:
    """As many as are stated. Raises UnreadableFile for any other number of them."""
    if count_written(text, "CardioSoft", ",") != count:
        raise _wrong_length()
    return written_samples(text, count, "CardioSoft")


def _check_einthoven(counts_LN: NDArray[np.float64], leads: list[str | None]) -> None:
    """Refuse a full disclosure that is arranged in another way than by seconds: nothing in the file says it."""
    if not {"I", "II", "III"} <= set(leads):
        raise UnreadableFile(
            "unsupported_format",
            "The full disclosure of this CardioSoft file lacks the leads I, II and III.",
            hint=_EXPORT,
        )
    one, two, three = (counts_LN[leads.index(lead)] for lead in ("I", "II", "III"))
    if np.abs(three - (two - one)).mean() > _MOST_EINTHOVEN:
        raise UnreadableFile(
            "unsupported_format",
            "The full disclosure of this CardioSoft file is arranged in a way not read.",
            hint=_EXPORT,
        )


def _wrong_length() -> UnreadableFile:
    return UnreadableFile(
        "truncated", "The CardioSoft file has not as many leads or samples as it states.", hint=_EXPORT
    )


def _said(root: Element) -> DeviceSaid:
    parts = [written_number(text_at(root, f"ObservationDateTime/{part}")) for part in
             ("Year", "Month", "Day", "Hour", "Minute", "Second")]  # fmt: skip
    whole = [int(part) for part in parts if part is not None]
    recorded_at = "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}".format(*whole) if len(whole) == len(parts) else None
    model = " ".join(
        filter(None, (text_at(root, f"ClinicalInfo/DeviceInfo/{part}") for part in ("Desc", "SoftwareVer")))
    )
    measures = {
        "heart_rate_bpm": "VentricularRate", "pr_ms": "PQInterval", "qrs_ms": "QRSDuration", "qt_ms": "QTInterval",
        "qtc_ms": "QTCInterval", "p_axis_deg": "PAxis", "qrs_axis_deg": "RAxis", "t_axis_deg": "TAxis",
    }  # fmt: skip
    texts = (line.text or "" for line in root.iterfind("Interpretation/Diagnosis/DiagnosisText"))
    return device_said(
        vendor="GE",
        model=model,
        recorded_at=recorded_at,
        filters=_filters(root),
        measures={name: text_at(root, f"RestingECGMeasurements/{tag}") for name, tag in measures.items()},
        statements=(text for text in texts if text.strip("- ")),
        paced={"yes": True, "no": False}.get((text_at(root, "PatientInfo/PaceMaker") or "").casefold()),
    )


def _filters(root: Element) -> list[str]:
    named = {"HighPass": "high pass {} Hz", "LowPass": "low pass {} Hz"}
    found = [words.format(text) for tag, words in named.items() if (text := text_at(root, f"FilterSetting/{tag}"))]
    switched = {"Filter50Hz": "50 Hz", "Filter60Hz": "60 Hz", "CubicSpline": "cubic spline"}
    return found + [
        words for tag, words in switched.items() if (text_at(root, f"FilterSetting/{tag}") or "").casefold() == "yes"
    ]


CARDIOSOFT = EcgFormat(
    "cardiosoft",
    looks_like_cardiosoft,
    of_one_file(read_cardiosoft),
    states_itself=True,
    chooses=frozenset({"stretch"}),
)
