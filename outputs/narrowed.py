"""What a search was narrowed to, as an answer says it, and the same in words."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, Field


class AppliedFilters(BaseModel):
    """What was asked of the studies; what was not asked is absent. LVEF in percent, age in years, times as given."""

    lvef_min: float | None = Field(default=None, description="At least this LVEF.")
    lvef_max: float | None = Field(default=None, description="At most this LVEF.")
    age_min: float | None = Field(default=None, description="At this age or later.")
    age_max: float | None = Field(default=None, description="At this age or earlier.")
    sex: str | None = Field(default=None, description="`female` or `male`.")
    acquired_after: str | None = Field(default=None, description="Of this day or time and later.")
    acquired_before: str | None = Field(default=None, description="Of this day or time and earlier.")
    view: str | None = Field(default=None, description="With a view of this name.")
    shd: bool | None = Field(default=None, description="With or without structural heart disease.")
    one_per_patient: bool | None = Field(default=None, description="Of each patient one study.")


class SearchFilters(BaseModel):
    """The filters of a search, and how many studies of the index they left."""

    applied: AppliedFilters = Field(description="As they were understood.")
    studies: int = Field(description="Those of an excluded patient not among them.")


def filters_sentence(said: SearchFilters) -> str:
    """`LVEF at most 40 %, female, one study of each patient. 12 studies of the index match.`"""
    words = ", ".join(_words(said.applied))
    matching = "1 study of the index matches" if said.studies == 1 else f"{said.studies} studies of the index match"
    return f"{words}. {matching}." if words else f"{matching}."


def _words(asked: AppliedFilters) -> Iterator[str]:
    yield from _range("LVEF", asked.lvef_min, asked.lvef_max, " %")
    yield from _range("age", asked.age_min, asked.age_max, "")
    if asked.sex is not None:
        yield asked.sex
    if asked.acquired_after is not None:
        yield f"acquired {asked.acquired_after} or later"
    if asked.acquired_before is not None:
        yield f"acquired {asked.acquired_before} or earlier"
    if asked.view is not None:
        yield f"with a view {asked.view}"
    if asked.shd is not None:
        yield f"{'with' if asked.shd else 'without'} structural heart disease"
    if asked.one_per_patient:
        yield "one study of each patient"


def _range(name: str, least: float | None, most: float | None, unit: str) -> Iterator[str]:
    if least is not None and most is not None:
        yield f"{name} {least:g} to {most:g}{unit}"
    elif least is not None:
        yield f"{name} at least {least:g}{unit}"
    elif most is not None:
        yield f"{name} at most {most:g}{unit}"
