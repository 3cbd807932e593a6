"""The clip formats that are read. One format or family, one file; each ends with its `EchoFormat`."""

from inputs.echo.formats.base import EchoFormat
from inputs.echo.formats.dicom_cine import DICOM
from inputs.echo.formats.video import AVI, MP4

FORMATS: tuple[EchoFormat, ...] = (DICOM, AVI, MP4)
"""In the order in which they are asked."""

__all__ = ["FORMATS", "EchoFormat"]
