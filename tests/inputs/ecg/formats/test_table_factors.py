"""A factor that stands in a line before a text table is applied or refused: counts are never read as a voltage."""

from __future__ import annotations

import numpy as np
import pytest

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, ReadHints, UploadedFile

LEADS = ",".join(STANDARD_LEADS)
COUNTS_LN = np.random.default_rng(0).integers(-400, 400, size=(12, 50))


def read(line: str, unit: str | None = None, body_LN: np.ndarray = COUNTS_LN) -> EcgRecording:
    body = "\n".join(",".join(map(str, row)) for row in body_LN.T)
    return read_ecg([UploadedFile("x", f"{line}\n{LEADS}\n{body}\n".encode())], ReadHints(rate_hz=500.0, unit=unit))


def refusal(line: str, unit: str | None = None) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(line, unit)
    return caught.value


@pytest.mark.parametrize(
    ("line", "count_mv"),
    [
        ("# factor 4.88 uV", 0.00488),
        ("Resolution: 4.88 uV/bit", 0.00488),
        ("ADC gain 1000/mV", 0.001),
        ("# Gain: 200 adu/mV", 0.005),
        ("# 1 LSB = 4.88 uV", 0.00488),
        ("# uV per LSB: 4.88", 0.00488),
        ("# Amplitude resolution (nV): 4880", 0.00488),
        ("# Gain: 1000; Resolution: 2,5 µV/bit", 0.0025),
        ("mV/unit: 0.005", 0.005),
        ("amplitude scale: 1/200 mV", 0.005),
        ("# counts/mV = 200", 0.005),
    ],
)
def test_a_factor_that_says_all_is_applied_and_it_is_told(line, count_mv):
    recording = read(line)
    np.testing.assert_allclose(recording.signal_mv, COUNTS_LN * count_mv, rtol=1e-5)
    assert [warning.code for warning in recording.warnings] == ["factor_applied"]


@pytest.mark.parametrize("unit", [None, "mV", "uV"])
@pytest.mark.parametrize(
    "line",
    [
        "gain=200",
        "scale;0.001",
        "Conversion factor: 0.005",
        "# 200 counts per mV",
        "ADC units per mV: 200",
        "Auflösung: 5 uV/bit",
        "# multiply by 0.005 to get mV",
        "# Calibration: 1 mV = 200 counts",
        "# Resolution: 5 uV/bit\n# Resolution: 2.5 uV/bit",
    ],
)
def test_a_factor_that_says_less_is_refused_over_whole_numbers(line, unit):
    assert refusal(line, unit).code == "scale_unclear"


def test_a_factor_beside_another_unit_is_refused_and_beside_the_same_one_changes_nothing():
    assert refusal("# Resolution: 4.88 uV/bit", "mV").code == "scale_unclear"
    assert "resolution: 4.88 uV/bit" in refusal("# Units: mV\n# Resolution: 4.88 uV/bit").hint
    recording = read("# Resolution: 1 uV/bit", "uV")
    np.testing.assert_allclose(recording.signal_mv, COUNTS_LN / 1000, rtol=1e-5)
    assert recording.warnings == ()


def test_numbers_that_are_not_whole_are_no_counts():
    recording = read("# Resolution: 4.88 uV/bit", "mV", COUNTS_LN / 200)
    np.testing.assert_allclose(recording.signal_mv, COUNTS_LN / 200, rtol=1e-5)
    assert [warning.code for warning in recording.warnings] == ["factor_not_applied"]


@pytest.mark.parametrize("line", ["# Gain: 10 mm/mV", "# Resolution: 16 bits", "# gain: 10 mm/mV, 25 mm/s", "# Gain 1"])
def test_what_is_drawn_and_how_many_bits_there_are_is_no_factor(line):
    np.testing.assert_allclose(read(line, "uV").signal_mv, COUNTS_LN / 1000, rtol=1e-5)
    assert refusal(line).code == "unit_missing"
