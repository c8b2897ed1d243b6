"""The HTML report of a real incident, opened in headless Chromium: complete, self-contained, and fit for any screen."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from html import escape, unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from stratus.settings import Settings

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--enable-logging=stderr",
)  # fmt: skip
SECTIONS = ("Where the time went", "Root cause", "Health over time", "What was tried", "What is different now",
            "Hypotheses", "Timeline", "Alerts", "Knowledge used", "Notification draft")  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install the package `chromium`"),
]

PROBE = """
<!doctype html><meta charset="utf-8"><body style="margin:0"><pre id="found">not measured</pre>
<iframe id="page" style="border:0;width:{width}px;height:900px" srcdoc="{page}"></iframe><script>
document.getElementById("page").addEventListener("load", event => {{
  const inside = event.target.contentDocument, root = inside.documentElement;
  const hidden = element => element.closest(".wide") || element.closest("details:not([open]) > :not(summary)");
  const beyond = [...inside.body.querySelectorAll("*")].filter(
    e => !hidden(e) && e.getBoundingClientRect().right > root.clientWidth + 1);
  document.getElementById("found").textContent = JSON.stringify({{
    width: root.clientWidth, needed: root.scrollWidth, height: root.scrollHeight,
    beyond: beyond.map(e => e.tagName + ": " + e.textContent.slice(0, 60)),
    loaded: event.target.contentWindow.performance.getEntriesByType("resource").map(r => r.name),
    headings: [...inside.querySelectorAll("h2")].map(h => h.textContent),
    scripts: inside.scripts.length, chart: inside.querySelectorAll("svg").length,
  }});
}});
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of an incident on the embedded cluster, with an attempt that was undone."""
    from stratus.reporting.html import html
    from stratus.wiring.respond import respond

    settings = Settings(state_dir=tmp_path_factory.mktemp("state"))
    return html(respond(embedded="hotel-reservation", fault="misleading-rollout", mode="auto", settings=settings))


class Site:
    """Serves the report on this machine, and notes what is asked for."""

    def __init__(self, page: str) -> None:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200 if self.path == "/report.html" else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                if self.path == "/report.html":
                    self.wfile.write(page.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.asked = asked
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/report.html"


@pytest.fixture
def site(page: str) -> Iterator[Site]:
    found = Site(page)
    thread = Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def chromium(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Chromium with a fresh profile to its end."""
    assert CHROMIUM is not None
    return subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def console(stderr: str) -> list[str]:
    """Return what pages said on their console; the rest is the browser talking about its own machine."""
    return [line for line in stderr.splitlines() if "CONSOLE" in line]


def test_it_shows_everything_and_asks_for_nothing(site: Site, tmp_path: Path) -> None:
    opened = chromium(tmp_path, "--dump-dom", site.url)
    headings = re.findall(r"<h2>(.*?)</h2>", opened.stdout)
    assert [h for h in SECTIONS if h not in headings] == []
    text = unescape(re.sub(r"<[^>]+>", " ", opened.stdout))
    assert "Attempt 1" in text
    assert "undone, proved on 1 object" in text
    assert "hotel-reservation/Deployment/mongodb-rate" in text
    assert "{{" not in text
    assert "None" not in text
    assert console(opened.stderr) == []
    assert [path for path in site.asked if path != "/favicon.ico"] == ["/report.html"]


def test_the_console_would_be_heard(tmp_path: Path) -> None:
    loud = tmp_path / "loud.html"
    loud.write_text("<script>console.error('heard')</script>", encoding="utf-8")
    assert "heard" in "".join(console(chromium(tmp_path, "--dump-dom", loud.as_uri()).stderr))


@pytest.mark.parametrize("width", [1200, 768, 420, 340])
def test_nothing_sticks_out(page: str, tmp_path: Path, width: int) -> None:
    """Measured in a frame, since a headless window is never narrower than 500 pixels."""
    found = measured(page, tmp_path, width)
    assert found["width"] <= width
    assert found["beyond"] == []
    assert found["needed"] <= found["width"]
    assert found["loaded"] == []
    assert found["scripts"] == 0
    assert found["chart"] == 1
    assert [h for h in SECTIONS if h not in found["headings"]] == []


def test_a_page_that_sticks_out_is_noticed(page: str, tmp_path: Path) -> None:
    wide = page.replace("</main>", '<div style="width:900px">x</div></main>')
    found = measured(wide, tmp_path, 420)
    assert found["needed"] > found["width"]
    assert found["beyond"]


@pytest.mark.parametrize("width", [1200, 500])
def test_it_paints(site: Site, tmp_path: Path, width: int) -> None:
    picture = tmp_path / "report.png"
    chromium(tmp_path, f"--screenshot={picture}", f"--window-size={width},1600", "--hide-scrollbars", site.url)
    wide, _high, pixels = png(picture.read_bytes())
    assert wide == width
    # a blank page packs into next to nothing, and has hardly a byte value besides two
    assert len(set(pixels)) > 100
    assert len(zlib.compress(pixels)) > 20_000


def measured(page: str, folder: Path, width: int) -> dict[str, Any]:
    """Lay the page out in a frame of a width, and return what it needs."""
    probe = folder / "probe.html"
    probe.write_text(PROBE.format(width=width, page=escape(page, quote=True)), encoding="utf-8")
    dom = chromium(folder, "--dump-dom", "--window-size=1300,1000", probe.as_uri()).stdout
    said = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert said is not None, dom[:500]
    found: dict[str, Any] = json.loads(unescape(said[1]))
    return found


def png(data: bytes) -> tuple[int, int, bytes]:
    """Return width, height and the unpacked (still filtered) pixels of a PNG."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    at, packed = 8, b""
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        at += size + 12
    return width, height, zlib.decompress(packed)
