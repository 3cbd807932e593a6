"""Keys made and taken back by whoever administers a running service, which need not be able to write its keys file."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from app.access.keys import ApiKey, RevokedKey, Scope, add_key, revoke_key
from app.refusals import KeyChangeRefused, NoSpace
from ground.disk import READ_ONLY, is_no_space

log = structlog.get_logger(__name__)

_IN_COMPOSE = "With Docker Compose: `docker compose run --rm keys`, followed by the same without `echo2ecg`."


def make_key(
    file: Path | None,
    *,
    by: ApiKey | None,
    scopes: Sequence[Scope],
    name: str,
    expires_in_days: int | None,
    settle: Callable[[], None] = lambda: None,
) -> tuple[ApiKey, str]:
    """A new key: what is kept of it, and itself. KeyChangeRefused where `by` lacks a scope of it, or nothing can be
    written; AskerRevoked; KeysBusy; NoSpace. Waits for the disk, and calls `settle` as `add_key` does."""
    if by is not None and (more := [scope for scope in scopes if scope not in by.scopes]):
        sentence = f"This key does not have the scope {' and '.join(more)}, so it cannot give it."
        raise KeyChangeRefused("scope_not_yours", sentence)
    command = f"echo2ecg keys create --name {shlex.quote(name)}" + "".join(f" --scope {scope}" for scope in scopes)
    command += "" if expires_in_days is None else f" --days {expires_in_days}"
    expires = None if expires_in_days is None else datetime.now(UTC) + timedelta(days=expires_in_days)
    with _writable(file, command) as there:
        made, secret = add_key(there, scopes, name, expires=expires, by=by, settle=settle)
    log.info("key_made", key=made.id, scopes=list(made.scopes), by="" if by is None else by.id)
    return made, secret


def take_back(
    file: Path | None, key_id: str, *, by: ApiKey | None, settle: Callable[[], None] = lambda: None
) -> RevokedKey:
    """Revoke a key. KeyUnknown, AskerRevoked, KeysBusy, NoSpace; KeyChangeRefused where it is the one that asks, or
    nothing can be written. Waits for the disk, and calls `settle` as `add_key` does."""
    if by is not None and by.id == key_id:
        hint = "Another admin key can, and so can `echo2ecg keys revoke`."
        raise KeyChangeRefused("own_key", "A key does not revoke itself.", hint=hint)
    with _writable(file, f"echo2ecg keys revoke {shlex.quote(key_id)}") as there:
        revoked = revoke_key(there, key_id, by=by, settle=settle)
    log.info("key_revoked", key=revoked.id, by="" if by is None else by.id)
    return revoked


@contextmanager
def _writable(file: Path | None, command: str) -> Iterator[Path]:
    if file is None:
        hint = "Make the first one with `echo2ecg keys create` and set ECHO2ECG_KEYS_FILE."
        raise KeyChangeRefused("no_keys_file", "This service runs without keys.", hint=hint)
    try:
        yield file
    except OSError as error:
        if is_no_space(error):
            raise NoSpace from error
        if error.errno not in READ_ONLY:
            raise
        sentence = "The service may not write its keys file."
        hint = f"Run `{command}` where it can be written; the service notices. {_IN_COMPOSE}"
        raise KeyChangeRefused("keys_read_only", sentence, hint=hint, command=command) from None
