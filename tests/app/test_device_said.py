"""What an electrocardiograph said is shown where it is asked for, and nowhere else; who the patient is, nowhere."""

from __future__ import annotations

import importlib.util
import io
import re
import sys
from pathlib import Path
from types import ModuleType

import pydicom
import pytest
from structlog.testing import capture_logs

from app.web.labels import LABELS
from inputs.ecg.said import device_said
from inputs.guarded.reader import GuardedReader
from inputs.records import DeviceSaid, EcgRecording, UploadedFile

INPUTS = Path(__file__).parents[1] / "inputs"


def loaded(path: Path) -> ModuleType:
    """A test module of another room: its builders of files, and its samples of every format."""
    name = f"{path.stem}_of_inputs"
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ECG = loaded(INPUTS / "conftest.py").EcgBuilder()
compliance = loaded(INPUTS / "ecg/formats/test_compliance.py")

SAID = device_said(
    vendor="GE <b>",
    model="MAC 5500",
    recorded_at="2020-01-31T10:20:30",
    filters=["low pass 150 Hz"],
    measures={"heart_rate_bpm": 61, "pr_ms": 160, "qtc_ms": 412.56, "qrs_axis_deg": -30, "t_axis_deg": 45},
    statements=["Sinus rhythm", "Canary of a statement"],
    paced=False,
)
SHOWN = {
    "vendor": "GE <b>",
    "model": "MAC 5500",
    "recorded_at": "2020-01-31T10:20:30",
    "filters": ["low pass 150 Hz"],
    "measures": {"heart_rate_bpm": 61.0, "pr_ms": 160.0, "qtc_ms": 412.6, "qrs_axis_deg": -30.0, "t_axis_deg": 45.0},
    "statements": ["Sinus rhythm", "Canary of a statement"],
    "paced": False,
}
PLACES = ("/v1/search", "/v1/predict", "/v1/embed")


@pytest.fixture
def hear(start_app, monkeypatch):
    """A running application whose files all say this; `asked` keeps the hints that the reader was given."""
    with start_app() as running:
        running.asked = []

        def make(said: DeviceSaid | None):
            def read(files, hints) -> EcgRecording:
                running.asked.append(hints)
                return EcgRecording(ECG.signal_mv().astype("f4"), 500.0, ECG.leads, "fake", said=said)

            monkeypatch.setattr(running.service.pipeline.reader, "read_ecg", read)
            return running

        yield make


def post(running, place, **params):
    return running.client.post(place, files={"files": b"1"}, params=params)


@pytest.mark.parametrize("place", PLACES)
def test_it_is_shown_member_by_member_where_it_is_asked_for(hear, place):
    assert post(hear(SAID), place, device_said=True).json()["ecg"]["device_said"] == SHOWN


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("params", [{}, {"device_said": False}])
def test_nothing_of_it_is_in_an_answer_that_was_not_asked_for_it(hear, place, params):
    answer = post(hear(SAID), place, **params)
    assert answer.status_code == 200
    assert "device_said" not in answer.text
    assert "Canary" not in answer.text


def test_a_format_without_a_place_for_it_has_no_such_member_and_a_silent_device_an_empty_one(hear):
    assert "device_said" not in post(hear(None), "/v1/search", device_said=True).json()["ecg"]
    assert post(hear(DeviceSaid()), "/v1/search", device_said=True).json()["ecg"]["device_said"] == {}


def test_the_model_and_the_neighbours_do_not_know_it(hear):
    told, untold = (post(hear(said), "/v1/embed").json()["embedding"] for said in (SAID, None))
    assert told == untold
    asked = {"device_said": True, "quality": "report"}  # the builder's leads contradict each other
    told, untold = (post(hear(said), "/v1/search", **asked).json() for said in (SAID, None))
    assert [told[name] for name in ("predictions", "neighbours", "measured")] == [
        untold[name] for name in ("predictions", "neighbours", "measured")
    ]


def test_no_log_line_holds_it(hear):
    running = hear(SAID)
    with capture_logs() as lines:
        assert "Canary" in post(running, "/v1/search", device_said=True).text
        running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={"device_said": "true"})
    assert [line.get("route") for line in lines if line.get("route")] == ["/v1/search", "/", "/answers/{name}"]
    assert not re.search("Canary|MAC 5500|GE <b>|Sinus", repr(lines))


def test_the_metrics_do_not_hold_it(hear):
    running = hear(SAID)
    post(running, "/v1/search", device_said=True)
    assert "Canary" not in running.client.get("/metrics").text


def cells_of_rows(page):
    rows = re.findall(r"<tr>.*?</tr>", page, re.DOTALL)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]


def test_the_page_has_both_measurements_side_by_side_in_one_table(hear):
    running = hear(SAID)
    page = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={"device_said": "true"}).text
    here = post(running, "/v1/search").json()["measured"]
    rows = cells_of_rows(page)
    assert rows[0] == ["Interval", "Measured here", "Said by the device"]
    assert rows[1] == ["rate", f"{here['heart_rate_bpm']:.0f}/min", "61/min"]
    assert ["T axis", "", "45°"] in rows
    assert ["QRS", f"{here['qrs_ms']:.0f} ms", ""] in rows
    assert "GE &lt;b&gt; MAC 5500" in page
    assert "Its interpretation, not checked here: Sinus rhythm; Canary of a statement" in page
    assert page.count("Said by the device") == 1


def test_the_page_says_beside_the_measured_ones_where_the_device_measured_otherwise(hear):
    for rate, said in ((140, True), (61, False)):
        running = hear(device_said(measures={"heart_rate_bpm": rate}))
        page = running.client.post("/", follow_redirects=True, files={"files": b"1"}).text
        here = post(running, "/v1/search").json()["measured"]["heart_rate_bpm"]
        assert (f"The device wrote rate 140/min; measured here: {here:.0f}/min." in page) is said


def test_the_page_says_who_wrote_it_and_nothing_where_nobody_did(hear):
    title = "Written by the device, not by us"
    assert title in hear(SAID).client.post("/", follow_redirects=True, files={"files": b"1"}).text
    assert title not in hear(None).client.post("/", follow_redirects=True, files={"files": b"1"}).text


def test_exam_and_stretch_reach_the_reader_from_address_and_form(hear):
    running = hear(None)
    chosen = {"exam": " TNMG 12 ", "start_s": "2.5", "length_s": "10"}
    assert post(running, "/v1/predict", **chosen).status_code == 200
    empty = {"k": "3", "exclude_patient": "", "rate_hz": "", "unit": "", "leads": ""}
    assert (
        running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={**empty, **chosen}).status_code
        == 200
    )
    assert [(hints.exam, hints.start_s, hints.length_s) for hints in running.asked] == [("TNMG 12", 2.5, 10.0)] * 2
    running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={**empty, **dict.fromkeys(chosen, "")})
    assert (running.asked[-1].exam, running.asked[-1].start_s, running.asked[-1].length_s) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exam", "x" * 101),
        ("exam", " "),
        ("exam", "a\x00b"),
        ("exam", "SECRET\u202e"),
        ("start_s", "-0.1"),
        ("start_s", "inf"),
        ("start_s", "nan"),
        ("length_s", "0"),
        ("length_s", "300.1"),
        ("length_s", "nan"),
        ("device_said", "SECRET"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name_on_page_and_api(hear, name, value):
    running = hear(SAID)
    for place in PLACES:
        refused = post(running, place, **{name: value})
        assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, name)
        assert "SECRET" not in refused.text
    page = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={name: value})
    if value.strip():
        called = f"&#34;{LABELS[name]}&#34;" if name in LABELS else name
        assert (page.status_code, f"{called}: " in page.text) == (422, True)
    assert running.asked == []


def test_the_api_page_says_what_the_parameters_are(hear):
    page = hear(None).client.get("/docs").text
    for name in ("exam", "start_s", "length_s", "device_said"):
        assert page.count(f"<code>{name}</code>") >= len(PLACES)


def in_header(mark: bytes, more: str):
    """A sample's file with more behind the first `mark` of it."""
    return lambda data: data.replace(mark, mark + more.encode(), 1)


def dicom_of_somebody(data: bytes) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.PatientBirthDate, dataset.AccessionNumber = "19311207", "MRN-4471"
    dataset.ReferringPhysicianName = dataset.OperatorsName = dataset.InstitutionName = "Family"
    dataset.Manufacturer, dataset.AcquisitionDateTime = "Maker", "20200131102030"
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


SOMEBODY = {
    "wfdb": lambda data: data + b"# id MRN-4471 born 07/12/1931\n",
    "dicom": dicom_of_somebody,
    "muse": in_header(b"</PatientID>", "<DateofBirth>12-07-1931</DateofBirth>"),
    "philips": in_header(b"<generalpatientdata>", "<MRN>MRN-4471</MRN><dateofbirth>1931-12-07</dateofbirth>"),
    "cardiosoft": in_header(
        b"<PatientInfo>",
        "<PID>MRN-4471</PID><BirthDateTime><Day>7</Day><Month>12</Month><Year>1931</Year></BirthDateTime>",
    ),
    "mortara": lambda data: data.replace(b"19400102", b"19311207"),
    "aecg": in_header(b"<subject>", '<id extension="MRN-4471"/><birthTime value="19311207"/>'),
    "scp": lambda data: data,
    "ishne": lambda data: data,
    "edf": lambda data: data,
}
"""How a sample of each format that says something gets an id and a birth date, where it has none."""
BORN = {"scp": b"\x8b\x07\x0c\x07", "ishne": b"\x07\x00\x0c\x00\x8b\x07", "cardiosoft": b"<Year>1931<"}
"""The birth date in the file, where it is not the letters 1931."""


@pytest.fixture(scope="module")
def reader():
    with GuardedReader() as reader:
        yield reader


def sample_of(name):
    sample = compliance.SAMPLES[name](ECG)
    first, *others = sample.files
    return [UploadedFile(first.name, SOMEBODY[name](first.data)), *others], sample.hints


def test_somebody_is_in_a_file_of_every_format_that_says_something(reader):
    samples = {name: make(ECG) for name, make in compliance.SAMPLES.items()}
    speaking = {name for name, one in samples.items() if reader.read_ecg(one.files, one.hints).said is not None}
    assert speaking == SOMEBODY.keys()


@pytest.mark.parametrize("name", SOMEBODY)
def test_name_id_and_birth_date_of_a_header_reach_neither_answer_nor_log(start_app, monkeypatch, reader, name):
    files, _ = sample_of(name)
    header = files[0].data
    for canary in (compliance.SECRET.encode(), b"MRN-4471", BORN.get(name, b"1931")):
        assert canary in header
    parts = [("files", (file.name, file.data)) for file in files]
    with start_app() as running, capture_logs() as lines:
        monkeypatch.setattr(running.service.pipeline.reader, "read_ecg", reader.read_ecg)
        for place in (*PLACES, "/"):
            form = {"data": {"device_said": "true"}} if place == "/" else {"params": {"device_said": "true"}}
            answer = running.client.post(place, files=parts, follow_redirects=True, **form)
            assert answer.status_code == 200
            assert not re.search(f"{compliance.SECRET}|MRN-4471", answer.text)
            if place != "/":
                said = answer.json()["ecg"]["device_said"]
                assert not re.search("1931|31-12-07|07-12|12-07|07/12|12/07|DEC", repr(said))
        cut = [(name, (named, data[: len(data) // 3])) for name, (named, data) in parts]
        refused = running.client.post("/v1/search", files=cut)
        assert refused.status_code == 422
        assert not re.search(f"{compliance.SECRET}|MRN-4471|1931", refused.json()["detail"])
    assert [line["route"] for line in lines if "route" in line] == [*PLACES, "/", "/answers/{name}", "/v1/search"]
    assert not re.search(f"{compliance.SECRET}|MRN-4471|1931-|DEC-1931|/1931", repr(lines))
