"""A real browser for the tests: headless Chromium that opens a report in a frame and drives it."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")

_DRIVER = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe src="{report}" style="width:{width}px;height:900px;border:0"></iframe>
<pre id="result"></pre>
<script>
const frame = document.querySelector("iframe");
// Vega draws after the load event.
frame.addEventListener("load", () => setTimeout(() => {{
  const page = frame.contentDocument, view = frame.contentWindow;
  const result = (() => {{ {script} }})();
  document.getElementById("result").textContent = JSON.stringify(result);
}}, 1000));
</script>"""


def drive(report: Path, script: str, scratch: Path, width: int = 1280) -> tuple[Any, str]:
    """Open `report` in a frame, run the body `script` beside it (`page` and `view` are the frame's)
    and return what it returns, with what the browser logged."""
    driver = scratch / "driver.html"
    driver.write_text(_DRIVER.format(report=report.as_uri(), width=width, script=script))
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--allow-file-access-from-files", "--enable-logging=stderr",
         f"--user-data-dir={scratch / 'profile'}", f"--window-size={width + 40},1000",
         "--virtual-time-budget=8000", "--dump-dom", driver.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, "the page never loaded"
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return json.loads(html.unescape(found[1])), console
