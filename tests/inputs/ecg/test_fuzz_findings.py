"""What fuzzing found: files that once hung a parser, or were refused by no reader's own words."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest
from signal_files import counts_of, scp_beats, scp_file, scp_leads, scp_signal

from inputs.ecg.archive import unpack
from inputs.ecg.formats.hdf5 import HDF5
from inputs.ecg.formats.scp import SCP
from inputs.errors import UnreadableFile
from inputs.records import NO_HINTS, ReadHints, UploadedFile


@pytest.mark.parametrize("place", [24, 48, 72])
def test_a_heap_of_texts_that_leads_nowhere_is_refused_instead_of_searched_for_ever(place):
    """An object of no bytes makes the library take what follows for free space of none, from which it never gets on."""
    h5py = pytest.importorskip("h5py")
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["ecg"] = np.zeros((2, 300))
        file.create_dataset("lead_names", data=["I", "II"], dtype=h5py.string_dtype())
    data = bytearray(stream.getvalue())
    at = data.find(b"GCOL") + place
    data[at : at + 8] = bytes(8)
    with pytest.raises(UnreadableFile, match="damaged"):
        HDF5.read([UploadedFile("ecg.h5", bytes(data))], ReadHints(rate_hz=500.0, unit="mV"))


def test_an_scp_reference_beat_of_no_samples_is_refused(ecg):
    rows = [row.tobytes() for row in counts_of(ecg.signal_mv(seconds=0.1)[:1])]
    sections = {
        2: struct.pack("<H", 19999),
        3: scp_leads(50, ["I"], flags=0b1101),
        4: scp_beats(1, 5, [(0, 10, 14, 18)]),  # 1 ms at 500 Hz
        5: scp_signal([bytes(8)], way=2),
        6: scp_signal(rows, way=1),
    }
    with pytest.raises(UnreadableFile):
        SCP.read([UploadedFile("a.scp", scp_file(sections))], NO_HINTS)


@pytest.mark.parametrize(
    ("mark", "place", "value"),
    [
        (b"PK\x01\x02", 42, 0xFFFFFFFF),  # the place of the entry
        (b"PK\x03\x04", 26, 0xFFFF),  # the length of its name
        (b"PK\x05\x06", 16, 0xFFFFFFF0),  # the place of the directory
    ],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_damaged_in_any_of_its_fields_or_in_its_stream_is_refused_by_unpack_itself(mark, place, value, method):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("a.csv", b"I,II\n" * 50)
    data = bytearray(stream.getvalue())
    at = data.find(mark) + place
    data[at : at + (2 if value == 0xFFFF else 4)] = value.to_bytes(2 if value == 0xFFFF else 4, "little")
    with pytest.raises(UnreadableFile):
        unpack(bytes(data))


def test_a_deflated_stream_that_is_damaged_is_refused_by_unpack_itself():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"I,II\n" * 50)
    data = bytearray(stream.getvalue())
    data[30 + len("a.csv")] = 0xFF
    with pytest.raises(UnreadableFile):
        unpack(bytes(data))
