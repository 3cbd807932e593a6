"""What `predict` is asked about: files, a folder or a table of paths, and one sentence where that gives nothing."""

from __future__ import annotations

import pytest

from cli.predict_inputs import Input, InputsRefused, inputs_of
from inputs.records import NO_HINTS, ReadHints


@pytest.fixture
def listed(tmp_path):
    """The inputs of a table of this text."""

    def read(text: str, **options: object) -> list[Input]:
        (tmp_path / "list.csv").write_text(text, encoding="utf-8")
        return inputs_of([tmp_path / "list.csv"], options, output=())

    return read


def test_a_table_names_ecgs_beside_itself_with_what_helps_to_read_each(listed, tmp_path):
    text = 'sex,id,path,rate_hz,unit,leads,exam\nf,e1,a/1.npy,250,uV,"I,II",7\n\nm,,/b/2.hea,,,,\n'
    first, second = listed(text, rate_hz=500.0, length_s=10.0)
    hints = ReadHints(250.0, "uV", ("I", "II"), "7", None, 10.0)
    assert first == Input(tmp_path / "a/1.npy", "a/1.npy", hints, "e1")
    assert (second.path.as_posix(), second.id) == ("/b/2.hea", "")
    assert second.hints == ReadHints(rate_hz=500.0, length_s=10.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,id\n", "names no ECG"),
        ("path,path\na,b\n", "column path stands in list.csv more than once"),
        ("path,rate_hz\na,5\nb,x\nc,\nd,y\n", "2 rows of list.csv cannot be used (2, 4). The column rate_hz is wrong"),
        ("path,unit\na,volts\n", "1 row of list.csv cannot be used (1). The column unit is wrong"),
        ("path,id\na\n", "as many cells as the header"),
        ("path,id\n,e1\n", "The path is empty"),
        ('path,id\na,"e1\nb,e2\n', "Row 1 of list.csv has a quote that does not close"),
        ('path,id\na,"\nb,"\nc,e3\n', "Row 1 of list.csv has a quote that does not close"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(listed, text, words):
    with pytest.raises(InputsRefused) as refused:
        listed(text)
    assert words in refused.value.sentence


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_table_in_another_encoding_is_refused_by_its_name(tmp_path, encoding):
    (tmp_path / "list.csv").write_bytes("path,id\nGröße.npy,e1\n".encode(encoding))
    with pytest.raises(InputsRefused, match=f"not in UTF-8, but looks like {encoding.upper()}"):
        inputs_of([tmp_path / "list.csv"], {}, output=())


@pytest.mark.parametrize(
    "text", ["time,I,II\n0,0.1,0.2\n", "paths,x\nunit,mV\ntime,I,II\n0,1,2\n", "1,2\n3,4\n", "", "a,b\nc,d\n"]
)
def test_a_csv_without_a_column_of_paths_is_an_ecg(listed, tmp_path, text):
    (only,) = listed(text)
    assert only == Input(tmp_path / "list.csv", str(tmp_path / "list.csv"), NO_HINTS)


def test_files_keep_their_order_and_a_header_takes_its_samples(tmp_path):
    (tmp_path / "r.hea").write_text("r 1 500 100\nr.dat 16 1000/mV 16 0 0 0 0 I\n")
    (tmp_path / "r.dat").write_bytes(bytes(200))
    (tmp_path / "a.csv").write_text("I\n1\n")
    given = [tmp_path / name for name in ("r.dat", "r.hea", "a.csv")]
    assert [each.path.name for each in inputs_of(given, {}, output=())] == ["r.hea", "a.csv"]


def test_folders_files_and_tables_are_asked_about_in_the_order_given_and_each_file_once(tmp_path):
    for name in ("b/2.csv", "b/1.csv", "a/1.csv", "a.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("I\n1\n")
    (tmp_path / "a" / "list.csv").write_text("path,id\n1.csv,e1\n../a.csv,e2\n")
    given = [tmp_path / name for name in ("b", "a.csv", "a/list.csv", "b/1.csv", "b")]
    found = inputs_of(given, {}, output=())
    assert [(each.path.relative_to(tmp_path).as_posix(), each.id) for each in found] == [
        ("b/1.csv", ""), ("b/2.csv", ""), ("a.csv", ""), ("a/1.csv", "e1"), ("a/../a.csv", "e2"),
    ]  # fmt: skip
    assert all(each.name == str(each.path) for each in found), "names tell folders apart"


def test_an_empty_folder_is_one_sentence(tmp_path):
    (tmp_path / "a.csv").write_text("I\n1\n")
    (tmp_path / "empty").mkdir()
    for given in (["empty"], ["a.csv", "empty"]):
        with pytest.raises(InputsRefused, match="The folder empty holds no file"):
            inputs_of([tmp_path / name for name in given], {}, output=())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Path,id\nx.npy,1\n", "Path"),
        ("id,paths\n1,x.npy\n", "paths"),
        ("patient,recording\np1,there.npy\n", "recording"),
        ("path;id\nthere.npy;1\n", "path;id"),
    ],
)
def test_a_list_without_a_column_of_paths_says_which_one_may_be_meant(listed, tmp_path, text, meant):
    (tmp_path / "there.npy").write_bytes(b"")
    with pytest.raises(InputsRefused) as refused:
        listed(text)
    assert (refused.value.code, refused.value.sentence) == (
        "column_missing", "list.csv has no column path, so it is no list of ECGs."
    )  # fmt: skip
    assert f"Is {meant} meant?" in refused.value.hint


def test_options_out_of_bounds_are_one_sentence(tmp_path):
    (tmp_path / "a.csv").write_text("I\n1\n")
    with pytest.raises(InputsRefused, match="--rate-hz is wrong"):
        inputs_of([tmp_path / "a.csv"], {"rate_hz": -1}, output=())
