"""The report in a real browser: what the slider shows, by keys alone, in both colour schemes.

Chromium is driven through its debugging pipe (file descriptors 3 and 4, messages ended by NUL).
"""

import base64
import json
import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.verify.check import check
from diffkit.verify.report.page import report
from diffkit.verify.verify import verify

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
#: WCAG 2.2, success criterion 1.4.3, for text of ordinary size.
LEAST_CONTRAST = 4.5
#: Chromium answers within this time.
SECONDS = 30.0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH"),
    pytest.mark.timeout(60),
]


class Browser:
    """One headless Chromium with one page."""

    def __init__(self, profile: Path) -> None:
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()
        options = "--headless --no-sandbox --disable-gpu --remote-debugging-pipe --no-first-run"
        # copies above 10 first: the pipes themselves may be 3 and 4
        move = (
            "import fcntl, os, sys; copy = lambda k: fcntl.fcntl(int(sys.argv[k]), 0, 10); "
            "a, b = copy(1), copy(2); os.dup2(a, 3); os.dup2(b, 4); "
            "os.execv(sys.argv[3], sys.argv[3:])"
        )
        words = [CHROMIUM, *options.split(), f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", move, str(to_browser), str(from_browser), *words],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.count, self.buffer, self.session = 0, b"", ""
        self.events: list[dict] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict:
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def next(self) -> dict:
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], SECONDS)
            assert ready, "chromium does not answer"
            piece = os.read(self.read, 1 << 16)
            assert piece, "chromium left"
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(line)

    def open(self, path: Path, fragment: str = "", width: int = 1400, height: int = 1000) -> None:
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Page.navigate", url="about:blank")  # a fragment alone would not load again
        self.call("Page.navigate", url=f"{path.as_uri()}{fragment}")
        while self.script("document.readyState") != "complete":
            pass

    def script(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        codes = {"Tab": 9, "Home": 36, "End": 35, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13}
        common = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def prefer(self, **features: str) -> None:
        listed = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.call("Emulation.setEmulatedMedia", features=listed)

    def picture(self, path: Path) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=False)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[dict]:
        """Errors of scripts and entries of the log, such as what the policy blocked."""
        names = ("Runtime.exceptionThrown", "Log.entryAdded")
        return [event for event in self.events if event.get("method") in names]

    def requests(self) -> list[str]:
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        os.close(self.read)
        os.close(self.write)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def f(a, b):
    return jnp.log(a * b)


def network(W1, b1, W2, b2, x, y):
    hidden = jnp.tanh(W1 @ x + b1)
    output = jax.nn.sigmoid(W2 @ hidden + b2)
    return jnp.mean((output - y) ** 2)


WEIGHTS = (
    np.array([[0.5, -0.3], [0.2, 0.8]]),
    np.array([0.1, -0.2]),
    np.array([[1.0, -1.0]]),
    np.array([0.05]),
    np.array([1.0, 0.5]),
    np.array([1.0]),
)


def phi(x):
    safe = jnp.where(x == 0, 1.0, x)
    return jnp.where(x == 0, 1.0, jnp.expm1(safe) / safe)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    wrong = check("x*exp(-x)", "(1 + x)*exp(-x)")
    made = {
        "log": report(verify(f, 2.0, 3.0, domain={"a": "positive"}), f, 2.0, 3.0),
        "network": report(verify(network, *WEIGHTS, wrt="W1"), network, *WEIGHTS),
        "refuted": report(wrong),
        "findings": report(verify(phi, 0.0), phi, 0.0),
        "many": report([wrong, check("x**2", "2*x"), check("sin(x)", "cos(x)"), wrong]),
    }
    for name, text in made.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


NODES = """[...document.querySelectorAll('.node')].map((node) => [
  node.querySelector('.head').textContent, node.querySelector('text.value').textContent,
  node.querySelector('.adjoint')?.textContent ?? '', node.classList.contains('now')])"""
STEP = "Number(document.querySelector('figure.graph').dataset.step)"


def test_the_slider_plays_the_forward_pass_and_then_the_reverse_sweep(browser, pages):
    # log(a b) at (2, 3): v1 = 6, v2 = log 6; backwards 1, 1/6, then b/6 = 1/2 and a/6 = 1/3
    browser.open(pages["log"], "#step=0")
    assert browser.script(NODES) == [
        ["a", "→ 2", "", False],
        ["b", "→ 3", "", False],
        ["v₁ = a b", "", "", False],
        ["v₂ = log(v₁)", "", "", False],
    ]
    browser.open(pages["log"], "#step=2")
    assert browser.script(NODES)[2:] == [
        ["v₁ = a b", "→ 6", "", False],
        ["v₂ = log(v₁)", f"→ {np.log(6.0):.5g}", "", True],
    ]
    browser.open(pages["log"], "#step=4")
    assert [row[2] for row in browser.script(NODES)] == ["", "", "← 0.16667", "← 1"]
    browser.open(pages["log"], "#step=5")
    assert [row[2] for row in browser.script(NODES)] == ["← 0.5", "← 0.33333", "← 0.16667", "← 1"]
    assert [row[3] for row in browser.script(NODES)] == [False, False, True, False]


def test_every_step_is_reached_by_keys_alone_and_read_out(browser, pages):
    browser.open(pages["log"])
    for _ in range(20):
        browser.press("Tab")
        if browser.script("document.activeElement.type") == "range":
            break
    assert browser.script("document.activeElement.type") == "range"
    last = browser.script(STEP)
    browser.press("Home")
    heard = []
    for step in range(last + 1):
        assert browser.script(STEP) == step
        heard.append(browser.script("document.activeElement.getAttribute('aria-valuetext')"))
        shown = browser.script(
            "[...document.querySelectorAll('.steps > li')].map((li) => li.hidden)"
        )
        assert shown == [k != step for k in range(last + 1)]
        browser.press("ArrowRight")
    assert browser.script(STEP) == last
    assert len(set(heard)) == last + 1
    assert heard[1] == "Forward 1 of 2: v₁ = 6"


def test_buttons_are_reached_and_pressed_without_a_mouse(browser, pages):
    browser.open(pages["log"], "#step=3")
    browser.script("document.querySelector('button[data-go=next]').focus()")
    browser.press("Enter")
    assert browser.script(STEP) == 4
    browser.script("document.querySelector('button[data-go=play]').focus()")
    browser.press("Enter")
    assert browser.script("document.activeElement.textContent") == "Pause"
    browser.press("Enter")
    assert browser.script("document.activeElement.textContent") == "Play"


def test_the_network_ends_with_the_gradient_of_jax(browser, pages):
    browser.open(pages["network"])
    shown = {row[0]: row[2] for row in browser.script(NODES)}
    b1, y = jax.grad(network, (1, 5))(*WEIGHTS)[0], jax.grad(network, (1, 5))(*WEIGHTS)[1]
    assert shown["b₁"].replace("−", "-") == f"← [{b1[0]:.3g} {b1[1]:.3g}]"
    assert shown["y"].replace("−", "-") == f"← [{y[0]:.3g}]"


@pytest.mark.parametrize("name", ["log", "network", "refuted", "findings", "many"])
def test_nothing_is_fetched_and_no_script_fails(name: str, browser, pages):
    browser.open(pages[name])
    addresses = [url for url in browser.requests() if not url.startswith("about:")]
    assert addresses == [pages[name].as_uri()]
    assert browser.complaints() == []


def test_a_script_the_policy_does_not_name_is_noticed(browser, pages, tmp_path):
    text = pages["log"].read_text(encoding="utf-8")
    path = tmp_path / "attacked.html"
    path.write_text(text.replace("</main>", "<script>window.taken = 1</script></main>"))
    browser.open(path)
    assert browser.complaints() != []
    assert browser.script("window.taken") is None


OVERLAPS = """(() => {
  const boxes = [...document.querySelectorAll('.node > rect, .edge > rect')].map((rect) =>
    ['x', 'y', 'width', 'height'].map((name) => rect[name].baseVal.value));
  const bad = [];
  for (let i = 0; i < boxes.length; i++) for (let j = 0; j < i; j++) {
    const [a, b] = [boxes[i], boxes[j]];
    if (a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3])
      bad.push([a, b]);
  }
  return bad.length;
})()"""
TIGHT = """[...document.querySelectorAll('.node')].filter((node) => {
  const room = node.querySelector('rect').getBBox().width;
  return [...node.querySelectorAll('text')].some((text) => text.getBBox().width > room - 4);
}).length"""


@pytest.mark.parametrize("name", ["log", "network", "refuted", "findings"])
def test_no_text_of_a_drawing_covers_another_or_leaves_its_box(name: str, browser, pages):
    browser.open(pages[name])
    assert browser.script("document.querySelectorAll('.node').length") > 3
    assert browser.script(OVERLAPS) == 0
    assert browser.script(TIGHT) == 0


CONTRAST = """(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = (element) => {
    const box = element.closest('.node')?.querySelector('rect');
    if (box) {
      const fill = parse(getComputedStyle(box).fill);
      if (fill.length === 3) return fill;
    }
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.getClientRects().length || element.closest('script, style')) continue;
    const style = getComputedStyle(element);
    const ink = parse(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(ink), light(behind(element))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), element.className.baseVal ?? element.className,
                element.textContent.slice(0, 30)]);
  }
  return found.sort((x, y) => x[0] - y[0]).slice(0, 3).concat([[found.length, '', '']]);
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["log", "network", "refuted", "findings", "many"])
def test_all_text_has_the_contrast_of_wcag_aa(name: str, scheme: str, browser, pages):
    browser.prefer(prefers_color_scheme=scheme)
    browser.open(pages[name])
    page = browser.script("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(float, re.findall(r"[\d.]+", page)))
    assert (brightness < 200) is (scheme == "dark")
    *lowest, (count, _, _) = browser.script(CONTRAST)
    assert count > 40
    assert [row for row in lowest if row[0] < LEAST_CONTRAST] == []
    browser.prefer(prefers_color_scheme="light")


def test_text_of_little_contrast_is_noticed(browser, pages):
    browser.open(pages["log"])
    browser.script("document.querySelector('dd').style.color = 'rgb(150, 150, 150)'")
    assert browser.script(CONTRAST)[0][0] < LEAST_CONTRAST


def test_text_over_text_is_noticed(browser, pages):
    browser.open(pages["log"])
    move = "document.querySelector('.edge > rect').x.baseVal.value = 0"
    browser.script(f"{move}; document.querySelector('.node > rect').width.baseVal.value = 400")
    assert browser.script(OVERLAPS) > 0


def test_reduced_motion_has_no_transition(browser, pages):
    read = "getComputedStyle(document.querySelector('.graph .node')).transitionDuration"
    browser.open(pages["log"])
    assert browser.script(read) != "0s"
    browser.prefer(prefers_reduced_motion="reduce")
    browser.open(pages["log"])
    assert browser.script(read) == "0s"
    browser.prefer(prefers_reduced_motion="no-preference")


def test_a_filter_leaves_the_verdicts_of_one_status(browser, pages):
    browser.open(pages["many"])
    browser.script("document.querySelector('button[data-filter=refuted]').click()")
    shown = "[...document.querySelectorAll('section')].filter((s) => !s.hidden).map((s) => s.id)"
    assert browser.script(shown) == ["verdict-1", "verdict-4"]
    browser.script("document.querySelector(\"button[data-filter='']\").click()")
    assert len(browser.script(shown)) == 4


def test_a_phone_does_not_scroll_sideways(browser, pages):
    for path in pages.values():
        browser.open(path, width=390, height=800)
        assert browser.script("document.documentElement.scrollWidth") <= 390


def test_without_a_script_every_step_is_on_the_page(browser, pages):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["log"])
        hidden = browser.script("document.querySelectorAll('.steps > li[hidden]').length")
        count = browser.script("document.querySelectorAll('.steps > li').length")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert (hidden, count) == (0, 7)
