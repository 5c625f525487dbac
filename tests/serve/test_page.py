"""The page in a real browser: a picture goes in by every way, the answer is seen, heard and reached by keyboard."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.scenes import scene
from tests.serve.servers import CLASSES, Running, classifier_of, file_of, held, serving, wait_for

from eyas.serve.examples import Example

PAGE = Path(__file__).parents[2] / "src" / "eyas" / "serve" / "page"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium or Chrome")
FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.mark.parametrize("name", ["index.html", "page.css", "page.js", "words.js", "icon.svg"])
def test_the_page_loads_nothing_from_elsewhere_and_has_nothing_inline(name):
    text = (PAGE / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//[a-z]+\.", text)
    assert not re.search(r"<style|style=|\son[a-z]+=|<script>|javascript:|innerHTML|\beval\(", text)


def test_both_languages_say_the_same_things():
    text = (PAGE / "words.js").read_text(encoding="utf-8")
    english, chinese = (text.partition(f"  {code}: {{")[2].partition("\n  },")[0] for code in ("en", "zh"))
    keys = [re.findall(r"(?:^|[,{] )\s*(\w+): (?:[\"`(\w])", part, re.MULTILINE) for part in (english, chinese)]
    assert keys[0] == keys[1]
    assert len(keys[0]) > 40
    said = set(re.findall(r'data-say="(\w+)"', (PAGE / "index.html").read_text(encoding="utf-8")))
    assert said <= set(keys[0])


def test_the_page_comes_with_a_policy_that_lets_only_its_own_files_run(running):
    response = running.client.get("/")
    policy = response.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert response.headers["content-type"].startswith("text/html")
    for name in re.findall(r'(?:src|href)="([a-z.]+)"', response.text):
        assert running.client.get(f"/{name}").status_code == 200, name


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    with serving(classifier_of(), max_mb=1) as one:
        one.service.examples = [
            Example(file_of(scene(seed), "JPEG"), label) for seed, label in ((7, "heron"), (8, None))
        ]
        yield one


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # a container has no user namespaces for the sandbox; nothing foreign is shown here
        yield playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", *FAKE_CAMERA])


@pytest.fixture
def open_page(browser: Any, served: Running) -> Iterator[Any]:
    """Return a function that opens the page; what leaves the machine, or is an error on the page, fails the test."""
    contexts, wrong = [], []

    def opened(port: int = served.port, **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: outside(request.url, port) and wrong.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: "Content Security Policy" in said.text and wrong.append(said.text))
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("#knows:not(:empty)", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def outside(url: str, port: int) -> bool:
    return not url.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:"))


def choose(page: Any, data: bytes, name: str = "a.png", kind: str = "image/png") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": data})


def bars(page: Any) -> list[tuple[str, float]]:
    """Return the classes that the page shows, and how long their bars are, in per cent."""
    page.wait_for_selector("#answer:not([hidden])")
    # not by the page's own waiting, which its policy forbids: that is JavaScript from a text
    wait_for(lambda: page.evaluate("[...document.querySelectorAll('.fill')].every((bar) => bar.style.width)"))
    names = page.locator("#bars .name").all_text_contents()
    widths = page.eval_on_selector_all(".fill", "all => all.map((bar) => parseFloat(bar.style.width))")
    return list(zip(names, widths, strict=True))


pytestmark = [pytest.mark.browser]


@needs_browser
def test_a_chosen_picture_is_answered_with_bars_numbers_and_a_map(open_page, served, picture):
    page = open_page()
    assert page.title() == "eyas: what is in the picture?"
    assert "4 classes" in page.inner_text("#model")
    choose(page, picture)
    best = served.ask(picture, top=4).json()["answers"][0]
    assert bars(page) == [
        (guess["label"], pytest.approx(100 * guess["probability"], abs=0.01)) for guess in best["top"]
    ]
    assert page.inner_text("#label") == best["label"]  # also a name with markup in it: as it is
    assert page.inner_text("#share") == f"{100 * best['probability']:.1f}%"
    assert page.inner_text("#said") == f"Most likely: {best['label']}, {100 * best['probability']:.1f}%."
    assert page.locator("#bars b").count() == 0
    assert page.is_visible("#seen")
    page.check("#looking")
    assert page.is_visible("#map")
    assert page.is_hidden("#seen")
    assert page.eval_on_selector("#map", "map => map.naturalWidth") > 0


@needs_browser
def test_a_picture_is_pasted_and_dropped(open_page, picture):
    page = open_page()
    send = """([bytes, kind]) => {
        const moved = new DataTransfer();
        moved.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
        const data = kind === "paste" ? { clipboardData: moved } : { dataTransfer: moved };
        const type = kind === "paste" ? ClipboardEvent : DragEvent;
        document.dispatchEvent(new type(kind, { ...data, bubbles: true, cancelable: true }));
    }"""
    for kind in ("paste", "drop"):
        with page.expect_response("**/predict*") as response:
            page.evaluate(send, [list(picture), kind])
        assert response.value.status == 200
        assert len(bars(page)) == 4


@needs_browser
def test_the_keyboard_reaches_everything_and_what_has_the_focus_is_seen(open_page, picture):
    page = open_page()
    choose(page, picture)
    bars(page)
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className || 'other'"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", reached
    wanted = ["skip", "language", "looking", "choose", "camera"]
    assert [name for name in reached if name in wanted] == wanted
    page.focus("#looking")
    page.keyboard.press("Space")
    assert page.is_visible("#map")
    page.focus("#tries li:nth-child(2) button")
    with page.expect_response("**/predict*") as response:
        page.keyboard.press("Enter")
    assert response.value.status == 200


@needs_browser
def test_everything_has_a_name_for_those_who_hear_the_page(open_page, picture):
    page = open_page()
    choose(page, picture)
    bars(page)
    tree = page.locator("body").aria_snapshot()
    for said in ('switch "Where it looks"', 'button "Another picture"', 'button "Example: heron"', 'button "Example 2"',
                 'region "Answer"', 'img "Your picture; most likely', "status: ", 'heading "eyas"'):  # fmt: skip
        assert said in tree, tree
    assert page.get_attribute("html", "lang") == "en"
    assert page.locator("img:not([alt])").count() == 0


@needs_browser
def test_what_went_wrong_is_said_in_words(open_page, picture):
    page = open_page()
    for data, name, kind, said in (
        (b"\x89PNG\r\n\x1a\nbroken", "a.png", "image/png", "The picture cannot be read."),
        (b"hello", "a.jpg", "image/jpeg", "This is not a kind of picture that is read here."),
        (b"hello", "a.txt", "text/plain", "That is no picture."),
        (bytes(1_000_001), "a.png", "image/png", "The picture is too large: up to 1 MB are taken."),
    ):
        choose(page, picture)
        bars(page)
        choose(page, data, name, kind)
        page.wait_for_selector("#problem:not([hidden])")
        assert said in page.inner_text("#problem")
        assert page.is_hidden("#answer")
    assert page.get_attribute("#problem", "role") == "alert"


@needs_browser
def test_what_is_heard_after_a_failure_is_not_the_answer_of_before(open_page, picture):
    page = open_page()
    choose(page, picture)
    bars(page)
    assert page.inner_text("#said")
    choose(page, b"hello", "a.jpg", "image/jpeg")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#said") == ""


@needs_browser
def test_a_picture_that_the_browser_cannot_show_is_named_beside_its_answer(open_page, picture):
    page = open_page()
    choose(page, file_of(scene(3), "TIFF"), "scan <b>.tif", "image/tiff")
    assert len(bars(page)) == 4
    page.wait_for_selector("#unshown:not([hidden])")
    assert page.inner_text("#unshown").startswith("scan <b>.tif")
    assert page.is_hidden("#invite")
    assert page.is_hidden("#seen")
    page.check("#looking")
    assert page.is_visible("#map")
    assert page.is_hidden("#unshown")
    choose(page, picture)
    bars(page)
    page.uncheck("#looking")
    assert page.is_visible("#seen")
    assert page.is_hidden("#unshown")


@needs_browser
def test_a_server_that_is_busy_or_gone_is_told_and_the_next_try_works(open_page, picture):
    with held(queue=1, max_files=1) as (busy, network):
        page = open_page(busy.port)
        choose(page, picture)
        assert network.busy.wait(60)
        other = open_page(busy.port, locale="zh-CN")
        choose(other, picture)
        other.wait_for_selector("#problem:not([hidden])")
        assert "服务器现在太忙" in other.inner_text("#problem")
        network.go.set()
        assert len(bars(page)) == 4
        choose(other, picture)
        assert len(bars(other)) == 4
        assert other.is_hidden("#problem")
    choose(page, picture)
    page.wait_for_selector("#problem:not([hidden])")
    assert "The server does not answer." in page.inner_text("#problem")


@needs_browser
def test_a_picture_is_taken_with_the_camera(open_page):
    page = open_page(permissions=["camera"])
    page.click("#camera")
    wait_for(lambda: page.evaluate("document.getElementById('video').videoWidth > 0"))
    with page.expect_response("**/predict*") as response:
        page.click("#take")
    assert response.value.status == 200
    assert len(bars(page)) == 4
    assert page.evaluate("document.getElementById('video').srcObject") is None


@needs_browser
def test_a_phone_in_the_dark_that_speaks_chinese(open_page, picture):
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    page = open_page(**phone, color_scheme="dark", locale="zh-CN", reduced_motion="reduce")
    choose(page, picture)
    assert {name for name, _ in bars(page)} == set(CLASSES)
    assert page.inner_text("#choose") == "换一张图片"
    assert page.get_attribute("html", "lang") == "zh-CN"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    with page.expect_file_chooser():  # the phone's own camera
        page.click("#camera")
    small = page.eval_on_selector_all(
        "button:not([hidden])",
        "all => all.filter((one) => one.offsetHeight && one.offsetHeight < 40).map((one) => one.id)",
    )
    assert small == []
    page.click("#language")
    assert page.inner_text("#choose") == "Another picture"
    page.reload()
    page.wait_for_selector("#knows:not(:empty)", state="attached")
    assert page.inner_text("#choose") == "Choose a picture"


CONTRAST = """() => {
    const parts = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (rgb) => {
        const [r, g, b] = rgb.slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parts(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const low = [];
    for (const element of document.querySelectorAll("h1, h2, h3, p, span, button, li, a")) {
        if (!element.checkVisibility() || ![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
        const [one, other] = [light(parts(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
        const ratio = (one + 0.05) / (other + 0.05);
        if (ratio < 4.5) low.push([element.id || element.className || element.tagName, ratio]);
    }
    return low;
}"""


@needs_browser
def test_every_text_stands_out_from_its_ground(open_page, picture):
    page = open_page()

    def low() -> list[Any]:
        found = []
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found += page.evaluate(CONTRAST)
        return found

    assert low() == []
    choose(page, picture)
    bars(page)
    assert low() == []
    choose(page, b"hello")
    page.wait_for_selector("#problem:not([hidden])")
    assert low() == []
