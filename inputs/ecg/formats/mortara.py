"""Mortara (Welch Allyn, Hillrom) XML of ELI electrocardiographs and ELI Link: root `ECG` with `CHANNEL` elements.

No specification is public; the layout is the one that EDFbrowser (`mortara2edf`) and BRAVEHEART (`load_elixml`) read
from real exports. Each CHANNEL is a rhythm lead: DATA in base64 of 16-bit little-endian counts, UNITS_PER_MV counts a
millivolt, SAMPLE_FREQ in hertz, DURATION in samples or in milliseconds. TYPICAL_CYCLE is the median beat, never read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import Channel, EcgFormat, agreed_rate, build_recording, check_size, of_one_file, stretch
from inputs.ecg.formats.encoded import bytes_from_base64, samples_of
from inputs.ecg.formats.text import number
from inputs.ecg.formats.xml import parse_xml, root_of
from inputs.ecg.leads import lead_from_name
from inputs.ecg.said import device_said
from inputs.ecg.statements import without_people
from inputs.errors import UnreadableFile
from inputs.records import DeviceSaid, EcgRecording, InputWarning, ReadHints

_EXPORT = "Export the ECG from the ELI electrocardiograph or ELI Link as XML."
_LOOKED_AT = 64 * 1024
_MARKS = (b"<CHANNEL", b"<TYPICAL_CYCLE", b"<SUBJECT", b"<SOURCE", b"ACQUISITION_TIME")
"""Of which one stands near the begin: the root's name alone says little."""
_CYCLE = "TYPICAL_CYCLE"
_MOST_PER_MV = 1e6
_KIND = {"BITS": "16", "FORMAT": "SIGNED", "ENCODING": "BASE64"}
"""What a channel must be where it says it; nothing else has been seen."""

_MEASURES = {
    "pr_ms": "PR_DURATION",
    "qrs_ms": "QRS_DURATION",
    "qt_ms": "QT",
    "qtc_ms": "QTC",
    "p_axis_deg": "P_AXIS",
    "qrs_axis_deg": "QRS_AXIS",
    "t_axis_deg": "T_AXIS",
}
_NAMES = re.compile(r"(?:LAST|FIRST|MIDDLE)_NAME$|(?:^|_)ID$|PHYSICIAN|TECHNICIAN")
_NAME_FIELDS = ("1", "2", "7")
"""Last name, id and first name among the DEMOGRAPHIC_FIELDs."""
_ISO_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,16}(?:Z|[+-][0-9:]{4,6})?")
_TIME = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})")


def looks_like_mortara(data: bytes) -> bool:
    root = root_of(data)
    if root is None or root[0] != "ECG":
        return False
    start = data[:_LOOKED_AT].replace(b"\0", b"")  # of UTF-16
    return any(mark in start for mark in _MARKS)


def read_mortara(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read the rhythm leads; `hints.rate_hz` may only confirm their rate. Raises UnreadableFile."""
    root = parse_xml(data)
    found = list(_channels(root))
    if not found:
        what = "only the typical beat, not the rhythm" if root.find(_CYCLE) is not None else "no rhythm channel"
        raise UnreadableFile("no_rhythm", f"This Mortara file holds {what}.", hint=_EXPORT)
    check_size(len(found), 0)
    known = [(lead, element) for element in found if (lead := lead_from_name(element.get("NAME") or ""))]
    rates = {_positive(element, "SAMPLE_FREQ", "rate_missing", "sampling rate") for _, element in known}
    if len(rates) > 1:
        raise UnreadableFile("rates_differ", "The leads of this Mortara file have different sampling rates.")
    warnings = _offset_warnings(known)
    channels = []
    rate_hz = 0.0
    lengths = set()
    for lead, element in known:
        (stated,) = rates
        rate_hz = agreed_rate(hints.rate_hz, stated)
        counts = _counts(element, lead, rate_hz, len(found))
        per_mv = _positive(element, "UNITS_PER_MV", "unit_missing", "number of units in a millivolt")
        lengths.add(len(counts))
        channels.append(Channel(lead, "mV", (counts / per_mv)[stretch(hints, len(counts), rate_hz)]))
    if len(lengths) > 1:
        raise UnreadableFile("length_mismatch", "The leads of this Mortara file differ in length.")
    channels += [Channel(None, "", np.empty(0))] * (len(found) - len(known))
    return build_recording(channels, rate_hz, "mortara", warnings, said=_said(root))


def _channels(root: Element) -> Iterator[Element]:
    for child in root:
        if child.tag != _CYCLE:
            yield from child.iter("CHANNEL")


def _counts(element: Element, lead: str, rate_hz: float, channels: int) -> NDArray[np.float64]:
    """Counts (N,) of a lead, as many as it says; NaN missing."""
    whose = f"Lead {lead} of the Mortara file"
    for name, expected in _KIND.items():
        if (element.get(name) or expected).strip().upper() != expected:
            raise UnreadableFile(
                "unsupported_format", f"{whose} is not of signed 16-bit numbers in base64.", hint=_EXPORT, leads=(lead,)
            )
    counts = samples_of(bytes_from_base64(element.get("DATA") or element.text or "", whose, channels))
    if element.get("DURATION"):
        duration = _positive(element, "DURATION", "truncated", "length")
        if duration not in (len(counts), round(len(counts) / rate_hz * 1000)):
            raise UnreadableFile(
                "truncated", f"{whose} has not the length that it states.", hint=_EXPORT, leads=(lead,)
            )
    return counts


def _positive(element: Element, name: str, code: str, what: str) -> float:
    try:
        value = number(element.get(name) or "")
    except ValueError:
        value = 0.0
    if not 0 < value < _MOST_PER_MV:
        raise UnreadableFile(code, f"A lead of the Mortara file does not say its {what}.", hint=_EXPORT)
    return value


def _offset_warnings(known: list[tuple[str, Element]]) -> list[InputWarning]:
    """Whether OFFSET is one of counts or of time is not published: all leads may share one, which changes no shape."""
    offsets = {(element.get("OFFSET") or "0").strip() for _, element in known}
    if len(offsets) > 1:
        raise UnreadableFile(
            "leads_not_simultaneous", "The leads of this Mortara file have different offsets.", hint=_EXPORT
        )
    if offsets <= {"0", "0.0", ""}:
        return []
    return [InputWarning("baseline_ignored", "The Mortara file states an offset of its leads, which was not applied.")]


def _said(root: Element) -> DeviceSaid:
    source, cycle = ({} if (found := root.find(tag)) is None else found.attrib for tag in ("SOURCE", _CYCLE))
    about = (root, *root.iterfind("SUBJECT"))
    names = [text for element in about for name, text in element.attrib.items() if _NAMES.search(name)]
    fields = root.iterfind("DEMOGRAPHIC_FIELDS/DEMOGRAPHIC_FIELD")
    names += [field.get("VALUE", "") for field in fields if field.get("ID") in _NAME_FIELDS]
    statements = root.iterfind("AUTOMATIC_INTERPRETATION/STATEMENT")
    texts = [f"{each.get('TEXT') or each.text or ''} {each.get('REASON') or ''}".strip() for each in statements]
    low_pass = source.get("LOW_PASS_FILTER", "").strip()
    return device_said(
        vendor=source.get("MANUFACTURER") or "Mortara",
        model=source.get("MODEL"),
        recorded_at=_recorded_at(root),
        filters=[f"low pass {low_pass} Hz"] if re.fullmatch(r"[0-9]{1,4}", low_pass) else [],
        measures={"heart_rate_bpm": root.get("VENT_RATE")} | {name: cycle.get(key) for name, key in _MEASURES.items()},
        statements=without_people(texts, names),
    )


def _recorded_at(root: Element) -> str | None:
    written = (root.get("ACQUISITION_TIME_XML") or "").strip()
    if _ISO_TIME.fullmatch(written):
        return written
    parts = _TIME.fullmatch((root.get("ACQUISITION_TIME") or "").strip())
    return None if parts is None else "{}-{}-{}T{}:{}:{}".format(*parts.groups())


MORTARA = EcgFormat(
    "mortara", looks_like_mortara, of_one_file(read_mortara), states_itself=True, chooses=frozenset({"stretch"})
)
