"""Letters that no terminal, log or address should be given: control characters, line ends, marks that turn text around.
And letters by which two names look alike.

Whatever comes from files, tables, services or exceptions may hold them, by accident or on purpose.
"""

from __future__ import annotations

from unicodedata import category, is_normalized, normalize

_LINE_ENDS = "\u2028\u2029"
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    "\u2800\U00016fe4\U0001d159" + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)
"""Unicode's Default_Ignorable_Code_Point as far as they are no control characters (`_is_control`); and blank ones."""


def has_control(text: str) -> bool:
    """Whether a control character, a line or paragraph separator or a mark of text direction is in it."""
    return not text.isprintable() and any(map(_is_control, text))


def made_visible(text: str) -> str:
    r"""The same text, those letters spelt out: `\n`, `\x1b`, `\u202e`."""
    if not has_control(text):
        return text
    return "".join(letter.encode("unicode_escape").decode() if _is_control(letter) else letter for letter in text)


def has_invisible(text: str) -> bool:
    """Whether a letter is in it that shows nothing and is no space: a joiner, a filler, a selector, a blank pattern."""
    return not text.isascii() and not _INVISIBLE.isdisjoint(text)


def is_composed(text: str) -> bool:
    """Whether it is in Unicode's form NFC, in which each accented letter has one spelling."""
    return is_normalized("NFC", text)


def folded(text: str) -> str:
    """The same for texts that differ in case, width or form only: Unicode's NFKC_Casefold of what shows."""
    return normalize("NFKC", normalize("NFKC", text).casefold())


def _is_control(letter: str) -> bool:
    """Unicode's categories Cc, Cf, Cs, Co and Cn, and what separates lines."""
    return category(letter)[0] == "C" or letter in _LINE_ENDS
