"""The README's list of folders is true: every room and sub-room is in it, and everything in it exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def tree():
    return (ROOT / "README.md").read_text(encoding="utf-8").split("## Where things are")[1].split("```")[1]


def test_every_folder_has_its_line_and_every_line_its_folder():
    named = set(re.findall(r"(?<![\w/])([a-z]+)/", tree()))
    rooms = {path.parent.relative_to(ROOT).parts for path in ROOT.glob("*/__init__.py")}
    sub_rooms = {
        path.parent.relative_to(ROOT).parts for room in rooms for path in ROOT.joinpath(*room).glob("*/__init__.py")
    }
    there = {parts[-1] for parts in rooms | sub_rooms} | {"tests", "bundles", "docs", "examples", "formats"}
    assert named == there


def test_the_readme_is_short_enough_to_be_read():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 210
