"""`echo2ecg keys`: who may ask, and who may change the index. What does it is imported only when a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import out

keys_app = typer.Typer(no_args_is_help=True, help="API keys with scopes `query` and `admin`.")


def _scopes(names: list[str]) -> list[str]:
    if unknown := set(names) - {"query", "admin"}:
        raise typer.BadParameter(f"there is no scope {', '.join(sorted(unknown))}; use query or admin")
    return names


KeysFileOption = Annotated[Path, typer.Option("--file", envvar="ECHO2ECG_KEYS_FILE", help="Keys file.")]
ScopesOption = Annotated[list[str], typer.Option("--scope", callback=_scopes, help="query, admin; may be given twice.")]


@keys_app.command("create")
def keys_create(
    file: KeysFileOption,
    name: Annotated[str, typer.Option(help="Whose key this is.")],
    scope: ScopesOption = ["query"],  # noqa: B006
) -> None:
    """Make a key and print it once; only its hash is kept."""
    from app.access.keys import create_key

    out.print(create_key(file, scopes=tuple(scope), name=name))


@keys_app.command("list")
def keys_list(file: KeysFileOption) -> None:
    """Every key's id, name, scopes and date; never the key."""
    from app.access.keys import list_keys

    for key in list_keys(file):
        out.print(f"{key.id}  {key.name}  {','.join(key.scopes)}  {key.created:%Y-%m-%d}")


@keys_app.command("revoke")
def keys_revoke(key_id: Annotated[str, typer.Argument(metavar="ID")], file: KeysFileOption) -> None:
    """Make a key worthless; a running service notices without a restart."""
    from app.access.keys import revoke_key

    revoke_key(file, key_id)
    out.print(f"Revoked {key_id}.")
