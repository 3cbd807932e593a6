"""The ECG on paper, measured from the SVG itself: true to scale, in its place, small, nothing that a page forbids."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.spatial import cKDTree

from inputs.records import STANDARD_LEADS, InputWarning
from outputs.ecg_paper import GAINS_MM_MV, SPEEDS_MM_S, STROKE_MM, ecg_paper
from outputs.ecg_svg import ecg_svg
from outputs.patches import PatchWeight
from outputs.tracing import Tracing

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = r"-?\d+(?:\.\d+)?"
RATE_HZ = 500.0


def traced(signal_mv_LN, **more):
    more = {"rate_hz": RATE_HZ, "start_s": 0.0, "duration_s": 10.0, "windows_s": ((0.0, 10.0),)} | more
    return Tracing(np.asarray(signal_mv_LN, np.float32), **more)


def pulses(start_s=0.5, length_s=1.0):
    """In every lead a pulse in every 2.5 s: of 1 mV in I, a tenth of a millivolt more in each lead that follows."""
    time_s_N = np.arange(5000) / RATE_HZ % 2.5
    pulse_N = (time_s_N >= start_s) & (time_s_N < start_s + length_s)
    return traced([(1.0 + 0.1 * number) * pulse_N for number in range(12)])


def strips_of(svg):
    """Each strip's lead, attributes and the points of its line in millimetres of the page."""
    found = []
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if group.get("class") != "ecg-strip":
            continue
        points = []
        for path in group.iter(f"{SVG}path"):
            x0, y0, scale = map(float, re.findall(NUMBER, path.get("transform")))
            for piece in path.get("d").split("M")[1:]:
                first, _, steps = piece.partition("l")
                numbers = [*map(float, re.findall(NUMBER, first)), *map(float, re.findall(NUMBER, steps))]
                points.append(np.cumsum(np.reshape(numbers, (-1, 2)), axis=0) * scale + [x0, y0])
        found.append((group.get("data-lead"), dict(group.items()), points))
    return found


def size_of(points_P2):
    """Height of the pulse, and the width between its first rise and its first fall."""
    x_P, y_P = points_P2.T
    height = y_P.max() - y_P.min()
    high_P = y_P < y_P.max() - height / 2
    rise = int(high_P.argmax())
    fall = rise + int((~high_P[rise:]).argmax())
    return height, x_P[fall - 1] - x_P[rise]


@pytest.mark.parametrize("speed_mm_s", SPEEDS_MM_S)
@pytest.mark.parametrize("gain_mm_mv", GAINS_MM_MV)
@pytest.mark.parametrize("layout", ["3x4+rhythm", "6x2", "12x1", "II"])
def test_a_pulse_of_a_millivolt_and_a_second_measures_so_at_every_speed_and_gain(layout, speed_mm_s, gain_mm_mv):
    svg = ecg_svg(pulses(), layout, speed_mm_s, gain_mm_mv)
    root = ElementTree.fromstring(svg)
    assert (root.get("data-mm-per-s"), root.get("data-mm-per-mv")) == (f"{speed_mm_s:g}", f"{gain_mm_mv:g}")
    width_mm, height_mm = map(float, root.get("viewBox").split()[2:])
    assert (root.get("width"), root.get("height")) == (f"{width_mm:g}mm", f"{height_mm:g}mm")
    for lead, _, (points_P2,) in strips_of(svg):
        height, width = size_of(points_P2)
        millivolt = 1.0 + 0.1 * STANDARD_LEADS.index(lead)
        assert height / millivolt == pytest.approx(gain_mm_mv, rel=0.01)
        assert width == pytest.approx(speed_mm_s, rel=0.01)


@pytest.mark.parametrize("speed_mm_s", SPEEDS_MM_S)
@pytest.mark.parametrize("gain_mm_mv", GAINS_MM_MV)
def test_each_row_begins_with_a_pulse_of_one_millivolt_and_200_ms(speed_mm_s, gain_mm_mv):
    root = ElementTree.fromstring(ecg_svg(pulses(), "6x2", speed_mm_s, gain_mm_mv))
    marks = [path.get("d") for path in root.iter(f"{SVG}path") if path.get("class") == "ecg-calibration"]
    assert len(marks) == 6
    for mark in marks:
        points_P2 = np.reshape([float(number) for number in re.findall(NUMBER, mark)], (-1, 2))
        height, width = size_of(points_P2)
        assert (height, width) == (pytest.approx(gain_mm_mv, abs=0.01), pytest.approx(0.2 * speed_mm_s, abs=0.01))


def test_every_lead_lies_in_its_row_and_column():
    strips = strips_of(ecg_svg(pulses()))
    leads = [lead for lead, _, _ in strips]
    assert leads == ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6", "II"]
    at = [(float(said["data-x0"]), float(said["data-start-s"])) for _, said, _ in strips]
    assert at == [(15.0 + 62.5 * column, 2.5 * column) for column in range(4)] * 3 + [(15.0, 0.0)]
    baselines = [float(said["data-baseline"]) for _, said, _ in strips]
    rows = [baselines[row : row + 4] for row in (0, 4, 8)]
    assert all(len(set(row)) == 1 for row in rows)
    assert rows[0][0] < rows[1][0] < rows[2][0] < baselines[12]
    assert [said["data-length-s"] for _, said, _ in strips] == ["2.5"] * 12 + ["10"]
    two = strips_of(ecg_svg(pulses(), "6x2"))
    assert [lead for lead, _, _ in two[::2]] == list(STANDARD_LEADS[:6])
    assert [lead for lead, _, _ in two[1::2]] == list(STANDARD_LEADS[6:])
    assert [lead for lead, _, _ in strips_of(ecg_svg(pulses(), "12x1"))] == list(STANDARD_LEADS)
    assert [lead for lead, _, _ in strips_of(ecg_svg(pulses(), "aVL"))] == ["aVL"]


def test_the_median_of_a_strip_lies_on_its_baseline():
    shifted = pulses()
    svg = ecg_svg(traced(shifted.signal_mv_LN + 0.75), "V1")
    ((_, said, (points_P2,)),) = strips_of(svg)
    assert float(said["data-baseline-mv"]) == pytest.approx(0.75, abs=1e-3)
    assert points_P2[0, 1] == pytest.approx(float(said["data-baseline"]), abs=0.05)


def test_columns_of_a_short_recording_overlap_in_time():
    short = traced(pulses().signal_mv_LN[:, :2000], duration_s=4.0)
    starts = [float(said["data-start-s"]) for _, said, _ in strips_of(ecg_svg(short))[:4]]
    assert starts == [0.0, 1.5, 1.5, 1.5]


def test_a_strip_that_leaves_its_row_is_cut_and_not_rescaled():
    signal_mv_LN = pulses().signal_mv_LN.copy()
    signal_mv_LN[6, 2600:2610] = 20.0
    svg = ecg_svg(traced(signal_mv_LN), "12x1")
    lead, _, (points_P2,) = strips_of(svg)[6]
    paper = ecg_paper(traced(signal_mv_LN), "12x1")
    assert lead == "V1"
    assert paper.strips[6].box.height_mm < 40.0
    assert points_P2[:, 1].min() < paper.strips[6].box.y_mm
    assert "clip-path" in svg
    assert size_of(points_P2[points_P2[:, 0] < 60.0])[0] == pytest.approx(16.0, rel=0.01)
    assert "Cut off, as it leaves its row: V1." in svg


@pytest.mark.parametrize(("layout", "most"), [("3x4+rhythm", 45_000), ("12x1", 90_000), ("6x2", 60_000)])
@pytest.mark.parametrize("noise_mv", [0.0, 0.02, 0.3, 30.0])
def test_a_page_stays_small_whatever_it_shows(layout, most, noise_mv):
    rng = np.random.default_rng(0)
    signal_mv_LN = pulses().signal_mv_LN + rng.normal(0.0, 1.0, (12, 5000)) * noise_mv
    found = tuple(
        InputWarning(code, "A long sentence. " * 20, STANDARD_LEADS) for code in ("noisy", "wander", "mains_hum")
    )
    findings = dict.fromkeys(STANDARD_LEADS, found)
    svg = ecg_svg(traced(signal_mv_LN, findings=findings, windows_s=((0.0, 2.5),)), layout)
    assert len(svg.encode()) < most


@pytest.mark.parametrize("layout", ["3x4+rhythm", "12x1", "II"])
def test_the_line_is_nowhere_farther_from_the_samples_than_it_is_wide(layout):
    rng = np.random.default_rng(1)
    tracing = traced(pulses().signal_mv_LN + rng.normal(0.0, 0.005, (12, 5000)))
    for lead, said, (points_P2,) in strips_of(ecg_svg(tracing, layout)):
        first, length_s = float(said["data-start-s"]), float(said["data-length-s"])
        samples = tracing.signal_mv_LN[STANDARD_LEADS.index(lead)][round(first * 500) :][: round(length_s * 500)]
        x_N = float(said["data-x0"]) + np.arange(len(samples)) / 500 * 25
        wanted_N = float(said["data-baseline"]) - (samples - float(said["data-baseline-mv"])) * 10
        drawn = cKDTree(np.concatenate([np.linspace(one, other, 100) for one, other in pairwise(points_P2)]))
        assert drawn.query(np.stack([x_N, wanted_N], axis=1))[0].max() <= STROKE_MM + 0.02


def test_gaps_are_gaps_and_a_lead_without_a_sample_has_no_line():
    signal_mv_LN = pulses().signal_mv_LN.copy()
    signal_mv_LN[0, 1000:2000] = np.nan
    signal_mv_LN[1] = np.nan
    strips = strips_of(ecg_svg(traced(signal_mv_LN, missing=("II",)), "12x1"))
    first, second = strips[0][2]
    assert (first[-1, 0], second[0, 0]) == (pytest.approx(15 + 49.95), pytest.approx(15 + 100.0))
    assert strips[1][2] == []


def test_a_lead_that_is_computed_flat_or_doubtful_says_so_in_words_and_why():
    flat = InputWarning("leads_flat", "Lead V2 carried <no> signal\x07.", ("V2",))
    root = ElementTree.fromstring(ecg_svg(traced(pulses().signal_mv_LN, derived=("aVR",), findings={"V2": (flat,)})))
    words = [text.text or "".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert {"computed from I, II", "no signal"} <= set(words)
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert titles == ["Lead aVR was computed from leads I and II.", r"Lead V2 carried <no> signal\x07."]
    dashed = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "ecg-frame"]
    assert len(dashed) == 2
    assert all(rect.get("stroke-dasharray") for rect in dashed)
    classes = [path.get("class") for path in root.iter(f"{SVG}path")]
    assert classes.count("ecg-trace ecg-derived") == classes.count("ecg-trace ecg-doubt") == 1
    assert "V2: no signal." in root.get("aria-label")


def test_what_the_model_saw_is_shaded_where_it_is_not_all():
    seen = traced(pulses().signal_mv_LN, start_s=20.0, duration_s=60.0, windows_s=((21.0, 2.0), (50.0, 2.0)))
    root = ElementTree.fromstring(ecg_svg(seen, "12x1"))
    shades = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "ecg-seen"]
    assert [(float(rect.get("x")), float(rect.get("width"))) for rect in shades] == [(15.0 + 25.0, 50.0)] * 12
    assert "ecg-seen" not in ecg_svg(pulses(), "12x1")


def test_a_strict_page_blocks_nothing_of_it_and_two_of_them_share_no_id():
    svg = ecg_svg(pulses(), name="left")
    names = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(svg).iter()}
    assert names <= {"svg", "defs", "pattern", "clipPath", "g", "rect", "path", "text", "title"}
    assert not re.search(r"\bstyle=|\bon\w+=|href|<!|<\?", svg)
    assert re.findall(r"https?://[^\"]*", svg) == ["http://www.w3.org/2000/svg"]
    ids = re.findall(r'id="([^"]+)"', svg)
    assert len(ids) == len(set(ids)) == 14
    assert all(one.startswith("left-") for one in (*ids, *re.findall(r"url\(#([^)]+)\)", svg)))


def test_as_a_file_it_is_black_on_white_and_in_a_page_it_takes_the_ink_of_the_page():
    whole, part = ecg_svg(pulses(), whole_file=True), ecg_svg(pulses())
    assert 'class="ecg-paper"' in whole
    assert 'color="#000"' in whole
    assert 'class="ecg-paper"' not in part
    assert 'stroke="currentColor"' in part


def test_other_layouts_speeds_gains_and_names_are_a_programmers_error():
    for wrong in ({"layout": "4x3"}, {"speed_mm_s": 30.0}, {"gain_mm_mv": 1.0}, {"name": 'a"b'}):
        with pytest.raises(ValueError, match=r"no such|a name"):
            ecg_svg(pulses(), **wrong)


def boxes_of(svg, kind):
    """x and width in millimetres, and the darkness, of what stands behind the traces."""
    found = []
    for box in ElementTree.fromstring(svg).iter(f"{SVG}rect"):
        if box.get("class") == f"ecg-{kind}":
            found.append(tuple(float(box.get(name)) for name in ("x", "width", "fill-opacity")))
    return found


def test_what_speaks_for_an_answer_stands_behind_its_stretch_of_the_trace_and_nothing_else_does():
    tracing = traced(np.zeros((12, 5000)), windows_s=((0.0, 2.5),))
    weights = [
        PatchWeight("V2", 1.0, 0.12, 1.0),
        PatchWeight("V2", 9.95, 0.12, -0.5),
        PatchWeight("II", 3.0, 0.12, 0.01),
        PatchWeight("V2", 30.0, 0.12, 1.0),
    ]
    svg = ecg_svg(tracing, "12x1", weights=weights)
    (x0_mm,) = {float(strip["data-x0"]) for lead, strip, _ in strips_of(svg) if lead == "V2"}
    ((x_mm, width_mm, darkness),) = boxes_of(svg, "raises")
    assert x_mm == pytest.approx(x0_mm + 25.0, abs=0.01)
    assert width_mm == pytest.approx(3.0, abs=0.01)
    ((_, cut_mm, lighter),) = boxes_of(svg, "lowers")
    assert cut_mm == pytest.approx(1.25, abs=0.06), "it ends with the trace"
    assert lighter == pytest.approx(darkness / 2, abs=0.01)
    assert boxes_of(ecg_svg(tracing, "12x1"), "seen")
    assert not boxes_of(svg, "seen")
