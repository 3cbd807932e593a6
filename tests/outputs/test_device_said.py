"""What a device said, in the words that page and command share."""

from __future__ import annotations

import pytest

from inputs.ecg.said import MEASURES
from outputs.report import DeviceMeasures, DeviceSaid, EcgSummary, MeasuredEcg
from outputs.sentences import device_differs, device_lines, measured_twice

HERE = MeasuredEcg(heart_rate_bpm=60.0, regular=True, axis_deg=-28.0, not_reliable=["pr_ms"])


def test_the_answer_has_a_place_for_every_measure_that_a_reader_may_hand_over():
    assert [*DeviceMeasures.model_fields] == [*MEASURES]


def test_every_measure_of_the_device_is_in_the_table():
    numbers = {name: 101.0 + place for place, name in enumerate(MEASURES)}
    rows = measured_twice(HERE, DeviceSaid(measures=DeviceMeasures(**numbers)))
    said = [row[2] for row in rows]
    for value in numbers.values():
        assert sum(f"{value:.0f}" in cell for cell in said) == 1


def test_what_one_of_the_two_leaves_out_is_empty_and_what_was_not_reliable_is_called_so():
    rows = measured_twice(HERE, DeviceSaid(measures=DeviceMeasures(heart_rate_bpm=61.4, qrs_axis_deg=-30.0)))
    assert rows[0] == ("rate", "60/min", "61/min")
    assert ("PR", "not reliable", "") in rows
    assert rows[-1] == ("axis", "-28°", "-30°")
    assert measured_twice(None, DeviceSaid(measures=DeviceMeasures(pr_ms=160.0)))[1] == ("PR", "", "160 ms")


def test_a_device_without_measurements_has_no_table():
    assert measured_twice(HERE, DeviceSaid(statements=["Sinus rhythm"])) == []


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        ({}, []),
        ({"vendor": "GE"}, ["Device: GE"]),
        ({"vendor": "GE", "model": "MAC"}, ["Device: GE MAC"]),
        ({"paced": False}, ["Paced: no"]),
        ({"paced": True, "filters": ["50 Hz"]}, ["Filters: 50 Hz", "Paced: yes"]),
    ],
)
def test_a_line_for_each_thing_said_and_none_for_what_was_not(said, lines):
    assert list(device_lines(DeviceSaid(**said))) == lines


@pytest.mark.parametrize("said", [{}, {"paced": False}, {"measures": {"pr_ms": 160.0}, "statements": ["a", "b"]}])
def test_it_is_read_back_and_written_again_as_it_was(said):
    about = {"format": "muse", "rate_hz": 500.0, "duration_s": 10.0, "leads": [], "resampled_to_hz": 4.0, "sha256": ""}
    written = EcgSummary.model_validate(about | {"device_said": said}).model_dump(exclude_unset=True)
    assert written == about | {"device_said": said}


def test_what_a_device_measured_is_not_said_to_be_measured_our_way():
    here = {
        "heart_rate_bpm": 72,
        "regular": True,
        "pr_ms": 152,
        "qrs_ms": 118,
        "qt_ms": 392,
        "qtc_ms": 415,
        "axis_deg": -77,
    }
    said = DeviceSaid(measures=DeviceMeasures(qt_ms=420, qtc_ms=443))
    rows = {name: values for name, *values in measured_twice(MeasuredEcg(**here, not_reliable=[]), said)}
    assert rows["QT"] == ["392 ms by tangent", "420 ms"]
    assert rows["QTc"] == ["415 ms (Fridericia)", "443 ms"]


@pytest.mark.parametrize(
    ("here", "device", "said"),
    [
        ({"qt_ms": 440}, {"qt_ms": 360}, "The device wrote QT 360 ms; measured here: 440 ms by tangent."),
        ({"qt_ms": 400}, {"qt_ms": 360}, ""),
        ({"pr_ms": 160, "qrs_ms": 90}, {"pr_ms": 210, "qrs_ms": 140},
         "The device wrote PR 210 ms and QRS 140 ms; measured here: 160 ms and 90 ms."),
        ({"heart_rate_bpm": 75}, {"heart_rate_bpm": 150}, "The device wrote rate 150/min; measured here: 75/min."),
        ({"heart_rate_bpm": 40}, {"heart_rate_bpm": 45}, ""),
        ({"heart_rate_bpm": 100}, {"heart_rate_bpm": 109}, ""),
        ({"heart_rate_bpm": 100}, {"heart_rate_bpm": 111}, "The device wrote rate 111/min; measured here: 100/min."),
        ({"axis_deg": 60}, {"qrs_axis_deg": -90}, ""),
        ({}, {"qt_ms": 360}, ""),
        ({"qt_ms": 440}, {}, ""),
    ],
)  # fmt: skip
def test_where_the_two_differ_clearly_one_sentence_says_both_and_takes_no_side(here, device, said):
    measured = MeasuredEcg(**here, not_reliable=[])
    assert device_differs(measured, DeviceSaid(measures=DeviceMeasures(**device))) == said


def test_without_one_of_the_two_nothing_differs():
    assert device_differs(None, DeviceSaid(measures=DeviceMeasures(qt_ms=360))) == ""
    assert device_differs(MeasuredEcg(qt_ms=440, not_reliable=[]), DeviceSaid(vendor="GE")) == ""
    assert device_differs(MeasuredEcg(qt_ms=440, not_reliable=[]), None) == ""
