"""XML of unknown origin to a tree, within limits: no entities, nothing from elsewhere, bounded depth and size.

Files are told apart by their root, whatever stands before it: a byte order mark, white space, a declaration, comments
or a DOCTYPE. UTF-16 is found without a mark too.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from inputs.errors import UnreadableFile
from inputs.limits import MAX_XML_BYTES, MAX_XML_DEPTH, MAX_XML_ELEMENTS

_LOOKED_AT = 64 * 1024
"""Bytes within which the root must begin."""
_BEFORE_ROOT = re.compile(r"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>", re.DOTALL)
_ROOT = re.compile(r"<(?:[\w.-]+:)?(?P<tag>[A-Za-z_][\w.-]*)(?=[\s/>])(?P<rest>[^>]*)")
_DECLARED = re.compile(rb"^<\?xml[^>]*?encoding\s*=\s*[\"'](?P<name>[A-Za-z0-9._-]{1,40})[\"']")
_UNMARKED = (
    ("utf-16-le", re.compile(rb"(?:[ \t\r\n]\0)*<\0")),
    ("utf-16-be", re.compile(rb"(?:\0[ \t\r\n])*\0<")),
)
_SINGLE_BYTE = (
    "iso-8859-2", "iso-8859-5", "iso-8859-7", "iso-8859-9", "windows-1250", "windows-1251", "windows-1253",
    "windows-1254", "shift_jis", "euc-jp", "gb2312", "gbk", "gb18030", "big5", "euc-kr",
)  # fmt: skip
_ENCODINGS = {
    "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "utf-8", "ascii": "utf-8", "iso-8859-1": "iso-8859-1",
    "latin1": "iso-8859-1", "latin-1": "iso-8859-1", "iso-8859-15": "iso-8859-15", "windows-1252": "windows-1252",
    "cp1252": "windows-1252", "utf-16": "utf-8", "utf-16le": "utf-8", "utf-16-le": "utf-8", "unicode": "utf-8",
    **{name: name for name in _SINGLE_BYTE},
}  # fmt: skip
"""What a declaration may name, and the codec for it: UTF-16 that can be read as letters was saved as UTF-8."""


def root_of(data: bytes) -> tuple[str, str] | None:
    """The root's name without its prefix, and the rest of its tag (namespaces, version); None for what is no XML."""
    try:
        encoding = _encoding(data)
    except UnreadableFile:
        encoding = "iso-8859-1"  # tags are letters that most have in common: the reader refuses it in its own words
    text = data[:_LOOKED_AT].decode(encoding, "ignore").lstrip("\ufeff")
    if not text.lstrip().startswith("<"):
        return None
    place = 0
    while (before := _BEFORE_ROOT.match(text, place)) is not None:
        place = before.end()
    found = _ROOT.match(text, place)
    return None if found is None else (found["tag"], found["rest"])


def parse_xml(data: bytes) -> Element:
    """The root of a document whose tags lose their namespaces: `{urn:hl7-org:v3}series` becomes `series`.

    Raises UnreadableFile for what is no XML or beyond the limits, and for every declaration of an entity.
    """
    text = _text(data)
    if len(text) > MAX_XML_BYTES or len(text.encode("utf-8", "replace")) > MAX_XML_BYTES:
        raise UnreadableFile("file_too_large", f"The XML file is larger than {MAX_XML_BYTES >> 20} MiB.")
    # A DOCTYPE is let pass: MUSE writes one. What it could do, declare entities or fetch files, is forbidden.
    parser = DefusedXMLParser(target=_Bounded(), forbid_dtd=False, forbid_entities=True, forbid_external=True)
    try:
        parser.feed(text)
        root = parser.close()
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise UnreadableFile("unreadable_file", "The XML file is damaged, cut off or declares entities.") from error
    assert isinstance(root, Element)
    return root


def text_at(element: Element, path: str) -> str | None:
    """The text of the first element at a path, stripped; None where there is none or it is empty."""
    found = element.findtext(path)
    return None if found is None or not found.strip() else found.strip()


def attributes_of(elements: Iterator[Element], name: str) -> list[str]:
    """The values of an attribute where elements have it."""
    return [value for element in elements if (value := element.get(name)) is not None]


class _Bounded(TreeBuilder):
    """Builds the tree, counting: a small file of nested tags would be a deep recursion."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._elements = 0

    def start(self, tag: Any, attrs: Any, /) -> Element:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_XML_DEPTH or self._elements > MAX_XML_ELEMENTS:
            raise UnreadableFile("unreadable_file", "The XML file is nested too deep or has too many elements.")
        return super().start(_local(tag), {_local(name): value for name, value in attrs.items()})

    def end(self, tag: Any, /) -> Element:
        self._depth -= 1
        return super().end(_local(tag))


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _text(data: bytes) -> str:
    try:
        return data.decode(_encoding(data)).lstrip("\ufeff").lstrip()
    except UnicodeDecodeError as error:
        raise UnreadableFile("unreadable_file", "The XML file is not in the encoding that it names.") from error


def _encoding(data: bytes) -> str:
    """By its mark, by the zeros of UTF-16, else as it declares. Raises UnreadableFile for one that is not read."""
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    for encoding, start in _UNMARKED:
        if start.match(data[:64]):
            return encoding
    declared = _DECLARED.match(data[:200].removeprefix(codecs.BOM_UTF8).lstrip())
    name = "utf-8" if declared is None else declared["name"].decode().lower()
    if name not in _ENCODINGS:
        raise UnreadableFile("unreadable_file", "The XML file is in an encoding that is not read.", hint="Use UTF-8.")
    return _ENCODINGS[name]
