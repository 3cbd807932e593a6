"""A named recipe with some of its fields changed: by a TOML file, or by `name=value` on the command line."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import to_jsonable_python

from ground.errors import Refusal
from training.recipes import ECG_PRETRAININGS, RECIPES, Alignment, Recipe, named_recipe

CHANGED = "+changes"
_MOST_BYTES = 1 << 20
_NOT_CHANGED = {"name", "changes"}
_OF_THE_COHORT = "ecg.amplitude"


OPTIONS = ("seed", "alignment.bf16", "alignment.compile", "alignment.chunk_size")
"""Fields that have an option of the command of their own, by dotted name."""


def recipe_of(named: str, settings: Sequence[str] = (), options: Mapping[str, JsonValue] | None = None) -> Recipe:
    """The recipe of that name, or of a file `*.toml` with a `base` and fields to change; then `settings` are changed.

    A setting is `name=value`, the value as TOML writes it, text also without quotes. A name is that of a field as in
    `alignment.batch_size`, of a recipe or of its alignment. `options` are values of fields of OPTIONS, over all else:
    they make no changed recipe of a named one. Refusal for anything else, with the nearest name, and for a field that
    is set twice in one place.
    """
    base, changes = (named, {}) if not named.endswith(".toml") else _read(Path(named))
    recipe, options = named_recipe(base), options or {}
    of_file, of_settings = _each_once(changes.items(), recipe), _each_once(map(_setting, settings), recipe)
    if both := sorted(of_settings.keys() & options.keys()):
        raise _twice(both[0])
    over_file = {name: value for name, value in options.items() if name in of_file}
    found = changed(recipe, of_file | of_settings | over_file)
    return _with_options(found, {name: value for name, value in options.items() if name not in over_file})


def command_options(recipe: Recipe) -> list[str]:
    """What `train` was given besides the recipe's name and changes: as arguments, in the order of its help.

    Of a recipe without a name that the command knows nothing can be said.
    """
    if recipe.base not in RECIPES:
        return []
    named = changed(named_recipe(recipe.base), recipe.changes)
    given = {name: _value(recipe, name) for name in OPTIONS if _value(recipe, name) != _value(named, name)}
    words: list[str] = []
    for name, value in given.items():
        option = name.rpartition(".")[2].replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else _WITHOUT[name])
        else:
            words += [f"--{option}", str(value)]
    return words


_WITHOUT = {"alignment.bf16": "--fp32", "alignment.compile": "--no-compile"}


def _with_options(recipe: Recipe, options: Mapping[str, JsonValue]) -> Recipe:
    aligned = {name.removeprefix("alignment."): value for name, value in options.items() if name != "seed"}
    recipe = recipe.aligned_with(**aligned)
    return recipe if "seed" not in options else recipe.model_copy(update={"seed": options["seed"]})


def changed(recipe: Recipe, changes: Mapping[str, JsonValue]) -> Recipe:
    """The same recipe with other values by full dotted name, checked as a new one's are; it says what was changed.

    Its name says that it was; what is set to the value that it has is no change. Refusal for a value that does not fit,
    also for one of another kind, such as text for a number.
    """
    fields = recipe.model_dump(mode="json")
    for name, value in changes.items():
        *above, last = name.split(".")
        place = fields
        for part in above:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[last] = value
    try:
        new = Recipe.model_validate_json(json.dumps(fields, default=str), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        loc = [str(part) for part in first["loc"] if part not in ECG_PRETRAININGS]  # which kind it is of
        where, says = ".".join(loc), str(first["msg"]).removeprefix("Value error, ")
        raise Refusal(
            "recipe_unfit", f"The changed recipe does not fit: {where + ': ' if where else ''}{says}."
        ) from None
    told = {name: value for name in changes if (value := _value(new, name)) != _value(recipe, name)}
    if not told:
        return recipe
    named = {"name": recipe.name.removesuffix(CHANGED) + CHANGED, "changes": {**recipe.changes, **told}}
    return new.model_copy(update=named)


def as_toml(value: JsonValue) -> str:
    """On one line, as TOML writes it."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{as_toml(name)} = {as_toml(one)}' for name, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _each_once(changes: Iterable[tuple[str, JsonValue]], recipe: Recipe) -> dict[str, JsonValue]:
    """Single values by full dotted name. Refusal for a name that there is not, and for one that comes twice."""
    found: dict[str, JsonValue] = {}
    for name, value in _flat(changes):
        full = _full_name(name, recipe)
        if any(f"{full}.".startswith(f"{one}.") or f"{one}.".startswith(f"{full}.") for one in found):
            raise _twice(full)
        found[full] = value
    return found


def _twice(name: str) -> Refusal:
    return Refusal("recipe_field_twice", f"The field {name} of the recipe is set twice; keep one of the two.")


def _full_name(name: str, recipe: Recipe) -> str:
    """Of a field of the recipe, or of its alignment. Refusal for a name that there is not."""
    path = name.split(".")
    place: object = recipe
    if path[0] not in Recipe.model_fields and path[0] in Alignment.model_fields:
        path = ["alignment", *path]
    if name == _OF_THE_COHORT:
        raise Refusal("recipe_field_unknown", f"The cohort decides {name}: its cohort.json may say amplitude.")
    if path[0] in _NOT_CHANGED:
        raise _no_field(name, recipe)
    for part in path:
        if place is None:  # pydantic checks
            break
        if not isinstance(place, BaseModel) or part not in type(place).model_fields:
            raise _no_field(name, recipe)
        place = getattr(place, part)
    return ".".join(path)


def _value(recipe: Recipe, name: str) -> JsonValue:
    """Of a field, as JSON has it; None below what the recipe has not."""
    place: object = recipe
    for part in name.split("."):
        place = getattr(place, part, None)
    value: JsonValue = to_jsonable_python(place)
    return value


def _no_field(name: str, recipe: Recipe) -> Refusal:
    names = [*_names(recipe), *Alignment.model_fields]
    near = difflib.get_close_matches(name, names, n=1) or [one for one in names if one.rpartition(".")[2] == name]
    hint = f"Is it {near[0]}?" if near else "`echo2ecg bundle show` shows the fields of a recipe under training_data."
    return Refusal("recipe_field_unknown", f"A recipe has no field {name} that could be changed.", hint=hint)


def _names(place: BaseModel, before: str = "") -> Iterator[str]:
    for part in type(place).model_fields:
        name, value = before + part, getattr(place, part)
        if name not in (*_NOT_CHANGED, _OF_THE_COHORT):
            yield name
        if isinstance(value, BaseModel):
            yield from _names(value, f"{name}.")


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
    """The name of the base, and the fields and tables of fields."""
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
    return base, content


def _flat(fields: Iterable[tuple[str, JsonValue]], before: str = "") -> Iterator[tuple[str, JsonValue]]:
    for name, value in fields:
        if isinstance(value, Mapping):
            yield from _flat(value.items(), f"{before}{name}.")
        else:
            yield before + name, value
