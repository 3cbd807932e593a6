"""DICOM waveform objects: 12-lead, General, Ambulatory and 32-bit ECG, and others that hold ECG leads (PS3.3 A.34).

Read with pydicom, within a budget (`dicom_elements`), and decoded here: which groups are the rhythm (`dicom_groups`),
its samples (`dicom_samples`), what the device said (`dicom_said`).
"""

from __future__ import annotations

import re
import warnings

from pydicom.dataset import Dataset
from pydicom.uid import UID

from inputs.ecg.formats.base import EcgFormat, agreed_rate, build_recording, of_one_file, stretch
from inputs.ecg.formats.dicom_elements import parse_dicom, short_text
from inputs.ecg.formats.dicom_groups import the_rhythm
from inputs.ecg.formats.dicom_said import said_in
from inputs.ecg.formats.dicom_samples import check_lengths, decode
from inputs.ecg.formats.given import other_unit
from inputs.errors import UnreadableFile
from inputs.records import EcgRecording, InputWarning, ReadHints

_WAVEFORM = "1.2.840.10008.5.1.4.1.1.9."
_ECG_CLASSES = tuple(_WAVEFORM + end for end in ("1.1", "1.2", "1.3", "1.4"))
_ENCAPSULATED = "1.2.840.10008.5.1.4.1.1.104."

_CLASS = re.compile(rb"(?:\x02\0\x02\0|\x08\0\x16\0).{4}([0-9.]{1,64})", re.DOTALL)
"""Media Storage SOP Class and SOP Class, each with its representation or length: what a file says it is."""
_CLASS_WITHIN_BYTES = 4096


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
    """Read the rhythm: the original groups of one time that hold most leads, never an averaged beat.

    `hints.rate_hz` may only confirm the rate; `hints.start_s` and `length_s` choose a stretch. Raises UnreadableFile.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom quotes odd values of a header, which may be a patient's
        return _read(*parse_dicom(data), hints)


def _read(dataset: Dataset, big_endian: bool, hints: ReadHints) -> EcgRecording:
    sop_class = short_text(dataset, "SOPClassUID")
    if not sop_class.startswith(_WAVEFORM) or not dataset.get("WaveformSequence"):
        raise _no_waveform(sop_class)
    groups, input_warnings = the_rhythm(dataset.WaveformSequence)
    for group in groups:
        check_lengths(group)
    rate_hz = agreed_rate(hints.rate_hz, groups[0].rate_hz)
    decoded = decode(groups, stretch(hints, groups[0].samples, rate_hz), big_endian=big_endian)
    if sop_class not in _ECG_CLASSES:
        message = "The DICOM object is not declared as an ECG; its ECG leads were read."
        input_warnings.append(InputWarning("unusual_object", message))
    definitions = [definition for group in groups for definition in group.dataset.ChannelDefinitionSequence]
    said = said_in(dataset, definitions)
    input_warnings += [*decoded.warnings, *other_unit(hints.unit, decoded.channels)]
    return build_recording(decoded.channels, rate_hz, "dicom", input_warnings, said=said)


def _no_waveform(sop_class: str) -> UnreadableFile:
    """What the file is instead, in the standard's words for its class and never in the file's."""
    if sop_class.startswith(_ENCAPSULATED):
        return UnreadableFile(
            "not_an_ecg",
            "This DICOM file is a report, such as a PDF of an ECG, and holds no waveform.",
            hint="Export the waveform itself: a DICOM object of the class 12-lead ECG Waveform Storage.",
        )
    name = UID(sop_class).name  # the number itself where the standard has no name for it
    what = f" It is of the class {name}." if name != sop_class and not sop_class.startswith(_WAVEFORM) else ""
    return UnreadableFile(
        "not_an_ecg",
        f"This DICOM file holds no ECG waveform.{what}",
        hint="Send an object of the class 12-lead or General ECG Waveform Storage; a picture of an ECG is not read.",
    )


DICOM = EcgFormat(
    "dicom",
    looks_like_dicom,
    of_one_file(read_dicom),
    states_itself=True,
    confirms=holds_waveform,
    chooses=frozenset({"stretch"}),
    checks_unit=True,
)
