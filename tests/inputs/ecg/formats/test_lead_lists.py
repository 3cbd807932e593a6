"""Names of channels anywhere in a file of arrays: used, or the file is refused. No order is assumed against them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from array_files import cells, codes, mat, read, refusal, structs

from inputs.records import STANDARD_LEADS, ReadHints

CHEST_FIRST = STANDARD_LEADS[6:] + STANDARD_LEADS[:6]


def assert_named(data: bytes, chest_first: np.ndarray) -> None:
    recording = read(data)
    assert (recording.lead_names, codes(recording)) == (CHEST_FIRST, [])
    np.testing.assert_allclose(recording.signal_mv, chest_first, rtol=0, atol=1e-6)


@pytest.fixture
def chest_first(ecg) -> np.ndarray:
    signal = ecg.signal_mv()
    return np.vstack([signal[6:], signal[:6]])


NAMED = {
    "EEGLAB": lambda x: {"EEG": {"data": x, "srate": 500.0, "chanlocs": structs(labels=CHEST_FIRST, theta=range(12))}},
    "EEGLAB, apart": lambda x: {"data": x, "chanlocs": structs(type=["ECG"] * 12, labels=CHEST_FIRST)},
    "FieldTrip": lambda x: {"data": {"trial": cells([x, 0])[:1], "label": cells(CHEST_FIRST)[:, None]}},
    "FieldTrip's header": lambda x: {"dat": x, "hdr": {"label": cells(CHEST_FIRST), "Fs": 500.0}},
    "structs of leads": lambda x: {"ecg": x, "leads": structs(name=CHEST_FIRST)},
    "a struct of channels": lambda x: {"ecg": x, "channels": {"name": cells(CHEST_FIRST), "unit": "mV"}},
    "fields with numbers": lambda x: {
        "ecg": x, "channels": {f"ch{place + 1}": lead for place, lead in enumerate(CHEST_FIRST)}
    },
    "variables with numbers": lambda x: {"ecg": x, **{f"ch{n}": lead for n, lead in enumerate(CHEST_FIRST)}},
    "rows of letters": lambda x: {"ecg": x, "montage_used": np.array(CHEST_FIRST)},
    "a text": lambda x: {"ecg": x, "about": " ".join(CHEST_FIRST)},
    "a sentence": lambda x: {"ecg": x, "comment": "Leads stored: " + ", ".join(CHEST_FIRST)},
}  # fmt: skip


@pytest.mark.parametrize("way", NAMED)
def test_names_in_a_matlab_file_are_used_wherever_they_stand(chest_first, way):
    assert_named(mat(**NAMED[way](chest_first)), chest_first)


NOT_UNDERSTOOD = {
    "numbers below the names": {"order_of": {lead: float(n + 1) for n, lead in enumerate(CHEST_FIRST)}},
    "more than that": {"hdr": {"label": cells([f"{lead} filtered" for lead in CHEST_FIRST])}},
    "other words": {"chan": cells(["one", "two", "three", *"abcdefghi"])},
    "two orders": {"a": cells(CHEST_FIRST), "b": cells(STANDARD_LEADS)},
    "more channels than the array has": {"hdr": {"label": cells([*CHEST_FIRST, "pressure"])}},
}


@pytest.mark.parametrize("way", NOT_UNDERSTOOD)
def test_an_order_is_not_assumed_against_names_that_are_not_understood(chest_first, way):
    data = mat(ecg=chest_first, **NOT_UNDERSTOOD[way])
    assert refusal(data).code == "leads_missing"
    named = read(data, ReadHints(rate_hz=500.0, unit="mV", leads=CHEST_FIRST))
    assert named.lead_names == CHEST_FIRST


@pytest.mark.parametrize(
    "beside",
    [
        {"dx": cells(["AF", "LBBB"]), "label": "sinus rhythm"},
        {"comment": "T inverted in V4, V5 and I, aVL."},
        {"ids": cells([f"ch{n}" for n in range(12)])},
        {"st_mv": {lead: 0.1 * n for n, lead in enumerate(CHEST_FIRST)}},
    ],
    ids=["findings", "a sentence of findings", "mere numbers", "measurements"],
)
def test_what_names_no_channels_leaves_the_usual_order(ecg, beside):
    recording = read(mat(ecg=ecg.signal_mv(), **beside))
    assert (recording.lead_names, codes(recording)) == (STANDARD_LEADS, ["lead_order_assumed"])


def hdf5(fill, *, matlab: bool = False) -> bytes:
    h5py = pytest.importorskip("h5py")
    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=512 if matlab else 0) as file:
        fill(h5py, file)
    data = stream.getvalue()
    return b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + data[512:] if matlab else data


def test_a_group_for_each_channel_of_an_hdf5_file_names_the_leads(chest_first):
    def fill(h5py, file):
        file["ecg"] = chest_first
        for place, lead in enumerate(CHEST_FIRST):
            file.create_group(f"channels/{place}").attrs["name"] = lead

    assert_named(hdf5(fill), chest_first)


@pytest.mark.parametrize("letters", ["S5", "any"])
def test_a_table_of_channels_of_an_hdf5_file_names_the_leads(chest_first, letters):
    def fill(h5py, file):
        kind = h5py.string_dtype() if letters == "any" else letters
        file["ecg"] = chest_first
        table = file.create_dataset("about", 12, [("what", kind), ("gain", "f4")])
        table[...] = np.array([(lead.encode(), 1.0) for lead in CHEST_FIRST], table.dtype)

    assert_named(hdf5(fill), chest_first)


@pytest.mark.parametrize("place", ["EEG/chanlocs/labels", "hdr/label", "hdr/of"])
def test_cells_and_structs_of_matlab_7_3_name_the_leads(chest_first, place):
    def fill(h5py, file):
        file["EEG/data"] = chest_first.T
        file["EEG/data"].attrs["MATLAB_class"] = np.bytes_("double")
        cell = file.create_dataset(place, (12, 1), h5py.ref_dtype)
        for row, lead in enumerate(CHEST_FIRST):
            path = f"#refs#/{row}" + ("/name" if place == "hdr/of" else "")  # a struct in each cell, or a text
            file[path] = np.array([[ord(letter)] for letter in lead], "u2")
            file[path].attrs["MATLAB_class"] = np.bytes_("char")
            cell[row, 0] = file[f"#refs#/{row}"].ref

    assert_named(hdf5(fill, matlab=True), chest_first)


def test_strings_of_matlab_7_3_are_names_that_are_not_read(ecg):
    def fill(h5py, file):
        file["ecg"] = ecg.signal_mv().T
        file["channel_names"] = np.zeros((1, 6), "u4")
        file["channel_names"].attrs.update(MATLAB_class=np.bytes_("string"), MATLAB_object_decode=np.int32(3))

    assert "in a way that is not read" in refusal(hdf5(fill, matlab=True)).sentence


@pytest.mark.parametrize("rate", [72.0, "72", 128])
def test_a_bare_rate_may_be_the_hearts(ecg, rate):
    data = mat(ecg=ecg.signal_mv(), rate=rate)
    error = refusal(data, ReadHints(unit="mV"))
    assert error.code == "rate_missing"
    assert "may be the heart's" in error.sentence
    assert read(data).rate_hz == 500


@pytest.mark.parametrize("stated", [{"rate": 500.0}, {"rate": "128 Hz"}, {"rate": 72.0, "fs": 500.0}, {"fs": 100.0}])
def test_a_rate_that_can_be_no_hearts_is_believed(ecg, stated):
    recording = read(mat(ecg=ecg.signal_mv(), **stated), ReadHints(unit="mV"))
    assert recording.rate_hz == {"128 Hz": 128.0}.get(stated.get("rate"), stated.get("fs", 500.0))
