"""ECGs in the XML of vendors and of HL7, written here letter by letter. Every file names a patient "Family"."""

from __future__ import annotations

import base64
import struct

import numpy as np

from inputs.records import STANDARD_LEADS

_END = 1023


def halves(counts: np.ndarray) -> np.ndarray:
    """Of whole numbers, cut towards zero."""
    return np.trunc(np.asarray(counts) / 2).astype(int)


def differences(counts: np.ndarray) -> np.ndarray:
    """(12, N) counts as Philips compresses them: III, aVR, aVL and aVF by what they differ from what I and II say."""
    one, two, three, right, left, foot = counts[:6]
    return np.stack([
        one, two, two - one - three, -halves(one + two) - right, halves(one - three) - left,
        halves(two + three) - foot, *counts[6:],
    ])  # fmt: skip


def lzw(data: bytes, *, end: bool = True) -> bytes:
    """10-bit codes, high bits first, a table that grows to 1023 strings and the code 1023 at the end."""
    table = {bytes([value]): value for value in range(256)}
    codes, word = [], b""
    for value in data:
        longer = word + bytes([value])
        if longer in table:
            word = longer
            continue
        codes.append(table[word])
        if len(table) < _END:
            table[longer] = len(table)
        word = bytes([value])
    codes += [table[word]] * bool(word) + [_END] * end
    bits = "".join(f"{code:010b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[place : place + 8], 2) for place in range(0, len(bits), 8))


def xli_chunk(row: np.ndarray) -> bytes:
    """One lead: two samples, then differences of differences, each raised by 64 and one place early."""
    row = np.asarray(row, int)
    bends = 2 * row[1:-1] - row[:-2] - row[2:]
    stored = np.concatenate([row[:2], bends[1:] + 64, [64]]).astype(">i2")
    high, low = np.frombuffer(stored.tobytes(), np.uint8).reshape(-1, 2).T
    packed = lzw(high.tobytes() + low.tobytes())
    return struct.pack("<IHh", len(packed), 1, bends[0]) + packed


def xli(counts: np.ndarray) -> bytes:
    return b"".join(xli_chunk(row) for row in counts)


def philips_xml(
    signal: bytes | str,
    samples: int,
    *,
    version: str = "1.04",
    kind: str = "PhilipsECG",
    waves: str = 'compression="XLI"',
    characteristics: str = "",
    encoding: str = "Base64",
    more: str = "",
) -> str:
    """A file of 12 leads at 500 Hz and 1 uV: `signal` is what `parsedwaveforms` holds, of so many samples a lead."""
    text = signal if isinstance(signal, str) else base64.b64encode(signal).decode()
    labels = f'numberofleads="12" leadlabels="{" ".join(STANDARD_LEADS)}"' if version != "1.03" else ""
    own = 'samplespersecond="500" resolution="1"' if version != "1.03" else ""
    unit = "resolution" if version != "1.03" else "signalresolution"
    return f"""<restingecgdata xmlns="http://www3.medical.philips.com">
<documentinfo><documenttype>{kind}</documenttype><documentversion>{version}</documentversion></documentinfo>
<dataacquisition date="2010-01-19" time="15:19:22">
<machine machineid="Family" detaildescription="Philips Medical Products:860315:A.01">PageWriter</machine>
<signalcharacteristics><samplingrate>500</samplingrate><{unit}>1</{unit}><acquisitiontype>STD-12</acquisitiontype>
<bitspersample>16</bitspersample><numberchannelsallocated>12</numberchannelsallocated>{characteristics}
</signalcharacteristics></dataacquisition>
<patient><generalpatientdata><name><lastname>Family</lastname></name><pacestatus>Unknown</pacestatus>
</generalpatientdata></patient>{more}
<waveforms><parsedwaveforms dataencoding="{encoding}" durationperchannel="{2 * samples}" {labels} {own} {waves}>{text}
</parsedwaveforms></waveforms></restingecgdata>"""


def cardiosoft_xml(signal_mv: np.ndarray, *, resolution: float = 1.0, strip: str | None = None, more: str = "") -> str:
    """12 leads at 500 Hz, counts of `resolution` microvolt; an averaged beat of 9 mV stands before them."""
    counts = np.round(1000 * signal_mv / resolution).astype(int)
    beat = wave_data([[9000] * 600] * 12)
    about = '<NumberOfLeads>12</NumberOfLeads><SampleRate units="Hz">500</SampleRate>'
    unit = f'<Resolution units="uVperLsb">{resolution:g}</Resolution>'
    samples = "<ChannelSampleCountTotal>{}</ChannelSampleCountTotal>"
    strip = f"{about}{samples.format(counts.shape[1])}{unit}{wave_data(counts)}" if strip is None else strip
    return f"""<?xml version="1.0" encoding="ISO-8859-1" ?>
<CardiologyXML><ObservationType>RestECG</ObservationType>
<ObservationDateTime><Hour>14</Hour><Minute>19</Minute><Second>39</Second><Day>9</Day><Month>7</Month><Year>2018</Year>
</ObservationDateTime><ClinicalInfo><DeviceInfo><Desc>CardioSoft</Desc><SoftwareVer>V6.73</SoftwareVer></DeviceInfo>
</ClinicalInfo><PatientInfo><Name><FamilyName>Family Müller</FamilyName></Name><PaceMaker>no</PaceMaker></PatientInfo>
<FilterSetting><Filter50Hz>Yes</Filter50Hz><LowPass units="Hz">100</LowPass></FilterSetting>
<Interpretation><Diagnosis><DiagnosisText>Sinus rhythm</DiagnosisText><DiagnosisText>---</DiagnosisText></Diagnosis>
</Interpretation><RestingECGMeasurements><VentricularRate units="BPM">50</VentricularRate>
<QTInterval units="ms">440</QTInterval><PAxis units="degrees"></PAxis>
<MedianSamples>{about}{samples.format(600)}{unit}{beat}</MedianSamples></RestingECGMeasurements>
<StripData>{strip}</StripData>{more}</CardiologyXML>"""


def wave_data(counts) -> str:
    return "".join(
        f'<WaveformData lead="{lead}">\t\t{",".join(map(str, row))}</WaveformData>'
        for lead, row in zip(STANDARD_LEADS, counts, strict=True)
    )


def full_disclosure(counts: np.ndarray, *, by_second: bool = True) -> str:
    """A second of each lead after the other; or all of a lead after the other, which CardioSoft does not write."""
    arranged = counts.reshape(12, -1, 500).transpose(1, 0, 2) if by_second else counts
    lines = (",".join(map(str, line)) + "," for line in arranged.reshape(-1, 500))
    return f"""<FullDisclosure><NumberOfChannels>12</NumberOfChannels><SampleRate units="Hz">500</SampleRate>
<Resolution units="uVperLsb">5</Resolution><LeadOrder>{",".join(STANDARD_LEADS)}</LeadOrder><FullDisclosureData>
{chr(10).join(lines)}
<SampleCountTotal>{counts.size}</SampleCountTotal></FullDisclosureData></FullDisclosure>"""


def aecg_time(
    head: str = "20021122091000.000", step: str = "0.002", unit: str = "s", code: str = "TIME_ABSOLUTE"
) -> str:
    return f"""<component><sequence><code code="{code}"/><value xsi:type="GLIST_TS"><head value="{head}"/>
<increment value="{step}" unit="{unit}"/></value></sequence></component>"""


def aecg_lead(lead: str, digits, *, origin=("0", "uV"), scale=("1", "uV")) -> str:
    return f"""<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}"/><value xsi:type="SLIST_PQ">
<origin value="{origin[0]}" unit="{origin[1]}"/><scale value="{scale[0]}" unit="{scale[1]}"/>
<digits>{" ".join(map(str, digits))} </digits></value></sequence></component>"""


def aecg_set(signal_mv: np.ndarray, leads=STANDARD_LEADS, time: str | None = None) -> str:
    """A sequence set in microvolt."""
    rows = "".join(
        aecg_lead(lead, row) for lead, row in zip(leads, np.round(1000 * signal_mv).astype(int), strict=True)
    )
    return f"<component><sequenceSet>{aecg_time() if time is None else time}{rows}</sequenceSet></component>"


def aecg_series(*sets: str, code: str = "RHYTHM", more: str = "", seconds: int = 10) -> str:
    return f"""<component><series><code code="{code}"/>
<effectiveTime><low value="20021122091000"/><high value="200211220910{seconds:02d}"/></effectiveTime>
<author><seriesAuthor><manufacturedSeriesDevice><manufacturerModelName>ELI250</manufacturerModelName>
</manufacturedSeriesDevice><manufacturerOrganization><name>Mortara</name></manufacturerOrganization></seriesAuthor>
</author>{"".join(sets)}{more}</series></component>"""


def aecg_xml(*series: str) -> str:
    return f"""<?xml version="1.0" encoding="UTF-8"?><!-- Sample <AnnotatedECG> -->
<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<effectiveTime><center value="20021122091000"/></effectiveTime><subject><name>Family</name></subject>
{"".join(series)}</AnnotatedECG>"""
