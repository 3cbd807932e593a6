"""NPY and CSV: files that do not know their own rate or unit, read only when somebody says."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

from inputs.ecg.formats.base import check_size
from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, ReadHints, UploadedFile

EIGHT = (0, 1, 6, 7, 8, 9, 10, 11)
KNOWN = {"rate_hz": 500.0, "unit": "mV"}


def refusal(file: UploadedFile, **options) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg([file], ReadHints(**options))
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


def header_only(text: bytes, data: bytes = b"") -> UploadedFile:
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return UploadedFile("ecg.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", "<f2"])
def test_array_is_read_in_either_orientation_and_any_float(ecg, transposed, order, dtype):
    signal = ecg.signal_mv()
    array = np.asarray(signal.T if transposed else signal, dtype, order=order)
    recording = read_ecg([ecg.npy(array)], ReadHints(**KNOWN))
    np.testing.assert_allclose(recording.signal_mv, signal, rtol=1e-3, atol=1e-3)
    assert recording.lead_names == STANDARD_LEADS
    assert (recording.rate_hz, recording.source_format, codes(recording)) == (500.0, "npy", ["lead_order_assumed"])


def test_eight_leads_are_i_ii_and_v1_to_v6(ecg):
    recording = read_ecg([ecg.npy(ecg.signal_mv()[list(EIGHT)])], ReadHints(**KNOWN))
    assert recording.lead_names == tuple(STANDARD_LEADS[row] for row in EIGHT)


def test_named_leads_are_taken_at_their_word_and_without_a_warning(ecg):
    order = [11, 3, 0, 1]
    names = [STANDARD_LEADS[row].lower() for row in order]
    recording = read_ecg([ecg.npy(ecg.signal_mv()[order])], ReadHints(**KNOWN, leads=tuple(names)))
    assert recording.lead_names == ("V6", "aVR", "I", "II")
    assert codes(recording) == []


def test_integers_in_microvolt_become_millivolt(ecg):
    counts = np.round(1000 * ecg.signal_mv()).astype(np.int16)
    counts[3, :10] = -32768
    found = read_ecg([ecg.npy(counts)], ReadHints(rate_hz=500.0, unit="uV")).signal_mv
    assert np.isnan(found[3, :10]).all()
    np.testing.assert_allclose(found[:, 10:], ecg.signal_mv()[:, 10:], rtol=0, atol=0.00051)


@pytest.mark.parametrize("transposed", [False, True])
def test_an_ecg_of_many_in_one_array_is_chosen_by_its_place(ecg, transposed):
    many = np.stack([ecg.signal_mv(seed) for seed in range(3)])
    file = ecg.npy(many.transpose(0, 2, 1) if transposed else many)
    np.testing.assert_array_equal(read_ecg([file], ReadHints(**KNOWN, exam="2")).signal_mv, many[2].astype("f4"))
    error = refusal(file, **KNOWN)
    assert (error.code, "exam" in error.hint) == ("exam_missing", True)
    assert [refusal(file, **KNOWN, exam=exam).code for exam in ("3", "-1", "x", "")] == ["exam_not_found"] * 4


def test_an_array_of_one_ecg_needs_no_place_and_has_no_second(ecg):
    for array in (ecg.signal_mv(), ecg.signal_mv()[np.newaxis], ecg.signal_mv().T[np.newaxis]):
        assert read_ecg([ecg.npy(array)], ReadHints(**KNOWN)).signal_mv.shape == (12, 5000)
        assert refusal(ecg.npy(array), **KNOWN, exam="1").code == "exam_not_found"


def test_half_precision_is_not_scaled_in_half_precision(ecg):
    halves = np.full((12, 5000), 0.0123, "f2")
    found = read_ecg([ecg.npy(halves)], ReadHints(rate_hz=500.0, unit="V")).signal_mv
    np.testing.assert_array_equal(found, 1000 * halves.astype("f4"))
    assert not np.isnan(read_ecg([ecg.npy(np.full((12, 5000), 100, "f2"))], ReadHints(500.0, "V")).signal_mv).any()


def test_array_without_a_rate_is_refused_naming_the_parameters(ecg):
    error = refusal(ecg.npy(ecg.signal_mv()))
    assert error.code == "rate_missing"
    assert "rate_hz" in error.hint
    assert "unit" in error.hint


@pytest.mark.parametrize("dtype", ["i2", "f4", "f8"])
def test_arrays_without_a_unit_are_refused_with_a_sentence_that_names_nothing_else(ecg, dtype):
    error = refusal(ecg.npy(np.ones((12, 5000), dtype)), rate_hz=500.0)
    assert (error.code, error.sentence) == ("unit_missing", "A NumPy file does not say its unit.")
    assert error.hint == "Add unit to the request, for example unit=mV."


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 12, 50)), np.float64(1), np.zeros(5000), np.zeros((12, 50), complex),
        np.array([["a"] * 12] * 50), np.zeros((12, 50), bool), np.zeros((12, 0)), np.zeros((11, 5000)),
    ],
    ids=["3d", "0d", "1d", "complex", "text", "bool", "empty", "eleven"],
)  # fmt: skip
def test_array_that_is_no_ecg_is_refused(ecg, array):
    refusal(ecg.npy(array), **KNOWN)


def test_pickled_array_is_refused_and_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    stream = io.BytesIO()
    np.save(stream, np.array([Trap()], object), allow_pickle=True)
    refusal(UploadedFile("ecg.npy", stream.getvalue()), **KNOWN)
    refusal(UploadedFile("ecg.npy", pickle.dumps(Trap())), **KNOWN)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "file",
    [
        header_only(b"{'descr': '<f8', 'fortran_order': False, 'shape': (12, 1125899906842624), }"),
        header_only(b"{'descr': '<f8', 'fortran_order': False, 'shape': (12, 5000), }", bytes(100)),
        header_only(b"{'descr': '<f8', 'fortran_order': False, 'shape': (12, 10), }", bytes(961)),
        header_only(b"__import__('os').getcwd()"),
        UploadedFile("ecg.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"),
        UploadedFile("ecg.npy", b"\x93NUMPY\x09\x00\x10\x00{"),
    ],
    ids=["petabytes", "cut", "too much", "code", "header of 4 GB", "version 9"],
)
def test_header_that_lies_is_refused(file):
    refusal(file, **KNOWN)


@pytest.mark.parametrize("shape", [(12, 0), (0, 5000), (0, 0)])
def test_an_array_without_samples_is_told_so(ecg, shape):
    assert refusal(ecg.npy(np.zeros(shape)), **KNOWN).code == "signal_empty"


def test_columns_are_found_by_name_in_any_order(ecg):
    order = [3, 7, 0, 11, 1, 5, 2, 6, 4, 8, 10, 9]
    file = ecg.csv(ecg.signal_mv()[order], [STANDARD_LEADS[row] for row in order])
    recording = read_ecg([file], ReadHints(**KNOWN))
    np.testing.assert_allclose(recording.signal_mv[[2, 4]], ecg.signal_mv()[:2], rtol=0, atol=0.00006)
    assert (recording.source_format, codes(recording)) == ("csv", [])


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
def test_any_usual_separator_is_recognised(ecg, separator):
    recording = read_ecg([ecg.csv(separator=separator)], ReadHints(**KNOWN))
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00006)


def test_decimal_commas_are_numbers(ecg):
    file = ecg.csv(separator=";")
    file = UploadedFile(file.name, file.data.replace(b".", b","))
    np.testing.assert_allclose(read_ecg([file], ReadHints(**KNOWN)).signal_mv, ecg.signal_mv(), rtol=0, atol=0.00006)


@pytest.mark.parametrize("separator", ["\t", ";"])
@pytest.mark.parametrize("mark", [",", "."])
def test_thousands_marks_are_refused_and_never_taken_for_decimal_ones(separator, mark):
    rows = ["I|II", "512|1,367", "-1,282|0", "77|-12,603"]
    file = UploadedFile("ecg.csv", "\n".join(rows).replace(",", mark).replace("|", separator).encode())
    error = refusal(file, rate_hz=500.0, unit="uV")
    assert error.code == "numbers_ambiguous"
    assert "thousands" in error.sentence


@pytest.mark.parametrize("cell", ["0,125", "-0,125", "1,5", ",125", "1367,125", "1,367e0"])
def test_one_cell_that_can_only_have_a_decimal_comma_speaks_for_the_table(cell):
    file = UploadedFile("ecg.csv", f"I;II\n1,367;2\n{cell};-1,250\n".encode())
    found = read_ecg([file], ReadHints(**KNOWN)).signal_mv
    expected = [[1.367, float(cell.replace(",", "."))], [2, -1.25]]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_decimal_commas_and_points_in_one_table_are_refused():
    for late in (2, 3000):
        rows = ["0,5;0,25"] * late + ["0.5;0.25"]
        file = UploadedFile("ecg.csv", "\n".join(["I;II", *rows]).encode())
        assert refusal(file, **KNOWN).code == "numbers_ambiguous"


@pytest.mark.parametrize("cell", ["1_000", "\u0661\u0662", "\uff11", "1_0.5", "0x10"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_what_only_python_takes_for_a_number_is_text(cell, separator):
    file = UploadedFile("ecg.csv", f"I,II\n1,2\n{cell},2\n".replace(",", separator).encode())
    assert refusal(file, **KNOWN).sentence == "Column 1 of the table holds text."


@pytest.mark.parametrize("before", ["# patient two\n", "\n", " \n  # a, b\n\n", "#" + "x" * 9000 + "\n"])
def test_comments_and_blank_lines_may_stand_before_the_header_row(ecg, before):
    file = UploadedFile("ecg.csv", before.encode() + ecg.csv().data)
    np.testing.assert_array_equal(
        read_ecg([file], ReadHints(**KNOWN)).signal_mv, read_ecg([ecg.csv()], ReadHints(**KNOWN)).signal_mv
    )


def test_a_table_without_a_header_row_keeps_its_first_sample_where_leads_are_given():
    hints = ReadHints(**KNOWN, leads=("I", "II"))
    for first, expected in (
        ("0.5,0.25", [0.5, 1]),
        ("nan,0.25", [np.nan, 1]),
        ("a,b", [1]),
        ("0,1", [1]),
        ("1,2", [1]),
    ):
        found = read_ecg([UploadedFile("ecg.csv", f"{first}\n1,1\n".encode())], hints).signal_mv
        np.testing.assert_array_equal(found[0], expected, err_msg=first)
    assert refusal(UploadedFile("ecg.csv", b"0.5,0.25\n1,1\n"), **KNOWN).code == "leads_missing"


def test_a_ragged_row_is_named_by_its_place_in_the_table():
    for leads in (None, ("I", "II")):
        error = refusal(UploadedFile("ecg.csv", b"I,II\n1,2\n3\n"), **KNOWN, leads=leads)
        assert error.sentence.startswith("Row 3 ")
    error = refusal(UploadedFile("ecg.csv", b"0.5,1\n1,2\n3\n"), **KNOWN, leads=("I", "II"))
    assert error.sentence.startswith("Row 3 ")


@pytest.mark.parametrize("name", ["aVR (mm)", "aVR (counts)", "aVR [mmHg]", "aVR (arbitrary units)"])
def test_a_lead_in_a_unit_that_is_no_voltage_does_not_take_the_given_one(name):
    error = refusal(UploadedFile("ecg.csv", f"I,{name}\n1,2\n".encode()), **KNOWN)
    assert (error.code, error.leads) == ("unit_not_voltage", ("aVR",))


def test_a_remark_behind_a_lead_is_no_unit():
    found = read_ecg([UploadedFile("ecg.csv", b"Lead I (Einthoven),V1 (Wilson)\n1,2\n")], ReadHints(**KNOWN))
    assert found.lead_names == ("I", "V1")


def test_a_size_limit_is_told_as_it_is_for_so_many_channels():
    for channels, most in ((6, 600_000), (12, 333_333), (64, 62_500)):
        with pytest.raises(UnreadableFile, match=f"at most {most} are read"):
            check_size(channels, 600_001)
        check_size(channels, most)


def test_byte_order_mark_and_windows_line_ends_do_not_matter(ecg):
    file = ecg.csv()
    dressed = UploadedFile(file.name, b"\xef\xbb\xbf" + file.data.replace(b"\n", b"\r\n") + b"\r\n")
    np.testing.assert_array_equal(
        read_ecg([dressed], ReadHints(**KNOWN)).signal_mv, read_ecg([file], ReadHints(**KNOWN)).signal_mv
    )


def test_table_without_rate_or_unit_is_refused_naming_the_parameters(ecg):
    error = refusal(ecg.csv())
    assert error.code == "rate_missing"
    assert "rate_hz" in error.hint
    assert "unit" in error.hint
    assert refusal(ecg.csv(), rate_hz=500.0).code == "unit_missing"


def test_units_in_the_header_row_are_used(ecg):
    header = [f"{lead} (uV)" if lead == "V1" else f"{lead} [mV]" for lead in STANDARD_LEADS]
    signal = ecg.signal_mv()
    signal[6] *= 1000
    recording = read_ecg([ecg.csv(signal, header)], ReadHints(rate_hz=500.0))
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00006)


@pytest.mark.parametrize(("name", "per_second"), [("time_s", 1.0), ("Time (ms)", 1000.0), ("t [s]", 1.0)])
def test_time_column_with_a_unit_gives_the_rate(ecg, name, per_second):
    signal = ecg.signal_mv(rate_hz=360.0)
    times = np.arange(signal.shape[1]) / 360.0 * per_second
    recording = read_ecg([ecg.csv(np.vstack([times, signal]), [name, *STANDARD_LEADS])], ReadHints(unit="mV"))
    assert recording.rate_hz == pytest.approx(360.0)
    assert codes(recording) == []


def test_column_of_sample_numbers_gives_no_rate(ecg):
    signal = ecg.signal_mv()
    table = np.vstack([np.arange(signal.shape[1]), signal])
    assert refusal(ecg.csv(table, ["TS", *STANDARD_LEADS]), unit="mV").code == "rate_missing"
    assert codes(read_ecg([ecg.csv(table, ["TS", *STANDARD_LEADS])], ReadHints(**KNOWN))) == ["channels_ignored"]


def test_time_that_contradicts_the_parameter_or_jumps_is_refused(ecg):
    signal = ecg.signal_mv()
    times = np.arange(signal.shape[1]) / 500.0
    file = ecg.csv(np.vstack([times, signal]), ["time_s", *STANDARD_LEADS])
    assert refusal(file, rate_hz=250.0, unit="mV").code == "rate_conflict"
    times[2500:] += 1.0
    file = ecg.csv(np.vstack([times, signal]), ["time_s", *STANDARD_LEADS])
    assert refusal(file, unit="mV").code == "samples_missing"


def test_cells_that_say_nothing_are_missing_samples(ecg):
    lines = ecg.csv().data.decode().split("\n")
    for row, cell in enumerate(["", "NaN", "null", "-32768", "inf", "1e999", "1e308"], start=1):
        lines[row] = ",".join([cell, *lines[row].split(",")[1:]])
    found = read_ecg([UploadedFile("ecg.csv", "\n".join(lines).encode())], ReadHints(**KNOWN)).signal_mv
    assert np.argwhere(np.isnan(found)).tolist() == [[0, sample] for sample in range(7)]


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3\n4,5,6\n", "I,II\n1,2\n3\n", "I,II\n1,two\n", "I,II\n", "I,i\n1,2\n", "a,b\n1,2\n",
        "I,II\n1,2,3\n", "I,\0II\n1,2\n", ",".join(["I", *["x"] * 300]) + "\n" + ",".join(["1"] * 301),
    ],
    ids=["no header", "ragged", "word", "no rows", "twice", "no leads", "wide row", "nul", "300 columns"],
)  # fmt: skip
def test_table_that_is_no_ecg_is_refused(text):
    refusal(UploadedFile("ecg.csv", text.encode()), **KNOWN)


def test_names_that_are_given_leave_units_and_times_to_the_table():
    leads = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    header = ",".join(["Time [ms]", *(f"Ch{place} (uV)" for place in range(8))])
    rows = "\n".join(",".join([str(2 * row), *["1000"] * 8]) for row in range(20))
    table = UploadedFile("a.csv", f"{header}\n{rows}\n".encode())
    found = read_ecg([table], ReadHints(leads=("time", *leads)))
    assert (found.rate_hz, found.lead_names) == (500.0, leads)
    np.testing.assert_allclose(found.signal_mv, 1.0)
    for wrong in ({"unit": "mV"}, {"rate_hz": 250.0}):
        with pytest.raises(UnreadableFile):
            read_ecg([table], ReadHints(leads=("time", *leads), **wrong))


def test_names_that_contradict_those_of_the_table_are_used_and_it_is_said(ecg):
    file = ecg.csv()
    for given, said in ((ecg.leads[::-1], ["leads_replaced"]), (ecg.leads, [])):
        found = read_ecg([file], ReadHints(**KNOWN, leads=tuple(given)))
        assert found.lead_names == tuple(given)
        assert [warning.code for warning in found.warnings] == said
