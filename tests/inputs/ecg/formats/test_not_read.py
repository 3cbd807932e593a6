"""What is not read is named for what it is, with a way out, and never taken for an ECG by a wide format."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from inputs.ecg.formats import FORMATS
from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import ReadHints, UploadedFile

SECRET = "Family"


def zip_of(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"<x/>")
    return stream.getvalue()


def ole_of(stream: str) -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + stream.encode("utf-16-le") + bytes(100)


def mfer() -> bytes:
    """Without a preamble: byte order, interval, channels, a name, and waves."""
    name = b"\x81\x06" + SECRET.encode()
    return b"\1\1\1" + b"\x0b\4\1\xfd\1\0" + b"\5\1\2" + b"\x3f\0\3\x09\1\1" + name + b"\x1e\x82\1\0" + bytes(256)


WATCH = (
    f"Name,{SECRET}\nRecorded Date,2020-01-01\nClassification,Sinus\nSample Rate,512 hertz\n\nLead,Lead I\nUnit,µV\n\n"
)
UHR = f"Name,{SECRET}\nAufzeichnung,2020-01-01\nKlassifizierung,?\nMessrate,512 Hertz\n\nAbleitung,Ableitung I\n\n"

KINDS = {
    "PDF": (b"%PDF-1.7\n", "a PDF document", "no samples"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(50), "an image", "no samples"),
    "TIFF": (b"II*\0" + bytes(50), "an image", "no samples"),
    "BMP": (b"BM" + (99).to_bytes(4, "little") + bytes(8) + b"\x28\0\0\0" + bytes(50), "an image", "no samples"),
    "WEBP": (b"RIFF\0\0\0\0WEBPVP8 ", "an image", "no samples"),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(20), "an image", "no samples"),
    "MP4": (b"\0\0\0\x18ftypisom" + bytes(20), "a video", "ECG"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), "a packed archive", "zip"),
    "tar": (SECRET.encode().ljust(257, b"\0") + b"ustar\0" + bytes(300), "a packed archive", "zip"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(20), "a packed archive", "zip"),
    "rar": (b"Rar!\x1a\x07\x01\0", "a packed archive", "zip"),
    "Parquet": (b"PAR1" + bytes(20), "a Parquet file", "CSV"),
    "Feather": (b"FEA1" + bytes(20), "a Feather file", "CSV"),
    "netCDF": (b"CDF\1" + bytes(20), "a netCDF file of the classic kind", "netCDF-4"),
    "TDMS": (b"TDSm" + bytes(20), "a TDMS file of LabVIEW", "CSV"),
    "Spike2": (b"\x09\0(C) CED 87" + bytes(90), "a Spike2 recording", "EDF"),
    "GDF": (b"GDF 2.20" + bytes(90), "a GDF recording", "EDF"),
    "BrainVision": (b"Brain Vision Data Exchange Header File Version 1.0\r\n", "a BrainVision recording", "EDF"),
    "LabChart": (b"CFWB" + bytes(90), "a binary recording of LabChart", "EDF"),
    "WAV": (b"RIFF\0\0\0\0WAVEfmt ", "a sound (WAV)", "EDF"),
    "SignalML": (b"<rs:rawSignal xmlns:rs='x'/>", "a description of signals (SignalML)", "EDF"),
    "SQLite": (b"SQLite format 3\0" + bytes(90), "an SQLite database", "CSV"),
    "RTF": (b"{\\rtf1 " + SECRET.encode() + b"}", "a text document (RTF)", "DICOM"),
    "xls": (ole_of("Workbook"), "an Excel workbook", "CSV"),
    "doc": (ole_of("WordDocument"), "a Word document", "DICOM"),
    "xlsx": (zip_of("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook", "CSV"),
    "docx": (zip_of("[Content_Types].xml", "word/document.xml"), "a Word document", "DICOM"),
    "ods": (zip_of("mimetype", "content.xml"), "an OpenDocument file", "CSV"),
    "pt": (zip_of("archive/data.pkl", "archive/version", "archive/data/0"), "a file of PyTorch", "numpy.save"),
    "pickle": (pickle.dumps({"ecg": [SECRET]}), "a Python pickle", "numpy.save"),
    "old pickle": (pickle.dumps(np.zeros(3), 0), "a Python pickle", "numpy.save"),
    "MFER": (b"@ MFR Standard 12 leads ECG" + bytes(200), "an MFER file", "WFDB"),
    "MFER without preamble": (mfer(), "an MFER file", "WFDB"),
    "Kardia": (b"ALIVE\0\0\0" + bytes(100), "a recording of one or six limb leads (Kardia)", "V1 to V6"),
    "Kardia JSON": (
        json.dumps({"recordedAt": "2020", "samples": {"leadI": [1, 2], "leadII": [1, 2]}}).encode(),
        "a recording of one or six limb leads (Kardia)",
        "V1 to V6",
    ),
    "watch": ((WATCH + "1.38\n3.2\n-5\n").encode(), "a single-lead recording of a watch (Apple Health)", "V1 to V6"),
    "Uhr": ((UHR + "1,382\n3,286\n-5,2\n").encode(), "a single-lead recording of a watch (Apple Health)", "V1 to V6"),
    "watch JSON": (
        json.dumps({"data": {"ecg": [{"voltageMeasurements": [{"voltage": 1}]}]}}, indent=1).encode(),
        "a single-lead recording of a watch (Apple Health)",
        "V1 to V6",
    ),
    "Apple Health": (b"<?xml version='1.0'?><HealthData locale='en'/>", "an export of Apple Health", "V1 to V6"),
    "FHIR JSON": (b'{"resourceType": "Observation", "x": 1}', "a FHIR resource", "DICOM"),
    "FHIR XML": (b'<Observation xmlns="http://hl7.org/fhir"/>', "a FHIR resource", "DICOM"),
    "leads in JSON": (json.dumps({"I": [0.1], "II": [0.2], "V1": [0.3]}).encode(), "a JSON file of leads", "CSV"),
    "array in JSON": (b"[[0.1, 0.2], [0.3, 0.4]]", "a JSON file", "CSV"),
    "CDA": (b"<ClinicalDocument xmlns='urn:hl7-org:v3'/>", "a clinical document (CDA)", "DICOM"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a drawing (SVG)", "no samples"),
    "Holter XML": (b"<HolterECG/>", "an XML file of a Holter recording", "resting"),
    "stress XML": (b"<StressTest/>", "an XML file of a stress test", "resting"),
    "XML": (b"<" + SECRET.encode() + b"/>", "an XML file of an unknown kind", "DICOM"),
    "XML in UTF-16": ("<a>1, 2</a>".encode("utf-16"), "an XML file of an unknown kind", "DICOM"),
    "login": (b"<!DOCTYPE html>\n<html><body>Log in, please", "a web page (HTML), perhaps that of a login", "Log in"),
    "HL7": (b"MSH|^~\\&|A|B\rPID|1|" + SECRET.encode(), "an HL7 version 2 message", "DICOM"),
    "annotations": (b"\x12\x04" * 40 + b"\0\0", "a file of WFDB annotations", ".hea"),
    "report": (b"Heart rate: 70\nSinus rhythm of " + SECRET.encode(), "a text without the samples of an ECG", "DICOM"),
    "zeros": (bytes(1000), "a file of zeros alone", "again"),
    "blank": (b" \n \n\t", "a file without content", "again"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_named_for_what_it_is_with_a_way_out(kind):
    data, what, way_out = KINDS[kind]
    with pytest.raises(UnreadableFile) as caught:
        read_ecg([UploadedFile(f"{SECRET}.dat2", data)], ReadHints(500.0, "mV"))
    assert caught.value.code == "unsupported_format"
    assert caught.value.sentence == f"This is {what}, which is not read."
    assert way_out in caught.value.hint
    assert SECRET not in caught.value.in_full


@pytest.mark.parametrize("kind", KINDS)
def test_no_format_is_sure_of_it(kind):
    assert not [each.name for each in FORMATS if each.is_sure_of(KINDS[kind][0])]


@pytest.mark.parametrize("pointer", [b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
                                     b"../.git/annex/objects/a/b/c"])  # fmt: skip
def test_a_pointer_to_a_file_is_no_file(pointer):
    with pytest.raises(UnreadableFile) as caught:
        read_ecg([UploadedFile("ecg.csv", pointer)])
    assert caught.value.code == "file_not_fetched"


@pytest.mark.parametrize(
    "text",
    [
        "Sample Rate,512 hertz\nI,II\n0.5,0.25\n0.5,0.25\n",
        "a,b\nc,d\nSample Rate,512 hertz\nI,II\n0.5,0.25\n1,2\n3,4\n",
    ],
)
def test_a_table_below_pairs_of_words_is_no_watch(text):
    assert read_ecg([UploadedFile("x", text.encode())], ReadHints(unit="mV")).lead_names == ("I", "II")


@pytest.mark.parametrize("name", ["watch", "Kardia", "MFER", "watch JSON"])
def test_an_ecg_that_is_not_read_beside_one_that_is_makes_two(ecg, name):
    files = [ecg.dicom(ecg.dicom_group(ecg.signal_mv())), UploadedFile("b", KINDS[name][0])]
    with pytest.raises(UnreadableFile) as caught:
        read_ecg(files)
    assert caught.value.code == "several_ecgs"
