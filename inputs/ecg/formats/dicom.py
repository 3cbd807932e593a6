"""DICOM waveform objects: 12-lead and General ECG (PS3.3 A.34), read with pydicom and decoded here.

Decoding is ours because pydicom neither compares lengths nor says what a padding value means, and because inflating a
deflated data set needs a limit.
"""

from __future__ import annotations

import io
import re
import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_sequence
from pydicom.uid import ExplicitVRBigEndian

from inputs.dicom_stream import Deflated, ReadBudget, watched
from inputs.ecg.formats.base import (
    Channel,
    EcgFormat,
    agreed_rate,
    build_recording,
    check_size,
    of_one_file,
)
from inputs.ecg.leads import lead_from_code, lead_from_name
from inputs.errors import UnreadableFile
from inputs.limits import MAX_INFLATED_DICOM_BYTES
from inputs.records import EcgRecording, InputWarning, ReadHints

_UNDEFINED = 0xFFFFFFFF
_WAVEFORM = "1.2.840.10008.5.1.4.1.1.9."
_ECG_CLASSES = (_WAVEFORM + "1.1", _WAVEFORM + "1.2", _WAVEFORM + "1.4")
_AMBULATORY = _WAVEFORM + "1.3"

_CLASS = re.compile(rb"(?:\x02\0\x02\0|\x08\0\x16\0).{4}([0-9.]{1,64})", re.DOTALL)
"""Media Storage SOP Class and SOP Class, each with its representation or length: what a file says it is."""
_CLASS_WITHIN_BYTES = 4096

_TIFF = (b"II*\0", b"MM\0*")

_Tree = Mapping[str, "_Tree"]
_SEQUENCES: _Tree = {
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
        *("ChannelLabel", "ChannelSensitivity", "ChannelSensitivityCorrectionFactor", "ChannelBaseline"),
        *("CodeValue", "CodingSchemeDesignator", "CodeMeaning"),
    )
)
_MAX_SHORT_BYTES = 1024
_WRITTEN_OUT = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        *("SamplingFrequency", "ChannelSensitivity", "ChannelSensitivityCorrectionFactor", "ChannelBaseline"),
    )
)
"""Numbers that are text in DICOM. pydicom reads 10 where one says `1_0`."""
_KINDS = {
    tag_for_keyword("WaveformSequence"): (None, "SQ", "UN"),
    tag_for_keyword("ChannelDefinitionSequence"): (None, "SQ", "UN"),
    tag_for_keyword("ChannelSourceSequence"): (None, "SQ", "UN"),
    tag_for_keyword("ChannelSensitivityUnitsSequence"): (None, "SQ", "UN"),
    tag_for_keyword("WaveformData"): (None, "OB", "OW", "UN"),
}
"""Value representations that an element may have; None is that of files which do not say it."""

# (bits allocated, sample interpretation) to a dtype; the companded MB and AB are for sound.
_SAMPLE_TYPES = {
    (8, "SB"): "i1", (8, "UB"): "u1", (16, "SS"): "i2", (16, "US"): "u2", (32, "SL"): "i4", (32, "UL"): "u4",
}  # fmt: skip


def looks_like_dicom(data: bytes) -> bool:
    """Part 10 files, and data sets without preamble that start with group 0002 or 0008."""
    if data[128:132] == b"DICM":
        return True
    bare = data[:2] in (b"\x02\x00", b"\x08\x00")
    return bare and (data[4:6].isalpha() or _CLASS.search(data[:_CLASS_WITHIN_BYTES]) is not None)


def holds_waveform(data: bytes) -> bool:
    """Whether a file says that it is of a waveform class, or says nothing of its class where such files do.

    A CT image or the DICOMDIR of a disc is no ECG, though it is DICOM.
    """
    classes = _CLASS.findall(data[:_CLASS_WITHIN_BYTES])
    return not classes or any(name.startswith(_WAVEFORM.encode()) for name in classes)


def read_dicom(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read the longest original 12-lead group; `hints.rate_hz` may only confirm its rate. Raises UnreadableFile."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom quotes odd values of a header, which may be a patient's
        return _read(*_parse(data), hints.rate_hz)


def _parse(data: bytes) -> tuple[Dataset, bool]:
    """The data set, its waveform's sequences unfolded, and whether its bytes are big-endian."""
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
    _unfold(dataset, _SEQUENCES, budget)
    return dataset, big_endian


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data, MAX_INFLATED_DICOM_BYTES)
    if not inflater.eof:
        raise UnreadableFile("unreadable_file", "The deflated DICOM file is damaged or too large.")
    return inflated


def _unfold(dataset: Dataset, sequences: _Tree, budget: ReadBudget) -> None:
    """Parse those sequences that are still bytes, and hold every element that is decoded later to a sane size.

    pydicom would do it when they are asked for, without a budget.
    """
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
            _unfold(item, inside, budget)


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


def _read(dataset: Dataset, big_endian: bool, rate_hz: float | None) -> EcgRecording:
    sop_class = str(dataset.get("SOPClassUID", ""))
    if sop_class == _AMBULATORY:
        raise UnreadableFile(
            "unsupported_format",
            "This DICOM file is an ambulatory (Holter) recording.",
            hint="Send a resting 12-lead ECG.",
        )
    if not sop_class.startswith(_WAVEFORM) or not dataset.get("WaveformSequence"):
        raise UnreadableFile("not_an_ecg", "This DICOM file holds no ECG waveform.")
    input_warnings = []
    groups = dataset.WaveformSequence
    group = _rhythm_group(groups)
    if sop_class not in _ECG_CLASSES:
        message = "The DICOM object is not declared as an ECG; its ECG leads were read."
        input_warnings.append(InputWarning("unusual_object", message))
    samples, padded = _decode(group, big_endian)
    if padded:
        message = "The file declares 0 as padding, which is also a genuine value: such samples were kept."
        input_warnings.append(InputWarning("padding_ignored", message))
    channels = [
        _channel(definition, column)
        for definition, column in zip(group.ChannelDefinitionSequence, samples, strict=True)
    ]
    return build_recording(channels, agreed_rate(rate_hz, float(group.SamplingFrequency)), "dicom", input_warnings)


def _rhythm_group(groups: Sequence[Any]) -> Dataset:
    """The group with the most leads we know, then the most samples, among those recorded and not averaged."""
    original = [group for group in groups if str(group.get("WaveformOriginality", "ORIGINAL")).upper() != "DERIVED"]
    if not original:
        raise UnreadableFile("no_rhythm", "This DICOM file holds only averaged beats, no original recording.")

    def worth(group: Dataset) -> tuple[int, int]:
        definitions = group.get("ChannelDefinitionSequence") or []
        leads = {_lead(definition) for definition in definitions} - {None}
        return len(leads), int(group.get("NumberOfWaveformSamples", 0))

    best: Dataset = max(original, key=worth)
    return best


def _decode(group: Dataset, big_endian: bool) -> tuple[NDArray[np.float64], bool]:
    """Counts (channels, samples) as float64, NaN where padded; and whether a padding value of 0 was ignored."""
    channels, samples = int(group.NumberOfWaveformChannels), int(group.NumberOfWaveformSamples)
    check_size(channels, samples)
    kind = (int(group.WaveformBitsAllocated), str(group.WaveformSampleInterpretation))
    if kind not in _SAMPLE_TYPES:
        raise UnreadableFile("unsupported_format", "The DICOM waveform has a sample type that no ECG uses.")
    dtype = np.dtype(_SAMPLE_TYPES[kind]).newbyteorder(">" if big_endian else "<")
    data = bytes(group.WaveformData)
    expected = channels * samples * dtype.itemsize
    if len(data) not in (expected, expected + expected % 2) or len(group.ChannelDefinitionSequence) != channels:
        raise UnreadableFile("truncated", "The DICOM waveform has not the length that its header states.")
    counts = np.frombuffer(data, dtype, channels * samples).reshape(samples, channels).T
    missing = np.zeros(counts.shape, bool)
    if dtype.kind == "i" and dtype.itemsize > 1:
        # The most negative count is how devices mark a missing sample, declared or not; as a voltage it is absurd.
        missing |= counts == np.iinfo(dtype).min
    padding = _padding(group, dtype)
    if padding:
        missing |= counts == padding
    return np.where(missing, np.nan, counts.astype(np.float64)), padding == 0


def _padding(group: Dataset, dtype: np.dtype[Any]) -> int | None:
    """The declared padding value. A value of 0 is meant seriously by no device that also records a zero line."""
    value = group.get("WaveformPaddingValue")
    if value is None:
        return None
    if isinstance(value, bytes):
        if len(value) < dtype.itemsize:
            return None
        return int(np.frombuffer(value, dtype, 1)[0])
    return int(value)


def _channel(definition: Dataset, counts: NDArray[np.float64]) -> Channel:
    lead = _lead(definition)
    units = definition.get("ChannelSensitivityUnitsSequence")
    if "ChannelSensitivity" not in definition or not units:
        if lead is not None:
            raise UnreadableFile("unit_missing", f"Lead {lead} of the DICOM file has no sensitivity.", leads=(lead,))
        return Channel(None, "", counts)
    scale = float(definition.ChannelSensitivity) * float(definition.get("ChannelSensitivityCorrectionFactor") or 1.0)
    offset = float(definition.get("ChannelBaseline") or 0.0)
    return Channel(lead, str(units[0].get("CodeValue", "")), counts * scale + offset)


def _lead(definition: Dataset) -> str | None:
    """By code first, then by the code's meaning and the label."""
    source = (definition.get("ChannelSourceSequence") or [Dataset()])[0]
    code, scheme = str(source.get("CodeValue", "")), str(source.get("CodingSchemeDesignator", ""))
    texts = (code, str(source.get("CodeMeaning", "")), str(definition.get("ChannelLabel", "")))
    return lead_from_code(code, scheme) or next((lead for text in texts if (lead := lead_from_name(text))), None)


DICOM = EcgFormat("dicom", looks_like_dicom, of_one_file(read_dicom), states_itself=True, confirms=holds_waveform)
