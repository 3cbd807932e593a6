"""Files that came together are told apart by their names: a WFDB header has its signal file beside it."""

from __future__ import annotations

import pytest

from app.answering.pipeline import Upload
from app.web.page import each_ecg
from inputs.records import UploadedFile


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.csv"], [["a.csv"]]),
        (["a.csv", "b.scp"], [["a.csv"], ["b.scp"]]),
        (["a.csv", "a.csv"], [["a.csv"], ["a.csv"]]),
        (["a.hea", "a.dat"], [["a.hea", "a.dat"]]),
        (["b.dat", "a.hea", "a.dat", "b.hea"], [["b.dat", "b.hea"], ["a.hea", "a.dat"]]),
        (["A.HEA", "a.dat", "c.xml"], [["A.HEA", "a.dat"], ["c.xml"]]),
        (["x/a.hea", "x\\a.dat"], [["x/a.hea", "x\\a.dat"]]),
        (["a.dat", "b.dat"], [["a.dat"], ["b.dat"]]),
        ([], []),
    ],
)
def test_each_ecg_has_its_files_in_the_order_they_came(names, expected):
    upload = Upload(tuple(UploadedFile(name, name.encode()) for name in names))
    found = [[file.name for file in one.files] for one in each_ecg(upload)]
    assert found == expected
