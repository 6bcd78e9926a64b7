"The labeling page in a real browser: nothing is lost, whoever is killed, and each key does what it says."
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from conftest import SERVE
from PIL import Image
from playwright.sync_api import expect
from started import Started
from test_page import PLACES

from sgan_nb.sources.label_files import read_label_file
from sgan_nb.use.check_sample import in_check
from sgan_nb.use.labelling_command import label_command

LABEL = [SERVE[0], "-c", SERVE[2].replace("use.commands", "use.labelling_command").replace("serve_", "label_")]
GREYS = {"dark": 40, "bright": 220}


@pytest.fixture
def shots(tmp_path):
    "Twenty pictures whose names say what they are."
    folder = tmp_path / "shots"
    folder.mkdir()
    for i in range(20):
        name = "dark" if i % 3 else "bright"
        Image.new("L", (30 + i, 40), GREYS[name] + i).save(folder / f"{i:02}_{name}.png")
    return folder


class Labeler:
    "`sgan_label` as a process of its own, a fork or a new interpreter, on the same port after a restart."
    def __init__(self, root, *options, new=False):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.arguments, self.new = [str(root), *map(str, options), "--port", str(self.port)], new
        self.start()

    def start(self):
        self.process = subprocess.Popen([*LABEL, *self.arguments], stdout=subprocess.DEVNULL) if self.new else \
            Started(label_command, self.arguments)
        while True:
            assert self.process.poll() is None, "the command ended"
            try: return urlopen(self.url).read()
            except OSError: time.sleep(0.1)

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def __enter__(self): return self

    def __exit__(self, *_): self.kill()


@pytest.fixture
def visit(browser):
    "Opens a page in a window of its own; afterwards nothing may have gone wrong in it, and nobody else been asked."
    contexts, problems = [], []

    def opened(labeler, **options):
        def note_request(request):
            if not request.url.startswith((labeler.url, "data:")): problems.append(request.url)

        page = browser.new_context(**options).new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: "Content Security" in message.text and problems.append(message.text))
        page.on("request", note_request)
        page.goto(labeler.url)
        expect(page.locator("#name")).not_to_have_text("")
        contexts.append(page.context)
        return page

    yield opened
    for context in contexts: context.close()
    assert problems == []


def name_of(page):
    "File that is shown."
    return page.locator("#name").inner_text()


def press(page, key):
    "Press a key once the picture is there."
    until(page, "!current() || isSeen() || get('picture').dataset.broken")
    page.keyboard.press(key)


def press_true(page, n):
    "Label n pictures by their keys: 1 for dark, 2 for bright."
    for _ in range(n): press(page, "1" if "dark" in name_of(page) else "2")


def until(page, condition, seconds=30):
    "Wait for a condition; the page's policy forbids Playwright's own way."
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def settled(page):
    "Wait until everything is saved."
    until(page, "!pending.length && !sending")


def labels(root, file="labels.csv"):
    "File -> label."
    return {row.file_name: row.label for row in read_label_file(root / file)}


def truth(root):
    "File -> label, by the names."
    return {path.name: path.stem[3:] for path in root.glob("*.png")}


def test_twenty_pictures_by_keyboard(visit, shots):
    "New classes on the way, the rest by digits; every answer is in the file, nothing is shown twice."
    with Labeler(shots) as labeler:
        page = visit(labeler)
        first = name_of(page)[3:-4]
        press(page, "n")
        page.keyboard.type(first)
        page.keyboard.press("Enter")
        expect(page.locator("#classes button")).to_have_count(1)
        while first in name_of(page): press(page, "1")
        press(page, "n")
        page.keyboard.type("bright" if first == "dark" else "dark")
        page.keyboard.press("Enter")
        expect(page.locator("#classes button")).to_have_count(2)
        keys = {first: "1", "bright" if first == "dark" else "dark": "2"}
        while name_of(page): press(page, keys[name_of(page)[3:-4]])
        settled(page)
        expect(page.locator("#task")).to_have_text("All pictures have an answer.")
        expect(page.locator("#progress")).to_contain_text("20 of 20")
        expect(page.locator("#classes button").first).to_contain_text("13" if first == "dark" else "7")
    assert labels(shots) == truth(shots)
    assert all(re.fullmatch(r"\d+\.\d", row.seconds) and row.split == "train" and len(row.time) == 20
               for row in read_label_file(shots / "labels.csv"))


def test_every_key(visit, shots):
    "Undo, skip, unsure, bad, looking back, correcting, digits by their place, custom letters, help."
    with Labeler(shots, "--classes", "dark", "bright", "--keys", "dark=d") as labeler:
        page = visit(labeler)
        names = []
        for key in "1", "q", "x", "d", "Shift+Digit1", "Space", "2":
            names.append(name_of(page))
            press(page, key)
        assert names[4] == names[5], "there is no eleventh class"
        settled(page)
        rows = {row.file_name: (row.label, row.mark) for row in read_label_file(shots / "labels.csv")}
        assert rows == {names[0]: ("dark", ""), names[1]: (None, "unsure"), names[2]: (None, "bad"),
                        names[3]: ("dark", ""), names[6]: ("bright", "")}
        for _ in range(2): page.keyboard.press("ArrowLeft")
        assert name_of(page) == names[5]
        page.keyboard.press("h")
        expect(page.locator("#badge")).to_have_text("dark")
        press(page, "2")
        assert name_of(page) == names[5]
        settled(page)
        assert labels(shots)[names[3]] == "bright"
        for key in "u", "Backspace", "Control+z", "u", "u": page.keyboard.press(key)
        assert name_of(page) == names[1]
        settled(page)
        assert labels(shots) == {names[0]: "dark"}
        page.keyboard.press("u")
        page.keyboard.press("u")
        settled(page)
        assert labels(shots) == {} and name_of(page) == names[0]
        expect(page.locator("#progress")).to_contain_text("Nothing to undo")
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_visible()
        page.keyboard.press("1")
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_hidden()
        page.evaluate("document.dispatchEvent(new KeyboardEvent('keydown', {key: '&', code: 'Digit1', bubbles: true}))")
        settled(page)
        assert labels(shots) == {names[0]: "dark"}, "1 on a French keyboard, without Shift"
        width = page.locator("#stage").bounding_box()["width"]
        page.keyboard.press("-")
        assert page.locator("#stage").bounding_box()["width"] < width


def test_class_named_by_a_digit_has_it_as_key(visit, shots):
    with Labeler(shots, "--classes", "0", "7", "cat", "dog") as labeler:
        page, names = visit(labeler), []
        assert page.locator("#classes kbd").all_inner_texts() == ["0", "7", "1", "2"]
        for key in "0", "7", "1", "2", "3":
            names.append(name_of(page))
            press(page, key)
        settled(page)
    assert labels(shots) == dict(zip(names[:4], ("0", "7", "cat", "dog")))


def test_undo_after_reload(visit, shots):
    "A reload keeps what can be undone, and shows the next picture, as no guess has changed the order so early."
    with Labeler(shots, "--classes", "dark", "bright", new=True) as labeler:
        page = visit(labeler)
        press_true(page, 5)
        settled(page)
        following = name_of(page)
        page.reload()
        expect(page.locator("#name")).to_have_text(following)
        for _ in range(5): page.keyboard.press("u")
        settled(page)
        assert labels(shots) == {}
        press_true(page, 2)
        settled(page)
    assert len(labels(shots)) == 2 and labels(shots).items() <= truth(shots).items()


def test_killed_server_loses_nothing(visit, shots):
    "SIGKILL after 7 of 20; labeling goes on, and all is saved when the server is back."
    with Labeler(shots, "--classes", "dark", "bright") as labeler:
        page = visit(labeler)
        press_true(page, 5)
        settled(page)
        press_true(page, 2)
        labeler.kill()
        saved = labels(shots)
        assert 5 <= len(saved) <= 7 and saved.items() <= truth(shots).items()
        press_true(page, 4)
        press(page, "1" if "bright" in name_of(page) else "2")  # a mistake, undone while nobody answers
        page.keyboard.press("u")
        expect(page.locator("#alarm")).to_contain_text("not saved yet")
        labeler.start()
        expect(page.locator("#alarm")).to_be_hidden(timeout=10_000)
        expect(page.locator("#name")).not_to_have_text("")
        page.wait_for_load_state("networkidle")
        assert len(labels(shots)) == 11 and labels(shots).items() <= truth(shots).items()
        for _ in range(9):
            expect(page.locator("#name")).not_to_have_text("")
            press_true(page, 1)
        settled(page)
    assert labels(shots) == truth(shots)


def test_another_folder_at_the_same_address_gets_no_label_of_this_one(visit, shots):
    "What waits for a folder waits until that folder is back; the page shows the other one meanwhile."
    other = shutil.copytree(shots, shots.parent / "other")
    with Labeler(shots, "--classes", "dark", "bright") as labeler:
        page = visit(labeler)
        press_true(page, 3)
        settled(page)
        labeler.kill()
        press_true(page, 2)
        labeler.arguments[0] = str(other)
        labeler.start()
        expect(page.locator("#title")).to_have_text("Labels of other", timeout=10_000)
        until(page, "current()")  # the title comes before the first picture
        press_true(page, 1)
        settled(page)
        assert len(labels(other)) == 1 and len(labels(shots)) == 3
        labeler.kill()
        labeler.arguments[0] = str(shots)
        labeler.start()
        page.reload()
        expect(page.locator("#title")).to_have_text("Labels of shots")
        settled(page)
        assert len(labels(shots)) == 5 and labels(shots).items() <= truth(shots).items()
        assert len(labels(other)) == 1


@pytest.mark.parametrize("servers", [1, 2])
def test_two_windows_at_once(visit, shots, servers):
    "Two windows of one server, and of two: all answers are there, and none asks for what the other has labeled."
    with Labeler(shots, "--classes", "dark", "bright") as one, Labeler(shots) as two:
        pages = [visit(one), visit(one if servers == 1 else two)]
        for _ in range(40):
            for page in pages:
                if name_of(page): press_true(page, 1)
            settled(pages[0])
        for page in pages: settled(page)
    assert labels(shots) == truth(shots)
    counts = [int(page.evaluate("log.length")) for page in pages]
    assert min(counts) >= 5, counts


def test_foreign_pages_are_refused(shots):
    with Labeler(shots, "--classes", "dark") as labeler:
        def status(path, host, origin, body=None):
            headers = {"Host": host, "Content-Type": "application/json"} | ({"Origin": origin} if origin else {})
            try: return urlopen(Request(labeler.url + path, body, headers)).status
            except HTTPError as e: return e.code

        own, said = f"127.0.0.1:{labeler.port}", json.loads(urlopen(f"{labeler.url}/start").read())
        folder = said["state"]["listing"].split("-")[0]
        body = json.dumps(dict(version=0, folder=folder, name="dark", new="light")).encode()
        for host, origin in (("evil.example", "http://evil.example"), (own, "http://evil.example"), (own, None)):
            assert status("/rename", host, origin, body) == 403
        assert status("/state", "evil.example", None) == 403
        assert "light" not in (shots / "classes.txt").read_text()
        elsewhere = json.dumps(json.loads(body) | dict(folder="of another page")).encode()
        assert status("/rename", own, f"http://{own}", elsewhere) == 409
        assert "light" not in (shots / "classes.txt").read_text()
        assert status("/rename", own, f"http://{own}", body) == 200


@pytest.mark.parametrize("seconds", [0, 3])
def test_interrupt_ends_it_quietly(shots, seconds):
    "Ctrl-C, also while PyTorch is being imported or at work."
    with Labeler(shots, new=True) as labeler:
        time.sleep(seconds)
        labeler.process.send_signal(signal.SIGINT)
        assert labeler.process.wait(30) == 0


def test_check_sample_is_blind_and_kept(visit, shots):
    with Labeler(shots, "--classes", "dark", "bright", "--check", 6) as labeler:
        sample = {row.file_name for row in read_label_file(shots / "labels.csv") if in_check(row)}
        page = visit(labeler)
        expect(page.locator("#task")).to_contain_text("without a guess")
        for _ in range(6):
            assert name_of(page) in sample
            press_true(page, 1)
        expect(page.locator("#task")).to_have_text("The check sample is labeled.")
        page.click("#mode-one")
        expect(page.locator("#name")).not_to_have_text("")
        press_true(page, 14)
        settled(page)
    rows = read_label_file(shots / "labels.csv")
    assert {row.file_name for row in rows if in_check(row)} == sample and labels(shots) == truth(shots)


def test_grid_and_review(visit, shots):
    "From twelve right guesses on, a grid: one is changed, one left out, the rest confirmed, all undone at once."
    for i in range(20, 60):
        name = "dark" if i % 3 else "bright"
        picture = Image.linear_gradient("L").rotate(0 if name == "dark" else 90).resize((64, 64))
        picture.point(lambda v, i=i: min(255, v + i)).save(shots / f"{i}_{name}.png")
    for path in shots.glob("[01]*.png"): path.unlink()
    with Labeler(shots, "--classes", "dark", "bright") as labeler:
        page = visit(labeler)
        until(page, "!state.busy", 120)
        for _ in range(18):
            press_true(page, 1)
            settled(page)
            page.wait_for_timeout(150)
        page.click("#mode-grid")
        expect(page.locator("#task")).to_contain_text("press Enter")
        guessed = re.match(r"All (\w+)\?", page.locator("#task").inner_text())[1]
        names = page.locator(".tile img").evaluate_all("all => all.map(image => image.alt)")
        before = labels(shots)
        assert len(names) >= 4 and not set(names) & set(before)
        until(page, "[...document.querySelectorAll('.tile img')].every(image => image.complete)")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("1" if guessed == "bright" else "2")
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        settled(page)
        after, other = labels(shots), "dark" if guessed == "bright" else "bright"
        assert {name: after.get(name) for name in names} == dict.fromkeys(names, guessed) | {
            names[1]: other, names[2]: None}
        assert {row.how for row in read_label_file(shots / "labels.csv")} >= {"confirmed"}
        page.wait_for_timeout(500)
        page.keyboard.press("u")
        settled(page)
        assert labels(shots) == before
        page.click("#mode-review")
        page.select_option("#kind", "class:dark")
        expect(page.locator(".tile")).to_have_count(sum(word == "dark" for word in before.values()))
        page.wait_for_timeout(1000)  # the list before, which takes longer, must not come after it
        expect(page.locator(".tile")).to_have_count(sum(word == "dark" for word in before.values()))
        name = page.locator(".tile img").first.get_attribute("alt")
        page.keyboard.press("Escape")
        page.keyboard.press("2")
        settled(page)
        assert labels(shots)[name] == "bright"


DESK, PHONE = dict(width=1100, height=800), dict(width=360, height=740)


@pytest.mark.parametrize("viewport, in_sight", [(DESK, ["#picture", "#undo"]), (PHONE, ["#picture"])],
                         ids=["desk", "phone"])
def test_many_classes_leave_the_picture_in_sight(visit, shots, viewport, in_sight):
    names = [f"class {i} of 40" for i in range(40)]
    with Labeler(shots, "--classes", *names) as labeler:
        page = visit(labeler, viewport=viewport)
        until(page, "isSeen()")  # before that no answer is taken
        page.locator("#classes button").last.scroll_into_view_if_needed()
        for place in in_sight: assert 0 <= page.locator(place).bounding_box()["y"] < viewport["height"] - 30
        page.locator("#classes button").last.click()
        settled(page)
        assert list(labels(shots).values()) == [names[-1]]


@pytest.mark.parametrize("name, options", [
    ("desk", dict(viewport=DESK)), ("dark", dict(viewport=DESK, color_scheme="dark")),
    ("phone", dict(viewport=PHONE, has_touch=True))], ids=["light", "dark", "phone"])
def test_layout(visit, shots, name, options, tmp_path):
    "Nothing sticks out, in any mode; the picture stays where it is."
    with Labeler(shots, "--classes", "dark", "bright", "a class with a rather long name") as labeler:
        page = visit(labeler, **options)
        def place(): return page.eval_on_selector_all("#stage, #classes", PLACES)
        before = place()
        assert page.locator("#classes button").last.bounding_box()["y"] < options["viewport"]["height"] - 40
        page.locator("#classes button").first.click()
        page.locator("#classes button").nth(2).click()
        settled(page)
        assert place() == before
        picture = Path(os.environ.get("SGAN_SCREENSHOTS", tmp_path)) / f"label_{name}.png"
        page.screenshot(path=picture, full_page=True)
        for mode in "one", "grid", "check", "review":
            page.click(f"#mode-{mode}")
            page.wait_for_timeout(200)
            assert page.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]


def test_many_pictures_without_delay(visit, tmp_path):
    "Ten thousand files and labels: the next picture is there before the answer is saved."
    root = tmp_path / "many"
    root.mkdir()
    picture = root / "00000.png"
    Image.new("L", (28, 28), 99).save(picture)
    for i in range(1, 10_000): os.link(picture, root / f"{i:05}.png")
    with Labeler(root, "--classes", "dark", "bright") as labeler:
        page = visit(labeler)
        names = set()
        for _ in range(30):
            names.add(name_of(page))
            press(page, "1")
        settled(page)
        assert len(names) == 30 and set(labels(root)) == names


def test_merged_classes_come_apart_again(visit, shots):
    "Merging two classes is one action, and so is undoing it."
    with Labeler(shots, "--classes", "dark", "bright") as labeler:
        page = visit(labeler)
        press_true(page, 8)
        settled(page)
        before, order = labels(shots), page.locator("#classes .word").all_inner_texts()
        page.click("#change summary")
        page.select_option("#old", "bright")
        page.fill("#renamed", "dark")
        page.click("#rename")
        expect(page.locator("#classes button")).to_have_count(1)
        assert set(labels(shots).values()) == {"dark"}
        page.click("#undo")
        expect(page.locator("#classes button")).to_have_count(2)
        assert page.locator("#classes .word").all_inner_texts() == order  # and so the keys are as before
        assert labels(shots) == before and set(before.values()) == {"dark", "bright"}


def test_originals_are_never_touched(visit, shots):
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in shots.glob("*.png")}
    with Labeler(shots, "--classes", "dark", "bright") as labeler:
        page = visit(labeler)
        press_true(page, 3)
        press(page, "x")
        settled(page)
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in shots.glob("*.png")} == before
    assert {path.name for path in shots.iterdir()} - set(before) <= {"labels.csv", "classes.txt", ".labels.lock"}


def test_unreadable_picture(visit, shots):
    "A broken file gets no class by accident; x takes it out."
    for path in list(shots.glob("*.png"))[1:]: path.unlink()
    (shots / "broken.jpg").write_bytes(b"nothing")
    with Labeler(shots, "--classes", "dark", "bright") as labeler:
        page = visit(labeler)
        for _ in range(2):
            name = name_of(page)
            press(page, "1")
            if name == "broken.jpg":
                expect(page.locator("#progress")).to_contain_text("cannot be read")
                page.keyboard.press("x")
        settled(page)
    assert {row.file_name: row.mark for row in read_label_file(shots / "labels.csv")}["broken.jpg"] == "bad"


def test_picture_on_its_way_gets_no_label(visit, shots):
    "A key before the picture is there does nothing: nobody has seen it."
    with Labeler(shots, "--classes", "dark", "bright") as labeler:
        page = visit(labeler)
        press(page, "1")
        settled(page)
        page.route("**/picture/**", lambda route: None)  # they never arrive
        page.reload()
        expect(page.locator("#name")).not_to_have_text("")
        page.keyboard.press("1")
        expect(page.locator("#progress")).to_contain_text("still loading")
    assert len(labels(shots)) == 1
