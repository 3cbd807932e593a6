"""A colour table that cannot be followed is refused as that, and not as a damaged file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from echo_files import refused, write_dicom
from pydicom.uid import ExplicitVRBigEndian

from inputs.echo.read import read_echo

NUMBERS = np.random.default_rng(0).integers(0, 256, (2, 20, 24, 1), dtype=np.uint8)
TABLE = (np.arange(256) * 257).astype("<u2").tobytes()


def elements(n: int = 256, bits: int = 16, table: bytes = TABLE) -> dict[str, Any]:
    return {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [n, 0, bits]), ("Data", table))
    }


@pytest.mark.parametrize(
    "table",
    [
        {},
        elements(bits=10),
        elements(bits=12),
        elements(table=TABLE[:100]),
        {key: value for key, value in elements().items() if not key.startswith("Blue")},
        {key: value for key, value in elements().items() if key != "GreenPaletteColorLookupTableData"},
    ],
    ids=["none", "10 bits", "12 bits", "short", "two colours", "no green"],
)
def test_a_table_that_lacks_something_is_refused_as_that(tmp_path: Path, table: dict[str, Any]):
    path = write_dicom(tmp_path / "c.file", NUMBERS, NUMBERS.tobytes(), photometric="PALETTE COLOR", **table)
    error = refused(path)
    assert (error.code, error.hint != "") == ("colour_table", True)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_table_in_big_endian_words_is_followed(tmp_path: Path, bits: int):
    levels = np.random.default_rng(1).permutation(256)
    words = (levels * 257).astype("<u2") if bits == 16 else levels.astype(np.uint8).view("<u2")
    table = elements(bits=bits, table=words.byteswap().tobytes())
    path = write_dicom(
        tmp_path / "c.file",
        NUMBERS,
        NUMBERS.tobytes(),
        photometric="PALETTE COLOR",
        syntax=ExplicitVRBigEndian,
        **table,
    )
    np.testing.assert_array_equal(read_echo(path).frames_THWC[..., 0], levels[NUMBERS[..., 0]])
