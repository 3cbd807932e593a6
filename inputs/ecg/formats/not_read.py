"""What is recognised only to say what a file is when it is refused, and what to send instead.

Marks: as each format's own specification gives them; MFER: ISO/TS 11073-92001; annotations of WFDB records:
https://physionet.org/physiotools/wag/annot-5.htm
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from inputs.ecg.formats.text import first_lines, text_start
from inputs.ecg.formats.xml import root_of
from inputs.ecg.leads import lead_from_name
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS

_EXPORT = "Export the ECG from the electrocardiograph or its archive as DICOM, SCP-ECG or HL7 aECG, and send that file."
_TWELVE = "At least leads I, II and V1 to V6 are needed: send the file of a 12-lead electrocardiograph."
_PICTURE = "A picture of an ECG has no samples. " + _EXPORT
_UNPACK = "Unpack it, and send the file of one ECG, or the files of one WFDB record as a zip."
_TABLE = "Save one ECG as CSV, a column for each lead below its name, and give rate_hz and unit with it."
_ARRAY = "Save the one array of the ECG with numpy.save as .npy, as (leads, samples)."
_WEB = "Log in where the file came from, download the file itself and send that."


@dataclass(frozen=True)
class NotRead:
    """what: as in "a PDF document". hint: the way out. ecg: its short name where it holds ECGs and nothing else.

    others_are: whether other files of the kind are read.
    """

    what: str
    hint: str
    ecg: str = ""
    others_are: bool = False


_PDF = NotRead("a PDF document", _PICTURE)
_POSTSCRIPT = NotRead("a PostScript document", _PICTURE)
_IMAGE = NotRead("an image", _PICTURE)
_VIDEO = NotRead("a video", "Send an ECG: echo clips are not asked about, they are indexed with their cohort.")
_ARCHIVE = NotRead("a packed archive", _UNPACK)
_PICKLE = NotRead("a Python pickle", f"A pickle could run any code. {_ARRAY}")
_TORCH = NotRead("a file of PyTorch", _ARRAY)
_EXCEL = NotRead("an Excel workbook", _TABLE)
_WORD = NotRead("a Word document", _EXPORT)
_OFFICE = NotRead("an Office document", _TABLE)
_MFER = NotRead("an MFER file", "Convert it to DICOM, SCP-ECG or WFDB, which viewers of MFER can export.", "MFER")
_WATCH = NotRead("a single-lead recording of a watch (Apple Health)", _TWELVE, "watch")
_KARDIA = NotRead("a recording of one or six limb leads (Kardia)", _TWELVE, "Kardia")
_NETCDF = NotRead(
    "a netCDF file of the classic kind", "Save it as netCDF-4, which is HDF5 and is read: `nccopy -k nc4`."
)
_BIOSIGNAL = "Export it as EDF with the name of each lead, or as CSV with rate_hz and unit."
_SPIKE2 = NotRead("a Spike2 recording", _BIOSIGNAL)
_FHIR = NotRead("a FHIR resource", _EXPORT)
_PAGE = NotRead("a web page (HTML), perhaps that of a login", _WEB)

_MARKS: tuple[tuple[int, bytes, NotRead], ...] = (
    (0, b"\xc5\xd0\xd3\xc6", _POSTSCRIPT),
    (0, b"\x89PNG", _IMAGE),
    (0, b"\xff\xd8\xff", _IMAGE),
    (0, b"GIF8", _IMAGE),
    (0, b"II*\0", _IMAGE),
    (0, b"MM\0*", _IMAGE),
    (0, b"II+\0", _IMAGE),
    (8, b"WEBP", _IMAGE),
    *((4, b"ftyp" + brand, _IMAGE) for brand in (b"heic", b"heix", b"heif", b"mif1", b"msf1", b"avif", b"hevc")),
    (4, b"ftyp", _VIDEO),
    (8, b"AVI ", _VIDEO),
    (0, b"\x1aE\xdf\xa3", _VIDEO),
    (0, b"\x1f\x8b", _ARCHIVE),
    (0, b"BZh", _ARCHIVE),
    (0, b"\xfd7zXZ\0", _ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (0, b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (0, b"Rar!\x1a\x07", _ARCHIVE),
    (257, b"ustar", _ARCHIVE),
    (0, b"PAR1", NotRead("a Parquet file", _TABLE)),
    (0, b"ARROW1", NotRead("an Arrow file", _TABLE)),
    (0, b"FEA1", NotRead("a Feather file", _TABLE)),
    *((0, b"CDF" + version, _NETCDF) for version in (b"\1", b"\2", b"\5")),
    (0, b"TDSm", NotRead("a TDMS file of LabVIEW", _TABLE)),
    (2, b"(C) CED 87", _SPIKE2),
    (0, b"CFWB", NotRead("a binary recording of LabChart", _BIOSIGNAL)),
    *((0, b"GDF " + version, NotRead("a GDF recording", _BIOSIGNAL)) for version in (b"1.", b"2.")),
    (0, b"Brain Vision Data Exchange", NotRead("a BrainVision recording", _BIOSIGNAL)),
    (8, b"WAVE", NotRead("a sound (WAV)", _BIOSIGNAL)),
    (0, b"SQLite format 3\0", NotRead("an SQLite database", _TABLE)),
    (0, b"{\\rtf", NotRead("a text document (RTF)", _EXPORT)),
    (0, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j", _TORCH),
    *((0, mark, _PICKLE) for mark in (b"cnumpy.", b"ccopy_reg\n", b"ccollections\n", b"c__main__\n")),
    *((0, mark, _PICKLE) for mark in (b"(dp0\n", b"(lp0\n")),
    (0, b"@ MFR ", _MFER),
    (0, b"ALIVE", _KARDIA),
    (0, b"MSH|", NotRead("an HL7 version 2 message", _EXPORT)),
)  # fmt: skip
_PAGES = re.compile(rb"(?:\A|[\r\n])[^\w\r\n]{0,8}%(?P<kind>PDF-[0-9]|!PS)")
_PAGES_BYTES = 1024
"""Within so many bytes a PDF says that it is one: mail systems and printers put lines before it."""
_PICKLE_START = re.compile(rb"\x80[\x02-\x05][\]\[}{()cKX\x8c\x95Nqh\x8a]")
_BITMAP = re.compile(rb"BM....\0\0\0\0....[\x0c\x28\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_JSON = re.compile(r'\ufeff?\s*(?:\{\s*["}]|\[\s*(?:[\[{"\]]|-?[0-9.]+\s*[,\]]\s*[-0-9.\n]))')
_JSON_KEY = re.compile(r'"([^"\\\n]{1,60})"\s*:')
_KARDIA_KEYS = {"leadi", "kardia", "alivecor", "recordedat"}
_WATCH_KEYS = {"voltagemeasurements", "numberofvoltagemeasurements", "hkelectrocardiogram"}
_LEADS_IN_JSON = NotRead(
    "a JSON file of leads", "Save it as CSV: a row of lead names, then a row for each sample; give rate_hz and unit."
)

_HERTZ = re.compile(r"[^,;\t]{1,40}[,;\t]\s*\"?[0-9]{2,5}(?:[.,][0-9]{1,6})?\s*(?:hertz|hz)\b.{0,3}", re.IGNORECASE)
_PAIR = re.compile(r"[^,;\t]{1,60}[,;\t].{0,200}")
_ALONE = re.compile(r"\"?-?[0-9]{1,6}(?:[.,][0-9]{1,6})?\"?[,;]?")

_OF_ROOTS: dict[str, NotRead] = {
    "html": _PAGE,
    "svg": NotRead("a drawing (SVG)", _PICTURE),
    "healthdata": NotRead("an export of Apple Health", f"Its ECGs have a single lead. {_TWELVE}"),
    "clinicaldocument": NotRead("a clinical document (CDA)", f"It holds no samples. {_EXPORT}"),
    "workbook": _EXCEL,
    "worddocument": _WORD,
    "rawsignal": NotRead("a description of signals (SignalML)", _BIOSIGNAL),
}
_TEST_ECG = "Send a resting 12-lead ECG, exported as XML, DICOM or SCP-ECG."
_HOLTER = NotRead("an XML file of a Holter recording", _TEST_ECG)
_STRESS = NotRead("an XML file of a stress test", _TEST_ECG)
_XML = NotRead("an XML file of an unknown kind", _EXPORT)

_MFER_TAGS = {1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 15, 17, 18, 22, 23, 28, 30, 63, 64, 65, 69, 103, *range(128, 136)}
_MFER_INTERVAL, _MFER_WAVES, _MFER_OF_CHANNEL = 11, 30, 63
_ANNOTATIONS = NotRead(
    "a file of WFDB annotations", "It holds no samples. Send the record itself: its .hea with its signal files."
)
_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63


def not_read(data: bytes) -> NotRead | None:
    """What the file is, when it bears the mark of a kind that is not read, which no readable file bears."""
    found = next((kind for offset, mark, kind in _MARKS if data.startswith(mark, offset)), None)
    if found is not None:
        return found
    if (pages := _PAGES.search(data, 0, _PAGES_BYTES)) is not None:
        return _POSTSCRIPT if pages["kind"] == b"!PS" else _PDF
    if data.startswith(_OLE):
        return _of_office(data)
    if _BITMAP.match(data):
        return _IMAGE
    if _PICKLE_START.match(data):
        return _PICKLE
    if _JSON.match(text_start(data)):
        return _of_json(data)
    if _is_of_watch(data):
        return _WATCH
    return _MFER if _is_mfer(data) else None


def refused_as(found: NotRead) -> UnreadableFile:
    """The refusal of the one file of an upload."""
    end = "" if found.others_are else ", which is not read"
    return UnreadableFile("unsupported_format", f"This is {found.what}{end}.", hint=found.hint)


def name_if_not_read(data: bytes) -> str | None:
    """What `not_read` says that the file is."""
    found = not_read(data)
    return None if found is None else found.what


def ecg_if_not_read(data: bytes) -> str | None:
    """The kind of an ECG that is recognised and not read, as in "MFER"; None for what may be something else."""
    found = not_read(data) or _of_root(data)
    return found.ecg or None if found is not None else None


def what_it_is(data: bytes) -> NotRead | None:
    """What a file is that no format reads, told by its mark or, for want of one, by what it looks like."""
    found = not_read(data) or _of_root(data)
    if found is not None:
        return found
    if not data.strip(b"\0"):
        return NotRead("a file of zeros alone", "Copy or download it again: its content is lost.")
    if not data.strip(b"\0 \t\r\n\xff"):
        return NotRead("a file without content", "Copy or download it again: its content is lost.")
    start = text_start(data)
    if not _is_text(start) and _are_annotations(data):
        return _ANNOTATIONS
    if "<html" in start[:1000].casefold() or "<!doctype html" in start[:1000].casefold():
        return _PAGE
    if _is_text(start):
        return NotRead("a text without the samples of an ECG", _EXPORT)
    return None


def of_zip(names: Sequence[str]) -> NotRead | None:
    """What a zip is whose entries have these names, when it is a file of some program and no zip of ECG files."""
    if "[Content_Types].xml" in names:
        folders = {name.partition("/")[0] for name in names}
        return _EXCEL if "xl" in folders else _WORD if "word" in folders else _OFFICE
    if "mimetype" in names and "content.xml" in names:
        return NotRead("an OpenDocument file", _TABLE)
    if any(name.endswith("data.pkl") for name in names):
        return _TORCH
    arrays = sum(name.endswith(".npy") for name in names)
    if arrays == len(names) > 1:
        return NotRead(f"a NumPy .npz of {arrays} arrays", "Save the one array of the ECG as .npy.", others_are=True)
    return None


def _of_office(data: bytes) -> NotRead:
    """Of Office's older files, whose directory names their streams in UTF-16."""
    if any(name.encode("utf-16-le") in data for name in ("Workbook", "Book\0")):
        return _EXCEL
    return _WORD if "WordDocument".encode("utf-16-le") in data else _OFFICE


def _of_root(data: bytes) -> NotRead | None:
    """Of any XML, by its root."""
    root = root_of(data)
    if root is None:
        return None
    tag, rest = root[0].casefold(), root[1].casefold()
    if tag in _OF_ROOTS:
        return _OF_ROOTS[tag]
    if "hl7.org/fhir" in rest:
        return _FHIR
    if "holter" in tag:
        return _HOLTER
    return _STRESS if any(word in tag for word in ("stress", "exercise", "ergo")) else _XML


def _of_json(data: bytes) -> NotRead:
    """Of JSON, of which nothing but keys of the start is looked at."""
    keys = {key.casefold() for key in _JSON_KEY.findall(text_start(data, 65_536))}
    if "resourcetype" in keys:
        return _FHIR
    if keys & _WATCH_KEYS:
        return _WATCH
    leads = {lead for key in keys if (lead := lead_from_name(key.removeprefix("lead")))}
    if keys & _KARDIA_KEYS and leads <= set(STANDARD_LEADS[:6]):
        return _KARDIA
    if len(leads) > 1:
        return _LEADS_IN_JSON
    return NotRead("a JSON file", _TABLE)


def _is_of_watch(data: bytes) -> bool:
    """Pairs of words, a rate in hertz among them, and then one number a line: in whatever language they are."""
    lines = [line.strip() for line in first_lines(data, 40)]
    pairs = 0
    for line in lines:
        if _ALONE.fullmatch(line):
            break
        if not _PAIR.fullmatch(line):
            return False
        pairs += 1
    below = lines[pairs:]
    alone = len(below) > 2 and all(_ALONE.fullmatch(line) for line in below)
    return pairs > 2 and alone and any(_HERTZ.fullmatch(line) for line in lines[:pairs])


def _is_mfer(data: bytes) -> bool:
    """Of files without a preamble: tags and lengths from the first byte on, an interval among those before waves."""
    place = 0
    found: set[int] = set()
    for _ in range(64):
        if len(data) < place + 2:
            return False
        tag, length = data[place], data[place + 1]
        if tag not in _MFER_TAGS:
            return False
        if tag == _MFER_WAVES:
            return _MFER_INTERVAL in found and len(found) > 2
        found.add(tag)
        if tag == _MFER_OF_CHANNEL:  # the channel's number, then the length
            if len(data) < place + 3:
                return False
            place, length = place + 1, data[place + 2]
        place += 2
        if length & 0x80:
            more = length & 0x7F
            length = int.from_bytes(data[place : place + more], "big") if more <= 4 else len(data)
            place += more
        place += length
    return False


def _are_annotations(data: bytes) -> bool:
    """Words of a code and a step in time, from the first byte to a last word of zero, as annotators write them."""
    place, count = 0, 0
    while len(data) >= place + 2 and place < 65_536:
        (word,) = struct.unpack_from("<H", data, place)
        code, step = word >> 10, word & 1023
        place += 2
        if word == 0:
            return count > 1 and place == len(data)
        if code == _SKIP:
            place += 4
        elif code == _AUX:
            place += step + step % 2
        elif code in (_NUM, _SUB, _CHN):
            continue
        elif 0 < code < 50:
            count += 1
        else:
            return False
    return place >= 65_536 and count > 1000


def _is_text(start: str) -> bool:
    """Whether a start is words: hardly anything that no text has."""
    odd = sum(not (letter.isprintable() or letter.isspace()) or letter == "\ufffd" for letter in start)
    return len(start) > 0 and odd * 100 <= len(start)
