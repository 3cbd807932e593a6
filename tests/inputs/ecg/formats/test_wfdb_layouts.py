"""WFDB: signals that some segments lack, signals without samples, and a stretch of a longer record."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import ReadHints, UploadedFile
from tests.inputs.ecg.formats.test_wfdb import PACK

COUNTS = np.random.default_rng(3).integers(-100, 100, (999, 2))
LAYOUT = "lay 3 500 0\n~ 0 1000/mV 16 0 0 0 0 I\n~ 0 1000/mV 16 0 0 0 0 II\n~ 0 1/mmHg 16 0 0 0 0 ABP\n"


def refusal(files, hints=None) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg(files, hints or ReadHints())
    return caught.value


def text(name: str, content: str) -> UploadedFile:
    return UploadedFile(name, content.encode())


def segment(name: str, leads: dict[str, np.ndarray], unit: str = "1000/mV", rate: str = "500") -> list[UploadedFile]:
    counts = np.stack(list(leads.values())).astype("<i2")
    lines = [f"{name} {len(leads)} {rate} {counts.shape[1]}"]
    lines += [f"{name}.dat 16 {unit} 16 0 {row[0]} {int(row.sum()) % 65536} 0 {lead}" for lead, row in
              zip(leads, counts, strict=True)]  # fmt: skip
    return [text(f"{name}.hea", "\n".join(lines)), UploadedFile(f"{name}.dat", counts.T.tobytes())]


def variable() -> list[UploadedFile]:
    """Lead II and a pressure, a gap, then both leads in the other order: 100, 50 and 200 samples."""
    master = "m/4 3 500 350 16:57:09 26/10/2137\nlay 0\ns1 100\n~ 50\ns2 200\n"
    first = segment("s1", {"II": np.full(100, 7), "ABP": np.full(100, 90)})
    second = segment("s2", {"II": np.full(200, 3), "I": np.full(200, 2)})
    return [text("m.hea", master), text("lay.hea", LAYOUT), *first, *second]


def without(files: list[UploadedFile], start: str) -> list[UploadedFile]:
    return [file for file in files if not file.name.startswith(start)]


def test_leads_that_a_segment_lacks_are_missing_there_and_others_stay_in_place():
    recording = read_ecg(variable())
    one, two = recording.signal_mv
    assert recording.lead_names == ("I", "II")
    assert np.isnan(one[:150]).all()
    assert (one[150:] == np.float32(0.002)).all()
    assert (two[:100] == np.float32(0.007)).all()
    assert np.isnan(two[100:150]).all()
    assert (two[150:] == np.float32(0.003)).all()
    assert [warning.code for warning in recording.warnings] == ["channels_ignored"]
    assert recording.said is not None
    assert recording.said.recorded_at == "2137-10-26T16:57:09"


def test_a_segment_in_another_unit_than_the_layout_is_converted():
    files = [*without(variable(), "s1"), *segment("s1", {"II": np.full(100, 7)}, unit="1/uV")]
    assert (read_ecg(files).signal_mv[1, :100] == np.float32(0.007)).all()


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (segment("s1", {"V1": np.full(100, 7)}), "unreadable_file"),
        (segment("s1", {"II": np.full(99, 7)}), "length_mismatch"),
        (segment("s1", {"II": np.full(100, 7)}, rate="250"), "rates_differ"),
        (segment("s1", {"II": np.full(100, 7)}, unit="1/mmHg"), "unreadable_file"),
        ([], "file_missing"),
    ],
)
def test_a_segment_that_does_not_fit_the_layout_is_refused(made, code):
    assert refusal([*without(variable(), "s1"), *made]).code == code


def test_a_layout_alone_is_refused_by_what_it_is():
    error = refusal([text("lay.hea", LAYOUT)])
    assert error.code == "signal_empty"
    assert "layout" in error.sentence
    assert refusal(without(variable(), "lay")).code == "file_missing"


@pytest.mark.parametrize("samples", ["4000000000", "600000"])
def test_signals_without_a_file_that_claim_samples_are_refused_before_any_is_made(samples):
    lines = [f"rec 12 500 {samples}", *(f"~ 0 1000/mV 16 0 0 0 0 V{place}" for place in range(12))]
    assert refusal([text("rec.hea", "\n".join(lines))]).code in ("too_long", "signal_empty")


def test_a_lead_without_a_file_beside_others_is_missing():
    header, data = segment("rec", {"I": np.arange(100)})
    header = text("rec.hea", header.data.decode().replace("rec 1 ", "rec 2 ") + "\n~ 0 1000/mV 16 0 0 0 0 II")
    found = read_ecg([header, data]).signal_mv
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[0], np.arange(100) / 1000, atol=1e-6)


def test_a_stretch_needs_only_the_segments_that_it_touches():
    whole = read_ecg(variable()).signal_mv
    found = read_ecg(without(variable(), "s1"), ReadHints(start_s=0.2, length_s=0.4))
    np.testing.assert_array_equal(found.signal_mv, whole[:, 100:300])
    assert refusal(without(variable(), "s1"), ReadHints(start_s=0.1, length_s=0.4)).code == "file_missing"
    assert refusal(variable(), ReadHints(start_s=0.6)).code == "stretch_out_of_range"


@pytest.mark.parametrize("format_", PACK)
@pytest.mark.parametrize("first", [0, 1, 2, 301])
def test_a_stretch_is_the_same_samples_as_in_the_whole(format_, first):
    lines = ["rec 2 500 999", *(f"rec.dat {format_} 200(0)/mV 0 0 0 1 0 {lead}" for lead in ("I", "II"))]
    files = [text("rec.hea", "\n".join(lines)), UploadedFile("rec.dat", PACK[format_](COUNTS.reshape(-1)))]
    found = read_ecg(files, ReadHints(start_s=first / 500, length_s=1.0))
    np.testing.assert_allclose(found.signal_mv, COUNTS[first : first + 500].T / 200, rtol=0, atol=1e-6)
    assert found.warnings == (), "a checksum of the whole says nothing about a part"


def test_a_stretch_of_differences_starts_at_the_value_that_they_have_reached():
    counts = np.cumsum(COUNTS, axis=0) + 300
    steps = np.diff(counts, axis=0, prepend=counts[:1]).astype(np.int8)
    lines = ["rec 2 500 999"]
    lines += [f"rec.dat 8 200(0)/mV 0 0 {first} 0 0 {lead}" for first, lead in zip(counts[0], ("I", "II"), strict=True)]
    files = [text("rec.hea", "\n".join(lines)), UploadedFile("rec.dat", steps.tobytes())]
    found = read_ecg(files, ReadHints(start_s=0.5, length_s=1.0)).signal_mv
    np.testing.assert_allclose(found, counts[250:750].T / 200, rtol=0, atol=1e-5)


def flac(samples: str = " 999") -> list[UploadedFile]:
    stream = io.BytesIO()
    soundfile.write(stream, COUNTS.astype(np.int16), 500, format="FLAC", subtype="PCM_16")
    lines = [f"rec 2 500{samples}", *(f"rec.d1 516 200/mV 16 0 0 0 0 {lead}" for lead in ("I", "II"))]
    return [text("rec.hea", "\n".join(lines)), UploadedFile("rec.d1", stream.getvalue())]


@pytest.mark.parametrize("samples", [" 999", ""])
def test_a_compressed_file_is_read_whether_or_not_the_header_states_its_length(samples):
    np.testing.assert_allclose(read_ecg(flac(samples)).signal_mv, COUNTS.T / 200, rtol=0, atol=1e-6)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.98])
def test_a_compressed_file_that_is_cut_is_refused_as_such(share):
    header, data = flac()
    cut = UploadedFile(data.name, data.data[: int(share * len(data.data))])
    assert refusal([header, cut]).sentence.split(" of the WFDB")[0] in (
        "A signal file", "A compressed signal file",
    )  # fmt: skip
    assert refusal(flac(" 1000")).code == "truncated"
