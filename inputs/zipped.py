"""What is asked of any zip before its entries are inflated: uploads in memory, and echo studies on a disk."""

from __future__ import annotations

import zipfile

_REGULAR_FILE, _KIND = 0o100000, 0o170000
_ENCRYPTED = 1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def looks_like_zip(start: bytes) -> bool:
    """By its first bytes; an empty one counts."""
    return start[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def is_encrypted(entry: zipfile.ZipInfo) -> bool:
    """Whether a password is needed."""
    return bool(entry.flag_bits & _ENCRYPTED)


def is_inflatable(entry: zipfile.ZipInfo) -> bool:
    """Stored or deflated: `zipfile` inflates the other methods without a limit."""
    return entry.compress_type in _METHODS


def is_regular(entry: zipfile.ZipInfo) -> bool:
    """No link and no device, as far as the zip says."""
    return (entry.external_attr >> 16) & _KIND in (0, _REGULAR_FILE)
