"""Philips ECG XML: limb leads made whole, the calibration pulse left out, nothing unpacked beyond what is stated."""

from __future__ import annotations

import codecs
import struct

import numpy as np
import pytest
from ecg_xml import differences, lzw, philips_xml, xli, xli_chunk

from inputs.ecg.formats.philips import looks_like_philips, read_philips
from inputs.ecg.formats.xli import unpack_xli
from inputs.errors import UnreadableFile
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints


def counts_of(ecg, seconds: float = 10.0) -> np.ndarray:
    """(12, N) whole microvolt; the derived limb leads are up to a count beside what I and II say."""
    return np.round(1000 * ecg.signal_mv(seconds=seconds)).astype(int)


def plain(counts: np.ndarray, **options) -> str:
    options = {"waves": 'compression="Uncompressed"', **options}
    return philips_xml(counts.astype("<i2").tobytes(), counts.shape[1], **options)


def compressed(counts: np.ndarray, **options) -> str:
    return philips_xml(xli(differences(counts)), counts.shape[1], **options)


def calibrated(counts: np.ndarray, rest: int = 50, high_uv: int = 1000, before: int = 50) -> np.ndarray:
    pulse = np.concatenate([np.zeros(before), np.full(100, high_uv), np.zeros(rest)]).astype(int)
    return np.concatenate([counts, np.tile(pulse, (12, 1))], axis=1)


def read(text: str, hints: ReadHints = NO_HINTS):
    return read_philips(text.encode(), hints)


def refusal(text: str, hints: ReadHints = NO_HINTS) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(text, hints)
    assert "Family" not in str(caught.value)
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


@pytest.mark.parametrize("write", [plain, compressed])
def test_the_rhythm_is_read_to_the_count_compressed_or_not(ecg, write):
    counts = counts_of(ecg)
    recording = read(write(counts))
    np.testing.assert_allclose(recording.signal_mv, counts / 1000, rtol=0, atol=1e-6)
    assert (recording.rate_hz, recording.lead_names, recording.warnings) == (500.0, STANDARD_LEADS, ())


def test_samples_written_as_numbers_are_read(ecg):
    counts = counts_of(ecg, 2.0)
    text = " ".join(map(str, counts.ravel()))
    recording = read(philips_xml(text, counts.shape[1], waves="", encoding="Plain"))
    np.testing.assert_allclose(recording.signal_mv, counts / 1000, rtol=0, atol=1e-6)
    assert refusal(philips_xml(text + " 7", counts.shape[1], waves="", encoding="Plain")).code == "truncated"


def test_version_1_03_has_rate_unit_and_leads_in_the_acquisition(ecg):
    counts = counts_of(ecg)
    text = compressed(counts, version="1.03", kind="SierraECG", waves='compressflag="True" compressmethod="XLI"')
    recording = read(text)
    np.testing.assert_allclose(recording.signal_mv, counts / 1000, rtol=0, atol=1e-6)
    assert recording.lead_names == STANDARD_LEADS
    assert refusal(text.replace("STD-12", "ORTHO")).code == "leads_missing"


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_utf_16_is_read_in_either_order_of_bytes(ecg, mark):
    text = compressed(counts_of(ecg, 2.0))
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    data = mark + text.encode(encoding)
    assert looks_like_philips(data)
    np.testing.assert_array_equal(read_philips(data, NO_HINTS).signal_mv, read(text).signal_mv)


def test_halves_of_negative_sums_are_cut_towards_zero():
    """-3 / 2 is -1 to the devices: aVR is 1 + 0, and not 2, where nothing is stored beside it."""
    stored = np.zeros((12, 4), int)
    stored[0], stored[1] = -2, -1
    found = np.round(1000 * read(philips_xml(xli(stored), 4)).signal_mv[:6, 0]).astype(int)
    assert found.tolist() == [-2, -1, 1, 1, -1, 0]


def test_chunks_of_channels_that_are_not_used_are_left(ecg):
    counts = counts_of(ecg, 2.0)
    more = xli(differences(counts)) + 4 * xli_chunk(np.zeros(counts.shape[1], int))
    np.testing.assert_array_equal(
        read(philips_xml(more, counts.shape[1])).signal_mv, read(compressed(counts)).signal_mv
    )


@pytest.mark.parametrize("write", [plain, compressed])
def test_the_calibration_pulse_is_left_out_with_a_warning(ecg, write):
    counts = counts_of(ecg)
    recording = read(write(calibrated(counts)))
    np.testing.assert_allclose(recording.signal_mv, counts / 1000, rtol=0, atol=1e-6)
    assert codes(recording) == ["calibration_removed"]
    assert "last 0.4 s" in recording.warnings[0].message


def test_rest_before_the_pulse_that_is_longer_than_after_it_is_kept(ecg):
    assert read(plain(calibrated(counts_of(ecg), before=80))).signal_mv.shape == (12, 5030)


@pytest.mark.parametrize("tail", [{"high_uv": 700}, {"rest": 0}, {"high_uv": 0}])
def test_what_is_no_pulse_of_a_millivolt_between_rests_is_kept(ecg, tail):
    written = calibrated(counts_of(ecg), **tail)
    recording = read(plain(written))
    assert (recording.signal_mv.shape, codes(recording)) == (written.shape, [])


def test_a_pulse_in_some_leads_is_kept(ecg):
    written = calibrated(counts_of(ecg))
    written[6, -100] += 1
    assert read(plain(written)).signal_mv.shape == written.shape
    written = calibrated(counts_of(ecg))
    written[11, -200:] = 0
    assert read(plain(written)).signal_mv.shape == written.shape


def test_what_the_device_says_is_handed_over_and_nobody_s_name(ecg):
    more = """<interpretations><interpretation><globalmeasurements><heartrate>84</heartrate><print>Failed</print>
    <qrsdur>84</qrsdur><qtcb>417</qtcb></globalmeasurements><statement><leftstatement>SINUS RHYTHM</leftstatement>
    <rightstatement>V-rate 60-99</rightstatement></statement></interpretation></interpretations>"""
    said = read(plain(counts_of(ecg, 2.0), more=more, characteristics="<hipass>0.05</hipass>")).said
    assert (said.vendor, said.model, said.recorded_at) == (
        "Philips Medical Products", "PageWriter", "2010-01-19T15:19:22",
    )  # fmt: skip
    assert said.measures == (("heart_rate_bpm", 84.0), ("qrs_ms", 84.0), ("qtc_ms", 417.0))
    assert (said.statements, said.filters, said.paced) == (
        ("SINUS RHYTHM V-rate 60-99",), ("high pass 0.05 Hz",), None,
    )  # fmt: skip
    assert "Family" not in repr(said)


@pytest.mark.parametrize(("kind", "version"), [("MortaraECG", "1.03"), ("PhilipsECG", "9.9"), ("", "1.04")])
def test_a_document_of_another_type_or_version_is_refused(ecg, kind, version):
    assert refusal(plain(counts_of(ecg, 2.0), kind=kind, version=version)).code == "unsupported_format"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("parsedwaveforms", "otherwaveforms", "not_an_ecg"),
        ('durationperchannel="2000"', 'durationperchannel="1e18"', "too_long"),
        ('durationperchannel="2000"', 'durationperchannel="1e300"', "too_long"),
        ('numberofleads="12"', 'numberofleads="1e300"', "unreadable_file"),
        ('numberofleads="12"', 'numberofleads="1e9"', "too_many_channels"),
        ('durationperchannel="2000"', 'durationperchannel="4000"', "truncated"),
        ('durationperchannel="2000"', 'durationperchannel="1000"', "truncated"),
        ('durationperchannel="2000"', "", "unreadable_file"),
        ('samplespersecond="500"', 'samplespersecond="250"', "unreadable_file"),
        ('resolution="1"', 'resolution="5"', "unreadable_file"),
        ('resolution="1"', 'resolution="1_0"', "unreadable_file"),
        ('numberofleads="12"', 'numberofleads="11"', "unreadable_file"),
        ('leadlabels="I II', 'leadlabels="I I', "leads_ambiguous"),
        ('dataencoding="Base64"', 'dataencoding="Hex"', "unsupported_format"),
        ("<bitspersample>16", "<bitspersample>12", "unsupported_format"),
    ],
)
@pytest.mark.parametrize("write", [plain, compressed])
def test_what_is_missing_contradicted_or_unknown_is_refused(ecg, write, old, new, code):
    text = write(counts_of(ecg, 2.0))
    assert old in text
    error = refusal(text.replace(old, new))
    assert (error.code, len(error.sentence) < 200) == (code, True)


@pytest.mark.parametrize(("tag", "code"), [("samplingrate", "rate_missing"), ("signalresolution", "unit_missing")])
def test_rate_and_resolution_are_never_assumed(ecg, tag, code):
    text = plain(counts_of(ecg, 2.0), version="1.03")
    assert tag in text
    assert refusal(text.replace(tag, "other")).code == code
    assert refusal(text, ReadHints(rate_hz=1000.0)).code == "rate_conflict"


def test_another_compression_is_refused_and_so_are_differences_that_are_not_compressed(ecg):
    counts = counts_of(ecg, 2.0)
    assert refusal(compressed(counts, waves='compression="ZIP"')).code == "unsupported_format"
    assert refusal(compressed(counts, waves='compressflag="True"')).code == "unsupported_format"
    assert "as differences" in refusal(plain(differences(counts))).sentence


def test_compressed_limb_leads_in_another_order_are_refused(ecg):
    text = compressed(counts_of(ecg, 2.0)).replace("I II III aVR", "II I III aVR")
    assert refusal(text).code == "unsupported_format"


def test_a_compressed_signal_that_is_cut_or_damaged_is_refused(ecg):
    packed = xli(differences(counts_of(ecg, 2.0)))
    for cut in (packed[:-1], packed[:-9], packed[: len(packed) // 2], packed[:4], b""):
        assert refusal(philips_xml(cut, 1000)).code == "truncated"
    nothing = struct.pack("<IHh", 3, 1, 0) + b"\xff\xc0\x00"  # the code for the end alone
    assert refusal(philips_xml(nothing * 12, 1000)).code == "truncated"
    assert refusal(philips_xml("no base 64!", 1000)).code == "unreadable_file"


def test_no_more_is_unpacked_than_is_stated():
    """1.3 kB stand for 400 kB of zeros; and codes that cannot all fit are not looked at."""
    bomb = lzw(bytes(400_000), end=False)
    chunk = struct.pack("<IHh", len(bomb), 1, 0) + bomb
    assert len(chunk) < 1500
    assert refusal(philips_xml(chunk * 12, 1000)).code == "truncated"
    long = struct.pack("<IHh", 60_000, 1, 0) + bytes(60_000)
    with pytest.raises(UnreadableFile, match="has not the length"):
        unpack_xli(long, 1, 1000)


def test_a_code_that_stands_for_nothing_yet_is_damage():
    unknown = np.packbits([int(bit) for code in (0, 700, 1023) for bit in f"{code:010b}"]).tobytes()
    with pytest.raises(UnreadableFile, match="is damaged"):
        unpack_xli(struct.pack("<IHh", len(unknown), 1, 0) + unknown, 1, 1000)


def test_a_chunk_is_unpacked_as_the_description_says():
    """Two samples 5 and 7; bends 1 (in the header) and -2 (62 is -2 + 64): 8, then 11."""
    packed = lzw(bytes([0, 0, 0, 0]) + bytes([5, 7, 62, 64]))
    assert unpack_xli(struct.pack("<IHh", len(packed), 1, 1) + packed, 1, 4).tolist() == [[5, 7, 8, 11]]


def test_a_signal_that_leaves_sixteen_bits_is_damage():
    stored = np.array([0, 30_000] + [64] * 998, ">i2").tobytes()
    packed = lzw(stored[::2] + stored[1::2])
    with pytest.raises(UnreadableFile, match="16 bits"):
        unpack_xli(struct.pack("<IHh", len(packed), 1, 0) + packed, 1, 1000)
