"""LabChart's export for MATLAB: each channel where its bounds say, under its title, in its unit, at its rate."""

from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.io

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, ReadHints, UploadedFile

SIGNAL_LN = np.round(np.random.default_rng(0).normal(size=(13, 80)), 3)
TITLES = [*STANDARD_LEADS, "Pressure"]


def read(hints: ReadHints | None = None, **changed: object) -> EcgRecording:
    starts = 80.0 * np.arange(13)[:, None]
    variables = {
        "data": SIGNAL_LN.reshape(1, -1), "datastart": starts + 1, "dataend": starts + 80, "tickrate": 500.0,
        "titles": np.array([title.ljust(10) for title in TITLES]), "samplerate": np.full((13, 1), 500.0),
        "unittext": np.array(["mV  ", "mmHg"]), "unittextmap": np.array([[1.0]] * 12 + [[2.0]]),
    }  # fmt: skip
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables | changed)
    return read_ecg([UploadedFile("x.mat", stream.getvalue())], hints or ReadHints())


def test_channels_are_read_by_title_in_their_unit_at_their_rate():
    found = read()
    assert (found.rate_hz, found.lead_names) == (500.0, STANDARD_LEADS)
    np.testing.assert_allclose(found.signal_mv, SIGNAL_LN[:12], atol=1e-6)


def test_the_unit_is_that_of_the_channel():
    units = {"unittext": np.array(["uV  ", "mmHg"])}
    np.testing.assert_allclose(read(**units).signal_mv, SIGNAL_LN[:12] / 1000, atol=1e-9)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"titles": np.array([f"Channel {place:2}" for place in range(13)])}, "leads_missing"),
        ({"titles": np.array(["I", "II"])}, "unsupported_format"),
        ({"datastart": np.ones((13, 2)), "dataend": np.full((13, 2), 80.0)}, "unsupported_format"),
        ({"scaleunits": np.ones((13, 1))}, "unsupported_format"),
        ({"samplerate": np.array([[500.0]] * 12 + [[50.0]]), "unittext": np.array(["V   ", "V   "])}, None),
        ({"samplerate": np.array([[250.0]] + [[500.0]] * 12)}, "rates_differ"),
        ({"unittextmap": np.full((13, 1), -1.0)}, "unit_missing"),
    ],
)
def test_what_is_not_clear_is_named_and_refused(changed, code):
    if code is None:  # what is no lead may have any rate
        assert read(**changed).rate_hz == 500.0
        return
    with pytest.raises(UnreadableFile) as caught:
        read(**changed)
    assert caught.value.code == code
    assert caught.value.hint
