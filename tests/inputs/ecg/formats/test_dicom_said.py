"""What a DICOM object says beside the signal, and what those are that hold no signal at all."""

from __future__ import annotations

import struct

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import dcmread
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as DicomSequence

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.limits import MAX_SAID_LINES
from inputs.records import UploadedFile

STORAGE = "1.2.840.10008.5.1.4.1.1."


def with_elements(file: UploadedFile, **elements) -> UploadedFile:
    dataset = dcmread(DicomBytesIO(file.data))
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    stream = DicomBytesIO()
    dcmwrite(stream, dataset)
    return UploadedFile(file.name, stream.getvalue())


def coded(value: str, scheme: str = "SCPECG", meaning: str = "x") -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def measured(number: str, unit: str, *concept: str) -> Dataset:
    annotation = Dataset()
    annotation.ConceptNameCodeSequence = DicomSequence([coded(*concept)])
    annotation.MeasurementUnitsCodeSequence = DicomSequence([coded(unit, "UCUM")])
    annotation.NumericValue = number
    return annotation


def statement(text: str) -> Dataset:
    annotation = Dataset()
    annotation.UnformattedTextValue = text
    return annotation


def annotated(ecg, *annotations: Dataset):
    file = ecg.dicom(ecg.dicom_group(ecg.signal_mv()))
    return read_ecg([with_elements(file, WaveformAnnotationSequence=DicomSequence(annotations))]).said


def test_device_time_and_filters_are_told(ecg):
    group = ecg.dicom_group(ecg.signal_mv())
    for channel in group.ChannelDefinitionSequence:
        channel.FilterLowFrequency, channel.FilterHighFrequency = "0.05", "150"
        channel.NotchFilterFrequency = "0"
    group.ChannelDefinitionSequence[3].NotchFilterFrequency = "50"
    file = with_elements(ecg.dicom(group), Manufacturer="Acme", ManufacturerModelName="E 1")
    said = read_ecg([with_elements(file, AcquisitionDateTime="20240229123456.5+0100")]).said
    assert (said.vendor, said.model, said.recorded_at) == ("Acme", "E 1", "2024-02-29T12:34:56.5+01:00")
    assert said.filters == ("high-pass 0.05 Hz", "low-pass 150 Hz", "notch 50 Hz")


@pytest.mark.parametrize(
    ("elements", "recorded_at"),
    [
        ({"AcquisitionDateTime": "20240229123456"}, "2024-02-29T12:34:56"),
        ({"AcquisitionDateTime": "2024"}, "2024"),
        ({"AcquisitionDate": "20240229", "AcquisitionTime": "1234"}, "2024-02-29T12:34"),
        ({"ContentDate": "20240229"}, "2024-02-29"),
        ({"ContentDate": "20240229", "ContentTime": "12", "TimezoneOffsetFromUTC": "-0500"}, "2024-02-29T12-05:00"),
        ({}, None),
    ],
)
def test_the_time_is_as_precise_as_the_file_has_it(ecg, elements, recorded_at):
    file = with_elements(ecg.dicom(ecg.dicom_group(ecg.signal_mv())), **elements)
    assert read_ecg([file]).said.recorded_at == recorded_at


def test_measurements_are_known_by_code_or_meaning_and_the_first_counts(ecg):
    said = annotated(
        ecg,
        measured("161", "ms", "5.13.5-7"),
        measured("0.092", "s", "17", "99ACME", "QRS Duration"),
        measured("0", "ms", "5.13.5-11"),
        measured("-61", "ms", "5.10.3-13"),
        measured("69", "/min", "8867-4", "LN"),
        measured("999", "ms", "5.13.5-7"),
        measured("12", "ms", "5.10.3-1"),
    )
    assert dict(said.measures) == {"heart_rate_bpm": 69.0, "pr_ms": 161.0, "qrs_ms": 92.0, "qrs_axis_deg": -61.0}


def test_statements_are_told_but_for_those_about_people(ecg):
    said = annotated(
        ecg,
        statement("Sinus rhythm"),
        statement("Family, known for AF"),
        statement("MRN-4471"),
        statement("Confirmed by A. Heart"),
        statement("Dr. Heart"),
        statement("Normal ECG"),
    )
    assert said.statements == ("Sinus rhythm", "Normal ECG")


def test_thousands_of_annotations_are_bounded_and_cost_no_signal(ecg):
    said = annotated(ecg, *[statement("Sinus rhythm")] * 5000)
    assert said.statements == ("Sinus rhythm",) * MAX_SAID_LINES
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    plain = ecg.dicom(ecg.dicom_group(ecg.signal_mv())).data
    at = plain.index(b"\x00\x54\x00\x01SQ")
    many = b"\x40\x00\x20\xb0SQ\0\0" + struct.pack("<I", 200_000 * len(item)) + item * 200_000
    assert read_ecg([UploadedFile("x", plain[:at] + many + plain[at:])]).said.statements == ()


@pytest.mark.parametrize("damage", [b"\xff" * 64, b"\xfe\xff\x00\xe0\xf0\xff\xff\x00" + b"\x40\x00" * 8])
def test_damaged_annotations_cost_no_signal(ecg, damage):
    plain = ecg.dicom(ecg.dicom_group(ecg.signal_mv())).data
    at = plain.index(b"\x00\x54\x00\x01SQ")
    odd = b"\x40\x00\x20\xb0SQ\0\0" + struct.pack("<I", len(damage)) + damage
    recording = read_ecg([UploadedFile("x", plain[:at] + odd + plain[at:])])
    assert (recording.signal_mv.shape, recording.said.measures) == ((12, 5000), ())


def test_a_manufacturer_of_megabytes_is_not_told(ecg):
    plain = ecg.dicom(ecg.dicom_group(ecg.signal_mv())).data
    at = plain.index(b"\x10\x00\x10\x00PN")
    long = b"\x08\x00\x70\x00UC\0\0" + struct.pack("<I", 4_000_000) + b"a\\" * 2_000_000
    assert read_ecg([UploadedFile("x", plain[:at] + long + plain[at:])]).said.vendor is None


def test_an_odd_filter_costs_neither_the_signal_nor_the_rest(ecg):
    group = ecg.dicom_group(ecg.signal_mv())
    group.ChannelDefinitionSequence[0].FilterLowFrequency = "7.25"
    file = with_elements(ecg.dicom(group), Manufacturer="Acme")
    said = read_ecg([UploadedFile("x", file.data.replace(b"7.25", b"7\\xy"))]).said
    assert (said.vendor, said.filters) == ("Acme", ())


def without_waveform(ecg, sop_class: str) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg([ecg.dicom(sop_class=sop_class)])
    assert caught.value.code == "not_an_ecg"
    return caught.value


@pytest.mark.parametrize("number", ["104.1", "104.2"])
def test_a_report_in_a_dicom_file_is_named_with_a_way_out(ecg, number):
    error = without_waveform(ecg, STORAGE + number)
    assert "report" in error.sentence
    assert "Export the waveform" in error.hint


@pytest.mark.parametrize(
    ("sop_class", "name"),
    [
        (STORAGE + "2", "CT Image Storage"),
        (STORAGE + "7", "Secondary Capture Image Storage"),
        (STORAGE + "88.22", "Enhanced SR Storage"),
    ],
)
def test_other_objects_are_named_in_the_words_of_the_standard(ecg, sop_class, name):
    assert name in without_waveform(ecg, sop_class).sentence


@pytest.mark.parametrize("sop_class", ["1.2.3.4711", STORAGE + "9.1.1"])
def test_what_has_no_name_is_not_quoted(ecg, sop_class):
    assert without_waveform(ecg, sop_class).sentence == "This DICOM file holds no ECG waveform."
