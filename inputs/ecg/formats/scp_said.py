"""What an SCP-ECG file says beside its signal: device, time and filters of section 1, measurements of section 7,
statements of sections 8 and 11. Names, numbers and birth dates, which section 1 has too, are passed over.

A damaged part is left out: the signal does not depend on it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from datetime import date, time

from inputs.ecg.said import device_said
from inputs.limits import MAX_SAID_LINES
from inputs.records import DeviceSaid

_DEVICE, _DATE, _TIME, _HIGH_PASS, _LOW_PASS, _FILTERS, _END = 14, 25, 26, 27, 28, 29, 255
_NOT_MEASURED = (29999, 0xFFFF)
_NO_AXIS = (999, 29999)
_CODECS = {
    0x03: "iso8859_2", 0x0B: "iso8859_4", 0x13: "iso8859_5", 0x1B: "iso8859_6", 0x23: "iso8859_7", 0x2B: "iso8859_8",
    0x33: "iso8859_11", 0x3B: "iso8859_15", 0x07: "utf_16_le", 0x0F: "shift_jis", 0x17: "euc_jp", 0x27: "gb2312",
    0x2F: "cp949", 0x37: "utf_8",
}  # fmt: skip
"""By the language byte of the device's tag; others are ASCII or Latin-1."""
_SWITCHED_ON = ((1, "60 Hz notch"), (2, "50 Hz notch"), (4, "artefact filter"), (8, "baseline filter"))


def said_by(sections: Mapping[int, bytes]) -> DeviceSaid:
    """From the sections without their headers. Raises nothing."""
    tags = dict(_tags(sections.get(1, b"")))
    device = tags.get(_DEVICE, b"")
    codec = _CODECS.get(device[16], "latin_1") if len(device) > 16 else "latin_1"
    vendor_place = 4  # after programme, serial number, system software and SCP software
    texts = device[36:].decode(codec, "replace").split("\0")
    return device_said(
        vendor=texts[vendor_place] if len(texts) > vendor_place else None,
        model=device[8:14].decode("latin_1").split("\0")[0],
        recorded_at=_recorded_at(tags.get(_DATE, b""), tags.get(_TIME, b"")),
        filters=_filters(tags),
        measures=_measures(sections.get(7, b"")),
        statements=[
            text.decode(codec, "replace").replace("\0", " ")
            for number in (8, 11)
            for text in _statements(sections.get(number, b""), coded=number == 11)
        ],
    )


def _tags(section: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 3 <= len(section) and section[place] != _END:
        tag, length = struct.unpack_from("<BH", section, place)
        yield tag, section[place + 3 : place + 3 + length]
        place += 3 + length


def _recorded_at(day: bytes, clock: bytes) -> str | None:
    try:
        on = date(*struct.unpack("<HBB", day[:4])).isoformat()
        return on if len(clock) < 3 else f"{on}T{time(*clock[:3])}"
    except (ValueError, struct.error):
        return None


def _filters(tags: Mapping[int, bytes]) -> Iterator[str]:
    if len(value := tags.get(_HIGH_PASS, b"")) == 2 and (hundredths := int.from_bytes(value, "little")):
        yield f"high-pass {hundredths / 100:g} Hz"
    if len(value := tags.get(_LOW_PASS, b"")) == 2 and (hertz := int.from_bytes(value, "little")):
        yield f"low-pass {hertz} Hz"
    for bit, name in _SWITCHED_ON:
        if tags.get(_FILTERS, b"\0")[:1] > b"\0" and tags[_FILTERS][0] & bit:
            yield name


def _measures(section: bytes) -> dict[str, float | None]:
    """Of the first block, which is that of the reference beat: waves' ends in ms, axes in degrees."""
    if len(section) < 22 or section[0] == 0:
        return {}
    blocks, spikes = section[:2]
    (beat_ms,) = struct.unpack_from("<H", section, 2)
    p_on, _, qrs_on, qrs_off, t_off = (
        None if value in _NOT_MEASURED else value for value in struct.unpack_from("<5H", section, 6)
    )
    p_axis, qrs_axis, t_axis = (
        None if abs(value) in _NO_AXIS else value for value in struct.unpack_from("<3h", section, 16)
    )
    place = 6 + 16 * blocks + 10 * spikes
    (beats,) = struct.unpack_from("<H", section, place) if len(section) >= place + 2 else (0,)
    more = section[place + 2 + beats : place + 8 + beats]
    ventricular_bpm, _, qtc_ms = struct.unpack("<3H", more) if len(more) == 6 else (0, 0, 0)
    if ventricular_bpm in (0, *_NOT_MEASURED):
        ventricular_bpm = None if beat_ms in (0, *_NOT_MEASURED) else round(60_000 / beat_ms)
    return {
        "heart_rate_bpm": ventricular_bpm,
        "pr_ms": _between(p_on, qrs_on),
        "qrs_ms": _between(qrs_on, qrs_off),
        "qt_ms": _between(qrs_on, t_off),
        "qtc_ms": None if qtc_ms in (0, *_NOT_MEASURED) else qtc_ms,
        "p_axis_deg": p_axis,
        "qrs_axis_deg": qrs_axis,
        "t_axis_deg": t_axis,
    }


def _between(start: int | None, end: int | None) -> float | None:
    return None if start is None or end is None or end <= start else float(end - start)


def _statements(section: bytes, *, coded: bool) -> Iterator[bytes]:
    """Section 11 has a byte before each that says what it is: 3 is the logic that connects the others."""
    place = 9
    for _ in range(min(section[8] if len(section) > 8 else 0, MAX_SAID_LINES)):
        if place + 3 > len(section):
            return
        (length,) = struct.unpack_from("<H", section, place + 1)
        text = section[place + 3 : place + 3 + length]
        place += 3 + length
        if not coded:
            yield text
        elif text[:1] != b"\3":
            yield text[1:]
