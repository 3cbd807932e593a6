"""What a device said passes from a reading child to the service, and nothing odd in its place."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from inputs.ecg.said import MEASURES, device_said
from inputs.guarded.messages import pack_recording, unpack_recording
from inputs.guarded.reader import GuardedReader
from inputs.limits import MAX_SAID_LETTERS, MAX_SAID_LINES
from inputs.records import DeviceSaid, ReadHints

SAID = device_said(
    vendor="GE",
    model="MAC 5500",
    recorded_at="2020-01-31T10:20:30+01:00",
    filters=["low pass 150 Hz"],
    measures={"heart_rate_bpm": 61, "qtc_ms": 412.5},
    statements=["Sinus rhythm", "心 \U0001fac0"],
    paced=False,
)
NOTHING = device_said()


def sent(recording):
    header, (samples, said) = pack_recording(recording)
    return json.loads(json.dumps(header)), samples, said


def received(recording, said):
    """What the service makes of a recording beside which a child sends these bytes."""
    header, samples, _ = sent(recording)
    return unpack_recording((header, [bytearray(samples), bytearray(said)]))


@pytest.mark.parametrize("said", [SAID, NOTHING, None, replace(SAID, paced=True)])
def test_it_arrives_as_it_was_sent(ecg, said):
    recording = replace(ecg.recording(), said=said)
    assert received(recording, sent(recording)[2]).said == said


def test_the_longest_there_can_be_arrives_too(ecg):
    long = "\U0001fac0" * MAX_SAID_LETTERS
    said = device_said(
        vendor=long, model=long, filters=[long] * 99, statements=[long] * 99, measures=dict.fromkeys(MEASURES, -1.5)
    )
    assert len(said.statements) == MAX_SAID_LINES
    recording = replace(ecg.recording(), said=said)
    assert received(recording, sent(recording)[2]).said == said


def test_what_a_reader_left_unbounded_is_bounded_before_it_is_sent(ecg):
    unbounded = DeviceSaid(
        vendor="x" * 999, recorded_at="on Sunday", measures=(("pr_ms", float("nan")),), filters=("",)
    )
    recording = replace(ecg.recording(), said=unbounded)
    assert received(recording, sent(recording)[2]).said == DeviceSaid(vendor="x" * MAX_SAID_LETTERS)


def changed(**parts):
    given = {
        "vendor": None, "model": None, "recorded_at": None, "filters": [], "measures": [], "statements": [],
        "paced": None,
    }  # fmt: skip
    return json.dumps(given | parts)


@pytest.mark.parametrize(
    "said",
    [
        "[]",
        "{}",
        "null",
        "{",
        changed(patient="Family"),
        changed(vendor=7),
        changed(vendor=""),
        changed(vendor="a\nb"),
        changed(vendor="\u202eb"),
        changed(model="x" * (MAX_SAID_LETTERS + 1)),
        changed(recorded_at="on Sunday"),
        changed(recorded_at="2020" + "0" * 40),
        changed(filters="low pass"),
        changed(filters=[None]),
        changed(statements=["x"] * (MAX_SAID_LINES + 1)),
        changed(statements=[["x"]]),
        changed(statements={"x": 1}),
        changed(measures=[["height", 1.0]]),
        changed(measures=[["pr_ms", 160.0], ["pr_ms", 160.0]]),
        changed(measures=[["qrs_ms", 90.0], ["pr_ms", 160.0]]),
        changed(measures=[["pr_ms", "160"]]),
        changed(measures=[["pr_ms", 160]]),
        changed(measures=[["pr_ms", True]]),
        changed(measures=[["pr_ms", float("nan")]]),
        changed(measures=[["pr_ms", 1e6]]),
        changed(measures=[["pr_ms"]]),
        changed(measures={"pr_ms": 160.0}),
        changed(paced=1),
        changed(paced="yes"),
        changed(statements=[" " * 300_000]),
    ],
)
def test_anything_odd_is_a_value_error(ecg, said):
    with pytest.raises(ValueError, match=r"\w"):
        received(ecg.recording(), said.encode())


def test_the_samples_alone_are_no_answer(ecg):
    header, samples, _ = sent(ecg.recording())
    with pytest.raises(ValueError, match="another answer"):
        unpack_recording((header, [bytearray(samples)]))


def test_exam_and_stretch_reach_the_reader_in_its_child(ecg):
    counts = (1000 * ecg.signal_mv()).round().astype("int16")
    exams = ecg.npy(counts[None].repeat(2, axis=0) * [[[1]], [[2]]])
    with GuardedReader() as reader:
        first, second = (
            reader.read_ecg([exams], ReadHints(rate_hz=500.0, unit="uV", exam=exam)).signal_mv for exam in "01"
        )
        assert (2 * first == second).all()
        part = reader.read_ecg(ecg.wfdb(), ReadHints(start_s=2.0, length_s=3.0))
    assert part.signal_mv.shape == (12, 1500)
