"""LabChart's export for MATLAB: all channels behind each other in one vector, and where each begins and ends.

Source: "Simple Export to MATLAB", ADInstruments: channel c of block b is data(datastart(c,b):dataend(c,b)), from 1;
`titles` and `unittext` are matrices of letters, `unittextmap` says which unit a channel has, `samplerate` its rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.stated import Fact, Numbers
from inputs.ecg.leads import leads_from_names
from inputs.errors import UnreadableFile
from inputs.limits import MAX_CHANNELS
from inputs.records import STANDARD_LEADS

_NEEDED = {"data", "datastart", "dataend", "samplerate"}
_OF_WHOLE_NUMBERS = {"scaleunits", "scaleoffset"}
_TEXT = "Export the recording as text from LabChart, with its channels named I, II, V1 and so on."


def channels_of_labchart(arrays: Sequence[Numbers], facts: Sequence[Fact]) -> tuple[list[Numbers], list[Fact]] | None:
    """A vector for each channel under its title, with its rate and its unit; None where the file is no such export.

    Raises UnreadableFile for one of several blocks, without titles, or with bounds that are none.
    """
    named = {array.path[0]: array for array in arrays if len(array.path) == 1}
    texts = {fact.path[0]: [str(value).strip() for value in fact.values] for fact in facts if len(fact.path) == 1}
    if not named.keys() >= _NEEDED:
        return None
    starts, ends, rates = (named[name].load(None) for name in ("datastart", "dataend", "samplerate"))
    if starts.ndim != 2 or starts.shape[1] != 1 or starts.size > MAX_CHANNELS or named.keys() & _OF_WHOLE_NUMBERS:
        raise _not_read("of several blocks, or of whole numbers with a scale")
    titles = texts.get("titles", [])
    if not len(titles) == starts.size == ends.size == rates.size:
        raise _not_read("whose channels have no titles, or not one each")
    if not any(leads_from_names(titles)):
        raise UnreadableFile(
            "leads_missing",
            f"None of the {len(titles)} channels of LabChart's export is named as an ECG lead.",
            hint="Name the channels in LabChart I, II, III, aVR, aVL, aVF, V1 to V6 and export again.",
            leads=STANDARD_LEADS,
        )
    units = _units(texts.get("unittext", []), named.get("unittextmap"), len(titles))
    data_N = named["data"].load(None).ravel()
    vectors: list[Numbers] = []
    about: list[Fact] = []
    for title, first, last, rate, unit in zip(titles, starts.flat, ends.flat, rates.flat, units, strict=True):
        if not (1 <= first <= last <= len(data_N)):  # -1: the channel holds nothing
            continue
        samples_N = data_N[int(first) - 1 : int(last)]
        path = ("data", title)
        vectors.append(Numbers(path, samples_N.shape, samples_N.dtype, _loading(samples_N)))
        about.append(Fact((*path, "samplerate"), (float(rate),)))
        about += [Fact((*path, "units"), (unit,))] if unit else []
    return vectors, about


def _units(texts: Sequence[str], places: Numbers | None, count: int) -> list[str]:
    """The unit of each channel, empty where it has none."""
    if places is None:
        return list(texts[:1]) * count if len(texts) == 1 else [""] * count
    numbers = places.load(None).ravel()
    found = [texts[int(number) - 1] if 1 <= number <= len(texts) else "" for number in numbers]
    return found if len(found) == count else [""] * count


def _loading(samples_N: NDArray[np.generic]) -> Callable[[int | None], NDArray[Any]]:
    return lambda exam: samples_N


def _not_read(what: str) -> UnreadableFile:
    return UnreadableFile(
        "unsupported_format", f"This is LabChart's export for MATLAB, {what}, which is not read.", hint=_TEXT
    )
