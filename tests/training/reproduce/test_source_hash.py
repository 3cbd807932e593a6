import re

from training.reproduce.source_hash import source_sha256


def sources(root, *, module="x = 1\n", name="a.py"):
    for package in ("inputs", "models", "training"):
        (root / package / "sub").mkdir(parents=True)
        (root / package / "sub" / name).write_text(module)
    return root


def test_the_hash_is_of_names_and_contents_wherever_the_sources_lie(tmp_path):
    first = source_sha256(sources(tmp_path / "first"))
    assert source_sha256(sources(tmp_path / "elsewhere")) == first
    assert source_sha256(sources(tmp_path / "edited", module="x = 2\n")) != first
    assert source_sha256(sources(tmp_path / "renamed", name="b.py")) != first


def test_files_that_are_no_source_change_nothing(tmp_path):
    first = source_sha256(sources(tmp_path))
    (tmp_path / "training" / "notes.txt").write_text("mine")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "page.py").write_text("x = 3\n")
    assert source_sha256(tmp_path) == first


def test_the_packages_own_sources_have_one():
    assert re.fullmatch("[0-9a-f]{12}", source_sha256())
