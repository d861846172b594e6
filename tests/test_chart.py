"""Every kind of chart is drawn, alike wherever it is shown, and shows untrusted text as text."""

import json
import re
import xml.etree.ElementTree as ElementTree

import altair as alt
import pytest

from relearn.chart import Chart
from relearn.drawing import COLOURS, FIXED_COLOURS, specifications, write_files

LABELS = {"target": "Target", "unlearned": "Unlearned (ReLearn)", "ga": "GA", "base": "Base"}
EDGE = {"source": "subject", "sink": "mlp.0", "share": 0.3, "x": -0.6, "y": -1.5, "x2": 1, "y2": 0}
HOSTILE = "</text><script>alert(1)</script> ${1} {{ 2 }} a.b[0] 'c' \"d\" &amp;"


def chart(kind, series, x=(), **fields):
    return Chart(kind, "memory", kind, f"A title of {kind}", "A note.", "over", "of",
                 list(x), series, **fields)  # fmt: skip


def every_kind(name="ga"):
    return [
        chart("lines", {name: [0.1, None, 0.3], "base": [0.2, 0.2, 0.2]}, range(3)),
        chart("bars", {name: [0.1, None]}, ["forget", "retain"]),
        chart("stacked", {"private": [0.4, 0.1], "rest": [0.6, 0.9]}, ["target", name]),
        chart("points", {"target": [1, 1], name: [0.2, 0.8]}, span=[0, 1]),
        chart("heatmaps", {"target": [[0.1, -0.2]], name: [[0.0, 0.4]]}),
        chart("graphs", {"target": [EDGE], name: []}),
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("charts") / "figures"
    write_files(every_kind(), LABELS, folder)
    return folder


@pytest.mark.parametrize("drawn", every_kind(), ids=lambda drawn: drawn.kind)
def test_a_file_says_what_it_shows_of_which_model(files, drawn):
    picture = ElementTree.parse(files / f"{drawn.id}.svg").getroot()
    said = {text for element in picture.iter() for text in (element.text or "").split("\n")}
    assert {drawn.title, "GA"} <= said
    assert (files / f"{drawn.id}.png").read_bytes().startswith(b"\x89PNG")


def test_files_are_the_same_each_time(files, tmp_path):
    write_files(every_kind(), LABELS, tmp_path / "figures")
    for file in files.iterdir():
        again = (tmp_path / "figures" / file.name).read_bytes()
        if file.suffix == ".svg":  # Vega numbers gradients for as long as the process lives.
            assert re.sub(rb"gradient_\d+", b"", again) == re.sub(
                rb"gradient_\d+", b"", file.read_bytes()
            )
        else:
            assert again == file.read_bytes()


def test_a_file_asks_for_nothing(files):
    for file in files.glob("*.svg"):
        text = file.read_text()
        assert set(re.findall(r"\w+://[^\"]*", text)) <= {
            "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink",
        }  # fmt: skip
        assert not re.search(r"<image|<script|url\((?!#)|@import", text)


def test_untrusted_text_is_text_in_a_file(tmp_path):
    write_files(every_kind(HOSTILE), LABELS, tmp_path)
    for file in tmp_path.glob("*.svg"):
        picture = ElementTree.parse(file).getroot()
        assert not [element for element in picture.iter() if "script" in element.tag]
        assert any(element.text and HOSTILE[:20] in element.text for element in picture.iter())


def test_a_model_has_one_colour_in_all_charts():
    def colour(drawn, label):
        (drawn,) = specifications(drawn, LABELS)
        found = []

        def search(value):
            if isinstance(value, dict):
                if value.get("range") and label in value.get("domain", ()):
                    found.append(value["range"][value["domain"].index(label)])
                for each in value.values():
                    search(each)
            elif isinstance(value, list):
                for each in value:
                    search(each)

        search(drawn.get("encoding", drawn))
        return next(each for each in found if str(each).startswith("#"))

    lines, bars, _, points, *_ = every_kind()
    assert colour(lines, "GA") == colour(bars, "GA") == colour(points, "GA") == COLOURS[1]
    assert colour(points, "Target") == FIXED_COLOURS["target"]
    assert colour(lines, "Base") == FIXED_COLOURS["base"]


@pytest.mark.parametrize("drawn", every_kind(), ids=lambda drawn: drawn.kind)
def test_a_specification_keeps_to_the_schema(drawn):
    for panel in specifications(drawn, LABELS):
        alt.Chart.from_dict(panel, validate=True)


def test_each_model_has_a_panel_where_models_cannot_share_one():
    kinds = {drawn.kind: specifications(drawn, LABELS) for drawn in every_kind()}
    assert {kind: len(panels) for kind, panels in kinds.items()} == {
        "lines": 1, "bars": 1, "stacked": 1, "points": 1, "heatmaps": 2, "graphs": 2,
    }  # fmt: skip
    assert [panel["title"]["text"] for panel in kinds["graphs"]] == ["Target", "GA"]
    # The panels of a chart can be compared: same colours for the same values.
    assert len({json.dumps(panel["encoding"]["color"]) for panel in kinds["heatmaps"]}) == 1
    assert all(panel["width"] == "container" for panels in kinds.values() for panel in panels)
