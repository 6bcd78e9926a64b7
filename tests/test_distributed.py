"""Two processes on one machine, started by torchrun, against one process with the whole batch.

One start is that of the documented command, with new interpreters; in the others torchrun forks its processes.
"""
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import shared_training
import torch
from started import Started
from torch.distributed import run as torchrun
from torch.testing import assert_close

from sgan_nb.runs.run_folder import read_tensors

SCRIPT = str(Path(__file__).with_name("shared_training.py"))
TWO = ["--standalone", "--nproc-per-node", "2"]
TRAIN = "import sys; from sgan_nb.use.train_command import train_command; sys.exit(train_command())"
FORKED = """import sys, traceback
from sgan_nb.use.train_command import train_command
try: sys.exit(train_command())
except Exception:  # ends as an interpreter does: with a traceback and 1
    traceback.print_exc()
    sys.exit(1)
"""
WHOLE = ["--method", "sgan", "--data", "digits", "--device", "cpu", "--no-figures",
         "--epochs", "10", "--epoch-steps", "4"]


def sgan_train(folder, *options):
    "Start `sgan_train` in two processes, as people do."
    command = [sys.executable, "-m", "torch.distributed.run", *TWO, "--no-python", sys.executable, "-c", TRAIN]
    return subprocess.Popen([*command, "--out", str(folder), *WHOLE, *options], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def forked(script, *arguments):
    "Start a script in two processes that torchrun forks instead of starting new interpreters."
    return Started(torchrun.main, [*TWO, "--start-method", "fork", "--run-path", script, *arguments])


def forked_train(folder, *options, before=""):
    "Start `sgan_train` in two forked processes, from a script beside its folder, with a line before it."
    script = folder.with_suffix(".py")
    script.write_text(before + FORKED)
    return forked(script, "--out", folder, *WHOLE, *options)


def weights(folder):
    "Bytes of the reported weights."
    return {(file.name, key): tensor.numpy().tobytes() for file in sorted(Path(folder).glob("best_*.pt"))
            for key, tensor in read_tensors(file).items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def runs(folder):
    "What shared_training.py recorded: alone, and in the first and second of two processes."
    shared_training.main(folder)
    process = forked(SCRIPT, folder)
    _, err = process.communicate()
    assert process.returncode == 0, err
    return [torch.load(folder / f"{name}.pt") for name in ("1-0", "2-0", "2-1")]


@pytest.mark.parametrize("case", ["sgan", "pull-away", "batch-norm", "annealed", "propagation"])
def test_losses_of_two_processes_are_those_of_one(runs, case):
    alone, first, _ = (run[case] for run in runs)
    assert alone["losses"].keys() == first["losses"].keys()
    for name, curve in alone["losses"].items():
        assert_close(first["losses"][name], curve, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_the_real_method_learns_alike(runs):
    alone, first, _ = (run["real"] for run in runs)
    for name, curve in alone["losses"].items():
        last = len(curve) // 2
        assert_close(first["losses"][name][-last:].mean(), curve[-last:].mean(), rtol=0.25, atol=0.02,
                     msg=lambda text, name=name: f"{name}: {text}")
    assert abs(first["accuracy"] - alone["accuracy"]) < 5


@pytest.mark.parametrize("case", ["real", "sgan", "pull-away", "batch-norm", "annealed", "propagation"])
def test_weights_are_equal_in_both_processes(runs, case):
    _, first, second = (run[case] for run in runs)
    assert first["weights"] == second["weights"]
    assert first["accuracy"] == second["accuracy"]
    assert first["processes"] == 2 and first["hardware"].startswith("2 x ")


def test_interrupted_run_resumes_to_the_same_weights(runs, folder):
    stopped = folder / "stopped"
    process = sgan_train(stopped)
    while not (stopped / "last.pt").exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=90)
    assert process.returncode != 0 and "stopped: finished epochs are kept" in err
    assert not (stopped / "results.json").exists()
    out, err = forked_train(stopped, "--resume").communicate()
    assert out.count("digits: 100 labels") == 1 and out.count("test accuracy") == 1, err
    assert weights(stopped) == weights(folder / "whole")
    assert json.loads((stopped / "results.json").read_text())["environment"]["processes"] == 2


def test_an_error_of_one_process_ends_both(tmp_path):
    start = "import os; from sgan_nb import training; step = training.one_step; calls = []; "
    fails = "len(calls) == 6 and os.environ['RANK'] == '1'"
    change = f"training.one_step = lambda *a: calls.append(0) or (1 / 0 if {fails} else step(*a))\n"
    process = forked_train(tmp_path / "run", before=start + change)
    _, err = process.communicate()
    assert process.returncode == 1 and "ZeroDivisionError" in err
    assert read_tensors(tmp_path / "run/last.pt")["epoch"] == 1
    assert not list((tmp_path / "run").glob("*.part"))
