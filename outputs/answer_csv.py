"""One answer as a long table of four columns: `section,item,name,value`, everything that its JSON says, in its words.

One table rather than one per kind of thing: a click brings one file, several answers are one under the other with
nothing lost, and a member that a later version adds is a row and no new column. `item` counts from 1 within a list, in
lists within lists as `3.1`. In pandas, the studies are
`table[table.section == "neighbours"].pivot(index="item", columns="name", values="value")`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from ground.letters import made_visible
from outputs.report import EcgAnswer

COLUMNS = ("section", "item", "name", "value")
_FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet takes for one where a cell begins with it; an apostrophe before it makes it text."""


def answer_csv(report: EcgAnswer) -> str:
    """UTF-8 text with lines of `\\n`; unknown values are empty cells, truths `true` and `false`."""
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(answer_rows(report))
    return written.getvalue()


def answer_rows(report: EcgAnswer) -> Iterator[tuple[str, str, str, str]]:
    """The rows of that table without their names, members in the order of the JSON; (section, item, name) is unique."""
    said = report.model_dump(mode="json", exclude_unset=True)
    return _members("", "", said)


def _members(section: str, item: str, said: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, value in said.items():
        if isinstance(value, dict):
            yield from _members(f"{section}.{name}".lstrip("."), item, value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, one in enumerate(value, start=1):
                yield from _members(f"{section}.{name}".lstrip("."), f"{item}.{number}".lstrip("."), one)
        else:
            yield section or "answer", item, _cell(name), _cell(value)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return _cell(";".join(map(str, value)))
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    text = made_visible(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
