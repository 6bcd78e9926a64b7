"Runs as separate processes: killed, resumed, repeated, and without a network."
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from started import Started

from sgan_nb.use.train_command import train_command

TRAIN = "import sys; from sgan_nb.use.train_command import train_command; sys.exit(train_command())"
COMMAND = [sys.executable, "-c", TRAIN]
SHORT = ["--data", "mnist-sample", "--epochs", "8", "--epoch-steps", "8", "--device", "cpu", "--no-figures"]


def sgan_train(folder, *options, **limits):
    "Start `sgan_train` in a process of its own."
    return Started(train_command, ["--out", folder, *SHORT, *options], **limits)


def finish(process):
    "Wait for success."
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return out


def weights(folder):
    "Bytes of the reported weights, read as tensors."
    from sgan_nb.runs.run_folder import read_tensors
    return {(file.name, key): tensor.numpy().tobytes() for file in sorted(Path(folder).glob("best_*.pt"))
            for key, tensor in read_tensors(file).items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    "An uninterrupted run of a new interpreter."
    folder = tmp_path_factory.mktemp("whole") / "run"
    subprocess.run([*COMMAND, "--out", str(folder), *SHORT], check=True)
    return folder


def epochs_done(folder):
    "Completed epochs according to the history."
    file = folder / "history.csv"
    return len(file.read_text().splitlines()) - 1 if file.exists() else 0


def test_killed_run_resumes_to_the_same_weights(whole, tmp_path):
    folder, kills, delays = tmp_path / "run", 0, random.Random(0)
    for wanted in (0, 1, 2, 4):  # kill shortly after this many epochs, the first time before there is a checkpoint
        process = sgan_train(folder, "--resume")
        while process.poll() is None and (epochs_done(folder) < wanted or not folder.exists()):
            time.sleep(0.005)
        time.sleep(delays.uniform(0, 0.15))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        assert wanted or not (folder / "last.pt").exists()
    assert kills == 4
    assert not (folder / "results.json").exists()
    finish(sgan_train(folder, "--resume"))
    assert weights(folder) == weights(whole)
    assert not list(folder.rglob("*.part"))


def test_same_seed_same_weights_in_another_process(whole, tmp_path):
    finish(sgan_train(tmp_path / "again"))
    finish(sgan_train(tmp_path / "seed", "--seed", "1"))
    assert weights(tmp_path / "again") == weights(whole)
    assert weights(tmp_path / "seed") != weights(whole)


def test_interrupt_keeps_the_last_checkpoint(tmp_path):
    folder = tmp_path / "run"
    process = sgan_train(folder, "--epochs", "500")
    while not (folder / "last.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("stopped: ") and "Traceback" not in err
    assert (folder / "last.pt").exists()


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    "A run of a new interpreter that finds neither data nor a network, and is not told a number of threads."
    place, nowhere = tmp_path_factory.mktemp("bare"), "http://127.0.0.1:9"
    environment = {**os.environ, "XDG_CACHE_HOME": str(place / "cache"), "http_proxy": nowhere, "https_proxy": nowhere}
    for name in "SGAN_DATA", "no_proxy", "NO_PROXY", "OMP_NUM_THREADS":
        environment.pop(name, None)
    options = ["--data", "auto", "--epochs", "1", "--epoch-steps", "2", "--device", "cpu", "--no-figures"]
    result = subprocess.run([*COMMAND, "--out", str(place / "run"), *options], capture_output=True, text=True,
                            env=environment, timeout=120)
    return result, place / "run"


def test_no_network_and_no_data_falls_back_to_the_sample(bare):
    result, folder = bare
    assert result.returncode == 0, result.stderr
    assert "RESULTS ARE ON THE 5,000-IMAGE SAMPLE" in result.stderr
    assert json.loads((folder / "results.json").read_text())["data"] == "mnist-sample-5000"


def test_threads_are_chosen_said_and_recorded(bare):
    result, folder = bare
    line = r"(?m)^(\d+) threads? \(\d+\.\d of \d+ cores? idle at the start\); change it by --threads$"
    said = re.search(line, result.stdout)
    assert said, result.stdout + result.stderr
    record = json.loads((folder / "environment.json").read_text())
    assert record["threads"] == int(said[1]) and f"{said[1]} thread" in record["hardware"]


def test_full_disk_keeps_the_last_checkpoint(tmp_path):
    "A file size limit below that of a checkpoint makes its write fail as on a full disk."
    folder = tmp_path / "run"
    finish(sgan_train(folder, "--epochs", "2"))
    before = (folder / "last.pt").read_bytes()
    process = sgan_train(folder, "--epochs", "3", "--resume", largest=1_024_000)
    _, err = process.communicate()
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith("error: ") and "Traceback" not in err
    assert (folder / "last.pt").read_bytes() == before
    assert not list(folder.rglob("*.part"))
    finish(sgan_train(folder, "--epochs", "3", "--resume"))
