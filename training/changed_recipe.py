"""A named recipe with some of its fields changed: by a TOML file, or by `name=value` on the command line."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue, ValidationError

from ground.errors import Refusal
from training.recipes import RECIPES, Alignment, Recipe, named_recipe

CHANGED = "+changes"
_MOST_BYTES = 1 << 20
_NOT_CHANGED = {"name", "changes"}


def recipe_of(named: str, settings: Sequence[str] = ()) -> Recipe:
    """The recipe of that name, or of a file `*.toml` with a `base` and fields to change; then `settings` are changed.

    A setting is `name=value`, the value as TOML writes it, text also without quotes. A name is that of a field as in
    `alignment.batch_size`, of a recipe or of its alignment. Refusal for anything else, with the nearest name.
    """
    base, changes = (named, {}) if not named.endswith(".toml") else _read(Path(named))
    return changed(named_recipe(base), changes | dict(_setting(one) for one in settings))


def changed(recipe: Recipe, changes: Mapping[str, JsonValue]) -> Recipe:
    """The same recipe with other values by dotted name, checked as a new one's are; it says what was changed.

    Its name says that it was; what is set to the value that it has is no change. Refusal for a name that there is not
    and for a value that does not fit.
    """
    fields = recipe.model_dump(mode="json")
    told: dict[str, JsonValue] = {}
    for name, value in changes.items():
        path = _path(name, fields)
        place = fields
        for part in path[:-1]:
            if place[part] is None:
                place[part] = {}
            place = place[part]
        if place.get(path[-1]) != value:
            place[path[-1]] = value
            told[".".join(path)] = value
    if not told:
        return recipe
    fields |= {"name": recipe.name.removesuffix(CHANGED) + CHANGED, "changes": {**recipe.changes, **told}}
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where, says = ".".join(map(str, first["loc"])), str(first["msg"]).removeprefix("Value error, ")
        raise Refusal(
            "recipe_unfit", f"The changed recipe does not fit: {where + ': ' if where else ''}{says}."
        ) from None


def _path(name: str, fields: Mapping[str, JsonValue]) -> list[str]:
    """Where a field stands; a name without dots may be the alignment's."""
    if "." not in name and name not in fields and name in Alignment.model_fields:
        return ["alignment", name]
    path, place = name.split("."), fields
    for depth, part in enumerate(path):
        known = isinstance(place, Mapping) and part in place
        if (part in _NOT_CHANGED and depth == 0) or not (known or place is None):
            raise _no_field(name, fields)
        place = None if place is None else place[part]  # type: ignore[assignment]  # below None, pydantic checks
    return path


def _no_field(name: str, fields: Mapping[str, JsonValue]) -> Refusal:
    names = [*_names(fields), *Alignment.model_fields]
    near = difflib.get_close_matches(name, names, n=1) or [one for one in names if one.rpartition(".")[2] == name]
    hint = f"Is it {near[0]}?" if near else "`echo2ecg bundle show` shows the fields of a recipe under training_data."
    return Refusal("recipe_field_unknown", f"A recipe has no field {name} that could be changed.", hint=hint)


def _names(fields: Mapping[str, JsonValue], before: str = "") -> Iterator[str]:
    for name, value in fields.items():
        if before or name not in _NOT_CHANGED:
            yield before + name
        if isinstance(value, Mapping) and name not in _NOT_CHANGED:
            yield from _names(value, f"{before}{name}.")


def _setting(text: str) -> tuple[str, JsonValue]:
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise Refusal("setting_unreadable", f"A setting is name=value, as in epochs=5, and not {text!r}.")
    try:
        found: JsonValue = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        found = value.strip()
    return name.strip(), found


def _read(file: Path) -> tuple[str, dict[str, JsonValue]]:
    """The name of the base, and the fields by dotted name."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise Refusal("recipe_unreadable", f"{file.name} is larger than a recipe.")
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise Refusal("recipe_unreadable", f"{file.name} is not there or cannot be read as text.") from None
    except tomllib.TOMLDecodeError as error:
        raise Refusal("recipe_unreadable", f"{file.name} is no TOML: {error}.") from None
    base = content.pop("base", None)
    if not isinstance(base, str):
        hint = f'Write base = "demo" at its top; the recipes are {", ".join(RECIPES)}.'
        raise Refusal("recipe_without_base", f"{file.name} does not say which recipe it changes.", hint=hint)
    return base, dict(_flat(content))


def _flat(fields: Mapping[str, JsonValue], before: str = "") -> Iterator[tuple[str, JsonValue]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value
