"""EDF, EDF+ and BDF (Kemp 1992, Kemp and Olivan 2003, edfplus.info; biosemi.com): records of all signals in turn.

A label such as `ECG V1`, `V1 ECG` or `EKG aVF` names a lead; `ECG` or `EKG1` does not. Signals that are no ECG leads
may have other rates and lengths. Of a long recording the stretch that is asked for is decoded, and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, time

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import (
    Channel,
    EcgFormat,
    agreed_rate,
    build_recording,
    check_no_lead_twice,
    check_size,
    of_one_file,
    stretch,
)
from inputs.ecg.formats.given import named_as_given, names_hint, other_unit
from inputs.ecg.formats.text import number
from inputs.ecg.leads import leads_from_names
from inputs.ecg.said import device_said
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, DeviceSaid, EcgRecording, InputWarning, ReadHints

_EDF, _BDF = b"0       ", b"\xffBIOSEMI"
_HEAD_BYTES = 256
"""Of the file, and of each signal."""
_WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""Of a signal's fields: label, transducer, unit, physical and digital least and most, filters, samples, reserved."""
_HEAD = re.compile(rb".{168}[\w ]{2}\W[\w ]{2}\W[\w ]{2}.{8}(?=[0-9 ]{8})[0-9]+ *", re.DOTALL)
_HEART = re.compile(r"^(?:ecg|ekg)(?:-|:?[\s_]+|:)?", re.IGNORECASE)
_HEART_BEHIND = re.compile(r"(?:-|[\s_]+)(?:ecg|ekg)$", re.IGNORECASE)
_REFERENCE = re.compile(r" ?- ?ref\.?$", re.IGNORECASE)
"""What programs for EEG write behind every label. `-AVG`, or another electrode, would make another lead of it."""
_FILTER = re.compile(r"(?:(?:HP|LP|N|BP|BS)\s*[:=]?\s*[-0-9.]+\s*(?:k?Hz|s)?[\s,;]*){1,6}", re.IGNORECASE)
_UNCLOSED = -1
_NO_CHANNELS = ("edf annotations", "bdf annotations", "status")


@dataclass(frozen=True)
class _Signal:
    """One signal: what its header says. samples, first_byte: of each record. lead: None for one that we do not know."""

    label: str
    unit: str
    physical: tuple[str, str]
    digital: tuple[str, str]
    filters: str
    samples: int
    first_byte: int
    lead: str | None


@dataclass(frozen=True)
class _File:
    """What the header says. sample_bytes: 2, and 3 in BDF."""

    kind: str
    sample_bytes: int
    signals: tuple[_Signal, ...]
    records: int
    record_s: float
    record_bytes: int
    first_byte: int
    discontinuous: bool


def looks_like_edf(data: bytes) -> bool:
    """By the version and, for EDF, whose version is a mere 0, by the header's date and sizes."""
    head = data[:_HEAD_BYTES]
    return head.startswith(_BDF) or (head.startswith(_EDF) and b"\n" not in head and _HEAD.match(head) is not None)


def read_edf(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read all, or the stretch of `hints`; `hints.rate_hz` may only confirm the file's rate. Raises UnreadableFile."""
    warnings: list[InputWarning] = []
    file = _named(_header(data, warnings), hints, warnings)
    signals = [signal for signal in file.signals if signal.lead is not None]
    if not signals:
        raise _no_leads(file)
    leads = [signal.lead for signal in signals if signal.lead is not None]
    check_no_lead_twice(leads)
    if len({signal.samples for signal in signals}) > 1:
        raise UnreadableFile(
            "rates_differ",
            f"The ECG leads of the {file.kind} file have different sampling rates.",
            hint="Export them at one rate.",
        )
    if file.discontinuous:
        raise UnreadableFile(
            "unsupported_format",
            f"The {file.kind} file has gaps ({file.kind}+D, discontinuous).",
            hint="Export the stretch without a gap as a continuous file (EDF+C).",
        )
    per_record = signals[0].samples
    rate_hz = agreed_rate(hints.rate_hz, per_record / file.record_s)
    part = stretch(hints, file.records * per_record, rate_hz)
    check_size(len(signals), part.stop - part.start)
    channels = [Channel(signal.lead, signal.unit, _samples(data, file, signal, part)) for signal in signals]
    warnings += other_unit(hints.unit, channels)
    ignored = len(_places(file)) - len(signals)
    if ignored:
        warnings.append(InputWarning("channels_ignored", f"{ignored} channels that are not ECG leads were left out."))
    return build_recording(channels, rate_hz, "edf", warnings, said=_said(data, signals))


def _header(data: bytes, warnings: list[InputWarning]) -> _File:
    """The header, its arithmetic checked against the bytes that there are."""
    bdf = data.startswith(_BDF)
    kind, sample_bytes = ("BDF", 3) if bdf else ("EDF", 2)
    if len(data) < _HEAD_BYTES:
        raise UnreadableFile("truncated", f"The {kind} file ends within its header.")
    count = _whole(data[252:256], kind)
    header_bytes, records = _whole(data[184:192], kind), _whole(data[236:244], kind)
    record_s = _real(data[244:252], kind)
    if count < 1 or header_bytes != _HEAD_BYTES * (count + 1):
        raise UnreadableFile("unreadable_file", f"The {kind} file has a header of another length than it states.")
    if header_bytes > len(data):
        raise UnreadableFile("truncated", f"The {kind} file ends within its header.")
    signals = _signals(data, count, kind, sample_bytes)
    record_bytes = sample_bytes * sum(signal.samples for signal in signals)
    if not record_s > 0:
        raise UnreadableFile("rate_missing", f"The {kind} file does not say how long its records are.")
    held, rest = divmod(len(data) - header_bytes, record_bytes)
    if records == _UNCLOSED:
        warnings.append(InputWarning("file_not_closed", f"The {kind} file was not closed; what it holds was read."))
        records, rest = held, 0
    if records < 0 or records > held:
        raise UnreadableFile("truncated", f"The {kind} file has fewer records than its header states.")
    if records < held or rest:
        raise UnreadableFile("length_mismatch", f"The {kind} file is longer than its header states.")
    if records == 0:
        raise UnreadableFile("signal_empty", "The file holds no sample.")
    discontinuous = data[192:197].upper() in (b"EDF+D", b"BDF+D")
    return _File(kind, sample_bytes, signals, records, record_s, record_bytes, header_bytes, discontinuous)


def _places(file: _File) -> list[int]:
    """Of the signals that are no annotations and no status."""
    return [place for place, signal in enumerate(file.signals) if signal.label.casefold() not in _NO_CHANNELS]


def _named(file: _File, hints: ReadHints, warnings: list[InputWarning]) -> _File:
    """The file with leads for the signals that it labels otherwise, as they are given. Raises UnreadableFile."""
    places = _places(file)
    leads, given = named_as_given(f"The {file.kind} file", [file.signals[place].lead for place in places], hints)
    warnings += given
    signals = list(file.signals)
    for place, lead in zip(places, leads, strict=True):
        signals[place] = replace(signals[place], lead=lead)
    return replace(file, signals=tuple(signals))


def _signals(data: bytes, count: int, kind: str, sample_bytes: int) -> tuple[_Signal, ...]:
    """The signals, annotations among them: EDF's header has each field of all signals together."""
    fields: list[list[str]] = []
    place = _HEAD_BYTES
    for width in _WIDTHS:
        fields.append([_text(data[at : at + width]) for at in range(place, place + count * width, width)])
        place += count * width
    leads = _leads(fields[0])
    signals, first_byte = [], 0
    for lead, label, _, unit, low, high, least, most, filters, samples, _ in zip(leads, *fields, strict=True):
        per_record = _whole(samples.encode("latin_1"), kind)
        if per_record < 1:
            raise UnreadableFile("unreadable_file", f"A signal of the {kind} file has no sample in a record.")
        signals.append(_Signal(label, unit, (low, high), (least, most), filters, per_record, first_byte, lead))
        first_byte += sample_bytes * per_record
    return tuple(signals)


def _leads(labels: Sequence[str]) -> tuple[str | None, ...]:
    """The lead of each label. `-REF` says nothing where it stands behind I and II, which are no electrodes."""
    names = [_HEART_BEHIND.sub("", _HEART.sub("", _REFERENCE.sub("", label))) for label in labels]
    bare = [_REFERENCE.search(label) is None for label in labels]
    leads = leads_from_names(names)
    of_reference = {lead for lead, is_bare in zip(leads, bare, strict=True) if not is_bare}
    if of_reference >= {"I", "II"}:
        return leads
    return leads_from_names([name if is_bare else "" for name, is_bare in zip(names, bare, strict=True)])


def _samples(data: bytes, file: _File, signal: _Signal, part: slice) -> NDArray[np.floating]:
    """The samples of a stretch in the signal's unit, from the records that it touches."""
    low, high = (_real(text.encode("latin_1"), file.kind) for text in signal.physical)
    least, most = (_real(text.encode("latin_1"), file.kind) for text in signal.digital)
    if not signal.unit:
        raise UnreadableFile(
            "unit_missing", f"Lead {signal.lead} of the {file.kind} file has no unit.", leads=(str(signal.lead),)
        )
    if least == most or low == high:
        raise UnreadableFile(
            "unit_missing", f"Lead {signal.lead} of the {file.kind} file has an empty range.", leads=(str(signal.lead),)
        )
    first, last = part.start // signal.samples, -(-part.stop // signal.samples)
    records = np.frombuffer(
        data, np.uint8, (last - first) * file.record_bytes, file.first_byte + first * file.record_bytes
    ).reshape(last - first, file.record_bytes)
    width = file.sample_bytes
    raw = records[:, signal.first_byte : signal.first_byte + width * signal.samples].reshape(-1, width)
    raw = raw[part.start - first * signal.samples :][: part.stop - part.start]
    wide = np.zeros((len(raw), 4), np.uint8)
    wide[:, 4 - width :] = raw  # at the upper end, so that the sign is in its place
    counts = wide.view("<i4")[:, 0] >> (8 * (4 - width))
    values = low + (counts - least) * ((high - low) / (most - least))
    nothing = -(1 << (8 * width - 1))
    if nothing < min(least, most):  # below the range that the file states: how devices mark a missing sample
        values[counts == nothing] = np.nan
    return values


def _no_leads(file: _File) -> UnreadableFile:
    heart = [signal for signal in file.signals if _HEART.match(signal.label)]
    if heart:
        sentence = f"The {file.kind} file has an ECG but does not say of which lead."
    else:
        sentence = f"The {file.kind} file has no ECG leads: it may be an EEG or a sleep study."
    hint = f"Signals are found by label, as in `ECG I` or `ECG V1`. {names_hint(len(_places(file)))}"
    return UnreadableFile("leads_missing", sentence, hint=hint, leads=STANDARD_LEADS)


def _said(data: bytes, signals: Sequence[_Signal]) -> DeviceSaid:
    """Time and filters. The fields about patient and recording may hold names and stay out."""
    texts = {signal.filters for signal in signals if _FILTER.fullmatch(signal.filters)}
    try:
        day, month, year = (int(data[168 + 3 * place : 170 + 3 * place]) for place in range(3))
        hour, minute, second = (int(data[176 + 3 * place : 178 + 3 * place]) for place in range(3))
        year += 1900 if year >= 85 else 2000  # as EDF clips them
        recorded_at = f"{date(year, month, day)}T{time(hour, minute, second)}"
    except ValueError:
        recorded_at = None
    return device_said(recorded_at=recorded_at, filters=sorted(texts))


def _text(field: bytes) -> str:
    return field.decode("latin_1").strip(" \0")


def _real(field: bytes, kind: str) -> float:
    """A number of the header. Raises UnreadableFile for what is none."""
    try:
        value = number(_text(field))
    except ValueError as error:
        raise UnreadableFile("unreadable_file", f"A number in the header of the {kind} file is damaged.") from error
    if not math.isfinite(value):
        raise UnreadableFile("unreadable_file", f"A number in the header of the {kind} file is not finite.")
    return value


def _whole(field: bytes, kind: str) -> int:
    value = _real(field, kind)
    if value != int(value):
        raise UnreadableFile("unreadable_file", f"A number in the header of the {kind} file is not whole.")
    return int(value)


EDF = EcgFormat(
    "edf", looks_like_edf, of_one_file(read_edf), states_itself=True, chooses=frozenset({"stretch"}), checks_unit=True
)
