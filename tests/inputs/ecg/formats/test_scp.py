"""SCP-ECG: Huffman code, differences and reference beats undone, damage and bombs refused, nobody's name said."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from signal_files import (
    counts_of,
    scp_about,
    scp_beats,
    scp_device,
    scp_file,
    scp_leads,
    scp_of,
    scp_signal,
    scp_tag,
)  # fmt: skip

from inputs.ecg.formats.scp import SCP
from inputs.errors import UnreadableFile
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints, UploadedFile

DEFAULT = struct.pack("<H", 19999)


def read(data: bytes, hints: ReadHints = NO_HINTS):
    return SCP.read([UploadedFile("a.scp", data)], hints)


def refusal(data: bytes, hints: ReadHints = NO_HINTS) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(data, hints)
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


def huffman(values) -> bytes:
    """By the default table of the standard."""
    bits = ""
    for value in map(int, values):
        if value == 0:
            bits += "0"
        elif abs(value) <= 8:
            bits += "1" * abs(value) + "0" + "01"[value < 0]
        elif -128 <= value < 128:
            bits += "1111111110" + f"{value & 0xFF:08b}"
        else:
            bits += "1111111111" + f"{value & 0xFFFF:016b}"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def differences(counts: np.ndarray, way: int) -> np.ndarray:
    """(N,) int64: x, then x[n] - x[n-1]; with two, x[n] - 2 x[n-1] + x[n-2] from the third on."""
    values = counts.astype(np.int64)
    out = values.copy()
    if way == 1:
        out[1:] = np.diff(values)
    if way == 2:
        out[2:] = values[2:] - 2 * values[1:-1] + values[:-2]
    return out


def compressed(signal_mv, way: int, tables: bytes = DEFAULT, code=huffman) -> bytes:
    rows = [code(differences(row, way)) for row in counts_of(signal_mv)]
    return scp_file({2: tables, 3: scp_leads(signal_mv.shape[1]), 6: scp_signal(rows, way=way)})


@pytest.mark.parametrize("way", [0, 1, 2])
def test_huffman_code_and_differences_are_undone(ecg, way):
    recording = read(compressed(ecg.signal_mv(), way))
    assert (recording.rate_hz, recording.lead_names, codes(recording)) == (500.0, STANDARD_LEADS, [])
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


@pytest.mark.parametrize("way", [1, 2])
def test_differences_without_huffman_code_are_undone(ecg, way):
    rows = [differences(row, way).astype("<i2").tobytes() for row in counts_of(ecg.signal_mv())]
    found = read(scp_file({3: scp_leads(5000), 6: scp_signal(rows, way=way)})).signal_mv
    np.testing.assert_allclose(found, ecg.signal_mv(), rtol=0, atol=0.00051)


def own_tables() -> bytes:
    """Two: in the first `0` switches to the second and `10` is 5; in the second `0` is -3, `10` 8 bits from 100 on and
    `11` switches back. A prefix stands with its first bit lowest."""
    first = struct.pack("<H", 2) + struct.pack("<BBBhI", 1, 1, 0, 2, 0) + struct.pack("<BBBhI", 2, 2, 1, 5, 0b01)
    second = struct.pack("<H", 3) + struct.pack("<BBBhI", 1, 1, 1, -3, 0) + struct.pack("<BBBhI", 2, 10, 1, 100, 0b01)
    return struct.pack("<H", 2) + first + second + struct.pack("<BBBhI", 2, 2, 0, 1, 0b11)


def test_tables_of_the_file_s_own_are_followed_and_switched_between():
    bits = "10" + "0" + "0" + "10" + "11111110" + "11" + "10"  # 5, switch, -3, 100 - 2, switch, 5
    data = int(bits.ljust(24, "0"), 2).to_bytes(3, "big")
    file = scp_file({2: own_tables(), 3: scp_leads(4, ["I"]), 6: scp_signal([data])})
    np.testing.assert_allclose(read(file).signal_mv, [[0.005, -0.003, 0.098, 0.005]], rtol=0, atol=1e-6)


def test_steps_interval_and_codes_are_those_of_the_file(ecg):
    counts = counts_of(ecg.signal_mv(rate_hz=600)[:3], 2.5)
    leads = scp_leads(6000, ["V3R", "unknown", "V7"])
    file = scp_file({3: leads, 6: scp_signal([row.tobytes() for row in counts], step_nv=2500, interval_us=1667)})
    recording = read(file)
    assert (recording.rate_hz, recording.lead_names) == (600.0, ("V3R", "V7"))
    assert codes(recording) == ["channels_ignored"]
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(rate_hz=600)[:3:2], rtol=0, atol=0.00126)
    assert refusal(file, ReadHints(rate_hz=500)).code == "rate_conflict"


@pytest.mark.parametrize("mark", [b"SCPECG", bytes(6)])
def test_a_file_is_known_by_its_directory_with_and_without_its_mark(ecg, mark):
    file = scp_file(
        {3: scp_leads(5000), 6: scp_signal([row.tobytes() for row in counts_of(ecg.signal_mv())])}, mark=mark
    )
    assert SCP.recognises(file)
    assert read(file).signal_mv.shape == (12, 5000)


def with_beats(signal_mv, beat_mv, zones, **more) -> bytes:
    """A file whose beat, of step 2 uV, was subtracted from the rhythm, of step 1 uV; its middle is sample 51."""
    residual = signal_mv.copy()
    for kind, start, fiducial, end in zones:
        if kind == 0:
            at = np.arange(start, end + 1)
            residual[:, at - 1] -= beat_mv[:, at - fiducial + 51 - 1]
    sections = {
        2: DEFAULT,
        3: scp_leads(signal_mv.shape[1], flags=0b1100101),
        4: scp_beats(2 * beat_mv.shape[1], 51, zones),
        5: scp_signal([huffman(differences(row, 2)) for row in counts_of(beat_mv, 2.0)], step_nv=2000, way=2),
        6: scp_signal([huffman(differences(row, 1)) for row in counts_of(residual)], way=1),
    }
    return scp_file(sections | {int(name[1:]): body for name, body in more.items()})


def test_reference_beats_that_were_subtracted_are_given_back_where_and_only_where_they_were(ecg):
    signal = np.round(ecg.signal_mv(), 3)
    beat = np.round(500 * ecg.signal_mv(1)[:, :300]) / 500
    zones = [(0, 180, 220, 420), (1, 0, 620, 0), (0, 950, 1000, 1249), (0, 4900, 4950, 5000)]
    recording = read(with_beats(signal, beat, zones))
    np.testing.assert_allclose(recording.signal_mv, signal, rtol=0, atol=0.0011)
    assert codes(recording) == []


def test_a_reference_beat_that_was_not_subtracted_is_left_alone(ecg):
    beat = scp_signal([bytes(600)] * 12, interval_us=1000, step_nv=0)
    file = scp_of(ecg.signal_mv(), s4=scp_beats(600, 51, []), s5=beat)
    np.testing.assert_allclose(read(file).signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


def test_leads_that_begin_and_end_apart_are_missing_outside():
    leads = bytes([2, 0]) + struct.pack("<IIB", 101, 104, 1) + struct.pack("<IIB", 103, 107, 2)
    rows = [np.array(row, "<i2").tobytes() for row in ([1, 2, 3, 4], [5, 6, 7, 8, 9])]
    found = read(scp_file({3: leads, 6: scp_signal(rows, step_nv=50_000)})).signal_mv / 0.05
    np.testing.assert_allclose(found, [[1, 2, 3, 4, *[np.nan] * 3], [np.nan, np.nan, 5, 6, 7, 8, 9]], rtol=1e-6)


def test_leads_recorded_three_at_a_time_are_said_to_be(ecg):
    file = scp_file(
        {3: scp_leads(5000, flags=3 << 3), 6: scp_signal([row.tobytes() for row in counts_of(ecg.signal_mv())])}
    )
    assert codes(read(file)) == ["leads_not_simultaneous"]


@pytest.mark.parametrize(
    ("sections", "code"),
    [
        ({6: b""}, "truncated"),
        ({3: bytes([12, 0])}, "unreadable_file"),
        ({3: scp_leads(2**32 - 1)}, "too_long"),
        ({3: scp_leads(4000)}, "length_mismatch"),
        ({3: scp_leads(5000, ["I"] * 65)}, "too_many_channels"),
        ({6: scp_signal([bytes(10_000)] * 12, step_nv=0)}, "unit_missing"),
        ({6: scp_signal([bytes(10_000)] * 12, interval_us=0)}, "rate_missing"),
        ({6: scp_signal([bytes(10_000)] * 12, way=3)}, "unreadable_file"),
        ({6: scp_signal([bytes(10_000)] * 12, bimodal=1)}, "unsupported_format"),
        ({3: scp_leads(5000, flags=0b1100101)}, "unreadable_file"),
        ({2: DEFAULT, 6: scp_signal([b"\xff"] * 12)}, "truncated"),
        ({2: struct.pack("<HH", 1, 1) + struct.pack("<BBBhI", 1, 1, 0, 1, 0)}, "truncated"),
        ({2: struct.pack("<HH", 1, 1) + struct.pack("<BBBhI", 1, 1, 0, 7, 0)}, "unreadable_file"),
        ({2: struct.pack("<H", 0)}, "unreadable_file"),
        ({2: b"\1"}, "unreadable_file"),
    ],
)  # fmt: skip
def test_what_is_missing_or_contradicts_itself_is_refused(sections, code):
    plain = {3: scp_leads(5000), 6: scp_signal([bytes(10_000)] * 12)}
    assert refusal(scp_file(plain | sections)).code == code


def test_a_file_without_rhythm_is_refused_and_its_beats_are_not_taken_for_one():
    beats = {3: scp_leads(5000), 4: scp_beats(600, 51, []), 5: scp_signal([bytes(600)] * 12)}
    assert refusal(scp_file(beats)).code == "no_rhythm"
    long_term = refusal(scp_file({3: scp_leads(5000), 12: bytes(100)}))
    assert (long_term.code, "long-term" in long_term.sentence) == ("unsupported_format", True)


def test_a_directory_that_counts_from_zero_is_no_standard_and_is_refused_by_name(ecg):
    file = bytearray(scp_of(ecg.signal_mv()))
    file[28:32] = struct.pack("<I", 6)
    file[16:22] = bytes(6)
    assert SCP.recognises(bytes(file))
    assert "does not keep to the standard" in refusal(bytes(file)).sentence


def test_a_damaged_signal_is_refused_and_one_of_which_other_parts_were_changed_is_not(ecg):
    whole = scp_of(ecg.signal_mv())
    damaged = bytearray(whole)
    damaged[-5000] ^= 1
    assert (refusal(bytes(damaged)).code, codes(read(whole))) == ("unreadable_file", [])
    without_name = whole.replace(b"Family", b"XXXXXX")
    assert codes(read(without_name)) == ["checksum_wrong"]
    np.testing.assert_array_equal(read(without_name).signal_mv, read(whole).signal_mv)


def test_a_section_beyond_the_file_is_refused(ecg):
    file = bytearray(scp_of(ecg.signal_mv()))
    file[22 + 60 + 6 : 22 + 60 + 10] = struct.pack("<I", 0xFFFFFFF0)
    assert refusal(bytes(file)).code == "truncated"


def test_beats_without_end_are_refused_before_they_are_added():
    zones = [(0, 1, 1, 5000)] * 65_535
    rows = [bytes(10_000)] * 12
    sections = {3: scp_leads(5000, flags=0b1100101), 4: scp_beats(10_000, 1, zones), 5: scp_signal(rows)}
    assert "upon each other" in refusal(scp_file(sections | {6: scp_signal(rows)})).sentence


def test_more_huffman_code_than_a_resting_ecg_has_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr("inputs.ecg.formats.scp.decode", None)
    rows = [bytes(65_535)] * 17
    leads = scp_leads(8 * 65_535, ["I"] * 17)
    assert refusal(scp_file({2: DEFAULT, 3: leads, 6: scp_signal(rows)})).code == "too_long"


def test_what_the_device_said_is_handed_over_without_names(ecg):
    filters = scp_tag(27, struct.pack("<H", 5)), scp_tag(28, struct.pack("<H", 150)), scp_tag(29, b"\2")
    measures = struct.pack("<BBHH", 1, 1, 800, 29999) + struct.pack("<5H3h", 100, 200, 260, 350, 640, 45, -30, 999)
    measures += bytes(10) + struct.pack("<H", 2) + bytes(2) + struct.pack("<3HB", 76, 0, 410, 1)
    head = struct.pack("<BHBB3sB", 1, 2020, 1, 31, b"\0\0\0", 2)
    texts = struct.pack("<BH", 1, 5) + b"First" + struct.pack("<BH", 2, 7) + b"Second\0"
    coded = struct.pack("<BH", 1, 3) + b"\1SR" + struct.pack("<BH", 2, 4) + b"\3AND"
    file = scp_of(ecg.signal_mv(), s1=scp_about(*filters), s7=measures, s8=head + texts, s11=head + coded)
    said = read(file).said
    assert (said.vendor, said.model, said.recorded_at) == ("Vendor", "CART1", "2020-01-31T10:20:30")
    assert said.filters == ("high-pass 0.05 Hz", "low-pass 150 Hz", "50 Hz notch")
    assert dict(said.measures) == {
        "heart_rate_bpm": 76, "pr_ms": 160, "qrs_ms": 90, "qt_ms": 380, "qtc_ms": 410, "p_axis_deg": 45,
        "qrs_axis_deg": -30,
    }  # fmt: skip
    assert said.statements == ("First", "Second", "SR")
    for secret in ("Family", "MRN", "1931", "SERIAL"):
        assert secret not in repr(said)


def test_a_name_that_fills_the_language_it_is_in_stays_unsaid(ecg):
    about = scp_tag(0, "Family".encode("utf-16-le")) + scp_tag(14, scp_device(0x37)) + scp_tag(25, b"\0\0\0\0")
    said = read(scp_of(ecg.signal_mv(), s1=about)).said
    assert (said.vendor, said.recorded_at) == ("Vendor", None)


@pytest.mark.parametrize("number", [1, 7, 8, 11])
def test_a_damaged_part_beside_the_signal_keeps_nobody_from_reading_it(ecg, number):
    random = np.random.default_rng(number)
    for size in (0, 1, 7, 9, 22, 23, 40, 200):
        file = scp_of(ecg.signal_mv(), **{f"s{number}": random.bytes(size)})
        assert read(file).signal_mv.shape == (12, 5000)


def test_a_file_cut_within_its_directory_is_known_by_its_mark_and_refused(ecg):
    start = scp_of(ecg.signal_mv())[:30]
    assert SCP.recognises(start)
    assert refusal(start).code == "truncated"


def test_a_section_that_the_directory_counts_with_its_filling_is_read(ecg):
    file = bytearray(scp_of(ecg.signal_mv()) + b"\0")
    place = 22 + 60 + 2
    file[place : place + 4] = struct.pack("<I", struct.unpack_from("<I", file, place)[0] + 1)
    file[2:6] = struct.pack("<I", len(file))
    assert read(bytes(file)).signal_mv.shape == (12, 5000)
