"""What a file is that is no clip, said by name with a way out: by its first bytes, or by the class of a DICOM object.

Knows nothing of names of files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from inputs.errors import UnreadableFile
from inputs.records import MAX_REGIONS, Region

_CONVERT = "Convert it to AVI or MP4, or export the cine loop as DICOM."
_LOOP = "Send the cine loop as DICOM, AVI or MP4."
_UNPACK = "Unpack it first."


@dataclass(frozen=True)
class _Kind:
    """start: matches a file's first bytes. name: with its article. hint: what to do."""

    start: re.Pattern[bytes]
    name: str
    hint: str


def _kind(start: bytes, name: str, hint: str) -> _Kind:
    return _Kind(re.compile(start, re.DOTALL), name, hint)


_KINDS = (
    _kind(rb"GIF8[79]a", "a GIF", _CONVERT),
    _kind(rb"\x1a\x45\xdf\xa3", "a Matroska or WebM video", _CONVERT),
    _kind(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media video", _CONVERT),
    _kind(rb"\x00\x00\x01[\xb0\xb3\xba]", "an MPEG video", _CONVERT),
    _kind(
        rb"(.{4})?\x47(\x40[\x00\x11]|\x1f\xff|[\x41-\x5f][^ -~\t-\r])[\x10-\x3f]", "an MPEG transport stream", _CONVERT
    ),
    _kind(rb"FLV\x01", "a Flash video", _CONVERT),
    _kind(rb"OggS", "an Ogg file", _CONVERT),
    _kind(rb"\xff\xd8\xff", "a JPEG image", _LOOP),
    _kind(rb"\x89PNG\r\n\x1a\n", "a PNG image", _LOOP),
    _kind(rb"BM.{4}\x00{4}", "a BMP image", _LOOP),
    _kind(rb"II\x2a\x00|MM\x00\x2a|II\x2b\x00|MM\x00\x2b", "a TIFF image", _LOOP),
    _kind(rb"RIFF.{4}WEBP", "a WebP image", _CONVERT),
    _kind(rb"\xff\x0a|\x00\x00\x00\x0cJXL ", "a JPEG XL image", _LOOP),
    _kind(rb"....ftyp(hei[cxms]|hev[cx]|m[is]f1|avi[fs])", "a HEIF or AVIF image", _LOOP),
    _kind(rb"....ftypM4[AB]", "an audio file", _LOOP),
    _kind(rb"\x00\x00\x00\x0cjP  .{8}ftypmjp2", "a Motion JPEG 2000 video", _CONVERT),
    _kind(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 image", _LOOP),
    _kind(rb"\x00?\x00\x00\x01[\x09\x27\x47\x67]", "a bare H.264 stream", _CONVERT),
    _kind(rb"\x00?\x00\x00\x01[\x40\x42\x44\x46\x4e]\x01", "a bare HEVC stream", _CONVERT),
    _kind(rb"\x12\x00\x0a", "a bare AV1 stream", _CONVERT),
    _kind(rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", "an MXF video", _CONVERT),
    _kind(rb"DKIF\x00\x00", "an IVF video", _CONVERT),
    _kind(rb"\.RMF", "a RealMedia video", _CONVERT),
    _kind(rb"nut/multimedia container", "a NUT video", _CONVERT),
    _kind(rb"[FCZ]WS[\x01-\x40].{3}\x00", "a Flash file", _LOOP),
    _kind(rb"\x1f\x07\x00", "a DV video", _CONVERT),
    _kind(rb"(\r?\n)?--[^\r\n]{1,70}\r?\n(?i:content-type: *image/jpeg)", "a Motion JPEG stream", _CONVERT),
    _kind(rb"YUV4MPEG2 ", "a YUV4MPEG2 video", _CONVERT),
    _kind(rb"\x5c\x01\x00\x00|\x00\x00\x01\x5c|\x1c\x02\x00\x00|\x00\x00\x02\x1c", "a NIfTI file", _CONVERT),
    _kind(rb"\x93NUMPY", "a NumPy array", _CONVERT),
    _kind(rb"\x89HDF\r\n\x1a\n", "an HDF5 file", _CONVERT),
    _kind(rb"ObjectType\s*=|NDims\s*=", "a MetaImage file", _CONVERT),
    _kind(rb"NRRD000\d", "an NRRD file", _CONVERT),
    _kind(rb"MATLAB 5\.0 MAT-file", "a MATLAB file", _CONVERT),
    _kind(rb"KRETZFILE", "a KRETZ volume", "Export a two-dimensional cine loop as DICOM, AVI or MP4."),
    _kind(rb"version https://git-lfs", "a Git LFS pointer", "Fetch the file that it stands for: `git lfs pull`."),
    _kind(
        rb"(\.\./)*(\.git)?/annex/objects/",
        "a git-annex pointer",
        "Fetch the file that it stands for: `git annex get`.",
    ),
    _kind(
        rb"(\xef\xbb\xbf)?\s*<(?i:!doctype html|html|head)\b", "an HTML page", "Was it downloaded without signing in?"
    ),
    _kind(rb"%PDF-", "a PDF document", _LOOP),
    _kind(rb"PK\x03\x04|PK\x05\x06", "a zip", "Unpack it, or name the zip itself as the study."),
    _kind(rb"\x1f\x8b", "a gzip file", _UNPACK),
    _kind(rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    _kind(rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    _kind(rb"\xfd7zXZ\x00", "an xz file", _UNPACK),
    _kind(rb"BZh[1-9]1AY&SY", "a bzip2 file", _UNPACK),
    _kind(rb"\x28\xb5\x2f\xfd", "a Zstandard file", _UNPACK),
    _kind(rb"[^\x00].{99}([0-7]{6,7}[ \x00]{1,2}){3}", "a tar archive", _UNPACK),
)
"""In the order in which they are asked."""

_CLASSES = {
    "1.3.10": "a DICOMDIR",
    "5.1.4.1.1.1": "an X-ray image",
    "5.1.4.1.1.2": "a CT image",
    "5.1.4.1.1.4": "an MR image",
    "5.1.4.1.1.4.2": "an MR spectrum",
    "5.1.4.1.1.6.2": "a three-dimensional ultrasound volume",
    "5.1.4.1.1.7": "a captured screen",
    "5.1.4.1.1.9": "a waveform, such as an ECG",
    "5.1.4.1.1.11": "a presentation state",
    "5.1.4.1.1.12": "an X-ray angiography",
    "5.1.4.1.1.14": "an intravascular optical tomography",
    "5.1.4.1.1.20": "a nuclear medicine image",
    "5.1.4.1.1.66": "a segmentation or registration",
    "5.1.4.1.1.77.1": "a photograph, endoscopy or microscopy",
    "5.1.4.1.1.88": "a structured report",
    "5.1.4.1.1.104": "a document in DICOM",
    "5.1.4.1.1.104.1": "a PDF document in DICOM",
    "5.1.4.1.1.128": "a PET image",
    "5.1.4.1.1.130": "a PET image",
    "5.1.4.1.1.481": "a radiotherapy object",
}
"""By class, or the longest start of it that is named here, beyond `_DICOM_ROOT` (PS3.4 B.5)."""
_DICOM_ROOT = "1.2.840.10008."

_MODALITIES = {
    **dict.fromkeys(("CR", "DX", "RG", "MG", "PX", "IO", "RF"), "an X-ray image"),
    **dict.fromkeys(("ECG", "HD", "EPS"), "a waveform, such as an ECG"),
    **dict.fromkeys(("ES", "GM", "SM", "XC", "OP"), "a photograph, endoscopy or microscopy"),
    **dict.fromkeys(("RTDOSE", "RTIMAGE", "RTPLAN", "RTRECORD", "RTSTRUCT"), "a radiotherapy object"),
    **dict.fromkeys(("SEG", "REG"), "a segmentation or registration"),
    **dict.fromkeys(("KO", "SR"), "a structured report"),
    "CT": "a CT image",
    "DOC": "a document in DICOM",
    "IVOCT": "an intravascular optical tomography",
    "IVUS": "an intravascular ultrasound",
    "MR": "an MR image",
    "NM": "a nuclear medicine image",
    "PR": "a presentation state",
    "PT": "a PET image",
    "XA": "an X-ray angiography",
}
_PRIVATE = "an object of its maker's own kind"

_OVER_TIME = {2: ("m_mode", "an M-mode"), 3: ("spectral_doppler", "a spectral Doppler")}
"""By RegionSpatialFormat (PS3.3 C.8.5.5.1.1); 1 is two-dimensional, 4 a waveform, 5 graphics."""
_BESIDE = (4, 5)

_UNKNOWN, _BLANKS = "\N{REPLACEMENT CHARACTER}", "\t\r\n\f\xa0\ufeff"

NO_CLIPS = frozenset({"not_ultrasound", "still_image", *(code for code, _ in _OVER_TIME.values())})
"""Codes of refusals of what lies beside clips in a study, and was never one."""


def no_clip(start: bytes) -> UnreadableFile | None:
    """The refusal of a file by its first bytes; None where they name nothing that is known here.

    To be asked last: a DICOM file may start with 128 bytes of anything, such as a TIFF header.
    """
    for kind in _KINDS:
        if kind.start.match(start):
            return UnreadableFile("not_an_echo_clip", f"This file is {kind.name}, which is not read.", hint=kind.hint)
    return None


def may_hold_a_clip(start: bytes) -> bool:
    """Whether its first bytes are those of a video that is not read, or of what may be one once unpacked or fetched."""
    kind = _known(start)
    return kind is not None and not _is_beside_clips(kind)


def lies_beside_clips(start: bytes) -> bool:
    """Whether its first bytes are those of a picture, a document, a page or a text."""
    kind = _known(start)
    return _is_text(start) if kind is None else _is_beside_clips(kind)


def _known(start: bytes) -> _Kind | None:
    return next((kind for kind in _KINDS if kind.start.match(start)), None)


def _is_beside_clips(kind: _Kind) -> bool:
    return kind.hint == _LOOP or kind.name == "an HTML page"


def _is_text(start: bytes) -> bool:
    """As far as its first bytes show, the last of which may be a part of a letter: in UTF-8, in UTF-16 with its mark,
    or, where most letters are plain ones, in Latin-1 as Windows has it."""
    encodings = ["utf-16"] if start.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8"]
    if 2 * sum(byte < 128 for byte in start) > len(start):
        encodings.append("cp1252")
    return any(_is_printed(start.decode(encoding, "replace").rstrip(_UNKNOWN)) for encoding in encodings)


def _is_printed(text: str) -> bool:
    return bool(text) and _UNKNOWN not in text and all(letter.isprintable() or letter in _BLANKS for letter in text)


def not_ultrasound(sop_class: str, modality: str = "") -> UnreadableFile:
    """The refusal of a DICOM object of another class than the ultrasound ones, by what it is: its class or modality.

    Neither is quoted.
    """
    known = sop_class.removeprefix(_DICOM_ROOT)
    private = known == sop_class != ""
    while not private and known not in _CLASSES and "." in known:
        known = known.rpartition(".")[0]
    name = _CLASSES.get(known, "") or _MODALITIES.get(modality, "") or (_PRIVATE if private else "")
    said = f"This DICOM object is {name}, not an ultrasound clip." if name else ""
    hint = "It only lists files; send the files that it lists." if name == "a DICOMDIR" else "Send the cine loops."
    return UnreadableFile("not_ultrasound", said or "This DICOM object is not an ultrasound clip.", hint=hint)


def not_two_dimensional(spatial_formats: tuple[int, ...]) -> UnreadableFile | None:
    """The refusal of an ultrasound clip whose regions are all drawn over time; None where one is two-dimensional.

    spatial_formats: RegionSpatialFormat of each item of SequenceOfUltrasoundRegions. None too where there is none, or
    one of no known kind: nothing is then known of the clip.
    """
    over_time = [number for number in spatial_formats if number not in _BESIDE]
    if not over_time or any(number not in _OVER_TIME for number in over_time):
        return None
    code, name = _OVER_TIME[over_time[0]]
    return UnreadableFile(
        code, f"This is {name}, not a two-dimensional clip.", hint="Send the cine loops of the study."
    )


def two_dimensional_regions(regions: Iterable[Any]) -> tuple[Region, ...]:
    """Where the two-dimensional ones of SequenceOfUltrasoundRegions lie (PS3.3 C.8.5.5.1.2): its edges are included.

    None where one of them does not say it, or they are too many: what lies elsewhere might then be masked.
    """
    found: list[Region] = []
    for region in regions:
        if region.get("RegionSpatialFormat") != 1:
            continue
        edges = [region.get(f"RegionLocation{edge}") for edge in ("MinY0", "MinX0", "MaxY1", "MaxX1")]
        if not all(isinstance(edge, int) and abs(edge) < 2**31 for edge in edges):
            return ()
        top, left, bottom, right = edges
        found.append((top, left, bottom + 1, right + 1))
    return tuple(found) if len(found) <= MAX_REGIONS else ()
