"""Keys: made, kept as hashes, noticed without a restart; and where the service may bind."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from app.access.keys import (
    _CHANGING_HERE,
    KeyRing,
    _read,
    check_access,
    create_key,
    list_keys,
    revoke_key,
)
from app.access.sessions import SESSIONS_PER_KEY, Sessions
from app.refusals import KeysBusy
from app.settings import Settings, SettingsError
from ground.disk import locked
from ground.errors import Refusal


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys" / "keys.json"


def settings(tmp_path, **changes):
    return Settings(bundle_dir=tmp_path, index_dir=tmp_path, **changes)


def test_the_file_holds_hashes_and_no_key_and_only_its_owner_reads_it(file):
    key = create_key(file, ("query", "admin"), "first")
    assert len(key) >= 40
    assert key not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (entry,) = list_keys(file)
    assert (entry.name, entry.scopes) == ("first", ("query", "admin"))
    assert abs(datetime.now(UTC) - entry.created) < timedelta(minutes=1)


def test_two_keys_differ_and_both_are_kept(file):
    first, second = create_key(file, ("query",), "a"), create_key(file, ("query",), "b")
    assert first != second
    ring = KeyRing(file)
    assert [ring.find(first).name, ring.find(second).name] == ["a", "b"]


def test_a_command_does_not_wait_for_ever_for_another(file, monkeypatch):
    monkeypatch.setattr("app.access.keys._WAIT_S", 0.1)
    create_key(file, ("query",), "one")
    with (
        locked(file.with_name(f".{file.name}.lock"), wait_s=0, owned_as=file),
        pytest.raises(Refusal, match="Another command"),
    ):
        create_key(file, ("query",), "two")
    assert [key.name for key in list_keys(file)] == ["one"]


def test_who_comes_by_a_link_waits_for_the_same_turn(file, tmp_path, monkeypatch):
    monkeypatch.setattr("app.access.keys._WAIT_S", 0.1)
    create_key(file, ("query",), "one")
    link = tmp_path / "elsewhere" / "link.json"
    link.parent.mkdir()
    link.symlink_to(file)
    with locked(file.with_name(f".{file.name}.lock"), wait_s=0, owned_as=file), pytest.raises(Refusal, match="Another"):
        create_key(link, ("query",), "two")


@pytest.mark.parametrize("scopes", [(), ("root",), ("query", "root")])
def test_an_unknown_scope_is_refused(file, scopes):
    with pytest.raises(Refusal, match="query and admin"):
        create_key(file, scopes, "x")
    assert not file.exists()


def test_a_new_key_works_and_a_revoked_one_does_not_without_a_restart(file):
    first = create_key(file, ("query",), "a")
    ring = KeyRing(file)
    second = create_key(file, ("query",), "b")
    assert ring.find(second) is not None
    revoke_key(file, ring.find(first).id)
    assert ring.find(first) is None
    assert ring.find(second) is not None


def test_revoking_what_is_not_there_says_so(file):
    create_key(file, ("query",), "a")
    with pytest.raises(Refusal, match="No key has this id"):
        revoke_key(file, "00000000")


def test_an_expired_key_is_worthless(file):
    now = datetime.now(UTC)
    old = create_key(file, ("query",), "old", expires=now - timedelta(seconds=1))
    new = create_key(file, ("query",), "new", expires=now + timedelta(hours=1))
    ring = KeyRing(file)
    assert ring.find(old) is None
    assert ring.find(new) is not None


@pytest.mark.parametrize("wrong", ["", "e2e_wrong", "\udcff\udcfe", "é" * 100])
def test_a_wrong_key_is_not_found(file, wrong):
    create_key(file, ("query",), "a")
    assert KeyRing(file).find(wrong) is None


def test_a_file_that_goes_lets_nobody_in_and_one_that_comes_back_does(file):
    key = create_key(file, ("query",), "a")
    ring, content = KeyRing(file), file.read_bytes()
    file.unlink()
    assert ring.enforced
    assert ring.find(key) is None
    file.write_bytes(content)
    assert ring.find(key) is not None
    assert not KeyRing(None).enforced


def test_a_file_that_could_not_be_read_is_read_again_when_it_can_be(file, monkeypatch):
    key = create_key(file, ("query",), "a")
    ring, content = KeyRing(file), file.read_bytes()
    file.write_bytes(content + b" ")
    with monkeypatch.context() as away:
        away.setattr("app.access.keys.list_keys", lambda _: (_ for _ in ()).throw(Refusal("keys_unreadable", "No.")))
        assert ring.find(key) is None
    assert ring.find(key) is not None, "the file itself has not changed"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_damaged_file_is_not_read_for_every_request_but_as_soon_as_it_changes(file, monkeypatch):
    key = create_key(file, ("query",), "a")
    ring, whole = KeyRing(file), file.read_bytes()
    file.write_bytes(whole[:-9])
    read = []
    monkeypatch.setattr("app.access.keys._read", lambda file, read_file=_read: read.append(1) or read_file(file))
    assert [ring.find(key) for _ in range(20)] == [None] * 20
    assert len(read) == 1
    file.write_bytes(whole)
    assert ring.find(key).name == "a"


def test_a_damaged_file_shuts_everybody_out_also_when_it_comes_back(tmp_path):
    good, damaged, link = tmp_path / "good.json", tmp_path / "damaged.json", tmp_path / "keys.json"
    key = create_key(good, ("query",), "a")
    damaged.write_text("{")
    link.symlink_to(good)
    ring = KeyRing(link)

    def turned_to(file):
        (tmp_path / "next").symlink_to(file)
        (tmp_path / "next").replace(link)
        return [ring.find(key) is not None for _ in range(2)]

    assert [turned_to(file) for file in (damaged, good, damaged)] == [[False] * 2, [True] * 2, [False] * 2]


def test_who_adds_a_key_for_another_user_leaves_the_file_to_that_user(file):
    create_key(file, ("query",), "a")
    os.chown(file, 12345, 12345)
    create_key(file, ("query",), "b")
    for path in (file, file.with_name(f".{file.name}.lock")):
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (12345, 0o600)


def test_while_another_process_keeps_its_turn_one_thread_waits_and_further_ones_are_refused_soon(file, monkeypatch):
    create_key(file, ("query",), "a")
    monkeypatch.setattr("app.access.keys._WAIT_S", 30.0)
    monkeypatch.setattr("app.access.keys._WAIT_HERE_S", 0.01)
    lock = file.with_name(f".{file.name}.lock")
    with ThreadPoolExecutor(1) as threads:
        with locked(lock, wait_s=1, owned_as=file):
            waits = threads.submit(create_key, file, ("query",), "b")
            while not _CHANGING_HERE.locked():
                time.sleep(0.01)
            with pytest.raises(KeysBusy):
                create_key(file, ("query",), "c")
        waits.result(timeout=10)
    assert [key.name for key in list_keys(file)] == ["a", "b"]


def a_pipe(file):
    os.mkfifo(file)


def absent(file):
    assert not file.exists()


def empty(file):
    file.write_text("")


def a_folder(file):
    file.mkdir()


def a_link_to_nothing(file):
    file.symlink_to(file.parent / "nowhere.json")


@pytest.mark.parametrize("state", [absent, empty, a_folder, a_link_to_nothing, a_pipe])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_service_that_was_meant_to_be_closed_does_not_start_open(tmp_path, state, host):
    state(tmp_path / "keys.json")
    configured = settings(tmp_path, host=host, keys_file=tmp_path / "keys.json")
    with pytest.raises(SettingsError, match="keys_file") as refused:
        check_access(configured)
    assert str(tmp_path) not in str(refused.value)
    with pytest.raises(SettingsError, match="keys_file"):
        KeyRing(configured.keys_file)  # whoever puts the service together in another way meets the same


def test_an_empty_setting_is_no_missing_one(tmp_path, monkeypatch):
    monkeypatch.setenv("ECHO2ECG_KEYS_FILE", "")
    with pytest.raises(SettingsError, match="keys_file"):
        check_access(settings(tmp_path))


def shortened(content: str) -> str:
    return json.dumps({"schema_version": 1, "keys": [{"id": "x"}]})


def with_a_hash_that_is_none(content: str) -> str:
    return re.sub(r'"sha256": "[0-9a-f]{64}"', '"sha256": "é"', content)


@pytest.mark.parametrize(
    "damage",
    [lambda _: "", lambda _: "{", lambda _: "[" * 200_000, shortened, with_a_hash_that_is_none, None],
    ids=["empty", "cut", "deep", "shortened", "no hash", "away"],
)
def test_a_damaged_or_missing_file_lets_nobody_in_and_is_told_once(file, damage, capsys):
    key = create_key(file, ("query",), "a")
    ring = KeyRing(file)
    assert ring.find(key) is not None
    content = file.read_text()
    file.unlink() if damage is None else file.write_text(damage(content))
    assert ring.enforced
    assert [ring.find(key), ring.find(key)] == [None, None]
    assert capsys.readouterr().out.count("keys_file_unreadable") == 1
    file.write_text(content)
    assert ring.find(key) is not None


def test_a_newer_versions_file_is_called_so_lets_nobody_in_and_is_never_written_over(file, tmp_path):
    create_key(file, ("query",), "a")
    content = json.dumps({"schema_version": 2, "keys": json.loads(file.read_text())["keys"], "wards": ["7"]})
    file.write_text(content)
    for touch in (list_keys, lambda file: create_key(file, ("query",), "b"), lambda file: revoke_key(file, "x")):
        with pytest.raises(Refusal, match=r"written by a newer version") as refused:
            touch(file)
        assert "remove" not in refused.value.in_full
    with pytest.raises(SettingsError, match="newer version"):
        KeyRing(file)
    with pytest.raises(SettingsError, match="newer version"):
        check_access(settings(tmp_path, host="0.0.0.0", keys_file=file))
    assert file.read_text() == content


def test_without_keys_only_loopback(tmp_path, file):
    for host in ("127.0.0.1", "::1", "localhost"):
        check_access(settings(tmp_path, host=host))
    for host in ("0.0.0.0", "::", "192.168.1.4", "my-host"):
        with pytest.raises(SettingsError, match="loopback"):
            check_access(settings(tmp_path, host=host))
        with pytest.raises(SettingsError, match="keys create"):
            check_access(settings(tmp_path, host=host, keys_file=file))


def test_with_a_valid_key_any_address_and_with_an_expired_one_not(tmp_path, file):
    create_key(file, ("query",), "old", expires=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(SettingsError):
        check_access(settings(tmp_path, host="0.0.0.0", keys_file=file))
    create_key(file, ("query",), "new")
    check_access(settings(tmp_path, host="0.0.0.0", keys_file=file))


def test_a_key_that_logs_in_a_thousand_times_ends_its_own_log_ins_alone(file):
    create_key(file, ("query",), "flood")
    create_key(file, ("query",), "ward")
    flood, ward = list_keys(file)
    sessions = Sessions(lifetime_s=60)
    mine = sessions.open(ward)
    theirs = [sessions.open(flood) for _ in range(1000)]
    assert sessions.key_id(mine) == ward.id
    assert [sessions.key_id(token) for token in theirs].count(flood.id) == SESSIONS_PER_KEY
    assert sessions.key_id(theirs[-1]) == flood.id


def test_a_session_ends(file):
    create_key(file, ("query",), "a")
    (key,) = list_keys(file)
    now_s = 100.0
    sessions = Sessions(lifetime_s=60, now=lambda: now_s)
    token = sessions.open(key)
    assert sessions.key_id(token) == key.id
    now_s += 61
    assert sessions.key_id(token) is None
    token = sessions.open(key)
    sessions.close(token)
    assert sessions.key_id(token) is None
