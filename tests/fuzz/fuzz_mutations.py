"""Changes to inputs that get past the first check: numbers, elements and base64 in texts, fields in binary headers.

Where a format has checksums they are put right afterwards, most of the time, so that what lies behind them is reached.
"""

from __future__ import annotations

import base64
import binascii
import io
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable

from fuzz_echo import changed_element, changed_fragment
from fuzz_seeds import JOIN
from signal_files import scp_file

Plain = Callable[[bytes, int], bytes]
"""The fuzzer's own change to bytes, never longer than so many."""

_NUMBER = re.compile(rb"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_ELEMENT = re.compile(rb"<(?P<tag>[A-Za-z]\w*)[^<>]*>[^<>]*</(?P=tag)>|<[^<>]*/>")
_VALUE = re.compile(rb"\"[^\"<>]*\"|>[^<>]+<")
_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]{40,}={0,2}")
_MUSE_CRC = re.compile(rb"<LeadDataCRC32>[0-9]*</LeadDataCRC32><WaveFormData>(?P<text>[^<]*)")
_INTERESTING = (0, 1, 2, 3, 7, 8, 9, 12, 15, 16, 24, 31, 32, 63, 64, 65, 127, 128, 255, 256, 999, 1000, 32767, 32768,
                65535, 65536, 1 << 20, 600_000, 600_001, 4_000_000, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32,
                (1 << 63) - 1, 1 << 63, 1 << 64)  # fmt: skip
_WRITTEN = (b"nan", b"inf", b"-inf", b"1e308", b"1e-320", b"1e400", b"", b"0x10", b"1_000", b"--1", b"1,5", b"0.5",
            b"9" * 30, b"9" * 5000, b"1e99999999", b"-0", b".", b"0.0", b"\xc2\xb2", b"\xd9\xa3")  # fmt: skip
_LETTERS = (b"mV", b"uV", b"nV", b"V", b"Hz", b"MICROVOLTS", b"FALSE", b"TRUE", b"I", b"V1", b"aVR", b"Rhythm",
            b"Median", b"BASE64", b"XLI", b"TIME_ABSOLUTE", b"SLIST_PQ", b"mmHg", b"%", b"\0", b"")  # fmt: skip


def mutated(name: str, data: bytes, most: int, random_: random.Random, plain: Plain) -> bytes:
    """An input of the format `name`, changed; `plain` makes a part of the changes, and all where none of ours fits."""
    if name == "wfdb" and JOIN in data:
        parts = data.split(JOIN)
        place = random_.randrange(len(parts)) if random_.random() < 0.4 else 0
        parts[place] = _changed(name if place == 0 else "", parts[place], most // 2, random_, plain)
        data = JOIN.join(parts)
    else:
        data = _changed(name, data, most, random_, plain)
    return (put_right(name, data) if random_.random() < 0.85 else data)[:most]


def put_right(name: str, data: bytes) -> bytes:
    """The same with its checksums right, where the format has such and its parts are still found."""
    right = _RIGHT.get(name)
    try:
        return data if right is None else right(data)
    except Exception:  # whatever a damaged file makes of it: zip alone has a dozen
        return data


def _changed(name: str, data: bytes, most: int, random_: random.Random, plain: Plain) -> bytes:
    for _ in range(random_.choice((1, 1, 2, 4))):
        if name == "scp" and random_.random() < 0.7:
            data = _in_a_section(data, random_, plain)
        elif _is_text(data) and random_.random() < 0.8:
            data = random_.choice((_number, _number, _swap, _element, _base64, _letters))(data, random_, plain)
        elif name == "edf" and random_.random() < 0.5:
            data = _ascii_field(data, random_)
        elif name == "mat" and random_.random() < 0.3:
            data = _inflated(data, random_, plain)
        elif name.startswith("clip-") and random_.random() < 0.5:
            data = changed_element(data, random_)
        elif name.startswith("clip-") and random_.random() < 0.5:
            data = changed_fragment(data, random_, plain)
        elif random_.random() < 0.6:
            data = field(data, random_)
        else:
            data = plain(data, most)
    return data


def _is_text(data: bytes) -> bool:
    return b"\0" not in data[:200] and data[:4] not in (b"PK\x03\x04", b"MATL", b"\x93NUM", b"0   ", b"ISHN")


def field(data: bytes, random_: random.Random) -> bytes:
    """A number in a binary field, of 1, 2, 4 or 8 bytes in either order, most often near the start."""
    width = random_.choice((1, 2, 2, 4, 4, 8))
    if len(data) <= width:
        return data
    last = len(data) - width
    place = random_.randint(0, min(last, random_.choice((32, 300, 2000, last))))
    place -= place % 2 if random_.random() < 0.6 else 0
    order = random_.choice(("little", "little", "big"))
    value = int.from_bytes(data[place : place + width], order)
    value = random_.choice((random_.choice(_INTERESTING), value + 1, value - 1, 2 * value, value ^ 0x80, -value))
    value &= (1 << 8 * width) - 1
    return data[:place] + value.to_bytes(width, order) + data[place + width :]


def _pick(pattern: re.Pattern[bytes], data: bytes, random_: random.Random) -> re.Match[bytes] | None:
    """One of the places where a pattern is found, as likely early as late; not all of them are looked for."""
    place = random_.randint(0, max(len(data) - 1, 0)) if random_.random() < 0.5 else random_.randint(0, 1500)
    return pattern.search(data, place) or pattern.search(data)


def _number(data: bytes, random_: random.Random, _plain: Plain) -> bytes:
    found = _pick(_NUMBER, data, random_)
    if found is None:
        return data
    value = int(max(min(float(found[0]), 1e18), -1e18))
    near = (value + 1, value - 1, 2 * value, value // 2, -value, 1000 * value, random_.choice(_INTERESTING))
    written = random_.choice(_WRITTEN) if random_.random() < 0.3 else str(random_.choice(near)).encode()
    return data[: found.start()] + written + data[found.end() :]


def _element(data: bytes, random_: random.Random, _plain: Plain) -> bytes:
    """An element or a line left out, said twice or moved."""
    found = _pick(_ELEMENT if b"<" in data[:100] else re.compile(rb"[^\n]*\n"), data, random_)
    if found is None:
        return data
    without = data[: found.start()] + data[found.end() :]
    way = random_.randrange(3)
    if way == 0:
        return without
    to = found.start() if way == 1 else (without.find(b"<", random_.randint(0, len(without))) + 1 or 1) - 1
    return (data if way == 1 else without)[:to] + found[0] + (data if way == 1 else without)[to:]


def _swap(data: bytes, random_: random.Random, _plain: Plain) -> bytes:
    """The values of two elements or attributes, each in the other's place."""
    one, two = _pick(_VALUE, data, random_), _pick(_VALUE, data, random_)
    if one is None or two is None or one.start() == two.start():
        return _letters(data, random_, _plain)
    one, two = sorted((one, two), key=lambda found: found.start())
    if one.end() > two.start():
        return data
    first, second = one[0][:1] + two[0][1:-1] + one[0][-1:], two[0][:1] + one[0][1:-1] + two[0][-1:]
    return data[: one.start()] + first + data[one.end() : two.start()] + second + data[two.end() :]


def _letters(data: bytes, random_: random.Random, _plain: Plain) -> bytes:
    found = _pick(re.compile(rb"[A-Za-z][A-Za-z0-9]*"), data, random_)
    if found is None:
        return data
    return data[: found.start()] + random_.choice(_LETTERS) + data[found.end() :]


def _base64(data: bytes, random_: random.Random, plain: Plain) -> bytes:
    """What base64 stands for, changed and written again; its text itself now and then."""
    found = _pick(_BASE64, data, random_)
    if found is None:
        return _number(data, random_, plain)
    try:
        held = base64.b64decode(found[0])
    except binascii.Error:
        return data
    held = field(held, random_) if random_.random() < 0.5 else plain(held, len(held) + random_.choice((0, 0, 64)))
    return data[: found.start()] + base64.b64encode(held) + data[found.end() :]


def _ascii_field(data: bytes, random_: random.Random) -> bytes:
    """A number in a header of fixed places, padded so that all others stay in theirs."""
    found = _pick(re.compile(rb"[-+]?[0-9.]+ *"), data[: random_.choice((256, 1024))], random_)
    if found is None:
        return data
    width = len(found[0])
    written = random_.choice((*_WRITTEN, str(random_.choice(_INTERESTING)).encode(), b"-1"))[:width].ljust(width)
    return data[: found.start()] + written + data[found.end() :]


def _inflated(data: bytes, random_: random.Random, plain: Plain) -> bytes:
    """What a deflated element of a MATLAB file holds, changed and deflated again."""
    for found in re.finditer(b"\x0f\0\0\0", data):
        (size,) = struct.unpack_from("<I", data.ljust(found.end() + 4, b"\0"), found.end())
        try:
            held = zlib.decompress(data[found.end() + 4 : found.end() + 4 + size])
        except zlib.error:
            continue
        packed = zlib.compress(field(held, random_) if random_.random() < 0.7 else plain(held, 2 * len(held)))
        start, end = found.end(), found.end() + 4 + size
        return data[:start] + struct.pack("<I", len(packed)) + packed + data[end:]
    return field(data, random_)


def scp_sections(data: bytes) -> dict[int, bytes]:
    """The sections after the directory, without their headers. Raises ValueError where they are not found."""
    if len(data) < 152:
        raise ValueError("no directory")
    sections = {}
    for number, held, place in struct.iter_unpack("<HII", data[22:152]):
        if number and held >= 16 and 0 < place <= len(data):
            sections[number] = data[place - 1 + 16 : place - 1 + held]
    if not sections or max(sections) > 12:
        raise ValueError("no sections")
    return sections


def _in_a_section(data: bytes, random_: random.Random, plain: Plain) -> bytes:
    try:
        sections = scp_sections(data)
        number = random_.choice(sorted(sections))
        if random_.random() < 0.05:
            sections[random_.randint(1, 12)] = sections.pop(number)
        else:
            held = sections[number]
            changed = field(held, random_) if random_.random() < 0.6 else plain(held, len(held) + 64)
            sections[number] = changed
        return scp_file(sections)
    except (ValueError, struct.error):
        return field(data, random_)


def _right_scp(data: bytes) -> bytes:
    """Each section's checksum and that of the file, all else as it stands, be it wrong."""
    content = bytearray(data)
    for _, held, place in struct.iter_unpack("<HII", data[22:152]):
        if held >= 16 and place > 0 and place - 1 + held <= len(data):
            (own,) = struct.unpack_from("<I", data, place - 1 + 4)
            section = bytes(content[place + 1 : place - 1 + min(own, held)])
            struct.pack_into("<H", content, place - 1, binascii.crc_hqx(section, 0xFFFF))
    (size,) = struct.unpack_from("<I", content, 2)
    struct.pack_into("<H", content, 0, binascii.crc_hqx(bytes(content[2:size]), 0xFFFF))
    return bytes(content)


def _right_ishne(data: bytes) -> bytes:
    (text,) = struct.unpack_from("<i", data, 10)
    return data[:8] + struct.pack("<H", binascii.crc_hqx(data[10 : 522 + max(text, 0)], 0xFFFF)) + data[10:]


def _right_muse(data: bytes) -> bytes:
    def stated(found: re.Match[bytes]) -> bytes:
        crc = zlib.crc32(base64.b64decode(found["text"]))
        return b"<LeadDataCRC32>%d</LeadDataCRC32><WaveFormData>%s" % (crc, found["text"])

    return _MUSE_CRC.sub(stated, data)


def _right_wfdb(data: bytes) -> bytes:
    """The sums of the samples of leads that lie together in format 16."""
    header, samples, *others = data.split(JOIN)
    first, *lines = header.split(b"\n")
    count = int(first.split()[1])
    values = struct.unpack(f"<{len(samples) // 2}h", samples[: len(samples) // 2 * 2])
    for place, line in enumerate(lines[:count]):
        words = line.split(b" ")
        row = values[place::count]
        words[5:7] = [b"%d" % row[0], b"%d" % (sum(row) % 65536)]
        lines[place] = b" ".join(words)
    return JOIN.join([b"\n".join([first, *lines]), samples, *others])


def _right_zip(data: bytes) -> bytes:
    """Packed again, as names and contents are found."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as found, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in found.infolist()[:40]:
            with found.open(entry) as member:
                archive.writestr(entry.filename, member.read(1 << 16))
    return stream.getvalue()


_RIGHT: dict[str, Callable[[bytes], bytes]] = {
    "scp": _right_scp,
    "ishne": _right_ishne,
    "muse": _right_muse,
    "wfdb": _right_wfdb,
    "zip": _right_zip,
    "studies": _right_zip,
}
