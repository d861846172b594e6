import base64
import hashlib
import html
import json
import re
import sys
from pathlib import Path

import pytest

from helpers.browser import drive, needs_chromium
from helpers.sample_run import evaluated, generation, records, write_audit, write_sample_run
from relearn.base import progress
from relearn.base.errors import UserError
from relearn.base.storage import read_json, read_jsonl, write_json, write_jsonl
from relearn.config import load_config
from relearn.drawing import drawing_script
from relearn.report.html import write_report

SETS = ("forget", "retain", "forget_unseen", "retain_unseen")
HOSTILE = (
    "</script><script>top.pwned = 1; document.title = 'pwned'</script>",
    "<img src=x onerror=\"document.title = 'pwned'\">",
    "{{ 7 * 7 }} {% raw %} ${7 * 7}",
    "nul \x00 bell \x07 override \u202egnitirw\u202c zero\u200bwidth \ud800 \u2028 line",
    "<!-- <script> ]]> &lt;b&gt; \"'`",
    "<svg onload=alert(1)><style>*{display:none}</style>",
)


def page(folder: Path) -> str:
    """Return the report of a run, without Vega's source, in which any word may stand."""
    return write_report(folder).read_text(encoding="utf-8").replace(drawing_script(), "")


def visible_page(folder: Path) -> str:
    return html.unescape(page(folder))


def private_texts() -> set[str]:
    texts = set()
    for name in SETS:
        for record in records(name):
            texts |= {record["question"], record["answer"], record["subject"]}
            texts |= {generation(m, name, record) for m in ("target", "unlearned", "ga", "npo")}
        texts |= {row["generation"] for row in evaluated("unlearned", name)}
    return texts


def make_hostile(folder: Path) -> None:
    for path in folder.glob("evaluation/*/rows.jsonl"):
        rows = read_jsonl(path)
        for place, row in enumerate(rows):
            row["generation"] = HOSTILE[place % len(HOSTILE)]
        _write_raw(path, rows)
    for path in folder.glob("audit/*.jsonl"):
        rows = read_jsonl(path)
        for place, row in enumerate(rows):
            text = HOSTILE[place % len(HOSTILE)]
            row |= {"id": text, "variant": text, "prompt": text, "answer": text}
        _write_raw(path, rows)
    for path in folder.glob("synthesis/*.jsonl"):
        rows = read_jsonl(path)
        for place, row in enumerate(rows):
            text = HOSTILE[place % len(HOSTILE)]
            row |= {"source_question": text, "question": text, "answer": text, "kind": text}
            row |= {"reason": text} if "rejected" in path.name else {}
        _write_raw(path, rows)


def _write_raw(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_report_shows_every_part_of_the_run(tmp_path):
    text = visible_page(write_sample_run(tmp_path / "demo"))
    for words in (
        "The model has forgotten what it was asked to forget; it kept what it was to keep; "
        "its language is intact.",
        "Forget set, unseen phrasings",
        "Attempts to bring it back",
        "of the facts survived every attack",
        "Recovered by \u201cprefix\u201d",
        "Worst leaks of the unlearned model",
        "isabella.marquez@futuramail.es",
        "GradDiff",
        "retain_kl",
        "repeats variant",
        "entailment: minilm-nli",
        "07fe" * 16,
        "9ab3" * 16,
        "2 min 28 s",
        "3.24 GiB",
    ):
        assert words in text
    assert "retain_unseen/" not in text


def test_a_run_without_what_may_be_absent_has_a_report(tmp_path):
    folder = write_sample_run(tmp_path / "demo", baselines=False, optional=False)
    (folder / "manifest.json").unlink()
    text = visible_page(folder)
    assert "Nothing was synthesised" in text
    assert "No training history" in text
    assert "No manifest" in text
    assert "<mark>" not in text.split("<main>")[1]  # one model has no rival to be better than


@pytest.mark.parametrize("module", ["altair", "vl_convert"])
def test_without_what_draws_charts_the_page_has_all_else_and_says_so_once(
    tmp_path, monkeypatch, capsys, module
):
    run = write_sample_run(tmp_path / "demo")
    drawn = visible_page(run)
    monkeypatch.setattr(progress, "_told", set())
    assert capsys.readouterr().err == ""
    monkeypatch.setitem(sys.modules, module, None)
    text = html.unescape(write_report(run).read_text(encoding="utf-8"))
    write_report(run)
    command = "pip install 'relearn-llm[report]'"
    told = capsys.readouterr().err
    assert told.count("no charts") == told.count("\n") == told.count(command) == 1
    assert text.count("has no charts") == text.count(command) == 1
    assert "has no charts" not in drawn
    assert 'id="chart-rates"' in drawn
    for of_charts in ("vegaEmbed =", "<figure ", '"figure-grid"'):
        assert of_charts not in text
    assert '"figure-grid"' in drawn
    # What is left is the page as it is, but for the places of charts and the data drawn there.
    assert text.count("<section ") == drawn.count("<section ")
    assert re.findall("<table.*?</table>", text, re.S) == re.findall(
        "<table.*?</table>", drawn, re.S
    )
    assert "history.jsonl" in text
    assert "No training history" not in text
    assert '<script type="application/json" id="chart-data">{"config":{},"panels":{}}' in text
    # Its policy lets the one script run that is left.
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert re.findall("'sha256-(.*?)'", text) == [digest]


@needs_chromium
def test_without_charts_the_answers_are_still_shown(tmp_path, monkeypatch):
    run = write_sample_run(tmp_path / "demo")
    monkeypatch.setitem(sys.modules, "altair", None)
    script = "return page.querySelectorAll('#rows .example').length;"
    assert drive(write_report(run), script, tmp_path) == (6, "")


def test_a_run_of_which_nothing_was_measured_has_a_report(tmp_path):
    folder = write_sample_run(tmp_path / "demo")
    assert "No figure was measured" not in visible_page(folder)
    for path in folder.glob("evaluation/*/metrics.json"):
        write_json(path, {})
    assert "No figure was measured" in visible_page(folder)


def test_only_the_best_of_the_unlearned_models_is_marked(tmp_path):
    text = page(write_sample_run(tmp_path / "demo"))
    marked = re.findall(r"<mark>([\d.,]+)<span", text)
    assert marked[:3] == ["1.00", "0.031", "0.142"]
    assert "0.972" not in marked  # the target keeps most because it unlearned nothing


def test_an_unknown_metric_is_shown_without_direction(tmp_path):
    folder = write_sample_run(tmp_path / "demo")
    path = folder / "evaluation/unlearned/metrics.json"
    values = read_json(path) | {"forget/novelty": 0.4321, "forget/void": None, "speed": 12.0}
    write_json(path, values)
    row = re.search(r"novelty</span>.*?</tr>", page(folder), re.DOTALL)
    assert row
    assert "0.432" in row[0]
    assert "higher" not in row[0]
    assert ">speed</span>" in page(folder)


@pytest.mark.parametrize("missing", ["config.yaml", "evaluation"])
def test_a_folder_that_is_no_finished_run_is_refused(tmp_path, missing):
    folder = write_sample_run(tmp_path / "demo")
    (folder / missing).rename(tmp_path / "away")
    with pytest.raises(UserError, match=str(folder)):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_nothing_in_the_file_points_out_of_it(tmp_path):
    text = page(write_sample_run(tmp_path / "demo"))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert html.unescape(policy[1]).startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline'; base-uri" in html.unescape(policy[1])
    assert "unsafe-eval" not in text
    assert {href[0] for href in re.findall(r'href="([^"]*)"', text)} == {"#"}
    assert not re.search(r"\ssrc=|@import|url\(|https?://", text)


def test_a_redacted_report_holds_no_text_of_the_run(tmp_path):
    folder = write_sample_run(tmp_path / "Henrik Solberg", redact=True)
    rejected = folder / "synthesis" / "rejected.jsonl"
    rows = [row | {"reason": f"names {row['source_question']}"} for row in read_jsonl(rejected)]
    write_jsonl(rejected, rows)
    write_json(folder / "synthesis" / "summary.json", {"worst": rows[0]["answer"]})
    # The data and model may be named after the person too.
    config = folder / "config.yaml"
    config.write_text(
        config.read_text().replace("cases/forget.jsonl", "Henrik Solberg.jsonl")
        .replace("\n  system: null", "\n  system: You are Henrik Solberg's aide.")
        .replace("\n  only: []", "\n  only: [Henrik Solberg]")
        .replace("\n  options: {}", "\n  options: {jailbreak: {own: Solberg.yaml}}")
    )  # fmt: skip
    manifest = read_json(folder / "manifest.json")
    given = load_config(config)
    assert given.data.only == ["Henrik Solberg"]
    assert given.audit.options["jailbreak"]["own"] == "Solberg.yaml"
    manifest["data"]["forget"]["source"] = "Henrik Solberg.jsonl"
    write_json(folder / "manifest.json", manifest)
    raw = page(folder)
    text = html.unescape(raw)
    leaked = {private for private in private_texts() if private in raw or private in text}
    leaked |= {row["question"] for row in rows if row["question"] in text}
    assert leaked == set()
    assert "Solberg" not in text
    for shown in ("forget-003", "0.243", "07fe" * 16, "redacted"):
        assert shown in text


def test_the_same_search_finds_the_texts_of_an_unredacted_report(tmp_path):
    text = visible_page(write_sample_run(tmp_path / "demo"))
    assert all(private in text for private in private_texts())


def test_hostile_text_is_escaped_in_the_file(tmp_path):
    folder = write_sample_run(tmp_path / "demo")
    make_hostile(folder)
    text = page(folder)
    assert len(re.findall(r"<script", text)) == len(re.findall(r"</script>", text)) == 4
    assert not re.search(r"<img|<svg|<style>\*|<!-- ", text)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u200b\u2028\ud800-\udfff]", text)
    assert "{{ 7 * 7 }}" in text
    assert "⟨U+0000⟩" in text
    assert "⟨U+D800⟩" in text


@pytest.mark.parametrize("redact", [False, True])
def test_requests_in_a_row_are_shown_in_order(tmp_path, redact):
    folder = write_sample_run(tmp_path / "demo", redact=redact)
    assert "Deletion requests so far" not in page(folder)
    sequence = [
        {"run": "Li Wei", "records": 7, "kfr": [0.93], "krr": 0.96},
        {"run": "Mei Tan", "records": 5, "kfr": [0.41, None], "krr": 0.87},
    ]
    write_json(folder / "summary.json", {"sequence": sequence})
    text = visible_page(folder)
    rows = text.partition("Deletion requests so far</h2>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in rows.split("<tr>")[2:]]
    names = [[], []] if redact else [["Li Wei"], ["Mei Tan"]]
    assert cells == [
        ["1", *names[0], "7", "93%", "41%", "96%"],
        ["2", *names[1], "5", "-", "-", "87%"],
    ]
    assert ("Li Wei" in text) != redact
    assert "forgotten of request 1" in text
    assert "forgotten of request 2" not in text  # nothing of it was measured


@pytest.mark.parametrize("attack", ["phrasings", None])
def test_what_other_records_hide_is_said_with_the_audit(tmp_path, attack):
    folder = write_sample_run(tmp_path)
    file = folder / "audit" / "summary.json"
    told = {"attack": attack, "rate": 0.25, "interval": [0.1, 0.5], "control": 0.02}
    write_json(file, read_json(file) | {"cross_leaks": {"unlearned": told}})
    text = re.sub(r"<[^>]+>", "", page(folder).partition('<section id="audit"')[2])
    said = "what other records hide: for 25% of the facts in answer to “phrasings”, and 2% with"
    assert (said in text) == bool(attack)


@needs_chromium
def test_hostile_text_is_inert_and_visible_in_a_browser(tmp_path):
    folder = write_sample_run(tmp_path / "demo")
    write_audit(folder, leaking=12)
    make_hostile(folder)
    script = """
      page.getElementById("all").click();
      const texts = [...page.querySelectorAll("#rows .text")].map((text) => text.innerText);
      return {title: page.title, pwned: window.pwned || 0, texts, scripts: page.scripts.length,
              images: page.querySelectorAll("#rows svg, #audit table svg, main img").length,
              tables: [...page.querySelectorAll(".texts")].map((table) => table.innerText)};
    """
    result, console = drive(write_report(folder), script, tmp_path)
    assert (result["title"], result["pwned"]) == ("Unlearning report: demo", 0)
    assert (result["scripts"], result["images"]) == (4, 0)
    for expected in (HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[4], HOSTILE[5]):
        assert any(expected in text for text in result["texts"])
        assert all(expected in table for table in result["tables"][:2])
    assert any("nul ⟨U+0000⟩ bell ⟨U+0007⟩ override ⟨U+202E⟩gnitirw" in t for t in result["texts"])
    assert console == ""


@needs_chromium
def test_the_policy_stops_a_script_that_slipped_in(tmp_path):
    report = write_report(write_sample_run(tmp_path / "demo"))
    slipped = "<main><script>document.title = 'pwned'</script><img src=x onerror=\"top.pwned=1\">"
    report.write_text(report.read_text().replace("<main>", slipped, 1))
    script = "return {title: page.title, pwned: window.pwned || 0};"
    result, console = drive(report, script, tmp_path)
    assert result == {"title": "Unlearning report: demo", "pwned": 0}
    assert "Content Security Policy" in console


@needs_chromium
@pytest.mark.parametrize("width", [390, 1920])
def test_the_page_never_scrolls_sideways_and_the_figures_are_drawn(tmp_path, width):
    script = """
      const root = page.documentElement;
      return {overflow: root.scrollWidth - view.innerWidth,
              drawn: [...page.querySelectorAll(".plot")].map(
                (place) => place.querySelectorAll(".role-mark > *").length)};
    """
    report = write_report(write_sample_run(tmp_path / "demo"))
    result, console = drive(report, script, tmp_path, width)
    assert result["overflow"] <= 0
    assert len(result["drawn"]) == 3 + 1 + 4
    assert all(result["drawn"])
    assert console == ""


@needs_chromium
def test_the_answers_are_shown_a_few_at_a_time_and_filtered(tmp_path):
    script = """
      const shown = () => page.querySelectorAll(".example").length;
      const set = (id, name, value) => {
        const field = page.getElementById(id);
        field[name] = value;
        field.dispatchEvent(new view.Event("input", {bubbles: true}));
      };
      const counts = [shown()];
      page.getElementById("more").click(); counts.push(shown());
      page.getElementById("all").click(); counts.push(shown());
      set("filter-set", "value", "retain"); page.getElementById("all").click();
      counts.push(shown());
      set("filter-failures", "checked", true); counts.push(shown());
      set("filter-set", "value", ""); set("filter-failures", "checked", false);
      set("filter-text", "value", "MARQUEZ email"); counts.push(shown());
      return {counts, badges: page.querySelector(".example").innerText};
    """
    report = write_report(write_sample_run(tmp_path / "demo"))
    result, _ = drive(report, script, tmp_path)
    # Rows 0 and 11 of each set fail; Marquez's address is asked once in each forget set, and GA's
    # looping answers speak of email too.
    assert result["counts"] == [6, 12, 48, 12, 2, 4]
    assert "remembered" in result["badges"]


@needs_chromium
def test_a_redacted_report_works_in_a_browser(tmp_path):
    script = """return {rows: page.querySelectorAll(".example").length,
                        texts: page.querySelectorAll("#rows .text, #rows .question").length};"""
    report = write_report(write_sample_run(tmp_path / "demo", redact=True))
    result, console = drive(report, script, tmp_path)
    assert result == {"rows": 6, "texts": 0}
    assert console == ""


def test_figures_come_with_their_interval_and_the_test_against_the_target(tmp_path):
    folder = write_sample_run(tmp_path / "demo")
    place = folder / "evaluation" / "unlearned"
    interval = {"value": 0.9, "low": 0.8012, "high": 0.9512, "rows": 12}
    write_json(place / "intervals.json", {"forget/kfr": interval})
    test = {"first": 0.1, "second": 0.9, "difference": 0.8, "p_value": 0.0004, "rows": 12}
    write_json(place / "comparison.json", {"target": {"forget/kfr": test}})
    text = visible_page(folder)
    assert "0.801 to 0.951, p < 0.001" in text
    assert "bootstrap interval" in text
    assert "bootstrap interval" not in visible_page(write_sample_run(tmp_path / "without"))
