"""The ECG formats that are read. One format, one file; each ends with its `EcgFormat`."""

from inputs.ecg.formats.base import EcgFormat
from inputs.ecg.formats.csv import CSV
from inputs.ecg.formats.dicom import DICOM
from inputs.ecg.formats.npy import NPY
from inputs.ecg.formats.wfdb import WFDB

FORMATS: tuple[EcgFormat, ...] = (WFDB, NPY, DICOM, CSV)
"""In the order in which they are asked: text tables last, for nearly any text may be one."""

__all__ = ["FORMATS", "EcgFormat"]
