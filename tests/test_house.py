"""The house: what no reader should meet, and the lists that an editable installation hides when they are incomplete."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = (
    "app",
    "cli",
    "cohorts",
    "embedding",
    "ground",
    "index",
    "inputs",
    "models",
    "outputs",
    "simulator",
    "training",
)
"""The rooms that are installed; benchmarks and deploy are run from the tree."""
COMMANDS = re.compile(r"cli/(main|\w+_commands)\.py")
"""A command's parameters are its options."""

MOST_PARAMETERS, MOST_LINES_OF_A_FUNCTION, MOST_LINES_OF_A_FILE = 9, 90, 420


def sources(*rooms):
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]


def functions(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def name(path):
    return path.relative_to(ROOT).as_posix()


def imported(path):
    """Modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_rooms_are_those_that_are_there():
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert rooms == {*PRODUCT, "benchmarks", "deploy"}


def test_no_function_has_more_than_nine_parameters():
    long = [
        f"{name(path)}:{node.name}"
        for path in sources(*PRODUCT)
        if not COMMANDS.fullmatch(name(path))
        for node in functions(path)
        if len(
            [
                a
                for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                if a.arg not in ("self", "cls")
            ]
        )
        > MOST_PARAMETERS
    ]
    assert not long


def test_no_function_is_longer_than_ninety_lines():
    long = [
        f"{name(path)}:{node.name}"
        for path in sources(*PRODUCT, "benchmarks", "deploy")
        for node in functions(path)
        if node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    ]
    assert not long


def test_no_file_is_longer_than_four_hundred_and_twenty_lines():
    everything = sources(*PRODUCT, "benchmarks", "deploy", "tests")
    assert not [name(path) for path in everything if len(path.read_text().splitlines()) > MOST_LINES_OF_A_FILE]


def test_training_has_few_files_beside_its_rooms():
    assert len([path for path in (ROOT / "training").glob("*.py") if path.name != "__init__.py"]) <= 8


def test_hashes_and_locks_stand_in_one_file():
    """The index store locks its own file; what a connection's kernel holds is asked of fcntl too, and no lock."""
    users = {name(path) for path in sources(*PRODUCT) if {"hashlib", "fcntl"} & set(imported(path))}
    assert users == {"ground/disk.py", "index/store.py", "app/http/unread.py"}
    assert "lock" not in (ROOT / "app" / "http" / "unread.py").read_text()


def test_whole_files_are_written_in_one_place():
    """The index store commits in steps of its own; a bundle is a whole folder, renamed."""
    users = {
        name(path)
        for path in sources(*PRODUCT)
        if re.search(r"os\.(replace|rename)\(|temporary\.rename\(|mkstemp\(|\.partial\b", path.read_text())
    }
    assert users == {"ground/disk.py", "index/store.py", "models/bundle/files.py"}


def test_the_service_does_not_know_the_command_line():
    assert not [name(path) for path in sources("app") if re.search(r"\bcli\b", path.read_text())]


def test_faiss_is_imported_in_one_file():
    users = {name(path) for path in sources(*PRODUCT, "deploy") if "faiss" in {m.split(".")[0] for m in imported(path)}}
    assert users == {"index/backends/faiss_backend.py"}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_room_is_installed_linted_typed_and_held_to_the_arrows(project):
    everything = {*PRODUCT, "benchmarks", "deploy"}
    assert {pattern.rstrip("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]} == {
        *PRODUCT
    }
    assert {*project["tool"]["mypy"]["packages"]} == everything
    assert {*project["tool"]["ruff"]["lint"]["isort"]["known-first-party"]} == everything
    assert {*project["tool"]["importlinter"]["root_packages"]} == everything
    circles = next(c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "acyclic_siblings")
    assert {*circles["ancestors"]} == everything


def test_every_room_is_copied_into_the_image():
    copied = set(re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert copied == {*PRODUCT}
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert {*PRODUCT} <= allowed


def test_every_benchmark_is_run_by_make_bench():
    """But for the gate of an echo encoder, which is asked about a cohort and a bundle that somebody names."""
    listed = re.search(r"for name in ([\w ]+); do", (ROOT / "Makefile").read_text()).group(1).split()
    measures = {
        p.stem for p in (ROOT / "benchmarks").glob("*.py") if re.search(r"^def main\(", p.read_text(), re.MULTILINE)
    }
    assert {*listed} == measures - {"echo_gate"}
