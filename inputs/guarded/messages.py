"""What passes between a service and its reading child: a JSON header and raw bytes, never pickled objects.

A parser that a hostile file has taken over must not take over the service too, so everything that comes back is
checked here: kinds, sizes, names and the length of every sentence. Anything odd is a ValueError.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, BinaryIO

import numpy as np

from inputs.ecg.leads import OTHER_LEADS
from inputs.ecg.said import MEASURES, device_said
from inputs.errors import NO_ROOM_TO_READ, InputError, UnreadableFile, UnusableRecording
from inputs.limits import (
    MAX_MESSAGE_BLOCKS,
    MAX_MESSAGE_BODY_BYTES,
    MAX_MESSAGE_HEADER_BYTES,
    MAX_SAID_LETTERS,
    MAX_SAID_LINES,
    MAX_SENTENCE_LETTERS,
    MAX_WARNINGS,
)
from inputs.records import (
    MAX_REGIONS,
    STANDARD_LEADS,
    DeviceSaid,
    EcgRecording,
    EchoClip,
    InputWarning,
    PreparedFor,
    Region,
)

_LEADS = frozenset(STANDARD_LEADS + OTHER_LEADS)
_SAID = frozenset(field.name for field in fields(DeviceSaid))
_MAX_SAID_BYTES = 256 * 1024
"""More than all the texts of `DeviceSaid` at their longest, in escaped letters of twelve bytes."""
_MAX_MEASURE = 10_000.0
_RECORDED_AT = r"[0-9]{4}[0-9T:.Z+-]{0,36}"
_ERRORS: dict[str, type[InputError]] = {"UnreadableFile": UnreadableFile, "UnusableRecording": UnusableRecording}

TAKEN: Mapping[str, Any] = {"kind": "taken"}
"""What a child says when it has a whole request, and has not looked at a file in it yet."""

Block = bytes | bytearray | memoryview
Message = tuple[dict[str, Any], list[bytearray]]


def write_message(stream: BinaryIO, header: Mapping[str, Any], blocks: Sequence[Block] = ()) -> None:
    """Send `header` and the bytes of `blocks`."""
    views = [memoryview(block).cast("B") for block in blocks]
    text = json.dumps({**header, "sizes": [view.nbytes for view in views]}).encode()
    stream.write(struct.pack("!I", len(text)) + text)
    for view in views:
        stream.write(view)
    stream.flush()


def read_message(stream: BinaryIO, max_body_bytes: int = MAX_MESSAGE_BODY_BYTES) -> Message:
    """Receive what `write_message` sent. Raises EOFError when the other side has gone, ValueError on nonsense."""
    (length,) = struct.unpack("!I", _read_exactly(stream, 4))
    if length > MAX_MESSAGE_HEADER_BYTES:
        raise ValueError("header too long")
    header = json.loads(_read_exactly(stream, length))
    sizes = header.pop("sizes", None) if isinstance(header, dict) else None
    if not isinstance(sizes, list) or len(sizes) > MAX_MESSAGE_BLOCKS or not all(type(size) is int for size in sizes):
        raise ValueError("no message")
    if any(size < 0 for size in sizes) or sum(sizes) > max_body_bytes:
        raise ValueError("message too large")
    return header, [_read_exactly(stream, size) for size in sizes]


def _read_exactly(stream: BinaryIO, size: int) -> bytearray:
    data = bytearray(size)
    view, filled = memoryview(data), 0
    while filled < size:
        count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        filled += count
    return data


def pack_recording(recording: EcgRecording) -> tuple[dict[str, Any], list[Block]]:
    header = {
        "kind": "ecg",
        "shape": recording.signal_mv.shape,
        "rate_hz": recording.rate_hz,
        "leads": recording.lead_names,
        "format": recording.source_format,
        "warnings": [_packed_warning(warning) for warning in recording.warnings],
    }
    return header, [np.ascontiguousarray(recording.signal_mv, np.float32).data, _packed_said(recording.said)]


def unpack_recording(message: Message) -> EcgRecording:
    header, (samples, said) = _expect(message, "ecg", blocks=2)
    leads, rate_hz = _leads(header["leads"]), header["rate_hz"]
    shape = _shape(header["shape"], 2)
    if not isinstance(rate_hz, float) or not math.isfinite(rate_hz):
        raise ValueError("no rate")
    signal_mv = np.frombuffer(samples, np.float32).reshape(shape)
    warnings = _warnings(header["warnings"])
    return EcgRecording(signal_mv, rate_hz, leads, _word(header["format"]), warnings, _unpacked_said(said))


def _packed_said(said: DeviceSaid | None) -> bytes:
    """As JSON in a block of its own: at its longest it would fill a header.

    Bounded again, and without a time that is none: for what is odd, the other side would refuse the whole ECG.
    """
    if said is None:
        return b""
    given = {name: getattr(said, name) for name in _SAID}
    if not re.fullmatch(_RECORDED_AT, said.recorded_at or ""):
        given["recorded_at"] = None
    bounded = device_said(**{**given, "measures": dict(said.measures)})
    return json.dumps({name: getattr(bounded, name) for name in _SAID}).encode()


def _unpacked_said(block: bytearray) -> DeviceSaid | None:
    if not block:
        return None
    if len(block) > _MAX_SAID_BYTES:
        raise ValueError("said too much")
    said = json.loads(block)
    if not isinstance(said, dict) or said.keys() != _SAID or not (said["paced"] is None or type(said["paced"]) is bool):
        raise ValueError("not what a device says")
    recorded_at = said["recorded_at"]
    return DeviceSaid(
        vendor=_said_text(said["vendor"]),
        model=_said_text(said["model"]),
        recorded_at=None if recorded_at is None else _word(recorded_at, _RECORDED_AT),
        filters=_said_lines(said["filters"]),
        measures=_said_measures(said["measures"]),
        statements=_said_lines(said["statements"]),
        paced=said["paced"],
    )


def _said_text(text: Any) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str) or not 1 <= len(text) <= MAX_SAID_LETTERS or not text.isprintable():
        raise ValueError("not a text")
    return text


def _said_lines(lines: Any) -> tuple[str, ...]:
    if not isinstance(lines, list) or len(lines) > MAX_SAID_LINES or None in lines:
        raise ValueError("no lines")
    return tuple(text for line in lines if (text := _said_text(line)) is not None)


def _said_measures(pairs: Any) -> tuple[tuple[str, float], ...]:
    """Each of MEASURES at most once, in their order."""
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise ValueError("no measures")
    names = [name for name, _ in pairs]
    if names != [name for name in MEASURES if name in names]:
        raise ValueError("unknown measure")
    if not all(type(value) is float and abs(value) < _MAX_MEASURE for _, value in pairs):
        raise ValueError("no measured value")
    return tuple((name, value) for name, value in pairs)


def pack_clip(clip: EchoClip) -> tuple[dict[str, Any], list[Block]]:
    header = {
        "kind": "echo",
        "shape": clip.frames_THWC.shape,
        "rate_hz": clip.frame_rate_hz,
        "frame_step": clip.frame_step,
        "regions": clip.regions,
        "prepared_for": None if clip.prepared_for is None else asdict(clip.prepared_for),
        "format": clip.source_format,
        "warnings": [_packed_warning(warning) for warning in clip.warnings],
    }
    return header, [np.ascontiguousarray(clip.frames_THWC).data]


def unpack_clip(message: Message) -> EchoClip:
    header, (pixels,) = _expect(message, "echo")
    rate_hz, frame_step = header["rate_hz"], header["frame_step"]
    if rate_hz is not None and not (isinstance(rate_hz, float) and math.isfinite(rate_hz)):
        raise ValueError("no frame rate")
    if type(frame_step) is not int or frame_step < 1:
        raise ValueError("no frame step")
    frames_THWC = np.frombuffer(pixels, np.uint8).reshape(_shape(header["shape"], 4))
    format_, warnings, regions = _word(header["format"]), _warnings(header["warnings"]), _regions(header["regions"])
    packed = header["prepared_for"]
    prepared_for = None if packed is None else PreparedFor(**packed)
    return EchoClip(frames_THWC, rate_hz, format_, warnings, frame_step, regions, prepared_for)


def _regions(packed: Any) -> tuple[Region, ...]:
    if not isinstance(packed, list) or len(packed) > MAX_REGIONS:
        raise ValueError("no regions")
    for region in packed:
        if not isinstance(region, list) or len(region) != 4 or not all(type(edge) is int for edge in region):
            raise ValueError("no region")
    return tuple((top, left, bottom, right) for top, left, bottom, right in packed)


def pack_row(row: bytes) -> tuple[dict[str, Any], list[Block]]:
    """One ECG of an array of many, as an NPY file: see `inputs.ecg.rows`."""
    return {"kind": "row"}, [row]


def unpack_row(message: Message) -> bytes:
    _, (row,) = _expect(message, "row")
    if not row.startswith(b"\x93NUMPY"):
        raise ValueError("not a row")
    return bytes(row)


def pack_error(error: InputError) -> dict[str, Any]:
    kind = "UnusableRecording" if isinstance(error, UnusableRecording) else "UnreadableFile"
    return {
        "kind": "error",
        "error": kind,
        "code": error.code,
        "message": _fit(error.sentence),
        "hint": _fit(error.hint),
        "leads": error.leads,
    }


def pack_no_space(error: OSError) -> dict[str, Any]:
    """That temporary files found no room; `error.errno` is one of NO_ROOM_TO_READ."""
    return {"kind": "no_space", "errno": error.errno}


def raise_if_error(message: Message) -> None:
    """Raise the InputError, or the lack of room, that the child reports, if that is what it answers."""
    header = message[0]
    if header.get("kind") == "no_space" and header["errno"] in NO_ROOM_TO_READ:
        raise OSError(header["errno"], os.strerror(header["errno"]))
    if header.get("kind") == "error":
        kind = _ERRORS[_word(header["error"], r"\w{1,40}")]
        raise kind(
            _word(header["code"]),
            _sentence(header["message"]),
            hint=_sentence(header["hint"]),
            leads=_leads(header["leads"]),
        )


def _expect(message: Message, kind: str, blocks: int = 1) -> Message:
    header = message[0]
    if header.get("kind") != kind or len(message[1]) != blocks:
        raise ValueError("another answer than asked for")
    return message


def _packed_warning(warning: InputWarning) -> list[Any]:
    return [warning.code, _fit(warning.message), warning.leads]


def _fit(sentence: str) -> str:
    """What the other side takes for a sentence: for a longer one, or odd letters in it, it would kill this process."""
    printable = "".join(letter if letter.isprintable() else " " for letter in sentence)
    return printable if len(printable) <= MAX_SENTENCE_LETTERS else printable[: MAX_SENTENCE_LETTERS - 1] + "…"


def _warnings(packed: Sequence[Any]) -> tuple[InputWarning, ...]:
    return tuple(
        InputWarning(_word(code), _sentence(message), _leads(leads)) for code, message, leads in packed[:MAX_WARNINGS]
    )


def _shape(shape: Sequence[Any], dimensions: int) -> tuple[int, ...]:
    if len(shape) != dimensions or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("no shape")
    return tuple(shape)


def _leads(names: Sequence[Any]) -> tuple[str, ...]:
    if not all(name in _LEADS for name in names):
        raise ValueError("unknown lead")
    return tuple(names)


def _word(text: Any, pattern: str = r"[a-z0-9_]{1,40}") -> str:
    if not isinstance(text, str) or not re.fullmatch(pattern, text):
        raise ValueError("not a word")
    return text


def _sentence(text: Any) -> str:
    if not isinstance(text, str) or len(text) > MAX_SENTENCE_LETTERS or (text and not text.isprintable()):
        raise ValueError("not a sentence")
    return text
