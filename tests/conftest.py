"Tests run without a display, on one thread, and never touch the user's cache."
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from started import Started

from sgan_nb.use.commands import serve_command

os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads are ten times slower on a busy machine

BROWSERS = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
SERVE = [sys.executable, "-c", "import sys; from sgan_nb.use.commands import serve_command; sys.exit(serve_command())"]


FIRST = "test_distributed", "test_report", "test_service", "test_page", "test_runs"


def pytest_collection_modifyitems(items):
    "Long tests first, or the last one leaves the other cores idle; and together: workers share no run and no service."
    order = {name: i for i, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(FIRST)))


@pytest.fixture(autouse=True, scope="session")
def cache_folder(tmp_path_factory):
    "A fresh cache folder, for this process and the ones it starts."
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def browser():
    "Debian's headless Chromium, or another one."
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        message = "no browser: on Debian and Ubuntu, apt-get install chromium-headless-shell"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Server:
    "`sgan_serve` as a process of its own: a new interpreter, or a fork that starts at once."
    def __init__(self, *arguments, new=False, **environment):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        arguments = [*map(str, arguments), "--port", str(self.port)]
        self.process = subprocess.Popen([*SERVE, *arguments], env={**os.environ, **environment},
                                        stdout=subprocess.DEVNULL) if new else \
            Started(serve_command, arguments, environment=environment)

    def __enter__(self):
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            assert self.process.poll() is None, "the service ended"
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)

    def memory(self):
        "Resident memory in MB; 0 where the system does not tell."
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.exists(): return 0
        return next(int(line.split()[1]) / 1024 for line in status.open() if line.startswith("VmRSS"))


@pytest.fixture(scope="session")
def server(cache_folder):
    "The service with the shipped run."
    with Server(new=True, SGAN_SECONDS="5") as server: yield server


@pytest.fixture
def crowded():
    "A service with a short queue."
    with Server(SGAN_QUEUE="2") as server: yield server
