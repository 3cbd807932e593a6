"""Which of the files that a data set's table lists are there: a download is often of a part of it.

Asked of the `os`, to which a name that no file can have, as one of 5,000 letters, is that of none.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from cohorts.adapters.base import Source

_LOOKED_FOR_AT_ONCE = 1000


def files_there(folder: Path, names: pd.Series, source: Source) -> pd.Series:
    """True where a regular file of that name lies below `folder`."""
    found = []
    for done, name in enumerate(names, start=1):
        found.append(bool(name) and os.path.isfile(folder / name))
        if done % _LOOKED_FOR_AT_ONCE == 0 or done == len(names):
            source.progress(done, len(names), "files looked for")
    return pd.Series(found, index=names.index, dtype=bool)
