"""The section that says why it works, from what `relearn analyze` left in the run's folder."""

import html
import re
import sys

import pytest

from helpers.browser import drive, needs_chromium
from helpers.sample_run import write_sample_run
from relearn.base.storage import write_json
from relearn.drawing import drawing_script
from relearn.report.html import write_report

MODELS = ["target", "base", "unlearned", "ga"]
HOSTILE = "</script><img src=x onerror=\"document.title='pwned'\">\u202e"


def chart(kind, part, series, x=()):
    return {
        "id": f"{part}-{kind}", "part": part, "kind": kind, "title": f"A figure of {part}",
        "note": "How it is read.", "x_label": "layer", "y_label": "share", "x": list(x),
        "series": series,
    }  # fmt: skip


def edge(source, sink, share, x, y, x2, y2):
    return {"source": source, "sink": sink, "share": share, "x": x, "y": y, "x2": x2, "y2": y2}


def write_analysis(run, token="Lisbon", name="ga"):
    """Write what an analysis leaves, a chart of every kind, small."""
    folder = run / "analysis"
    edges = [edge("context", "mlp.0", 0.3, 0.6, -1.5, 1, 0),
             edge("attention.1", "output", 0.1, -1, 1, 0, 2.5)]  # fmt: skip
    models = [*MODELS[:-1], name]
    charts = [
        chart("stacked", "distribution",
              {"private": [0.9, 0, 0.1, 0.2], "rest": [0.1, 1, 0.9, 0.8]}, models),
        chart("bars", "distribution", {"unlearned": [0.1, None], name: [0.8, 0.7]},
              ["forget", "retain"]),
        chart("lines", "memory", {model: [0.1, 0.2, None] for model in models}, range(3)),
        chart("heatmaps", "circuits", {model: [[0.1, -0.2], [0.3, 0]] for model in models}),
        chart("graphs", "circuits", {"target": edges, name: []}),
        chart("lines", "language", {name: [1.0, 0.1]}, range(2)),
    ]  # fmt: skip
    claim = {"name": "see-saw", "text": "Probability goes astray.", "verdict": "partly seen",
             "evidence": "ga 0.80, unlearned 0.10.", "rule": "Seen if at least 0.5."}  # fmt: skip
    found = [{"model": "unlearned", "text": "unlearned gives the private token 10%."},
             {"model": "ga", "text": "ga gives the private token 20%."}]  # fmt: skip
    tokens = [{"text": token, "probability": 0.9, "private": True},
              {"text": " the", "probability": 0.1, "private": False}]  # fmt: skip
    write_json(folder / "charts.json", charts)
    question = f"Where does {token} live?"
    models = dict.fromkeys(MODELS, tokens)
    write_json(folder / "candidates.json", [{"question": question, "models": models}])
    write_json(
        folder / "summary.json",
        {"target": "target", "models": MODELS, "figures": {}, "claims": [claim], "findings": found},
    )
    return run


def page(run):
    return write_report(run).read_text(encoding="utf-8").replace(drawing_script(), "")


def test_a_run_without_an_analysis_has_no_such_section(tmp_path):
    text = page(write_sample_run(tmp_path / "demo"))
    assert "Why it works" not in text
    assert 'href="#why"' not in text
    assert "analysis-" not in text


def test_the_section_tells_claims_findings_figures_and_candidates(tmp_path):
    text = html.unescape(page(write_analysis(write_sample_run(tmp_path / "demo"))))
    for words in ("Why it works", 'href="#why"', "Probability goes astray.", "Partly seen here",
                  "ga 0.80, unlearned 0.10.", "unlearned gives the private token 10%.",
                  "ga gives the private token 20%.", "Where does Lisbon live?",
                  "<mark>Lisbon</mark>", "A figure of circuits"):  # fmt: skip
        assert words in text
    assert len(re.findall(r'id="chart-(?:distribution|memory|circuits|language)-', text)) == 6


def test_without_what_draws_charts_the_sentences_and_tokens_are_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    text = html.unescape(page(write_analysis(write_sample_run(tmp_path / "demo"))))
    for words in ("Probability goes astray.", "ga gives the private token 20%.",
                  "<mark>Lisbon</mark>"):  # fmt: skip
        assert words in text
    for words in ("Which parts carry it", "A figure of", 'id="chart-memory'):
        assert words not in text


def test_a_redacted_section_shows_figures_and_no_token(tmp_path):
    run = write_analysis(write_sample_run(tmp_path / "demo", redact=True), token="Wierzbicki")
    text = html.unescape(page(run))
    assert "Why it works" in text
    assert "ga gives the private token 20%." in text
    assert "Wierzbicki" not in text


def test_hostile_tokens_stay_text(tmp_path):
    text = page(write_analysis(write_sample_run(tmp_path / "demo"), token=HOSTILE))
    assert "<img" not in text
    assert "\u202e" not in text
    assert "⟨U+202E⟩" in text


@needs_chromium
@pytest.mark.parametrize("width", [390, 1600])
def test_every_figure_is_drawn_and_the_page_keeps_its_width(tmp_path, width):
    script = """
      const root = page.documentElement;
      return {overflow: root.scrollWidth - view.innerWidth, title: page.title,
              drawn: [...page.querySelectorAll("#why .plot")].map(
                (place) => place.querySelectorAll(".role-mark > *").length)};
    """
    run = write_analysis(write_sample_run(tmp_path / "demo"), token=HOSTILE)
    result, console = drive(write_report(run), script, tmp_path, width)
    assert result["overflow"] <= 0
    assert len(result["drawn"]) == 6
    assert all(result["drawn"])
    assert result["title"] == "Unlearning report: demo"
    assert console == ""


@needs_chromium
def test_hostile_names_stay_text_in_charts_and_in_what_they_tell(tmp_path):
    script = """
      const told = [...page.querySelectorAll("#why .role-mark > *")].map((mark) => {
        const {x, y, width, height} = mark.getBoundingClientRect();
        const place = {clientX: x + width / 2, clientY: y + height / 2};
        mark.dispatchEvent(new view.PointerEvent("pointermove", {bubbles: true, ...place}));
        return page.getElementById("vg-tooltip-element")?.textContent ?? "";
      });
      return {told, title: page.title, images: page.querySelectorAll("img").length,
              written: [...page.querySelectorAll("#why svg")].map((svg) => svg.textContent)};
    """
    run = write_analysis(write_sample_run(tmp_path / "demo"), name=HOSTILE)
    result, console = drive(write_report(run), script, tmp_path)
    assert (result["title"], result["images"], console) == ("Unlearning report: demo", 0, "")
    shown = HOSTILE.replace("\u202e", "⟨U+202E⟩")
    assert any(shown in told for told in result["told"])
    assert any(shown[:12] in written for written in result["written"])
