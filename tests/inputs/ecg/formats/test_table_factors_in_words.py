"""A number beside the words of a factor is never passed over, wherever it stands beside a text table."""

from __future__ import annotations

import numpy as np
import pytest

from inputs.ecg.formats.factors import factor_in
from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, ReadHints, UploadedFile

LEADS = ",".join(STANDARD_LEADS)
COUNTS_LN = np.random.default_rng(0).integers(-400, 400, size=(12, 50))
BODY = "\n".join(",".join(map(str, row)) for row in COUNTS_LN.T)


def code_of(text: str) -> str:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg([UploadedFile("x", text.encode())], ReadHints(rate_hz=500.0, unit="uV"))
    return caught.value.code


@pytest.mark.parametrize(
    "line",
    [
        "LeadAmplitudeUnitsPerBit: 4.88", "Quantization step: 4.88 uV", "LSB weight: 4.88 uV", "Unit: 4.88 uV",
        "Samples in units of 4.88 uV", "mV = value * 0.00488", "value in mV: raw/205", "multiply with 4.88",
        "Umrechnungsfaktor: 4,88", "Skalierung: 4.88 uV",
    ],
)  # fmt: skip
def test_whole_numbers_beside_such_a_line_are_not_taken_as_they_stand(line):
    assert code_of(f"# {line}\n{LEADS}\n{BODY}\n") == "scale_unclear"
    assert code_of(f"{LEADS}\n{BODY}\n# {line}\n") == "scale_unclear"


@pytest.mark.parametrize(
    "line",
    [
        "Speed: 25 mm/s", "Filter: 0.05-150 Hz", "Calibration pulse 1 mV 200 ms", "Auflösung: 16 Bit", "ECG unit 3000",
        "Zeitauflösung: 2 ms", "Risk factors: 2", "raw/2020/01/x", "Scale: 10 mm per mV", "Sampling rate: 500 Hz",
    ],
)  # fmt: skip
def test_other_numbers_are_no_factor(line):
    assert factor_in([line]) is None


def test_a_unit_that_is_written_with_its_number_is_one_unit():
    text = f"# Units: 1 uV\n{LEADS}\n{BODY}\n"
    recording = read_ecg([UploadedFile("x", text.encode())], ReadHints(rate_hz=500.0, unit="uV"))
    np.testing.assert_allclose(recording.signal_mv, COUNTS_LN / 1000, rtol=1e-5)


def test_a_row_of_gains_below_the_header_is_no_sample():
    assert code_of(f"{LEADS}\n{','.join(['205'] * 12)}\n{BODY}\n") == "scale_unclear"


def test_times_above_rows_of_leads_state_the_rate():
    rows = [",".join([lead, *map(str, row)]) for lead, row in zip(STANDARD_LEADS, COUNTS_LN, strict=True)]
    text = "\n".join(["lead," + ",".join(f"{place / 250:.3f}" for place in range(50)), *rows])
    read = read_ecg([UploadedFile("x", text.encode())], ReadHints(unit="uV"))
    assert read.rate_hz == 250.0
