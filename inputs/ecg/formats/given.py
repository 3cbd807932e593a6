"""Names and a unit given for a file that states its own: confirmed, used where it says nothing, or refused."""

from __future__ import annotations

from collections.abc import Sequence

from inputs.ecg.formats.base import Channel, millivolts_per
from inputs.ecg.leads import leads_from_names
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, InputWarning, ReadHints


def named_as_given(
    what: str, own: Sequence[str | None], hints: ReadHints
) -> tuple[tuple[str | None, ...], list[InputWarning]]:
    """The lead of each channel: the file's own and, for channels whose names are no leads, the one that is given.

    what: as in "The WFDB record". Given names that contradict the file's are left to `check_leads`. Raises
    UnreadableFile where no channel is named and not as many names are given.
    """
    given = hints.leads
    if given is None or None not in own:
        return tuple(own), []
    if len(given) != len(own):
        if any(own):
            return tuple(own), []
        raise UnreadableFile(
            "leads_missing",
            f"{what} has {len(own)} channels, none of them named as an ECG lead, and {len(given)} lead names were "
            "given.",
            hint=names_hint(len(own)),
            leads=STANDARD_LEADS,
        )
    pairs = list(zip(own, leads_from_names(given), strict=True))
    if any(None not in pair and pair[0] != pair[1] for pair in pairs):
        return tuple(own), []
    leads = tuple(lead or named for lead, named in pairs)
    used = sum(lead is not None for lead in leads) - sum(lead is not None for lead in own)
    if not used:
        return leads, []
    message = f"{what} names {used} channels otherwise than as ECG leads: the names of the parameter leads were used."
    return leads, [InputWarning("leads_replaced", message)]


def names_hint(channels: int) -> str:
    return f"Give the parameter leads with a name for each of the {channels} channels in the file's order."


def check_leads(given: Sequence[str] | None, read: Sequence[str]) -> list[InputWarning]:
    """Refuse names that contradict those of the leads that were read; a warning where they are names of no leads."""
    named = [lead for lead in leads_from_names(given or ()) if lead is not None]
    if given is None or named == list(read):
        return []
    if not named:
        return [InputWarning("parameter_ignored", "The file names its own leads; the given names are none.")]
    raise UnreadableFile(
        "leads_conflict",
        "The file names its leads otherwise than the parameter leads, or in another order.",
        hint="Leave leads out: the file names its own.",
    )


def other_unit(given: str | None, channels: Sequence[Channel]) -> list[InputWarning]:
    """`parameter_ignored` where the given unit is another than that of the leads: what the file states counts.

    Not refused: whoever sends a folder of files of many formats gives one unit for those that state none.
    """
    factors = {millivolts_per(channel.unit) for channel in channels if channel.lead is not None}
    if given is None or None in factors or not factors or factors == {millivolts_per(given)}:
        return []  # of a unit that is no voltage others will speak
    return [
        InputWarning("parameter_ignored", "The file states another unit than the parameter unit: its own was used.")
    ]
