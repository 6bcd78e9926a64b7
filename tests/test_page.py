"The drawing page in a real browser."
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Server
from PIL import Image
from playwright.sync_api import expect

from sgan_nb.data import load_data
from sgan_nb.methods.methods import METHODS
from sgan_nb.training import train

ROOT = Path(__file__).resolve().parent.parent
STROKES = {"1": [[(0.5, 0.15), (0.5, 0.85)]], "7": [[(0.3, 0.2), (0.7, 0.2), (0.45, 0.85)]],
           "0": [[(0.5, 0.15), (0.35, 0.22), (0.27, 0.5), (0.35, 0.78), (0.5, 0.85), (0.65, 0.78), (0.73, 0.5),
                  (0.65, 0.22), (0.5, 0.15)]]}


@pytest.fixture
def visit(browser, server):
    "Opens the page; afterwards nothing may have gone wrong in it, and nobody else may have been asked."
    pages, problems = [], []

    def note_message(message):
        if message.type in ("error", "warning"): problems.append(message.text)

    def note_request(request):
        if not request.url.startswith((server.url, "data:", "blob:")): problems.append(request.url)

    def opened(path="/", **options):
        page = browser.new_context(**options).new_page()
        page.on("console", note_message)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", note_request)
        page.goto(server.url + path)
        page.wait_for_load_state("networkidle")
        pages.append(page)
        return page

    yield opened
    for page in pages: page.context.close()
    assert problems == []


def draw(page, strokes):
    "Strokes with the mouse, in fractions of the paper."
    box = page.locator("#paper").bounding_box()
    for stroke in strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]: page.mouse.move(*point, steps=6)
        page.mouse.up()


def widths(page):
    "Lengths of the bars, 0 to 1."
    lengths = "bars => bars.map(bar => new DOMMatrix(getComputedStyle(bar).transform).a)"
    return page.eval_on_selector_all("#bars .fill", lengths)


@pytest.mark.parametrize("digit", STROKES)
def test_drawn_digit_is_recognized(visit, digit):
    page = visit()
    draw(page, STROKES[digit])
    expect(page.locator("#answer")).to_have_text(digit)
    expect(page.locator("#status")).to_contain_text(f"{digit}, ")
    page.wait_for_timeout(500)
    assert max(range(10), key=widths(page).__getitem__) == int(digit)
    assert page.eval_on_selector("#seen", "image => [image.naturalWidth, image.naturalHeight]") == [28, 28]
    expect(page.locator("#gauge .number")).to_contain_text("%")
    expect(page.locator("#verdict")).to_contain_text("like the training data")


def test_bars_change_while_drawing(visit):
    page, seen = visit(), []
    box = page.locator("#paper").bounding_box()
    at = lambda x, y: page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=5)
    at(0.3, 0.2)
    page.mouse.down()
    for point in (0.7, 0.2), (0.5, 0.5), (0.45, 0.85), (0.7, 0.6), (0.3, 0.6):
        at(*point)
        page.wait_for_timeout(700)
        seen.append(tuple(round(w, 3) for w in widths(page)))  # the button is still down
    page.mouse.up()
    assert len(set(seen)) >= 3 and all(sum(w) > 0.9 for w in seen), seen


def test_undo_and_clear(visit):
    page = visit()
    undo, clear = page.locator("#undo"), page.locator("#clear")
    expect(undo).to_be_disabled()
    draw(page, STROKES["1"] + [[(0.2, 0.5), (0.8, 0.5)]])
    undo.click()
    expect(page.locator("#answer")).to_have_text("1")
    clear.click()
    expect(page.locator("#answer")).to_have_text("?")
    expect(page.locator("#status")).to_have_text("Nothing drawn yet.")
    expect(clear).to_be_disabled()
    page.wait_for_timeout(500)
    assert widths(page) == 10 * [0]


def test_keyboard_alone(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "paper"
    for _ in range(10): page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    for _ in range(20): page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#answer")).to_have_text("1")
    page.keyboard.press("ArrowRight")  # the pen is up: nothing is added
    page.keyboard.press("Backspace")
    expect(page.locator("#answer")).to_have_text("?")
    stops = []
    for _ in range(6):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.id"))
    assert {"file", "bars", "more"} <= set(stops)


def test_opened_picture_is_classified(visit, tmp_path):
    data = load_data("mnist-sample")
    file = tmp_path / "three.png"
    Image.fromarray(255 - data.test_images[310, 0].numpy()).resize((300, 300)).save(file)
    page = visit()
    page.set_input_files("#file", file)
    expect(page.locator("#answer")).to_have_text(str(data.test_targets[310].item()))


def test_new_images_on_request(visit):
    page = visit()
    first = page.get_attribute("#sheet", "src")
    page.click("#more")
    page.wait_for_load_state("networkidle")
    assert page.get_attribute("#sheet", "src") != first
    expect(page.locator("#sheet")).to_have_js_property("complete", True)
    assert page.eval_on_selector("#sheet", "image => image.naturalWidth") == 302


DESK, PHONE = dict(width=1000, height=800), dict(width=360, height=740)
PLACES = """all => all.map(element => {
    const box = element.getBoundingClientRect();
    return [box.x, box.y + scrollY, box.width, box.height].map(Math.round);
})"""


@pytest.mark.parametrize("name, options", [
    ("1000", dict(viewport=DESK)), ("dark", dict(viewport=DESK, color_scheme="dark")),
    ("360", dict(viewport=PHONE, has_touch=True, reduced_motion="reduce"))], ids=["light", "dark", "phone"])
def test_layout(visit, name, options, tmp_path):
    "Nothing sticks out, and nothing moves when the answer comes."
    page = visit(**options)

    def places():
        return page.eval_on_selector_all("section, #bars, #gauge, #sheet, button", PLACES)

    before = places()
    draw(page, STROKES["7"])
    expect(page.locator("#answer")).to_have_text("7")
    expect(page.locator("#status")).to_contain_text("sure")
    assert places() == before
    assert page.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]
    picture = Path(os.environ.get("SGAN_SCREENSHOTS", tmp_path)) / f"page_{name}.png"
    assert len(page.screenshot(path=picture, full_page=True)) > 10_000


def test_description_asks_nobody_else(visit):
    page = visit("/docs")
    expect(page.locator(".opblock-summary-path")).to_have_count(4)


@pytest.mark.parametrize("known, sentence", [
    ({}, "The accuracy was not measured: there were no test images."),
    (dict(cross_validation=dict(accuracy=91.0, n=80, low=82.8, high=95.6)), "91.0% of 80 labeled images")])
def test_run_without_test_images(browser, tmp_path, known, sentence):
    "The page and the description say what is known of the accuracy."
    run = shutil.copytree(ROOT / "sgan_nb/pretrained", tmp_path / "run")
    results = json.loads((run / "results.json").read_text())
    for name in "accuracy", "errors", "n": del results[name]
    (run / "results.json").write_text(json.dumps(results | known))
    with Server(run) as server:
        page = browser.new_context().new_page()
        page.goto(server.url)
        expect(page.locator("#about")).to_contain_text(f"100 labels. {sentence}")
        assert sentence in page.request.get(f"{server.url}/openapi.json").json()["info"]["description"]
        card = page.request.get(f"{server.url}/model").json()
        assert [card[name] for name in ("accuracy", "errors", "n_test")] == 3 * [None]
        draw(page, STROKES["1"])
        expect(page.locator("#answer")).to_have_text("1")
        page.context.close()


def photograph_run(folder, levels, **settings):
    "A color run without a generator, on noise around levels of brightness by the name of the class."
    rng = np.random.default_rng(0)
    for name, level in levels.items():
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 100, (40, 40, 3), dtype=np.uint8) + np.uint8(level)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{i}.png")
    config = replace(METHODS["baseline"], data=f"folder:{folder / 'photos'}", image_size=16, device="cpu", **settings)
    train(config, folder=folder / "run", progress=False)


def test_many_classes_the_likely_ones_first(browser, tmp_path):
    photograph_run(tmp_path, {f"class {i:02}": 12 * i for i in range(12)}, n_labels=24, epochs=1)
    with Server(tmp_path / "run") as server:
        page = browser.new_context().new_page()
        page.goto(server.url)
        page.set_input_files("#file", tmp_path / "photos/class 11/0.png")
        expect(page.locator("#answer")).to_contain_text("class")
        shares = [float(text.rstrip("%")) for text in page.locator("#bars .number").all_inner_texts()]
        assert len(shares) == 12 and shares == sorted(shares, reverse=True)
        assert page.locator("#bars .row span").first.inner_text() == page.locator("#answer").inner_text()
        page.context.close()


def test_run_on_other_pictures(browser, tmp_path):
    "Open pictures instead of drawing, no gauge, no sheet."
    photograph_run(tmp_path, {"dark": 0, "bright": 150}, n_labels=8, epochs=3)
    with Server(tmp_path / "run") as server:
        page = browser.new_context().new_page()
        page.goto(server.url)
        page.wait_for_load_state("networkidle")
        expect(page.locator("#title")).to_contain_text("Open a picture")
        expect(page.locator("#made")).to_be_hidden()
        expect(page.locator("#gauge")).to_be_hidden()
        draw(page, STROKES["1"])
        expect(page.locator("#answer")).to_have_text("?")
        page.set_input_files("#file", tmp_path / "photos/dark/0.png")
        expect(page.locator("#answer")).to_have_text("dark")
        assert str(tmp_path) not in page.request.get(f"{server.url}/model").text()
        page.context.close()
