"""Of rates that contradict each other the likely one counts; where the rate changes within a clip it has none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from echo_files import known_frames, write_dicom
from pydicom.tag import Tag

from inputs.echo.formats.base import even_rate_hz
from inputs.echo.read import read_echo

FRAMES = known_frames(8)
VECTOR, TIME = Tag(0x0018, 0x1065), Tag(0x0018, 0x1063)
EVEN = ["0", *["20"] * 7]


@pytest.mark.parametrize(
    ("elements", "rate_hz"),
    [
        ({"FrameTime": "1", "CineRate": "30"}, 30.0),
        ({"FrameTime": "0.5", "CineRate": "30"}, 30.0),
        ({"FrameTime": "1000", "CineRate": "30"}, 30.0),
        ({"FrameTime": "3333", "CineRate": "30"}, 30.0),
        ({"FrameTime": "1"}, 1000.0),
        ({"FrameTime": "1000"}, 1.0),
        ({"FrameTime": "20", "CineRate": "1"}, 50.0),
        ({"FrameTimeVector": ["0", "20", "40", "60", "80", "100", "120", "140"], "CineRate": "50"}, 50.0),
        ({"FrameTimeVector": ["0", "20", "20", "20", "3000", "20", "20", "20"]}, None),
        ({"FrameTimeVector": ["0", "20", "20", "20", "3000", "20", "20", "20"], "CineRate": "50"}, 50.0),
        ({"FrameTimeVector": ["0", "33", "33", "33", "66", "66", "66", "66"]}, None),
        ({"FrameTimeVector": ["0", "20", "20", "40", "20", "20", "20", "20"]}, 50.0),
        ({"FrameTimeVector": ["0", "20", "40", "60", "80", "100", "120", "140"]}, 50.0),
        ({"FrameTimeVector": ["0", "40", "80", "120", "160"]}, 25.0),
        ({"FrameTimeVector": ["0", "40", "80"]}, 25.0),
        ({"FrameTimeVector": ["400", "440", "480", "520", "560", "600", "640", "680"]}, 25.0),
        ({"FrameTimeVector": ["32", "33", "34"]}, 1000 / 33.5),
        ({"FrameTimeVector": ["0", "20", "31"]}, 1000 / 25.5),
        ({"FrameTimeVector": ["0", "20", "20", "20", "20", "20", "30", "10"]}, 50.0),
        ({"FrameTimeVector": ["20"]}, 50.0),
        ({"FrameTime": "40", "FrameTimeVector": EVEN}, 25.0),
        ({"FrameTime": "40", "FrameTimeVector": EVEN, "FrameIncrementPointer": VECTOR}, 50.0),
        ({"FrameTime": "40", "FrameTimeVector": EVEN, "FrameIncrementPointer": [VECTOR, TIME]}, 50.0),
        ({"FrameTime": "40", "FrameTimeVector": EVEN, "FrameIncrementPointer": TIME}, 25.0),
        ({"FrameTime": "40", "FrameIncrementPointer": VECTOR}, 25.0),
    ],
)
def test_the_likely_rate_counts(tmp_path: Path, elements: dict[str, Any], rate_hz: float | None):
    path = write_dicom(tmp_path / "c.file", FRAMES, FRAMES.tobytes(), **elements)
    assert read_echo(path).frame_rate_hz == (None if rate_hz is None else pytest.approx(rate_hz))


@pytest.mark.parametrize(
    ("steps_ms", "rate_hz"),
    [
        ([33, 33, 34, 33], 4000 / 133),
        ([20, 20, 40, 20, 20], 50),
        ([20, 20, 20, 20, 30, 10], 50),
        ([20, 20, 20, 20, 31, 9, 40, 20], 50),
        ([33] * 12 + [66] * 11, 0),
        ([33, 66] * 8, 1000 / 49.5),
        ([20, 20, 20, 51, 20, 20], 0),
        ([20, 0, 20], 0),
        ([20, -20, 20], 0),
        ([], 0),
    ],
)
def test_a_frame_left_out_now_and_then_leaves_a_rate_and_a_change_of_rate_does_not(steps_ms: list[int], rate_hz: float):
    assert even_rate_hz(np.array(steps_ms, float) / 1000) == pytest.approx(rate_hz)


@pytest.mark.parametrize("every", [1, 2])
def test_a_first_frame_that_its_decoder_delays_changes_no_rate(tmp_path: Path, every: int):
    with av.open(str(tmp_path / "c.avi"), "w") as out:
        stream = out.add_stream("mpeg1video", rate=Fraction(25))
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for frame in known_frames(6):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    assert read_echo(tmp_path / "c.avi", every=every).frame_rate_hz == pytest.approx(25 / every)
