"""Where settings come from, in which order, and what a wrong one says."""

from __future__ import annotations

import gc
import json
import logging
import re
import socket
import traceback
import warnings
from pathlib import Path

import pytest
import structlog
from fastapi import FastAPI

from app.logs import configure_logging
from app.main import check_address, server_config
from app.settings import Settings, SettingsError, without_effect


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    import os

    for name in [name for name in os.environ if name.startswith("ECHO2ECG_")]:
        monkeypatch.delenv(name)


def test_arguments_win_over_the_environment_and_that_over_the_file(tmp_path, monkeypatch):
    config = tmp_path / "settings.toml"
    config.write_text('bundle_dir = "/file"\nindex_dir = "/file"\nport = 1\n[cohorts]\nmain = "/data"\n')
    monkeypatch.setenv("ECHO2ECG_CONFIG", str(config))
    monkeypatch.setenv("ECHO2ECG_INDEX_DIR", "/environment")
    monkeypatch.setenv("ECHO2ECG_PORT", "2")
    settings = Settings(port=3)
    assert (str(settings.bundle_dir), str(settings.index_dir), settings.port) == ("/file", "/environment", 3)
    assert str(settings.cohorts["main"]) == "/data"


def test_cohorts_come_from_the_environment_as_json(monkeypatch):
    monkeypatch.setenv("ECHO2ECG_COHORTS", '{"main": "/data/main"}')
    assert str(Settings(bundle_dir="b", index_dir="i").cohorts["main"]) == "/data/main"


@pytest.mark.parametrize(
    "content", ["name = 'Universit\xe4t'".encode("latin-1"), b"port = " + b"1" * 5000, b"a = " + b"[" * 100_000]
)
def test_a_settings_file_that_cannot_be_read_is_one_sentence(tmp_path, monkeypatch, content):
    (tmp_path / "c.toml").write_bytes(content)
    monkeypatch.setenv("ECHO2ECG_CONFIG", str(tmp_path / "c.toml"))
    gc.collect()  # what other tests left must not be finished off at the depth of these brackets
    with pytest.raises(SettingsError, match="ECHO2ECG_CONFIG names"):
        Settings(bundle_dir="b", index_dir="i")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"index_dir": "i"}, "bundle_dir is missing.*ECHO2ECG_BUNDLE_DIR"),
        ({"bundle_dir": "b", "index_dir": "i", "port": 70000}, "port .*less than or equal to 65535"),
        ({"bundle_dir": "b", "index_dir": "i", "colour": "red"}, "no setting called colour"),
        ({"bundle_dir": "b", "index_dir": "i", "queue_size": 0}, "ECHO2ECG_QUEUE_SIZE"),
        ({"bundle_dir": "b", "index_dir": "i", "drain_timeout_s": float("inf")}, "drain_timeout_s .*finite"),
        ({"bundle_dir": "b", "index_dir": "i", "session_hours": 1e305}, "session_hours .*less than or equal"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(values, sentence):
    with pytest.raises(SettingsError, match=sentence) as refused:
        Settings(**values)
    assert "\n" not in str(refused.value)


def test_cohorts_that_are_not_json_and_a_file_that_is_not_toml_are_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("ECHO2ECG_COHORTS", "/srv/cohorts")
    with pytest.raises(SettingsError, match=r"cohorts \(ECHO2ECG_COHORTS\) is wrong: not valid JSON"):
        Settings(bundle_dir="b", index_dir="i")
    monkeypatch.delenv("ECHO2ECG_COHORTS")
    (tmp_path / "settings.toml").write_text("port = = 1")
    monkeypatch.setenv("ECHO2ECG_CONFIG", str(tmp_path / "settings.toml"))
    with pytest.raises(SettingsError, match="not valid TOML"):
        Settings(bundle_dir="b", index_dir="i")


def test_a_settings_file_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setenv("ECHO2ECG_CONFIG", "/nowhere/settings.toml")
    with pytest.raises(SettingsError, match="not there"):
        Settings(bundle_dir="b", index_dir="i")


def written_out() -> str:
    try:
        Path("/srv/SECRET").read_bytes()
    except OSError:
        return traceback.format_exc()


def test_a_warning_is_a_line_of_json_without_a_place(capsys):
    root, shown = logging.getLogger(), warnings.showwarning
    handlers, level = root.handlers[:], root.level
    configure_logging(Settings(bundle_dir="b", index_dir="i"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("mean of /srv/SECRET", RuntimeWarning, stacklevel=1)
    finally:
        root.handlers, root.level = handlers, level
        logging.captureWarnings(capture=False)
        warnings.showwarning = shown
        structlog.reset_defaults()
    line = json.loads(capsys.readouterr().err)
    assert line["kind"] == "RuntimeWarning"
    assert line["event"] == "warning of a library"
    assert not {"SECRET", "test_settings"} & set(re.findall(r"\w+", str(line)))


@pytest.mark.parametrize(
    ("text", "failure", "kind"),
    [
        ("It failed\nfuture: OSError('/srv/SECRET')", OSError("cannot read /srv/SECRET"), "OSError"),
        (written_out(), None, "FileNotFoundError"),
    ],
    ids=["beside the text", "as the text"],
)
def test_a_librarys_traceback_reaches_no_log(capsys, text, failure, kind):
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging(Settings(bundle_dir="b", index_dir="i"))
    try:
        logging.getLogger("library").error(text, exc_info=failure)
    finally:
        root.handlers, root.level = handlers, level
        structlog.reset_defaults()
    line = capsys.readouterr().err
    assert "SECRET" not in line
    assert "test_settings" not in line
    assert json.loads(line)["kind"] == kind


@pytest.mark.parametrize(("drain_s", "waits_s"), [(0.2, 1), (25.0, 25), (25.5, 26)])
def test_uvicorn_waits_no_shorter_than_the_drain_that_was_set(drain_s, waits_s):
    settings = Settings(bundle_dir="b", index_dir="i", drain_timeout_s=drain_s)
    assert server_config(FastAPI(), settings).timeout_graceful_shutdown == waits_s


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1"])
def test_a_device_is_served_by_its_name(device):
    assert Settings(bundle_dir="b", index_dir="i", device=device).device == device


@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:x", "CPU", "cuda:1\n", ""])
def test_another_device_is_refused_with_those_that_there_are(device):
    with pytest.raises(SettingsError, match=r"ECHO2ECG_DEVICE.*use auto, cpu, cuda or cuda:N"):
        Settings(bundle_dir="b", index_dir="i", device=device)


def test_a_misspelt_variable_is_told_with_the_nearest_name():
    environment = {"ECHO2ECG_QUEUESIZE": "1", "ECHO2ECG_NONSENSE": "1", "ECHO2ECG_QUEUE_SIZE": "1", "PATH": "/bin"}
    environment |= {"ECHO2ECG_CONFIG": "c", "ECHO2ECG_API_KEY": "SECRET", "echo2ecg_port": "1"}
    assert without_effect(environment) == [
        "The variable ECHO2ECG_NONSENSE has no effect.",
        "The variable ECHO2ECG_QUEUESIZE has no effect: is ECHO2ECG_QUEUE_SIZE meant?",
    ]


def test_an_address_that_cannot_be_had_is_one_sentence_before_anything_is_loaded():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"Another program has port {port}.*--port"):
            check_address(Settings(bundle_dir="b", index_dir="i", port=port))
    check_address(Settings(bundle_dir="b", index_dir="i", port=port))
    check_address(Settings(bundle_dir="b", index_dir="i", port=port, host="localhost"))
    for host in ("192.0.2.1", "nobody.invalid"):
        with pytest.raises(SettingsError, match=f"cannot listen on port {port} of {host}"):
            check_address(Settings(bundle_dir="b", index_dir="i", port=port, host=host))
