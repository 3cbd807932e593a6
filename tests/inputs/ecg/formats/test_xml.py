"""XML is told apart by its root and parsed within limits, whatever stands before it and however it is encoded."""

from __future__ import annotations

import codecs

import pytest

from inputs.ecg.formats.xml import parse_xml, root_of
from inputs.errors import UnreadableFile
from inputs.limits import MAX_XML_DEPTH, MAX_XML_ELEMENTS

DOCUMENT = '<r:Root xmlns:r="urn:x" version="1.03"><r:lead name="I">-12</r:lead></r:Root>'
BEFORE = {
    "nothing": "",
    "white space": " \r\n\t",
    "a declaration": '<?xml version="1.0"?>\n',
    "a comment and a DOCTYPE": '<?xml version="1.0"?><!-- <no> --><!DOCTYPE Root SYSTEM "root.dtd">\n',
}
ENCODED = {
    "UTF-8": lambda text: text.encode(),
    "UTF-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16 little end first": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "UTF-16 big end first": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-16 little end first, no mark": lambda text: text.encode("utf-16-le"),
    "UTF-16 big end first, no mark": lambda text: text.encode("utf-16-be"),
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("encode", ENCODED.values(), ids=ENCODED)
def test_a_document_is_the_same_whatever_stands_before_it_and_however_it_is_encoded(before, encode):
    data = encode(before + DOCUMENT)
    tag, rest = root_of(data)
    assert tag == "Root"
    assert 'version="1.03"' in rest
    root = parse_xml(data)
    assert (root.tag, root.get("version")) == ("Root", "1.03")
    assert [(lead.tag, lead.get("name"), lead.text) for lead in root] == [("lead", "I", "-12")]


def test_a_declared_encoding_is_obeyed_and_an_unknown_one_refused():
    named = '<?xml version="1.0" encoding="{}"?><Root>M\u00fcller</Root>'
    assert parse_xml(named.format("ISO-8859-1").encode("iso-8859-1")).text == "M\u00fcller"
    assert parse_xml(named.format("UTF-16").encode()).text == "M\u00fcller", "saved as UTF-8 with its old declaration"
    with pytest.raises(UnreadableFile, match="encoding that is not read"):
        parse_xml(named.format("EBCDIC-US").encode())
    with pytest.raises(UnreadableFile, match="not in the encoding that it names"):
        parse_xml(named.format("UTF-8").encode("iso-8859-1"))


@pytest.mark.parametrize(
    "data", [b"", b"no xml", b"{}", b"<", b"<>", b"<?xml version='1.0'?>", b"\xff\xfe", b"\0" * 99]
)
def test_what_has_no_root_is_no_xml(data):
    assert root_of(data) is None


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>',
        '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><r>&a;</r>',
        '<!DOCTYPE r [<!ENTITY % a SYSTEM "http://127.0.0.1:1/x"> %a;]><r/>',
        "<r><lead></r>",
        "<r>",
        "<a>" * (MAX_XML_DEPTH + 1) + "</a>" * (MAX_XML_DEPTH + 1),
        "<r>" + "<a/>" * MAX_XML_ELEMENTS + "</r>",
    ],
    ids=["entity", "file", "parameter entity", "not closed", "cut off", "deep", "many"],
)
def test_entities_depth_size_and_damage_are_refused(text):
    with pytest.raises(UnreadableFile):
        parse_xml(text.encode())
