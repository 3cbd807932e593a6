"""The page of paper: one page, true to scale, with what the answer says and warns of, in letters that it has."""

from __future__ import annotations

import base64
import re
import zlib
from datetime import UTC, datetime

import numpy as np
import pytest

from ground.findings import SHD_FLAGS, short_flag_words
from outputs.answer_pdf import answer_pdf, shown
from outputs.report import PredictAnswer, SearchAnswer
from outputs.tracing import Tracing
from outputs.words import DISCLAIMER, UNLIKE_ALL, WITHHELD

AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
COMMON = {
    "request_id": "request-7", "bundle": "demo-1", "device": "cpu", "timing_ms": {}, "disclaimer": DISCLAIMER,
    "trained_on": "This model was trained on simulated hearts only.", "warnings": [],
    "ecg": {
        "format": "wfdb", "rate_hz": 500.0, "duration_s": 10.0, "leads": ["I", "II"], "resampled_to_hz": 400.0,
        "sha256": "ab" * 32,
    },
}  # fmt: skip
PREDICTIONS = {
    "lvef": {
        "classes": [{"label": "reduced", "range": "<= 40 %", "probability": 0.71, "base_rate": 0.2}],
        "predicted": "reduced", "estimate": {"percent": 34.0, "low": 20.0, "high": 48.0, "coverage": 0.9},
    },
    "shd": {
        "probability": 0.81, "threshold": 0.4, "positive": True,
        "flags": [
            {"flag": "one", "words": "mitral regurgitation", "probability": 0.3, "finding": "raised"},
            {"flag": "two", "words": "aortic stenosis", "probability": 0.1, "finding": "not_raised"},
        ],
    },
}  # fmt: skip
NEIGHBOURS = [
    {
        "study_id": f"study-{rank}", "acquired_at": "2021-02-03T04:05:06", "age": 61.0, "sex": "F",
        "lvef_percent": 38.0, "shd": True, "rank": rank, "similarity": 0.9, "n_views": 0, "views": [],
    }
    for rank in range(1, 9)
]  # fmt: skip
NO_QRS = {"code": "no_qrs", "message": "No beat was found.", "leads": [], "severity": "withheld"}
NOISY = {"code": "noisy", "message": "There is much noise in lead V4.", "leads": ["V4"]}
SPIKE_N = np.where(np.arange(5000) % 500 == 250, 1.0, 0.0)
TRACING = Tracing(np.tile(SPIKE_N, (12, 1)).astype(np.float32), 500.0, 0.0, 10.0, ((0.0, 2.5),))


def searched(**more):
    answer = {**COMMON, "generation": "000012", "predictions": PREDICTIONS, "neighbours": NEIGHBOURS, **more}
    return SearchAnswer.model_validate({name: value for name, value in answer.items() if value is not None})


def content_of(pdf):
    """The drawing instructions of all pages."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)
    return b"".join(zlib.decompress(base64.a85decode(b"<~" + stream.strip(), adobe=True)) for stream in streams)


def text_of(pdf):
    written = re.findall(rb"\(((?:[^()\\]|\\.)*)\) Tj", content_of(pdf))
    said = " ".join(one.decode("cp1252") for one in written)
    return re.sub(r"\\([()\\])", r"\1", said)


def test_it_is_one_page_that_says_the_answer_and_what_it_came_from():
    pdf = answer_pdf(searched(), TRACING, AT)
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    assert b"/MediaBox [ 0 0 841.8898 595.2756 ]" in pdf
    text = text_of(pdf)
    for said in (
        DISCLAIMER, COMMON["trained_on"], "LVEF 34 % (90 % prediction interval: 20 to 48 %)", "most probable", "0.71",
        "mitral regurgitation", "study-1", "study-5", "2021-02-03", "demo-1", "generation 000012", "request-7",
        "2026-03-04 05:06 UTC", "25 mm/s, 10 mm/mV.",
    ):  # fmt: skip
        assert said in text
    assert "study-6" not in text
    assert "aortic stenosis" not in text


def test_its_tracing_is_true_to_scale():
    """A point is 1/72 inch: the strips are drawn in twentieths of a millimetre, upwards negative."""
    content = content_of(answer_pdf(searched(), TRACING, AT))
    assert f"{72 / 25.4:.6f} 0 0 {72 / 25.4:.6f} ".encode() in content
    strips = re.split(rb"\.05 0 0 -0\.05 [-.\d]+ [-.\d]+ cm", content)[1:]
    assert len(strips) == 13
    numbers = np.array(re.findall(rb"(-?[\d.]+) (-?[\d.]+) [ml]\b", strips[-1]), float)
    assert numbers[:, 1].min() == -10 / 0.05
    peaks = numbers[numbers[:, 1] < -100, 0]
    assert np.diff(peaks) * 0.05 == pytest.approx(25.0)


def test_large_deflections_are_drawn_whole_at_half_the_gain_and_the_page_says_so():
    large = Tracing((2.0 * (TRACING.signal_mv_LN - TRACING.signal_mv_LN[:, ::-1])).astype(np.float32), 500.0, 0.0, 10.0)
    content, text = content_of(answer_pdf(searched(), large, AT)), text_of(answer_pdf(searched(), large, AT))
    assert "Drawn at half the usual gain, 5 mm/mV" in text
    assert "25 mm/s, 5 mm/mV." in text
    assert "Cut off" not in text
    assert "LVEF 34 %" in text
    strips = re.split(rb"\.05 0 0 -0\.05 [-.\d]+ [-.\d]+ cm", content)[1:]
    for strip in strips:
        height = np.array(re.findall(rb"(-?[\d.]+) (-?[\d.]+) [ml]\b", strip), float)[:, 1]
        assert height.min() == pytest.approx(-2.0 * 5 / 0.05, abs=1)
    assert "half the usual gain" not in text_of(answer_pdf(searched(), TRACING, AT))


@pytest.mark.parametrize("number", [4, 7, len(SHD_FLAGS)])
def test_more_than_three_raised_findings_are_a_table_of_their_own(number):
    raised = [
        {"flag": flag, "probability": 0.9 - 0.05 * place, "base_rate": 0.11, "finding": "raised"}
        for place, flag in enumerate(SHD_FLAGS[:number])
    ]
    report = searched(predictions={**PREDICTIONS, "shd": {**PREDICTIONS["shd"], "flags": raised}})
    pdf = answer_pdf(report, TRACING, AT)
    text = text_of(pdf)
    for flag, said in zip(SHD_FLAGS, raised, strict=False):
        assert f"{short_flag_words(flag)} {said['probability']:.2f} 0.11" in text
    assert "findings are raised" not in text
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1


def test_a_withheld_answer_says_so_first_and_gives_none():
    report = searched(predictions=None, neighbours=None, withheld=["no_qrs"], warnings=[NOISY, NO_QRS])
    text = text_of(answer_pdf(report, TRACING, AT))
    order = [text.index(said) for said in (WITHHELD, "No beat was found.", "much noise", "25 mm/s")]
    assert order == sorted(order)
    assert "LVEF" not in text
    assert "Most similar" not in text


def test_studies_that_are_unlike_the_ecg_are_marked_and_where_all_are_it_is_said():
    near, far = {**NEIGHBOURS[0], "similarity": 0.9}, {**NEIGHBOURS[1], "similarity": -0.1}
    some = text_of(answer_pdf(searched(neighbours=[near, far]), TRACING, AT))
    assert "study-2 -0.100 *" in some
    assert "study-1 0.900 -" in some
    assert "* unlike this ECG" in some
    assert UNLIKE_ALL[:40] not in some
    none = text_of(answer_pdf(searched(neighbours=[far]), TRACING, AT))
    assert UNLIKE_ALL[:40] in none
    assert "unlike this ECG" not in text_of(answer_pdf(searched(neighbours=[near]), TRACING, AT))


def test_however_much_is_warned_of_it_stays_one_page():
    many = [{**NOISY, "message": "Much noise. " * 60}] * 40
    pdf = answer_pdf(searched(warnings=many), TRACING, AT)
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    text = text_of(pdf)
    assert re.search(r"And \d+ more", text)
    assert "LVEF 34 %" in text
    assert "study-1" in text


def test_an_answer_without_studies_or_tracing_is_a_page_too():
    report = PredictAnswer.model_validate({**COMMON, "predictions": PREDICTIONS})
    text = text_of(answer_pdf(report, None, AT))
    assert "LVEF 34 %" in text
    assert "The tracing was not kept." in text


def test_the_same_answer_gives_the_same_bytes_and_the_file_names_nobody():
    pdf = answer_pdf(searched(), TRACING, AT)
    assert pdf == answer_pdf(searched(), TRACING, AT)
    assert len(pdf) < 100_000
    assert re.findall(rb"/Author \((.*?)\)", pdf) == [b"Echo2ECG"]


def test_it_says_where_the_device_measured_otherwise():
    ecg = {**COMMON["ecg"], "device_said": {"measures": {"qt_ms": 360.0}}}
    differing = searched(ecg=ecg, measured={"qt_ms": 440.0, "not_reliable": []})
    said = "The device wrote QT 360 ms; measured here: 440 ms by tangent."
    assert said in text_of(answer_pdf(differing, TRACING, AT))
    assert "The device wrote" not in text_of(answer_pdf(searched(ecg=ecg), TRACING, AT))


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [("LVEF ≥ 50 %", "LVEF >= 50 %"), ("68°", "68°"), ("Łódź č", "?ódz c"), ("心", "?"), ("a\x00b", r"a\x00b")],
)
def test_what_the_fonts_do_not_have_is_replaced(text, as_shown):
    assert shown(text) == as_shown
