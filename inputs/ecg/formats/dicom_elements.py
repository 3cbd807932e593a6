"""Bytes of a DICOM file to a data set whose every element is whole and of a sane size, within a budget.

Layout: PS3.5 and PS3.10. pydicom does not compare lengths, makes a list of any value that has backslashes, parses a
sequence when it is asked for, and inflates without a limit: all that is done or bounded here.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from typing import Any

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_sequence
from pydicom.uid import ExplicitVRBigEndian

from inputs.dicom_stream import Deflated, ReadBudget, watched
from inputs.errors import UnreadableFile
from inputs.limits import MAX_DICOM_READS, MAX_INFLATED_DICOM_BYTES

_UNDEFINED = 0xFFFFFFFF
_TIFF = (b"II*\0", b"MM\0*")

Tree = Mapping[str, "Tree"]
_SEQUENCES: Tree = {
    "WaveformSequence": {
        "ChannelDefinitionSequence": {"ChannelSourceSequence": {}, "ChannelSensitivityUnitsSequence": {}}
    }
}
"""Those that are read, and those inside them."""
_SHORT = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        *("SOPClassUID", "WaveformOriginality", "NumberOfWaveformChannels", "NumberOfWaveformSamples"),
        *("SamplingFrequency", "WaveformBitsAllocated", "WaveformSampleInterpretation", "WaveformPaddingValue"),
        *("MultiplexGroupTimeOffset", "MultiplexGroupLabel", "WaveformBitsStored"),
        *("ChannelLabel", "ChannelSensitivity", "ChannelSensitivityCorrectionFactor", "ChannelBaseline"),
        *("ChannelTimeSkew", "ChannelSampleSkew"),
        *("CodeValue", "CodingSchemeDesignator", "CodeMeaning"),
    )
)
_MAX_SHORT_BYTES = 1024
_WRITTEN_OUT = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        *("SamplingFrequency", "ChannelSensitivity", "ChannelSensitivityCorrectionFactor", "ChannelBaseline"),
        *("ChannelTimeSkew", "ChannelSampleSkew", "MultiplexGroupTimeOffset"),
    )
)
"""Numbers that are text in DICOM. pydicom reads 10 where one says `1_0`."""
_SEQUENCE_KINDS = (None, "SQ", "UN")
_KINDS = {
    tag_for_keyword("WaveformSequence"): _SEQUENCE_KINDS,
    tag_for_keyword("ChannelDefinitionSequence"): _SEQUENCE_KINDS,
    tag_for_keyword("ChannelSourceSequence"): _SEQUENCE_KINDS,
    tag_for_keyword("ChannelSensitivityUnitsSequence"): _SEQUENCE_KINDS,
    tag_for_keyword("WaveformData"): (None, "OB", "OW", "UN"),
}
"""Value representations that an element may have; None is that of files which do not say it."""
_TEXTS = (None, "AE", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UN", "UT")


def parse_dicom(data: bytes) -> tuple[Dataset, bool]:
    """The data set, its waveform's sequences unfolded, and whether its bytes are big-endian. Raises UnreadableFile."""
    if data[128:132] == b"DICM" and data[:128].strip(b"\0") and data[:4] not in _TIFF:
        # The standard leaves the preamble free, which makes it a place to hide another file in (CVE-2019-11687).
        raise UnreadableFile("unreadable_file", "The DICOM preamble is not empty: the file is damaged or two in one.")
    budget = ReadBudget()
    stream = watched(io.BytesIO(data), budget)
    try:
        dataset: Dataset = dcmread(stream, stop_before_pixels=True, force=True)
        big_endian = dataset.file_meta.get("TransferSyntaxUID") == ExplicitVRBigEndian
    except Deflated:
        inflated = io.BytesIO(_inflate(data[stream.tell() :]))
        dataset = read_dataset(watched(inflated, budget), is_implicit_VR=False, is_little_endian=True)
        big_endian = False
    unfold(dataset, _SEQUENCES, budget)
    return dataset, big_endian


def unfold(dataset: Dataset, sequences: Tree, budget: ReadBudget | None = None) -> None:
    """Parse those sequences that are still bytes, and hold every element that is decoded later to a sane size.

    pydicom would do it when they are asked for, without a budget. Raises UnreadableFile.
    """
    budget = budget or ReadBudget(MAX_DICOM_READS // 2)
    _check_elements(dataset)
    for keyword, inside in sequences.items():
        element: Any = dataset.get_item(keyword)
        if isinstance(element, RawDataElement):
            value = element.value or b""
            stream = watched(io.BytesIO(value), budget)
            charset = dataset.original_character_set
            items = read_sequence(stream, element.is_implicit_VR, element.is_little_endian, len(value), charset)
            dataset[keyword] = element = DataElement(element.tag, "SQ", items)
        for item in element.value if element is not None else ():
            unfold(item, inside, budget)


def short_text(dataset: Dataset, keyword: str) -> str:
    """The value of an element as text, empty where there is none or it is too long or of a kind that holds no text."""
    element: Any = dataset.get_item(keyword)
    if element is None or element.VR not in _TEXTS:
        return ""
    if isinstance(element, RawDataElement) and len(element.value or b"") > _MAX_SHORT_BYTES:
        return ""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, MAX_INFLATED_DICOM_BYTES)
    except zlib.error:
        inflated = b""
    if not inflater.eof:
        raise UnreadableFile("unreadable_file", "The deflated DICOM file is damaged or too large.")
    return inflated


def _check_elements(dataset: Dataset) -> None:
    """Refuse an element that the file's end cuts short, and one of those decoded here that claims to be another thing.

    pydicom ends an element silently where the file ends, and makes a list of any value that has backslashes.
    """
    for tag in dataset.keys():  # noqa: SIM118  (iterating a Dataset would decode every element)
        element: Any = dataset.get_item(tag)
        if not isinstance(element, RawDataElement):
            continue
        held = len(element.value or b"")
        if element.length not in (_UNDEFINED, held):
            raise UnreadableFile("truncated", "The DICOM file ends before its data do.")
        odd_number = tag in _WRITTEN_OUT and b"_" in (element.value or b"")
        odd_kind = element.VR not in _KINDS.get(tag, (element.VR,))
        if odd_number or odd_kind or (tag in _SHORT and held > _MAX_SHORT_BYTES):
            raise UnreadableFile("unreadable_file", "An element of the DICOM file is not as the standard asks.")
