"""An upload leaves memory with its answer or refusal, without a search for circles, which may come late or never."""

from __future__ import annotations

import gc
import time

import pytest

from app.answering.answered import search_answer
from app.answering.pipeline import Upload
from inputs.errors import UnreadableFile


@pytest.fixture
def no_search():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def uploads_in_memory():
    return sum(type(thing) is Upload for thing in gc.get_objects())


def several(_, files, hints):
    if len(files) > 1:
        raise UnreadableFile("several_ecgs", "The upload holds several.")
    raise UnreadableFile("not_an_ecg", "This is not an ECG.")


def late(_, files, hints):
    time.sleep(0.6)
    raise UnreadableFile("not_an_ecg", "This is not an ECG.")


@pytest.mark.parametrize(
    ("address", "read", "files", "status"),
    [
        ("/v1/search", None, [b"1"], 200),
        ("/v1/search", None, [b"not one"], 422),
        ("/v1/predict", late, [b"1"], 503),
        ("/", None, [b"not one"], 422),
        ("/", None, [b"1"], 303),
        ("/", several, [b"a", b"b"], 303),
        ("/", late, [b"1"], 503),
    ],
)
def test_nothing_of_an_upload_is_left(start_app, monkeypatch, wait_until, no_search, address, read, files, status):
    with start_app(answer_timeout_s=0.5 if read is late else 20) as running:
        if read is not None:
            monkeypatch.setattr(type(running.service.pipeline.reader), "read_ecg", read)
        before = uploads_in_memory()
        for _ in range(3):
            parts = [("files", (f"{place}.csv", data)) for place, data in enumerate(files)]
            assert running.client.post(address, files=parts).status_code == status
        wait_until(lambda: not running.service.admission._inside)
        wait_until(lambda: uploads_in_memory() <= before)


def test_a_refusal_that_is_kept_holds_nothing_of_where_it_was_met(start_app, monkeypatch):
    with start_app() as running:
        monkeypatch.setattr(type(running.service.pipeline.reader), "read_ecg", several)
        parts = [("files", (f"{name}.csv", b"1")) for name in "ab"]
        assert running.client.post("/", files=parts).status_code == 303
        (place,) = running.service.kept._places.values()
        assert all(answer.__traceback__ is None and answer.__context__ is None for answer in place.what.answers)


def test_reading_and_writing_share_the_time_of_one_answer(start_app, monkeypatch):
    def slowed(work):
        return lambda *given: (time.sleep(0.7), work(*given))[1]

    with start_app(answer_timeout_s=1.0) as running:
        reader = type(running.service.pipeline.reader)
        monkeypatch.setattr(reader, "read_ecg", slowed(reader.read_ecg))
        monkeypatch.setattr("app.routes.ecg.search_answer", slowed(search_answer))
        assert running.search(1).status_code == 503
