"""API keys: random, kept only as hashes in one small file, noticed without a restart.

A key has 256 random bits, so a plain SHA-256 protects it as well as a slow hash would. The file is replaced in one
step, so a reader sees the old keys or the new ones. A keys file that is configured must be there at the start; when it
is missing or damaged later, nobody is let in.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from app.refusals import AskerRevoked, KeyChangeRefused, KeysBusy, KeysUnusable, KeyUnknown
from app.settings import Settings, SettingsError
from ground.disk import locked, sha256, stamp, write_whole
from ground.errors import Refusal
from ground.schema import NEWER, is_newer_json

Scope = Literal["query", "admin"]
SCOPES: tuple[Scope, ...] = ("query", "admin")
KEY_PREFIX = "e2e_"
MAX_KEYS = 1000
KEPT_REVOKED = 100
MAX_NAME_LETTERS = 100

log = structlog.get_logger(__name__)


class ApiKey(BaseModel):
    """What is kept of a key: everything but the key."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created: AwareDatetime
    expires: AwareDatetime | None = None

    @property
    def is_valid_now(self) -> bool:
        return self.expires is None or datetime.now(UTC) < self.expires


class RevokedKey(BaseModel):
    """What is remembered of a key that was taken back; nothing that could be let in again."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime


_SCHEMA_VERSION = 1
_WAIT_S = 5.0
_WAIT_HERE_S = 0.5
_STAYS_SO = ("keys_damaged", "keys_newer")
"""Such a file is read again when it changes, and not for every request."""
_CHANGING_HERE = threading.Lock()
"""One thread of this process waits for another process's turn to end, and no second beside it: they are few."""


class _KeysFile(BaseModel):
    schema_version: Literal[1] = 1
    keys: tuple[ApiKey, ...] = ()
    revoked: tuple[RevokedKey, ...] = ()
    """Apart from `keys`: an earlier version, which does not know of it, lets none of them in."""


def create_key(file: Path, scopes: Sequence[str], name: str, *, expires: datetime | None = None) -> str:
    """Add a key and return it: see `add_key`."""
    return add_key(file, scopes, name, expires=expires)[1]


def add_key(
    file: Path,
    scopes: Sequence[str],
    name: str,
    *,
    expires: datetime | None = None,
    by: ApiKey | None = None,
    settle: Callable[[], None] = lambda: None,
) -> tuple[ApiKey, str]:
    """Add a key; what is kept of it, and itself: the only moment at which it exists in clear.

    settle: called when all has been waited for and nothing is written yet; nothing is, where it raises.
    KeyChangeRefused for an unknown scope, and where there are MAX_KEYS already; AskerRevoked where `by` is no key any
    more when its turn has come.
    """
    wrong = [scope for scope in scopes if scope not in SCOPES]
    if wrong or not scopes:
        raise KeyChangeRefused("scope_unknown", f"A key needs one or more of the scopes {' and '.join(SCOPES)}.")
    if expires is not None and expires.tzinfo is None:
        raise KeyChangeRefused("expiry_unzoned", "The expiry needs a time zone.")
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    entry = ApiKey(
        id=secrets.token_hex(4),
        name=name,
        scopes=tuple(scope for scope in SCOPES if scope in scopes),
        sha256=_hash(key),
        created=datetime.now(UTC),
        expires=expires,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    with _turn_at(file):
        before = _read(file) if file.exists() else _KeysFile()
        _check_asker(before, by)
        if len(before.keys) >= MAX_KEYS:
            raise KeyChangeRefused("too_many_keys", f"There are {MAX_KEYS} keys: revoke some that nobody needs.")
        settle()
        _write(file, before.model_copy(update={"keys": (*before.keys, entry)}))
    return entry, key


def list_keys(file: Path) -> tuple[ApiKey, ...]:
    """Every key in the file, oldest first. KeysUnusable when it is missing, damaged, newer or cannot be read."""
    return _read(file).keys


def list_all(file: Path) -> tuple[tuple[ApiKey, ...], tuple[RevokedKey, ...]]:
    """And the last KEPT_REVOKED keys that were taken back, the oldest first. KeysUnusable as for `list_keys`."""
    found = _read(file)
    return found.keys, found.revoked


def _read(file: Path) -> _KeysFile:
    try:
        if file.exists() and not file.is_file():  # a pipe would hold us up
            raise IsADirectoryError
        return _parsed(file.read_bytes())
    except FileNotFoundError:
        raise KeysUnusable("keys_missing", "There is no keys file there: `echo2ecg keys create` makes one.") from None
    except OSError:
        sentence = "The keys file cannot be read: it must be a file that you may read."
        raise KeysUnusable("keys_unreadable", sentence) from None


@lru_cache(maxsize=1)
def _parsed(content: bytes) -> _KeysFile:
    """The same content is taken apart once, whoever reads it: a thousand keys hold everybody up for 10 ms."""
    try:
        return _KeysFile.model_validate_json(content)
    except ValidationError:
        if is_newer_json(content, _SCHEMA_VERSION):
            raise KeysUnusable("keys_newer", f"The keys file {NEWER}.", hint="Use that version for it.") from None
        sentence = "The keys file is damaged: restore it, or remove it and make new keys."
        raise KeysUnusable("keys_damaged", sentence) from None


def revoke_key(
    file: Path, key_id: str, *, by: ApiKey | None = None, settle: Callable[[], None] = lambda: None
) -> RevokedKey:
    """Take a key back; what is remembered of it. KeyUnknown when none has this id. `settle` and AskerRevoked as for
    `add_key`."""
    with _turn_at(file):
        before = _read(file)
        _check_asker(before, by)
        key = next((key for key in before.keys if key.id == key_id), None)
        if key is None:
            raise KeyUnknown
        revoked = RevokedKey(**key.model_dump(exclude={"sha256"}), revoked=datetime.now(UTC))
        kept = tuple(other for other in before.keys if other.id != key_id)
        settle()
        _write(file, _KeysFile(keys=kept, revoked=(*before.revoked, revoked)[-KEPT_REVOKED:]))
    return revoked


def _check_asker(there: _KeysFile, by: ApiKey | None) -> None:
    """Whoever asks may have waited for its turn while it was taken back. Raises AskerRevoked."""
    if by is not None and not any(key.id == by.id and key.is_valid_now for key in there.keys):
        raise AskerRevoked


@contextmanager
def _turn_at(file: Path) -> Iterator[None]:
    """Two commands at once must not lose each other's key. Refusal where another one does not end."""
    file = file.resolve()  # whoever comes by a link waits for the same turn
    try:
        with _turn_here(), locked(file.with_name(f".{file.name}.lock"), wait_s=_WAIT_S, owned_as=file):
            yield
    except TimeoutError:
        raise KeysBusy from None


@contextmanager
def _turn_here() -> Iterator[None]:
    if not _CHANGING_HERE.acquire(timeout=_WAIT_HERE_S):
        raise TimeoutError
    try:
        yield
    finally:
        _CHANGING_HERE.release()


def check_access(settings: Settings) -> None:
    """Refuse to start open where keys were meant, or reachable from other machines without. Raises SettingsError."""
    keys = _configured_keys(settings.keys_file) if settings.keys_file is not None else ()
    if not settings.binds_to_loopback and not any(key.is_valid_now for key in keys):
        raise SettingsError(
            f"Without API keys the service only binds to loopback, not to {settings.host}: "
            "make one with `echo2ecg keys create` and set ECHO2ECG_KEYS_FILE, or use 127.0.0.1."
        )


def _configured_keys(file: Path) -> tuple[ApiKey, ...]:
    try:
        return list_keys(file)
    except Refusal as error:
        raise SettingsError(f"The setting keys_file names a file that gives no keys. {error}") from None


class KeyRing:
    """The keys in force right now; none are asked for where no file is configured.

    Raises SettingsError where the file that is configured gives no keys: a service that was meant to be closed must not
    start open.
    """

    def __init__(self, file: Path | None) -> None:
        self.enforced = file is not None
        self._file = file
        self._stamp: tuple[int, ...] | None = None
        self._keys: tuple[ApiKey, ...] = () if file is None else _configured_keys(file)
        self._fault = ""
        self._last_used: dict[str, datetime] = {}
        """By key id, since the service started: to write it down would be a write for every request."""

    def find(self, secret: str) -> ApiKey | None:
        """The valid key with this secret, in a time that does not depend on how much of it is right."""
        self._reload_if_changed()
        presented = _hash(secret)
        matching = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, presented) and key.is_valid_now:
                matching = key
        self._note_use(matching)
        return matching

    def by_id(self, key_id: str) -> ApiKey | None:
        """The valid key with this id, for a session that was opened with it."""
        key = self.glance(key_id)
        self._note_use(key)
        return key

    def glance(self, key_id: str) -> ApiKey | None:
        """The valid key with this id; nobody uses it by asking so."""
        self._reload_if_changed()
        return next((key for key in self._keys if key.id == key_id and key.is_valid_now), None)

    def last_used(self, key_id: str) -> datetime | None:
        """When a key let somebody in last, since the service started."""
        return self._last_used.get(key_id)

    def _note_use(self, key: ApiKey | None) -> None:
        if key is not None:
            self._last_used[key.id] = datetime.now(UTC)

    def _reload_if_changed(self) -> None:
        if self._file is None:
            return
        try:
            status = self._file.stat()
        except OSError:
            self._shut("keys_missing")
            return
        # ctime too: a file that could not be read is mended by its owner or mode.
        now = stamp(status)
        if now == self._stamp:
            return
        try:
            self._keys, self._stamp, self._fault = list_keys(self._file), now, ""
            there = {key.id for key in self._keys}
            self._last_used = {key_id: at for key_id, at in self._last_used.items() if key_id in there}
        except Refusal as error:
            self._shut(error.code)
            self._stamp = now if error.code in _STAYS_SO else None

    def _shut(self, reason: str) -> None:
        """Nobody is let in. A moment may be all that was wrong: the file is read again."""
        self._keys, self._stamp = (), None
        if self._fault != reason:
            log.error("keys_file_unreadable", reason=reason)
        self._fault = reason


def _hash(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _write(file: Path, content: _KeysFile) -> None:
    write_whole(file, content.model_dump_json(indent=2) + "\n", private=True)
