"""What is read, in the words in which people are told of it: by the page, by commands and by refusals.

It stands apart from the readers so that whoever only names formats need not import their parsers.
"""

from __future__ import annotations

READABLE = (
    "WFDB (.hea with its .dat or .mat, or as one zip), DICOM, SCP-ECG, EDF or BDF, ISHNE, the XML of MUSE, Philips, "
    "CardioSoft, Mortara or HL7 aECG, MATLAB, HDF5, NPY or CSV"
)
UNSTATED = "NPY, CSV, MATLAB and HDF5"
"""Formats whose files may not state rate, unit and leads, so that a person must."""
