"""Who wrote a simulated DICOM file, and identifiers that follow from names alone."""

from __future__ import annotations

import uuid

from pydicom.uid import UID

from ground.disk import sha256

IMPLEMENTATION = UID("2.25.302931460173094217305180431127504826211")


def derived_uid(name: str) -> UID:
    """A DICOM UID under the 2.25 root for UUIDs; the same name gives the same one."""
    digest = sha256(name.encode()).digest()
    return UID(f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}")
