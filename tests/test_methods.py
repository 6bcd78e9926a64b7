"Every method runs from the command line, a few steps each."
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sgan_nb.data import load_data
from sgan_nb.measuring import benchmark
from sgan_nb.methods.methods import METHODS
from sgan_nb.runs.trained_model import load_run
from sgan_nb.use.measuring_commands import benchmark_command

SHORT = ["--data", "mnist-sample", "--epochs", "2", "--epoch-steps", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def eighth():
    "Every eighth image of the sample: a run of four steps spends its time on looking at all of them afterwards."
    data = load_data("mnist-sample")
    return replace(data, train_images=data.train_images[::8], train_targets=data.train_targets[::8],
                   test_images=data.test_images[::8], test_targets=data.test_targets[::8])


@pytest.mark.parametrize("method", METHODS)
def test_method_runs(method, eighth, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "loaded_data", lambda config: eighth)
    assert benchmark_command(["--methods", method, "--out", str(tmp_path), *SHORT]) == 0
    table = capsys.readouterr().out
    assert f"| {method} " in table and "of 125" in table
    run = tmp_path / "mnist-sample-5000-100" / method / "draw-0"
    result = json.loads((run / "results.json").read_text())
    config = json.loads((run / "config.json").read_text())["config"]
    assert len(result["labeled"]) == 100
    n_unlabeled = 400 + 100 * config["labeled_in_unlabeled"] if METHODS[method].uses_unlabeled else 0
    assert result["n_unlabeled"] == n_unlabeled
    assert (run / f"best_generator_{method}.pt").exists() == (config["generator"] != "none")


def test_photographs_at_224(tmp_path):
    rng = np.random.default_rng(0)
    for kind, name in enumerate(("cat", "dog")):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for i in range(5):
            pixels = rng.integers(0, 128, (40 + i, 50, 3), dtype=np.uint8) + np.uint8(127 * kind)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    options = ["--data", f"folder:{tmp_path / 'pictures'}", "--image-size", "224", "--labels", "4", "--batch-size", "4",
               "--labeled-batch-size", "4", "--epochs", "1", "--epoch-steps", "1", "--device", "cpu",
               "--test-share", "0.2", "--out", str(tmp_path / "out")]
    for strategy, methods in ("random", ["petrova-supervised", "petrova"]), ("representative", ["petrova"]):
        assert benchmark_command(["--methods", *methods, *options, "--strategy", strategy]) == 0
    [place] = (tmp_path / "out").glob("folder-pictures-*-4")
    for run in "petrova/draw-0", "petrova/draw-0-representative", "petrova-supervised/draw-0":
        folder = place / run
        assert json.loads((folder / "config.json").read_text())["image_shape"] == [3, 224, 224]
        assert len(json.loads((folder / "results.json").read_text())["labeled"]) == 4
    model = load_run(place / "petrova" / "draw-0")
    assert model.generator(torch.rand(2, 100)).shape == (2, 3, 224, 224)


def test_workers_run_every_cell(tmp_path):
    options = ["--methods", "augmented", "--draws", "0", "1", "--out"]
    for folder, workers in ("one", "1"), ("two", "2"):
        assert benchmark_command([*options, str(tmp_path / folder), "--workers", workers, *SHORT]) == 0
    one, two = [sorted((tmp_path / folder).rglob("results.json")) for folder in ("one", "two")]
    assert [f.relative_to(tmp_path / "one") for f in one] == [f.relative_to(tmp_path / "two") for f in two]
    assert len(two) == 2
    assert [json.loads(f.read_text())["labeled"] for f in one] == [json.loads(f.read_text())["labeled"] for f in two]
