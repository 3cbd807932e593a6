"""Every way in which DICOM may encode pixels, by name: which decoder here reads it, or that none does.

The decoder stands in this table, so that what else happens to be installed changes no pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inputs.errors import UnreadableFile

Decoder = Literal["native", "jpeg", "jpeg lossless", "jpeg-ls", "jpeg 2000", "rle", "video"]
"""native: no compression. jpeg: sequential and progressive, 8 and 12 bits. video: MPEG-2, MPEG-4 and HEVC."""

EXPORT = "Export the clip uncompressed or as JPEG baseline."


@dataclass(frozen=True)
class Syntax:
    """What a transfer syntax does to pixels. name: of the compression. decoder: None where it is not read here."""

    name: str
    decoder: Decoder | None


_DICOM = "1.2.840.10008.1.2"
_NOT_COMPRESSED = Syntax("no compression", "native")
IMPLICIT_LITTLE_ENDIAN = _DICOM
EXPLICIT_LITTLE_ENDIAN = f"{_DICOM}.1"
EXPLICIT_BIG_ENDIAN = f"{_DICOM}.2"

_SYNTAXES = {
    IMPLICIT_LITTLE_ENDIAN: _NOT_COMPRESSED,
    EXPLICIT_LITTLE_ENDIAN: _NOT_COMPRESSED,
    f"{_DICOM}.1.99": _NOT_COMPRESSED,  # deflated: the whole file, which is inflated before its pixels are looked for
    f"{_DICOM}.1.98": _NOT_COMPRESSED,  # encapsulated, but not compressed
    EXPLICIT_BIG_ENDIAN: _NOT_COMPRESSED,
    f"{_DICOM}.4.50": Syntax("JPEG baseline", "jpeg"),
    f"{_DICOM}.4.51": Syntax("JPEG extended", "jpeg"),
    f"{_DICOM}.4.53": Syntax("JPEG spectral selection", "jpeg"),
    f"{_DICOM}.4.55": Syntax("JPEG progressive", "jpeg"),
    f"{_DICOM}.4.57": Syntax("JPEG lossless", "jpeg lossless"),
    f"{_DICOM}.4.70": Syntax("JPEG lossless", "jpeg lossless"),
    f"{_DICOM}.4.80": Syntax("JPEG-LS", "jpeg-ls"),
    f"{_DICOM}.4.81": Syntax("JPEG-LS", "jpeg-ls"),
    f"{_DICOM}.4.90": Syntax("JPEG 2000", "jpeg 2000"),
    f"{_DICOM}.4.91": Syntax("JPEG 2000", "jpeg 2000"),
    f"{_DICOM}.4.92": Syntax("JPEG 2000 part 2", None),
    f"{_DICOM}.4.93": Syntax("JPEG 2000 part 2", None),
    f"{_DICOM}.4.94": Syntax("JPIP, which keeps the pictures on a server", None),
    f"{_DICOM}.4.95": Syntax("JPIP, which keeps the pictures on a server", None),
    f"{_DICOM}.4.110": Syntax("JPEG XL", None),
    f"{_DICOM}.4.111": Syntax("JPEG XL", None),
    f"{_DICOM}.4.112": Syntax("JPEG XL", None),
    f"{_DICOM}.4.201": Syntax("HTJ2K", "jpeg 2000"),
    f"{_DICOM}.4.202": Syntax("HTJ2K", "jpeg 2000"),
    f"{_DICOM}.4.203": Syntax("HTJ2K", "jpeg 2000"),
    f"{_DICOM}.4.204": Syntax("JPIP, which keeps the pictures on a server", None),
    f"{_DICOM}.4.205": Syntax("JPIP, which keeps the pictures on a server", None),
    f"{_DICOM}.5": Syntax("run lengths (RLE)", "rle"),
    f"{_DICOM}.7.1": Syntax("SMPTE ST 2110 video", None),
    f"{_DICOM}.7.2": Syntax("SMPTE ST 2110 video", None),
    f"{_DICOM}.7.3": Syntax("SMPTE ST 2110 video", None),
    **{f"{_DICOM}.4.{n}{part}": Syntax("MPEG-2", "video") for n in (100, 101) for part in ("", ".1")},
    **{f"{_DICOM}.4.{n}{part}": Syntax("MPEG-4", "video") for n in range(102, 107) for part in ("", ".1")},
    **{f"{_DICOM}.4.{n}": Syntax("HEVC", "video") for n in (107, 108)},
    **{f"{_DICOM}.4.{n}": Syntax("hierarchical or arithmetic JPEG", None) for n in (52, 54, 56, *range(58, 67))},
}
"""PS3.6 table A-1, retired ones included."""

_BY_FRAMES: dict[Decoder, str] = {
    "jpeg": "4.50",
    "jpeg lossless": "4.70",
    "jpeg-ls": "4.80",
    "jpeg 2000": "4.90",
    "rle": "5",
    "video": "4.102",
}


def syntax_of(uid: str) -> Syntax:
    """Raises UnreadableFile where the pixels are encoded in a way that is not read here."""
    found = _SYNTAXES.get(uid, Syntax("a scheme of its maker", None))
    if found.decoder is None:
        raise not_read(found.name)
    return found


def syntax_of_frames(decoder: Decoder) -> Syntax:
    """What a file is taken for that does not say how it is encoded, by what its first frame is."""
    return _SYNTAXES[f"{_DICOM}.{_BY_FRAMES[decoder]}"]


def not_read(name: str, hint: str = EXPORT) -> UnreadableFile:
    """The refusal of a clip for its compression."""
    return UnreadableFile("dicom_compression", f"The clip is compressed as {name}, which is not read here.", hint=hint)


def not_decoded(name: str) -> UnreadableFile:
    """The refusal of a clip whose frames are not what its header says, or damaged."""
    if name == _NOT_COMPRESSED.name:
        return UnreadableFile("dicom_damaged", "The pixels of the DICOM file are not as its header says.", hint=EXPORT)
    sentence = f"The header says that the clip is compressed as {name}, but its frames cannot be decoded as that."
    return UnreadableFile("frames_not_decoded", sentence, hint=EXPORT)
