"""Letters that no terminal, log or address should be given: control characters, line ends, marks that turn text around.

Whatever comes from files, tables, services or exceptions may hold them, by accident or on purpose.
"""

from __future__ import annotations

from unicodedata import category

_LINE_ENDS = "\u2028\u2029"


def has_control(text: str) -> bool:
    """Whether a control character, a line or paragraph separator or a mark of text direction is in it."""
    return not text.isprintable() and any(map(_is_control, text))


def made_visible(text: str) -> str:
    r"""The same text, those letters spelt out: `\n`, `\x1b`, `\u202e`."""
    if not has_control(text):
        return text
    return "".join(letter.encode("unicode_escape").decode() if _is_control(letter) else letter for letter in text)


def _is_control(letter: str) -> bool:
    """Unicode's categories Cc, Cf, Cs, Co and Cn, and what separates lines."""
    return category(letter)[0] == "C" or letter in _LINE_ENDS
