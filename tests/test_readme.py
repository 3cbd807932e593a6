"""The README's file tree is true: every module is in it, and everything in it exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("app", "benchmarks", "cli", "deploy", "index", "inputs", "models", "simulator", "training")


def test_every_module_has_its_line_and_every_line_its_module():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = readme.split("## Where things are")[1].split("```")[1]
    named: set[str] = set()
    folder = ""
    for line in tree.splitlines():
        if match := re.match(r"(\w+)/ ", line):
            folder = match[1]
        elif (match := re.match(r"  (\S+\.py) ", line)) and folder in FOLDERS:
            named.add(f"{folder}/{match[1]}")
    modules = {
        path.relative_to(ROOT).as_posix()
        for name in FOLDERS
        for path in (ROOT / name).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert named == modules
