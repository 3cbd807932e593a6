"""ISHNE Holter files (Badilini, Ann Noninvasive Electrocardiol 1998;3:263-266): 16-bit samples, interleaved.

Of a long recording the stretch that is asked for is decoded, and nothing else. Whether the header counts samples of a
lead or of all leads, writers see differently: the length of the file says which, and must be one of the two.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Sequence
from datetime import date, time

import numpy as np

from inputs.ecg.formats.base import (
    Channel,
    EcgFormat,
    agreed_rate,
    build_recording,
    check_size,
    of_one_file,
    stretch,
)
from inputs.ecg.said import device_said
from inputs.errors import UnreadableFile
from inputs.records import DeviceSaid, EcgRecording, InputWarning, ReadHints

_ECG, _BEATS = b"ISHNE1.0", b"ANN  1.0"
_HEADER_BYTES = 522
_MOST_LEADS = 12
_LEADS = {
    2: "VX", 3: "VY", 4: "VZ", 5: "I", 6: "II", 7: "III", 8: "aVR", 9: "aVL", 10: "aVF", 11: "V1", 12: "V2", 13: "V3",
    14: "V4", 15: "V5", 16: "V6",
}  # fmt: skip
"""Others are unknown, bipolar (1) or derived for monitoring (17 to 19)."""
_NO_SAMPLE = np.iinfo(np.int16).min
_UNTOLD = (0, -1, -9)
"""Sample counts of writers that did not know theirs; -9 is how the format marks what is not known."""
_PACED = range(1, 6)


def looks_like_ishne(data: bytes) -> bool:
    """A recording, or the annotations of one, which are refused by name."""
    return data.startswith((_ECG, _BEATS))


def holds_signal(data: bytes) -> bool:
    return data.startswith(_ECG)


def read_ishne(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read all, or the stretch of `hints`; `hints.rate_hz` may only confirm the file's rate. Raises UnreadableFile."""
    if not holds_signal(data):
        raise UnreadableFile(
            "not_an_ecg", "The ISHNE file holds annotations of beats and no signal.", hint="Send its recording (.ecg)."
        )
    if len(data) < _HEADER_BYTES:
        raise UnreadableFile("truncated", "The ISHNE file ends within its header.")
    (count,) = struct.unpack_from("<h", data, 156)
    (rate_hz,) = struct.unpack_from("<h", data, 272)
    if not 1 <= count <= _MOST_LEADS:
        raise UnreadableFile("unreadable_file", "The ISHNE file has not between one and twelve leads.")
    if rate_hz <= 0:
        raise UnreadableFile("rate_missing", "The ISHNE file does not say its sampling rate.")
    codes = struct.unpack_from(f"<{count}h", data, 158)
    if not any(code in _LEADS for code in codes):
        raise UnreadableFile(
            "leads_missing",
            "The ISHNE file does not say which leads it holds.",
            hint="Export it with the leads named, or as CSV with a header row of lead names.",
        )
    agreed = agreed_rate(hints.rate_hz, float(rate_hz))
    start = _signal_start(data)
    part = stretch(hints, _samples_per_lead(data, start, count), agreed)
    samples = part.stop - part.start
    check_size(count, samples)
    counts_NL = np.frombuffer(data, "<i2", samples * count, start + 2 * count * part.start).reshape(samples, count)
    channels = [
        _channel(code, step_nv, column)
        for code, step_nv, column in zip(codes, struct.unpack_from(f"<{count}h", data, 206), counts_NL.T, strict=True)
    ]
    return build_recording(channels, agreed, "ishne", _checked(data, start), said=_said(data))


def _signal_start(data: bytes) -> int:
    """Where the signal begins: after the header and a block of text, which the header says twice."""
    text_bytes, _, _, stated = struct.unpack_from("<4i", data, 10)
    start = _HEADER_BYTES + text_bytes
    if text_bytes < 0 or start > len(data):
        raise UnreadableFile("truncated", "The ISHNE file ends before its signal begins.")
    if stated not in (start, *_UNTOLD):
        raise UnreadableFile("unreadable_file", "The ISHNE file says in two ways where its signal begins.")
    return int(start)


def _samples_per_lead(data: bytes, start: int, leads: int) -> int:
    """As many as the file has bytes for, which the header must confirm unless it does not know."""
    (stated,) = struct.unpack_from("<i", data, 14)
    samples, rest = divmod(len(data) - start, 2 * leads)
    if rest or (stated not in _UNTOLD and stated not in (samples, samples * leads)):
        raise UnreadableFile(
            "truncated", "The ISHNE file has not the length that its header states.", hint="Copy or export it again."
        )
    if samples == 0:
        raise UnreadableFile("signal_empty", "The file holds no sample.")
    return int(samples)


def _channel(code: int, step_nv: int, counts_N: np.ndarray) -> Channel:
    lead = _LEADS.get(code)
    if lead is not None and step_nv <= 0:
        raise UnreadableFile("unit_missing", f"Lead {lead} of the ISHNE file has no resolution.", leads=(lead,))
    return Channel(lead, "nV", np.where(counts_N == _NO_SAMPLE, np.nan, counts_N * float(step_nv)))


def _checked(data: bytes, start: int) -> Sequence[InputWarning]:
    """A warning for a checksum that is wrong in both byte orders; 0 is how writers leave it out.

    No refusal: it covers the header alone, and writers count it in ways of their own.
    """
    stored = data[8:10]
    right = binascii.crc_hqx(data[10:start], 0xFFFF).to_bytes(2, "little")
    if stored in (b"\0\0", right, right[::-1]):
        return []
    return [InputWarning("checksum_wrong", "The checksum of the ISHNE file's header is wrong; it was read as it is.")]


def _said(data: bytes) -> DeviceSaid:
    """Recorder, time and pacemaker; the text block may hold anything and stays out."""
    day, month, year = struct.unpack_from("<3h", data, 138)
    (pacemaker,) = struct.unpack_from("<h", data, 230)
    try:
        recorded_at = f"{date(year, month, day)}T{time(*struct.unpack_from('<3h', data, 150))}"
    except ValueError:
        recorded_at = None
    recorder = data[232:272].split(b"\0")[0].decode("latin_1").strip()
    return device_said(
        model=None if recorder.lower() in ("analog", "digital") else recorder,
        recorded_at=recorded_at,
        paced=True if pacemaker in _PACED else None,  # 0, none, is also what nobody filled in
    )


ISHNE = EcgFormat(
    "ishne",
    looks_like_ishne,
    of_one_file(read_ishne),
    states_itself=True,
    confirms=holds_signal,
    chooses=frozenset({"stretch"}),
)
