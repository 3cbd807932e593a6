"""The page: templates rendered on the server, no scripts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from app.http.code_words import code_words
from app.web.labels import LABELS, in_labels
from outputs import narrowed, sentences, words

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals["words"] = words
_environment.globals["sentences"] = sentences
_environment.globals["narrowed"] = narrowed
_environment.globals["code_words"] = code_words
_environment.globals["labels"] = LABELS
_environment.filters["in_labels"] = in_labels
_environment.globals["with_keys"] = False  # a page that says otherwise has who logged in


def _ticked(text: str) -> Markup:
    """Escaped, with what stands between `backticks` as code."""
    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just now


_environment.filters["ticked"] = _ticked


def render(template: str, **values: Any) -> str:
    """A template of `web/templates` with everything escaped."""
    return _environment.get_template(template).render(**values)
