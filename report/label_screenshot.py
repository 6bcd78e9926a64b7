"""The labeling page with 45 digits labeled and 24 to confirm, as report/figures/labelling.png.

To be run as `python report/label_screenshot.py`.

Needs a Chromium that Playwright can drive: on Debian and Ubuntu, apt-get install chromium-headless-shell.
"""
import shutil
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

from PIL import Image
from playwright.sync_api import sync_playwright

from sgan_nb.sources.packaged_sets import read_mnist_sample

FILE = Path(__file__).parent / "figures/labelling.png"
BROWSERS = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
PORT = 8917


def write_digits(folder, n=1000):
    "Write digits as files; the class of each by its name."
    _, images, targets, *_ = read_mnist_sample()
    places = range(0, len(images), len(images) // n)
    for i, k in enumerate(places): Image.fromarray(images[k, 0].numpy()).save(folder / f"{i:04}.png")
    return {f"{i:04}.png": str(targets[k].item()) for i, k in enumerate(places)}


def label(page, truth, n):
    "Press the right key n times, once each picture is there."
    for _ in range(n):
        while not page.evaluate("current() && isSeen() && !pending.length"): time.sleep(0.05)
        page.keyboard.press(truth[page.locator("#name").inner_text()])
        time.sleep(0.3)  # for the guesses


def is_up():
    "Whether the server answers."
    try: return bool(urlopen(f"http://127.0.0.1:{PORT}").read())
    except OSError: return False


def main():
    "Start the page, label, take the picture."
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "digits"
        folder.mkdir()
        truth = write_digits(folder)
        command = "import sys; from sgan_nb.use.labelling_command import label_command; sys.exit(label_command())"
        options = "--port", str(PORT), "--classes", *"0123456789"
        server = subprocess.Popen([sys.executable, "-c", command, folder, *options])
        try:
            while not is_up(): time.sleep(0.2)
            with sync_playwright() as playwright:
                path = next(filter(None, map(shutil.which, BROWSERS)))
                browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
                page = browser.new_page(viewport=dict(width=1000, height=760))
                page.goto(f"http://127.0.0.1:{PORT}")
                while not page.evaluate("state && !state.busy"): time.sleep(0.2)
                page.reload()
                label(page, truth, 45)
                page.click("#mode-grid")
                while not page.evaluate("tiles.length"): time.sleep(0.2)
                page.wait_for_load_state("networkidle")
                shot = Image.open(BytesIO(page.screenshot())).convert("RGB")
                shot.quantize(200).save(FILE, optimize=True)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
