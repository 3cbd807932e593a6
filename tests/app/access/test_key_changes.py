"""Keys made and taken back by a running service: within the scopes of who asks, and where it may write."""

from __future__ import annotations

import errno
import json

import pytest

from app.access import keys
from app.access.key_changes import make_key, take_back
from app.access.keys import KeyRing, create_key, list_all, list_keys
from app.refusals import KeyChangeRefused, KeysUnusable, KeyUnknown, NoSpace


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def admin(file):
    create_key(file, ("admin",), "operator")
    return list_keys(file)[0]


def test_a_key_gives_no_scope_that_it_lacks(file, admin):
    with pytest.raises(KeyChangeRefused, match="scope query") as refused:
        make_key(file, by=admin, scopes=["query", "admin"], name="b", expires_in_days=None)
    assert refused.value.code == "scope_not_yours"
    assert list_keys(file) == (admin,)
    made, secret = make_key(file, by=admin, scopes=["admin"], name="b", expires_in_days=90)
    assert KeyRing(file).find(secret) == made
    assert (made.expires - made.created).days in (89, 90)


def test_a_revoked_key_is_remembered_without_its_hash_and_never_let_in(file, admin):
    made, secret = make_key(file, by=admin, scopes=["admin"], name="b", expires_in_days=None)
    gone = take_back(file, made.id, by=admin)
    assert list_all(file)[1] == (gone,)
    assert gone.revoked >= made.created
    assert made.sha256 not in file.read_text()
    assert KeyRing(file).find(secret) is None
    with pytest.raises(KeyUnknown):
        take_back(file, made.id, by=admin)


def test_a_version_that_knows_no_revoked_keys_lets_none_of_them_in(file, admin):
    made, _ = make_key(file, by=admin, scopes=["admin"], name="b", expires_in_days=None)
    take_back(file, made.id, by=admin)
    assert [key["id"] for key in json.loads(file.read_text())["keys"]] == [admin.id]


def test_so_many_are_remembered_and_so_many_made(file, admin, monkeypatch):
    monkeypatch.setattr("app.access.keys.KEPT_REVOKED", 2)
    monkeypatch.setattr("app.access.keys.MAX_KEYS", 3)
    ids = [make_key(file, by=admin, scopes=["admin"], name=n, expires_in_days=None)[0].id for n in "ab"]
    with pytest.raises(KeyChangeRefused) as refused:
        make_key(file, by=admin, scopes=["admin"], name="c", expires_in_days=None)
    assert refused.value.code == "too_many_keys"
    for key_id in ids:
        take_back(file, key_id, by=admin)
    ids.append(make_key(file, by=admin, scopes=["admin"], name="c", expires_in_days=None)[0].id)
    take_back(file, ids[-1], by=admin)
    assert [key.id for key in list_all(file)[1]] == ids[1:]


def test_a_key_does_not_revoke_itself(file, admin):
    with pytest.raises(KeyChangeRefused) as refused:
        take_back(file, admin.id, by=admin)
    assert refused.value.code == "own_key"
    assert list_keys(file) == (admin,)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EBUSY])
def test_where_the_file_is_read_only_the_command_is_said(file, admin, monkeypatch, number):
    monkeypatch.setattr(keys, "locked", raising(OSError(number, "no")))
    with pytest.raises(KeyChangeRefused) as refused:
        make_key(file, by=admin, scopes=["admin"], name="ward 7's", expires_in_days=90)
    assert refused.value.code == "keys_read_only"
    assert refused.value.command == "echo2ecg keys create --name 'ward 7'\"'\"'s' --scope admin --days 90"
    assert "docker compose run --rm keys" in refused.value.hint
    with pytest.raises(KeyChangeRefused) as refused:
        take_back(file, "0a1b2c3d", by=admin)
    assert refused.value.command == "echo2ecg keys revoke 0a1b2c3d"
    assert str(file) not in refused.value.in_full


def test_a_full_disk_and_a_damaged_file_are_called_so(file, admin, monkeypatch):
    file.write_text("{")
    with pytest.raises(KeysUnusable, match="damaged"):
        make_key(file, by=admin, scopes=["admin"], name="b", expires_in_days=None)
    monkeypatch.setattr(keys, "locked", raising(OSError(errno.ENOSPC, "full")))
    with pytest.raises(NoSpace):
        make_key(file, by=admin, scopes=["admin"], name="b", expires_in_days=None)


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def test_uses_are_known_by_key_and_a_glance_is_none(file):
    secret = create_key(file, ("query",), "a")
    ring = KeyRing(file)
    key_id = list_keys(file)[0].id
    assert ring.glance(key_id) is not None
    assert ring.find("wrong") is None
    assert ring.last_used(key_id) is None
    ring.find(secret)
    first = ring.last_used(key_id)
    assert first is not None
    ring.by_id(key_id)
    assert ring.last_used(key_id) >= first
