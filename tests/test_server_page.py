"""The page, in real Chromium."""

import io
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import REQUIRE_ALL, missing
from media import decode, make_video
from PIL import Image
from serving import client_of, running

if not REQUIRE_ALL:
    pytest.importorskip("playwright", reason="needs playwright")

from playwright.sync_api import Browser, Page, expect, sync_playwright

SAMPLE = Path(__file__).parents[1] / "samples" / "astronaut.mp4"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SLOW = 60_000
"""Milliseconds; enough on a machine that does much else."""


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("person") / "person.png"
    with av.open(str(SAMPLE)) as container:
        next(container.decode(video=0)).to_image().resize((256, 256)).save(path)
    return path


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Chromium's fake camera plays: the sample as Motion JPEG."""
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    with av.open(str(SAMPLE)) as container, path.open("wb") as file:
        for frame in container.decode(video=0):
            frame.to_image().resize((320, 320)).save(file, "JPEG", quality=90)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running(tmp_path_factory.mktemp("serve")) as server:
        yield server


@pytest.fixture(scope="module")
def browser(camera: Path) -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        missing("needs Debian's chromium")
    fake = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *fake])
        yield browser
        browser.close()


def visit(browser: Browser, url: str, **given: Any) -> Page:
    """Open the page; it must neither complain nor ask anybody else for anything."""
    page = browser.new_context(permissions=["camera"], **given).new_page()
    page.set_default_timeout(SLOW)
    expect.set_options(timeout=SLOW)
    page.faults = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda e: page.faults.append(str(e)))  # type: ignore[attr-defined]
    page.on(
        "console",
        lambda m: m.type == "error" and page.faults.append(m.text),  # type: ignore[attr-defined]
    )
    page.on(
        "request",
        lambda r: (
            r.url.startswith((url, "blob:", "data:")) or page.faults.append(r.url)  # type: ignore[attr-defined]
        ),
    )
    page.goto(url)
    return page


@pytest.fixture
def page(browser: Browser, server: Any) -> Iterator[Page]:
    page = visit(browser, server.url)
    until(page, "document.querySelector('#model').options.length > 0")
    yield page
    faults = page.faults  # type: ignore[attr-defined]
    page.context.close()
    assert faults == []
    with server.client() as client:
        for job in client.get("/api/jobs").json()["jobs"]:
            client.delete(f"/api/jobs/{job['id']}")
            client.delete(f"/api/jobs/{job['id']}")


def until(page: Page, condition: str) -> None:
    """Wait for it; Playwright's own way needs eval, which the page forbids."""
    end = time.monotonic() + SLOW / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(30)


def saved(page: Page, kind: str) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.click(f"#downloads [data-download={kind}]")
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def clip_of(page: Page) -> float:
    text = page.evaluate("document.querySelector('.after').style.clipPath")
    return float(re.findall(r"([\d.]+)px\)", text)[0])


def test_a_picture_its_divider_and_its_download(page: Page, person: Path, server: Any) -> None:
    page.set_input_files("#pick", person)
    expect(page.locator("#downloads [data-download=png]")).to_be_visible()
    divider = page.locator("#divider")
    expect(divider).to_be_visible()
    width = page.evaluate("document.querySelector('#view').clientWidth")
    assert clip_of(page) == pytest.approx(width / 2, abs=2)
    divider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "60")
    assert clip_of(page) == pytest.approx(width * 0.6, abs=2)
    box = divider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - width * 0.3, box["y"] + 20)
    page.mouse.up()
    assert 20 < float(divider.get_attribute("aria-valuenow") or 0) < 40
    page.click("#zoom-in")
    expect(page.locator("#zoom-fit")).to_have_text("140 %")
    page.locator("#view").focus()
    page.keyboard.press("0")
    expect(page.locator("#zoom-fit")).to_have_text("100 %")
    name, data = saved(page, "png")
    assert name == "person-cutout.png"
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (256, 256))
    alpha = np.array(image)[:, :, 3]
    assert (alpha == 0).mean() > 0.2 and (alpha == 255).mean() > 0.2
    with server.client() as client:
        assert data == client.post("/api/images", files={"file": person.read_bytes()}).content
    matte = Image.open(io.BytesIO(saved(page, "matte")[1]))
    assert np.array_equal(np.array(matte), alpha)


def test_backgrounds(page: Page, person: Path) -> None:
    page.set_input_files("#pick", [person, person])
    expect(page.locator("#downloads [data-download=png]")).to_be_visible()
    expect(page.locator("#list li")).to_have_count(2)
    page.click("[data-background=black]")
    expect(page.locator(".behind")).to_have_css("background-color", "rgb(0, 0, 0)")
    image = Image.open(io.BytesIO(saved(page, "png")[1]))
    assert image.mode == "RGB" and image.getpixel((2, 2)) == (0, 0, 0)
    page.set_input_files("#picture", person.parents[0] / "person.png")
    expect(page.locator("[data-background=picture]")).to_have_attribute("aria-checked", "true")
    behind = Image.open(io.BytesIO(saved(page, "webp")[1]))
    assert behind.format == "WEBP" and behind.mode == "RGB"
    page.click("[data-background=blur]")
    expect(page.locator("#blur-row")).to_be_visible()
    expect(page.locator("#busy")).to_be_hidden()
    expect(page.locator("#downloads [data-download=png]")).to_be_visible()
    assert Image.open(io.BytesIO(saved(page, "png")[1])).mode == "RGB"
    page.locator("#list .remove").first.click()
    expect(page.locator("#list li")).to_have_count(1)


def test_a_video_to_its_end(page: Page, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", times=range(40))
    page.set_input_files("#pick", clip)
    expect(page.locator("#outputs")).to_be_visible()
    page.click("[data-background=green]")
    page.locator("#outputs input[value=alpha]").check()
    page.click("#start")
    expect(page.locator("#busy")).to_be_visible()
    expect(page.locator("#downloads [data-download=mp4]")).to_be_visible()
    expect(page.locator("#divider")).to_be_visible()
    until(page, "document.querySelector('.after video').readyState >= 2")
    page.click("#play")
    until(page, "document.querySelector('.after video').currentTime > 0.2")
    for kind in ("mp4", "alpha"):
        name, data = saved(page, kind)
        (tmp_path / name).write_bytes(data)
        assert len(decode(tmp_path / name)) == 40
    # The job is still there after the page was loaded again.
    page.reload()
    expect(page.locator("#list li")).to_have_count(1)
    expect(page.locator("#downloads [data-download=mp4]")).to_be_visible()


def test_cancel(page: Page, tmp_path: Path, server: Any) -> None:
    clip = make_video(tmp_path / "long.mp4", times=range(3000), size=(320, 240))
    page.set_input_files("#pick", clip)
    page.click("#start")
    expect(page.locator("#busy-more")).to_contain_text("frames/s")
    assert re.search(r"\d+ of 3000 frames", page.locator("#busy-more").inner_text())
    page.click("#cancel")
    expect(page.locator("#busy")).to_be_hidden()
    expect(page.locator("#list .words span")).to_have_text("Cancelled")
    with server.client() as client:
        states = {j["state"] for j in client.get("/api/jobs").json()["jobs"]}
        end = time.monotonic() + 30
        while "running" in states:
            assert time.monotonic() < end
            states = {j["state"] for j in client.get("/api/jobs").json()["jobs"]}
    assert states == {"cancelled"}


def test_the_camera(page: Page) -> None:
    page.click("#tab-camera")
    page.click("[data-background=green]")
    page.click("#live-start")
    expect(page.locator("#live-numbers")).to_contain_text("frames/s")
    pixel = page.evaluate(
        "[...document.querySelector('#live').getContext('2d').getImageData(3, 3, 1, 1).data]"
    )
    assert np.allclose(pixel, (0, 177, 64, 255), atol=8), pixel
    page.click("[data-background=transparent]")
    until(
        page,
        "document.querySelector('#live').getContext('2d').getImageData(3, 3, 1, 1).data[3] === 0",
    )
    page.click("#live-start")
    expect(page.locator("#live-words")).to_be_visible()


def test_by_keyboard(page: Page, person: Path) -> None:
    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("document.activeElement.id || document.activeElement.dataset.background")
        )
    assert {"tab-files", "language", "pick", "transparent", "model"} <= set(seen)
    page.locator("[data-background=transparent]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-background=white]")).to_have_attribute("aria-checked", "true")
    page.locator("#tab-files").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#camera")).to_be_visible()
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, select, [role=slider]')].filter(n =>"
        "!n.textContent.trim() && !n.getAttribute('aria-label') && !n.labels?.length)"
        ".map(n => n.outerHTML)"
    )
    assert unnamed == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_in_chinese(browser: Browser, server: Any, person: Path, scheme: str) -> None:
    page = visit(
        browser,
        server.url,
        viewport={"width": 360, "height": 740},
        locale="zh-CN",
        color_scheme=scheme,
        has_touch=True,
    )
    expect(page.locator("#tab-camera")).to_have_text("摄像头")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    page.set_input_files("#pick", person)
    expect(page.locator("#downloads [data-download=png]")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 384) == (scheme == "light")
    page.click("#language")
    expect(page.locator("#tab-camera")).to_have_text("Camera")
    faults = page.faults  # type: ignore[attr-defined]
    page.context.close()
    assert faults == []


def test_the_words_are_there_in_both_languages() -> None:
    text = (Path(__file__).parents[1] / "vmatte/server/static/text.js").read_text("utf-8")
    english, chinese = (set(re.findall(r"(\w+): \"", part)) for part in text.split("zh: {"))
    assert english == chinese
    page = (Path(__file__).parents[1] / "vmatte/server/static/index.html").read_text("utf-8")
    assert set(re.findall(r'data-(?:t|label)="(\w+)"', page)) <= english


def test_the_token_is_asked_for(browser: Browser, tmp_path: Path) -> None:
    token = "a-token-of-some-length"
    with client_of(tmp_path, token=token) as client:
        url = str(client.base_url).rstrip("/")
        page = visit(browser, url)
        expect(page.locator("#login")).to_be_visible()
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#login-words")).to_be_visible()
        page.fill("#token", token)
        page.keyboard.press("Enter")
        expect(page.locator("#login")).to_be_hidden()
        until(page, "document.querySelector('#model').options.length > 0")
        page.context.close()
        page = visit(browser, f"{url}/#token={token}")
        until(page, "document.querySelector('#model').options.length > 0")
        assert token not in page.url
        page.context.close()
