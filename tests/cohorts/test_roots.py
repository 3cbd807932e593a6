"""Files under several roots: where a path leads, which links are followed, and that turning one gains nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sound_tables import Tables

from cohorts import CohortError, check_cohort, open_cohort
from embedding.sources import clip_sha256
from inputs.ecg.read import gather_files
from inputs.errors import UnreadableFile
from inputs.guarded.reader import GuardedReader
from inputs.opened import PlacedFile, open_regular_file


@pytest.fixture
def rooted(tables: Tables, tmp_path: Path) -> Path:
    """A cohort whose ECGs lie under the root `ecg` and whose clips lie under `echo`, both outside of its folder."""
    for frame, root in ((tables.ecgs, "ecg"), (tables.echos, "echo")):
        for path in frame["path"]:
            file = tmp_path / "shares" / root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(f"{root} {path}".encode())
        frame["path"] = [f"{root}:{path}" for path in frame["path"]]
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    say(cohort, roots={"ecg": str(tmp_path / "shares/ecg"), "echo": "../shares/echo"})
    for frame in (tables.ecgs, tables.echos):
        frame["path"] = ["../" + path for path in frame["path"]]  # `Tables.write` leaves such files to others
    tables.write(cohort)
    for name in ("ecgs", "echos"):
        table = cohort / f"{name}.csv"
        table.write_text(table.read_text().replace("../ec", "ec"))
    return cohort


def say(cohort: Path, **about: object) -> None:
    (cohort / "cohort.json").write_text(json.dumps(about))


def codes(cohort: Path) -> list[tuple[str, tuple[int, ...]]]:
    return [(problem.code, problem.rows) for problem in check_cohort(cohort).problems]


def content(file: PlacedFile) -> bytes:
    with open_regular_file(file) as opened:
        return opened.read()


def test_files_are_found_under_absolute_and_relative_roots(rooted: Path):
    assert codes(rooted) == []
    cohort = open_cohort(rooted)
    assert content(cohort.tables.file_path("ecg:ecg/0.hea")) == b"ecg ecg/0.hea"
    assert content(cohort.tables.file_path("echo:echo/2.dcm")) == b"echo echo/2.dcm"
    assert len(cohort.sha256) == 64


def test_a_file_of_another_size_under_a_root_makes_another_cohort(rooted: Path, tmp_path: Path):
    before = open_cohort(rooted).sha256
    (tmp_path / "shares/ecg/ecg/1.hea").write_bytes(b"longer than it was before")
    assert open_cohort(rooted).sha256 != before


def test_a_colon_without_a_root_before_it_is_part_of_a_name(tables: Tables, tmp_path: Path):
    tables.echos.loc[0, "path"] = "echo/at:noon.dcm"
    root = tables.write(tmp_path)
    assert codes(root) == []
    assert content(open_cohort(root).tables.file_path("echo/at:noon.dcm")) == b"x"


def test_a_root_may_be_read_only_and_nothing_is_written_there(rooted: Path, tmp_path: Path):
    before = sorted(tmp_path.glob("shares/**/*"))
    for folder in [tmp_path / "shares", *(p for p in before if p.is_dir())]:
        folder.chmod(0o555)
    try:
        assert codes(rooted) == []
        file = open_cohort(rooted).tables.file_path("ecg:ecg/0.hea")
        assert [part.name for part in gather_files(file)] == ["0.hea"]
        assert sorted(tmp_path.glob("shares/**/*")) == before
    finally:
        for folder in [tmp_path / "shares", *(p for p in before if p.is_dir())]:
            folder.chmod(0o755)


@pytest.mark.parametrize("place", ["/nowhere/at/all", "cohort.json", "gone", "\0"])
def test_a_root_that_is_gone_or_no_folder_is_refused_with_one_sentence(rooted: Path, place: str):
    say(rooted, roots={"ecg": place, "echo": "../shares/echo"})
    assert codes(rooted) == [("root_missing", ())]
    with pytest.raises(CohortError, match=r"^The root ecg of cohort\.json is not there, or is no folder\.$"):
        open_cohort(rooted)


@pytest.mark.parametrize(
    "roots", [[], {"Ecg": "."}, {"e:c": "."}, {"": "."}, {"ecg": 1}, {"ecg": ""}, {f"r{i}": "." for i in range(17)}]
)
def test_roots_that_cannot_be_are_refused(tables: Tables, tmp_path: Path, roots: object):
    say(tables.write(tmp_path), roots=roots)
    assert codes(tmp_path) == [("roots_invalid", ())]


@pytest.mark.parametrize(
    "path", ["ecg:../../outside.dcm", "ecg:/etc/hostname", "ecg:", "echo:echo/../../../outside.dcm"]
)
def test_a_path_that_leaves_its_root_is_refused(rooted: Path, tmp_path: Path, path: str):
    (tmp_path / "outside.dcm").write_bytes(b"secret")
    echos = rooted / "echos.csv"
    echos.write_text(echos.read_text().replace("echo:echo/0.dcm", path))
    assert codes(rooted) == [("file_not_regular" if path == "ecg:" else "path_outside", (1,))]


LINKS = {
    "within a root": ("shares/echo/echo/1.dcm", "shares/echo/echo/0.dcm", None),
    "from root to root": ("shares/echo/echo/1.dcm", "shares/ecg/ecg/0.hea", None),
    "out of all roots": ("shares/echo/echo/1.dcm", "outside.dcm", "path_outside"),
    "to nothing": ("shares/echo/echo/1.dcm", "shares/echo/gone", "file_missing"),
    "to nothing outside": ("shares/echo/echo/1.dcm", "gone", "path_outside"),
    "in a circle": ("shares/echo/echo/1.dcm", "shares/echo/echo/1.dcm", "file_missing"),
}


@pytest.mark.parametrize(("link", "target", "code"), LINKS.values(), ids=LINKS)
def test_links_are_followed_as_far_as_their_target_lies_under_a_root(
    rooted: Path, tmp_path: Path, link: str, target: str, code: str | None
):
    (tmp_path / "outside.dcm").write_bytes(b"secret")
    file = PlacedFile(tmp_path / link, open_cohort(rooted).tables.places.under)
    (tmp_path / link).unlink()
    (tmp_path / link).symlink_to(tmp_path / target)
    assert codes(rooted) == ([] if code is None else [(code, (2,))])
    if code is None:
        assert content(file) == (tmp_path / target).read_bytes()
    else:
        with pytest.raises(UnreadableFile):
            content(file)


def test_a_folder_that_is_a_link_out_of_all_roots_is_refused(rooted: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "shares/echo/echo").rename(tmp_path / "elsewhere/echo")
    (tmp_path / "shares/echo/echo").symlink_to(tmp_path / "elsewhere/echo")
    assert codes(rooted) == [("path_outside", (1, 2, 3))]


def test_turning_a_link_after_it_was_checked_gains_nothing(rooted: Path, tmp_path: Path):
    (tmp_path / "outside.dcm").write_bytes(b"secret")
    link = tmp_path / "shares/echo/echo/1.dcm"
    link.unlink()
    link.symlink_to("0.dcm")
    checked = open_cohort(rooted).tables.file_path("echo:echo/1.dcm")
    link.unlink()
    link.symlink_to(tmp_path / "outside.dcm")
    for reads in (content, clip_sha256, gather_files):
        with pytest.raises(UnreadableFile) as refused:
            reads(checked)
        assert refused.value.code == "path_outside"
    with GuardedReader() as reader, pytest.raises(UnreadableFile) as refused:
        reader.read_echo(checked)
    assert refused.value.code == "path_outside"


def test_turning_a_link_while_it_is_read_changes_nothing_of_what_is_read(rooted: Path, tmp_path: Path):
    (tmp_path / "outside.dcm").write_bytes(b"secret")
    link = tmp_path / "shares/echo/echo/1.dcm"
    link.unlink()
    link.symlink_to("0.dcm")
    with open_regular_file(open_cohort(rooted).tables.file_path("echo:echo/1.dcm")) as opened:
        link.unlink()
        link.symlink_to(tmp_path / "outside.dcm")
        assert opened.read() == b"echo echo/0.dcm"


def test_a_pipe_behind_a_link_is_refused_without_waiting(rooted: Path, tmp_path: Path):
    link = tmp_path / "shares/echo/echo/1.dcm"
    file = open_cohort(rooted).tables.file_path("echo:echo/1.dcm")
    link.unlink()
    os.mkfifo(tmp_path / "shares/echo/pipe")
    link.symlink_to(tmp_path / "shares/echo/pipe")
    assert codes(rooted) == [("file_not_regular", (2,))]
    with pytest.raises(UnreadableFile, match="not a regular file"):
        content(file)


def test_what_nobody_placed_is_opened_through_no_link(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(UnreadableFile, match="symbolic link"):
        open_regular_file(tmp_path / "link")
    with pytest.raises(UnreadableFile, match="symbolic link"):
        gather_files(tmp_path / "link")


# ---- files beside a named one


def record(folder: Path, name: str = "1") -> None:
    (folder / f"{name}.hea").write_text(f"{name} 1 500 4\n{name}.dat 16 1000/mV 16 0 0 0 0 I\n")
    (folder / f"{name}.dat").write_bytes(b"samples!")


def test_signal_files_are_links_too_as_long_as_they_stay_under_a_root(rooted: Path, tmp_path: Path):
    store, farm = tmp_path / "shares/echo", tmp_path / "shares/ecg/ecg"
    record(store)
    for name in ("1.hea", "1.dat"):
        (farm / name).unlink(missing_ok=True)
        (farm / name).symlink_to(store / name)
    assert codes(rooted) == []
    parts = gather_files(open_cohort(rooted).tables.file_path("ecg:ecg/1.hea"))
    assert [(part.name, part.data[:4]) for part in parts] == [("1.hea", b"1 1 "), ("1.dat", b"samp")]


def test_a_header_that_is_a_link_finds_its_signal_file_beside_what_it_leads_to(rooted: Path, tmp_path: Path):
    record(tmp_path / "shares/echo")
    (tmp_path / "shares/ecg/ecg/1.hea").unlink()
    (tmp_path / "shares/ecg/ecg/1.hea").symlink_to(tmp_path / "shares/echo/1.hea")
    assert codes(rooted) == []
    assert len(gather_files(open_cohort(rooted).tables.file_path("ecg:ecg/1.hea"))) == 2


def test_a_signal_file_that_is_a_link_out_of_all_roots_is_not_read(rooted: Path, tmp_path: Path):
    (tmp_path / "outside.dat").write_bytes(b"secret!!")
    record(tmp_path / "shares/ecg/ecg")
    (tmp_path / "shares/ecg/ecg/1.dat").unlink()
    (tmp_path / "shares/ecg/ecg/1.dat").symlink_to(tmp_path / "outside.dat")
    assert codes(rooted) == [("signal_file_outside", (2,))]
    with pytest.raises(UnreadableFile) as refused:
        gather_files(open_cohort(rooted).tables.file_path("ecg:ecg/1.hea"))
    assert refused.value.code == "path_outside"
