"""What people are told is read is what is read."""

from __future__ import annotations

import subprocess
import sys

from inputs.ecg.formats import FORMATS
from inputs.ecg.readable import READABLE, UNSTATED

WORDS = {
    "wfdb": "WFDB", "npy": "NPY", "dicom": "DICOM", "muse": "MUSE", "philips": "Philips", "cardiosoft": "CardioSoft",
    "mortara": "Mortara", "aecg": "HL7 aECG", "scp": "SCP-ECG", "ishne": "ISHNE", "edf": "EDF or BDF", "hdf5": "HDF5",
    "mat": "MATLAB", "csv": "CSV",
}  # fmt: skip


def test_every_format_is_named_once_and_no_other():
    rest = READABLE
    for ecg_format in FORMATS:
        word = WORDS[ecg_format.name]
        assert rest.count(word) == 1, word
        rest = rest.replace(word, "")
    rest = rest.replace("(.hea with its .dat or .mat, or as one zip)", "")
    assert {word for word in rest.split() if word.isalpha()} == {"the", "XML", "of", "or"}


def test_formats_that_may_not_state_themselves_are_those_named_so():
    unstated = {WORDS[each.name] for each in FORMATS if not each.states_itself}
    assert set(UNSTATED.replace(" and ", ", ").split(", ")) == unstated


def test_naming_formats_imports_no_parser():
    code = "import sys, inputs.ecg.readable; sys.exit('numpy' in sys.modules or 'pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
