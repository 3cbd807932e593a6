"""The ECG formats that are read. One format, one file; each ends with its `EcgFormat`."""

from inputs.ecg.formats.aecg import AECG
from inputs.ecg.formats.base import EcgFormat
from inputs.ecg.formats.cardiosoft import CARDIOSOFT
from inputs.ecg.formats.csv import CSV
from inputs.ecg.formats.dicom import DICOM
from inputs.ecg.formats.edf import EDF
from inputs.ecg.formats.hdf5 import HDF5
from inputs.ecg.formats.ishne import ISHNE
from inputs.ecg.formats.mat import MAT
from inputs.ecg.formats.mortara import MORTARA
from inputs.ecg.formats.muse import MUSE
from inputs.ecg.formats.npy import NPY
from inputs.ecg.formats.philips import PHILIPS
from inputs.ecg.formats.scp import SCP
from inputs.ecg.formats.wfdb import WFDB

FORMATS: tuple[EcgFormat, ...] = (
    WFDB, NPY, DICOM, MUSE, PHILIPS, CARDIOSOFT, MORTARA, AECG, SCP, ISHNE, EDF, HDF5, MAT, CSV,
)  # fmt: skip
"""In the order in which they are asked: text tables last, for nearly any text may be one."""

__all__ = ["FORMATS", "EcgFormat"]
