"""WFDB: the header is strict, names nothing outside of the upload, and claims nothing that is allocated unseen."""

from __future__ import annotations

import os

import numpy as np
import pytest

from inputs.ecg.read import read_ecg, read_ecg_path
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, ReadHints, UploadedFile


def refusal(files, **options) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg(files, ReadHints(**options))
    return caught.value


def edited(files, old: str, new: str) -> list[UploadedFile]:
    """The upload with every `old` in the header replaced."""
    header, *others = files
    assert old.encode() in header.data
    return [UploadedFile(header.name, header.data.replace(old.encode(), new.encode())), *others]


def test_header_and_data_give_millivolt_rate_and_leads(ecg):
    recording = read_ecg(ecg.wfdb())
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)
    assert recording.rate_hz == 500.0
    assert recording.lead_names == STANDARD_LEADS
    assert recording.source_format == "wfdb"
    assert recording.warnings == ()


def test_order_of_the_parts_does_not_matter(ecg):
    files = ecg.wfdb()
    np.testing.assert_array_equal(read_ecg(files[::-1]).signal_mv, read_ecg(files).signal_mv)


def test_leads_keep_the_order_of_the_file_under_our_spelling(ecg):
    names = ["avf", "DI", "Lead II", "MDC_ECG_LEAD_III", "AVR", "aVL", "v6", "V5", "V4", "V3", "V2", "V1"]
    recording = read_ecg(ecg.wfdb(names=names))
    assert recording.lead_names == ("aVF", "I", "II", "III", "aVR", "aVL", "V6", "V5", "V4", "V3", "V2", "V1")


def test_inverted_avr_and_numbered_channels_are_no_leads(ecg):
    names = ["I", "II", "III", "-aVR", "ECG 1", "1", "V1", "V2", "V3", "V4", "V5", "V6"]
    recording = read_ecg(ecg.wfdb(names=names))
    assert recording.lead_names == ("I", "II", "III", "V1", "V2", "V3", "V4", "V5", "V6")
    assert [warning.code for warning in recording.warnings] == ["channels_ignored"]


def test_one_lead_twice_is_refused(ecg):
    error = refusal(ecg.wfdb(names=["I", "i", *STANDARD_LEADS[2:]]))
    assert (error.code, error.leads) == ("leads_ambiguous", ("I",))


@pytest.mark.parametrize(("unit", "per_mv"), [("uV", 1000.0), ("µV", 1000.0), ("V", 0.001), ("mv", 1.0), ("nV", 1e6)])
def test_units_become_millivolt(ecg, unit, per_mv):
    signal = ecg.signal_mv()
    recording = read_ecg(ecg.wfdb(signal, gain=f"{1000 / per_mv:.17g}(0)/{unit}"))
    np.testing.assert_allclose(recording.signal_mv, signal, rtol=1e-6, atol=0.00051)


def test_gain_without_unit_is_per_millivolt_as_the_format_says(ecg):
    recording = read_ecg(ecg.wfdb(gain="1000"))
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)
    assert recording.warnings == ()


def test_missing_gain_is_the_formats_200_and_a_warning(ecg):
    recording = read_ecg(ecg.wfdb(gain="0", per_mv=200.0))
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00251)
    assert [warning.code for warning in recording.warnings] == ["gain_assumed"]


def test_ecg_lead_in_mmhg_is_refused_by_name(ecg):
    error = refusal(ecg.wfdb(gain="1000(0)/mmHg"))
    assert (error.code, error.leads) == ("unit_not_voltage", ("I",))


def test_sample_marked_invalid_is_missing(ecg):
    signal = ecg.signal_mv()
    signal[3, 100:110] = np.nan
    found = read_ecg(ecg.wfdb(signal)).signal_mv
    assert np.argwhere(np.isnan(found)).tolist() == [[3, sample] for sample in range(100, 110)]


def test_samples_of_another_record_are_a_warning(ecg):
    header, _ = ecg.wfdb(ecg.signal_mv(1))
    _, data = ecg.wfdb(ecg.signal_mv(2))
    assert [warning.code for warning in read_ecg([header, data]).warnings] == ["checksum_mismatch"]


def test_rate_comes_from_the_header_and_a_contradicting_parameter_is_refused(ecg):
    assert read_ecg(ecg.wfdb(rate="360.5")).rate_hz == 360.5
    assert read_ecg(ecg.wfdb(rate="500"), ReadHints(rate_hz=500.0)).rate_hz == 500.0
    assert refusal(ecg.wfdb(rate="500"), rate_hz=250.0).code == "rate_conflict"


@pytest.mark.parametrize("rate", ["0", "-500", "nan", "1e999"])
def test_rate_that_is_no_positive_number_is_refused(ecg, rate):
    assert refusal(ecg.wfdb(rate=rate)).code == "rate_out_of_range"


@pytest.mark.parametrize(
    ("old", "new"), [("rec 12 500", "rec 12 1_000"), (" 1000(0)/mV", " 1_0(0)/mV"), (" 1000(0)/mV", " \u0661(0)/mV"),
                     ("rec 12 500 5000", "rec 12 500 \u0665\u0660"), (" 16 1000", " \u0661\u0666 1000")]
)  # fmt: skip
def test_what_only_python_takes_for_a_number_is_refused(ecg, old, new):
    header, data = edited(ecg.wfdb(), old, new)
    assert refusal([header, data]).code == "unreadable_file"


@pytest.mark.parametrize("before", ["\ufeff", "\ufeff# a, b\n\n", "#" + "x" * 9000 + "\n", "  # a comment\n"])
def test_a_mark_comments_and_blank_lines_may_stand_before_the_record_line(ecg, before):
    header, data = ecg.wfdb()
    dressed = UploadedFile(header.name, before.encode() + header.data)
    np.testing.assert_array_equal(read_ecg([dressed, data]).signal_mv, read_ecg([header, data]).signal_mv)


def test_a_record_name_in_another_encoding_is_no_obstacle(ecg):
    header, data = ecg.wfdb()
    renamed = UploadedFile(header.name, header.data.replace(b"rec 12", b"M\xfcller 12"))
    assert read_ecg([renamed, data]).rate_hz == 500.0


def test_header_without_rate_needs_the_parameter(ecg):
    header, data = ecg.wfdb()
    header = UploadedFile("rec.hea", header.data.replace(b"rec 12 500 5000", b"rec 12"))
    assert refusal([header, data]).code == "rate_missing"
    recording = read_ecg([header, data], ReadHints(rate_hz=500.0))
    assert (recording.rate_hz, recording.signal_mv.shape) == (500.0, (12, 5000))


@pytest.mark.parametrize(
    "name", ["../rec.dat", "/etc/passwd", "/proc/self/environ", "./rec.dat", "a/../rec.dat", "~/rec.dat", "..",
             "s3://bucket/rec.dat", "http://127.0.0.1/rec.dat", "file:///etc/passwd", "x::rec.dat", "..\\rec.dat"]
)  # fmt: skip
def test_header_naming_a_file_elsewhere_is_refused(ecg, name):
    error = refusal(edited(ecg.wfdb(), "rec.dat", name))
    assert error.code == "file_not_in_upload"
    assert name not in str(error)


def test_header_that_makes_samples_of_the_password_file_is_refused():
    assert refusal([UploadedFile("rec.hea", b"rec 1 500 0\n/etc/passwd 80 1(0)/mV 8 0 0 0 0 I\n")]).code == (
        "file_not_in_upload"
    )


def test_file_on_disk_with_the_name_in_the_header_is_not_read(ecg, tmp_path, monkeypatch):
    header, data = ecg.wfdb()
    (tmp_path / "rec.dat").write_bytes(data.data)
    monkeypatch.chdir(tmp_path)
    error = refusal([header])
    assert error.code == "file_missing"
    assert ".dat" in str(error)
    assert "rec" not in str(error), "a file's name may be a patient's"


def test_segment_name_that_leads_elsewhere_is_refused():
    assert refusal([UploadedFile("m.hea", b"m/2 12 500 10000\n../x 5000\nrec 5000\n")]).code == "file_not_in_upload"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rec 12 500 5000", "rec 12 500 2000000000"),
        ("rec 12 500 5000", "rec 12 500 " + "9" * 5000),
        ("rec 12 500 5000", "rec 65 500 5000"),
        ("rec 12 500 5000", "rec 11 500 5000"),
        (" 16 1000", " 16x2000000000 1000"),
        (" 16 1000", " 16:2000000000 1000"),
        (" 16 1000", " 16+99999999999 1000"),
        (" 16 1000", " 0 1000"),
        (" 16 1000", " 17 1000"),
        (" 1000(0)/mV", " nan(0)/mV"),
        (" 1000(0)/mV", " 1000(zero)/mV"),
    ],
)
def test_header_that_lies_or_claims_too_much_is_refused(ecg, old, new):
    refusal(edited(ecg.wfdb(), old, new))


def test_truncated_data_are_refused_with_both_lengths(ecg):
    header, data = ecg.wfdb()
    error = refusal([header, UploadedFile(data.name, data.data[:60_000])])
    assert error.code == "truncated"
    assert "2500" in str(error)
    assert "5000" in str(error)


def test_two_records_in_one_upload_are_refused(ecg):
    assert refusal([*ecg.wfdb(), *ecg.wfdb(name="other")]).code == "several_ecgs"


def segments(ecg, master: str) -> list[UploadedFile]:
    signal = ecg.signal_mv()
    first, second = ecg.wfdb(signal[:, :2000], name="s1"), ecg.wfdb(signal[:, 2000:], name="s2")
    return [UploadedFile("m.hea", master.encode()), *first, *second]


def test_segments_of_a_fixed_layout_are_joined(ecg):
    recording = read_ecg(segments(ecg, "m/2 12 500 5000\ns1 2000\ns2 3000\n"))
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


@pytest.mark.parametrize("stated", ["12 500 0", "12 500", "12"])
def test_a_master_header_need_not_state_length_or_rate(ecg, stated):
    recording = read_ecg(segments(ecg, f"m/2 {stated}\ns1 2000\ns2 3000\n"))
    assert (recording.rate_hz, recording.signal_mv.shape) == (500.0, (12, 5000))


def test_null_segment_is_missing_samples(ecg):
    found = read_ecg(segments(ecg, "m/3 12 500 5100\ns1 2000\n~ 100\ns2 3000\n")).signal_mv
    assert found.shape == (12, 5100)
    assert np.isnan(found[:, 2000:2100]).all()
    assert np.isnan(found).sum() == 1200


@pytest.mark.parametrize(
    "master",
    [
        "m/2 12 500 10000\nm 5000\nm 5000\n",
        "m/2 12 500 5000\ns1 2000\ns3 3000\n",
        "m/2 12 500 5000\ns1 2000\ns2 2000\n",
        "m/2 12 500 2000005000\ns1 2000\n~ 2000000000\n",
        "m/999 12 500 5000\ns1 2000\n",
        "m/3 12 500 5000\nlayout 0\ns1 2000\ns2 3000\n",
        "m/2 12 500 4999\ns1 2000\ns2 3000\n",
        "m/2 3 500 5000\ns1 2000\ns2 3000\n",
        "m/2 12 250 5000\ns1 2000\ns2 3000\n",
    ],
)
def test_segments_that_do_not_fit_are_refused(ecg, master):
    refusal(segments(ecg, master))


def frames(ecg, per_frame: tuple[int, int]) -> list[UploadedFile]:
    """Leads I and II of 500 Hz in 2500 frames of 250 Hz, lead by lead inside a frame."""
    counts = np.round(1000 * ecg.signal_mv()[:2]).astype("<i2")
    parts = [lead[:: 2 // count].reshape(2500, count) for lead, count in zip(counts, per_frame, strict=True)]
    lines = ["rec 2 250 2500"]
    for count, lead in zip(per_frame, ("I", "II"), strict=True):
        lines.append(f"rec.dat 16x{count} 1000(0)/mV 16 0 0 0 0 {lead}")
    return [UploadedFile("rec.hea", "\n".join(lines).encode()), UploadedFile("rec.dat", np.hstack(parts).tobytes())]


def test_leads_with_two_samples_per_frame_keep_their_own_rate(ecg):
    recording = read_ecg(frames(ecg, (2, 2)))
    assert recording.rate_hz == 500.0
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv()[:2], rtol=0, atol=0.00051)


def test_leads_of_different_rates_are_refused(ecg):
    assert refusal(frames(ecg, (2, 1))).code == "rates_differ"


def pack_12_bit(flat: np.ndarray) -> bytes:
    a, b = (flat[0::2] & 0xFFF).astype(np.uint32), (flat[1::2] & 0xFFF).astype(np.uint32)
    return np.stack([a & 0xFF, (a >> 8) | ((b >> 8) << 4), b & 0xFF], axis=1).astype(np.uint8).tobytes()


def pack_10_bit(flat: np.ndarray, format_: str) -> bytes:
    flat = (flat & 0x3FF).astype(np.uint32)  # 999 pairs: a multiple of three
    a, b, c = flat[0::3], flat[1::3], flat[2::3]
    if format_ == "311":
        return (a | (b << 10) | (c << 20)).astype("<u4").tobytes()
    return np.stack([(a << 1) | ((c & 0x1F) << 11), (b << 1) | ((c >> 5) << 11)], axis=1).astype("<u2").tobytes()


PACK = {
    "16": lambda flat: flat.astype("<i2").tobytes(),
    "24": lambda flat: flat.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes(),
    "32": lambda flat: flat.astype("<i4").tobytes(),
    "61": lambda flat: flat.astype(">i2").tobytes(),
    "80": lambda flat: (flat + 128).astype(np.uint8).tobytes(),
    "160": lambda flat: (flat + 32768).astype("<u2").tobytes(),
    "212": pack_12_bit,
    "310": lambda flat: pack_10_bit(flat, "310"),
    "311": lambda flat: pack_10_bit(flat, "311"),
}


@pytest.mark.parametrize("format_", PACK)
def test_every_uncompressed_format_is_read(format_):
    counts = np.random.default_rng(0).integers(-100, 100, (999, 2))
    lines = ["rec 2 500 999", *(f"rec.dat {format_} 200(0)/mV 0 0 0 0 0 {lead}" for lead in ("I", "II"))]
    data = PACK[format_](counts.reshape(-1))
    recording = read_ecg([UploadedFile("rec.hea", "\n".join(lines).encode()), UploadedFile("rec.dat", data)])
    np.testing.assert_allclose(recording.signal_mv, counts.T / 200.0, rtol=0, atol=1e-6)


def test_differences_of_format_8_start_at_the_initial_value():
    counts = np.cumsum(np.random.default_rng(0).integers(-100, 100, (1000, 2)), axis=0) + 300
    steps = np.diff(counts, axis=0, prepend=counts[:1]).astype(np.int8)
    lines = ["rec 2 500 1000"]
    lines += [f"rec.dat 8 200(0)/mV 0 0 {first} 0 0 {lead}" for first, lead in zip(counts[0], ("I", "II"), strict=True)]
    files = [UploadedFile("rec.hea", "\n".join(lines).encode()), UploadedFile("rec.dat", steps.tobytes())]
    np.testing.assert_allclose(read_ecg(files).signal_mv, counts.T / 200.0, rtol=0, atol=1e-5)


def test_header_on_disk_takes_its_files_from_its_own_folder(ecg, tmp_path):
    for file in segments(ecg, "m/2 12 500 5000\ns1 2000\ns2 3000\n"):
        (tmp_path / file.name).write_bytes(file.data)
    np.testing.assert_array_equal(
        read_ecg_path(tmp_path / "m.hea").signal_mv,
        read_ecg(segments(ecg, "m/2 12 500 5000\ns1 2000\ns2 3000\n")).signal_mv,
    )


def test_pipe_in_place_of_a_file_does_not_hold_the_reader(ecg, tmp_path):
    header, _ = ecg.wfdb()
    (tmp_path / "rec.hea").write_bytes(header.data)
    os.mkfifo(tmp_path / "rec.dat")
    with pytest.raises(UnreadableFile):
        read_ecg_path(tmp_path / "rec.hea")
