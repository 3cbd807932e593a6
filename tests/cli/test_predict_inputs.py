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
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(listed, text, words):
    with pytest.raises(InputsRefused) as refused:
        listed(text)
    assert words in refused.value.sentence


def test_a_csv_without_a_column_of_paths_is_an_ecg(listed, tmp_path):
    (only,) = listed("time,I,II\n0,0.1,0.2\n")
    assert only == Input(tmp_path / "list.csv", str(tmp_path / "list.csv"), NO_HINTS)


def test_files_keep_their_order_and_a_header_takes_its_samples(tmp_path):
    (tmp_path / "r.hea").write_text("r 1 500 100\nr.dat 16 1000/mV 16 0 0 0 0 I\n")
    (tmp_path / "r.dat").write_bytes(bytes(200))
    (tmp_path / "a.csv").write_text("I\n1\n")
    given = [tmp_path / name for name in ("r.dat", "r.hea", "a.csv")]
    assert [each.path.name for each in inputs_of(given, {}, output=())] == ["r.hea", "a.csv"]


def test_an_empty_folder_and_a_folder_among_files_are_one_sentence(tmp_path):
    (tmp_path / "a.csv").write_text("I\n1\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputsRefused, match="holds no file"):
        inputs_of([tmp_path / "empty"], {}, output=())
    with pytest.raises(InputsRefused, match="not both"):
        inputs_of([tmp_path / "empty", tmp_path / "a.csv"], {}, output=())


def test_options_out_of_bounds_are_one_sentence(tmp_path):
    (tmp_path / "a.csv").write_text("I\n1\n")
    with pytest.raises(InputsRefused, match="--rate-hz is wrong"):
        inputs_of([tmp_path / "a.csv"], {"rate_hz": -1}, output=())
