"""`echo2ecg keys`: who may ask, and who may change the index. What does it is imported only when a command runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from cli.console import out

keys_app = typer.Typer(no_args_is_help=True, help="API keys with scopes `query` and `admin`.")


def _scopes(names: list[str]) -> list[str]:
    if unknown := set(names) - {"query", "admin"}:
        raise typer.BadParameter(f"there is no scope {', '.join(sorted(unknown))}; use query or admin")
    return names


def _expiry(expires: datetime | None, days: int | None) -> datetime | None:
    now = datetime.now(UTC)
    if days is not None:
        if expires is not None:
            raise typer.BadParameter("give --expires or --days, not both")
        return now + timedelta(days=days)
    if expires is not None and (expires := expires.replace(tzinfo=UTC)) <= now:
        raise typer.BadParameter("--expires is a date to come")
    return expires


KeysFileOption = Annotated[Path, typer.Option("--file", envvar="ECHO2ECG_KEYS_FILE", help="Keys file.")]
ScopesOption = Annotated[list[str], typer.Option("--scope", callback=_scopes, help="query, admin; may be given twice.")]


@keys_app.command("create")
def keys_create(
    file: KeysFileOption,
    name: Annotated[str, typer.Option(help="Whose key this is.")],
    scope: ScopesOption = ["query"],  # noqa: B006
    expires: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Date (UTC) from which it is worthless; never unless given."),
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=36500, help="The same as days from now.")] = None,
) -> None:
    """Make a key and print it once; only its hash is kept."""
    from app.access.keys import create_key

    out.print(create_key(file, scopes=tuple(scope), name=name, expires=_expiry(expires, days)))


@keys_app.command("list")
def keys_list(file: KeysFileOption) -> None:
    """Every key's id, name, scopes, the date it was made and, where it has one, that of its end; never the key."""
    from app.access.keys import list_keys

    for key in list_keys(file):
        ends = "" if key.expires is None else f"  {'expires' if key.is_valid_now else 'expired'} {key.expires:%Y-%m-%d}"
        out.print(f"{key.id}  {key.name}  {','.join(key.scopes)}  {key.created:%Y-%m-%d}{ends}", soft_wrap=True)


@keys_app.command("revoke")
def keys_revoke(key_id: Annotated[str, typer.Argument(metavar="ID")], file: KeysFileOption) -> None:
    """Make a key worthless; a running service notices without a restart."""
    from app.access.keys import revoke_key

    revoke_key(file, key_id)
    out.print(f"Revoked {key_id}.")
