"What people do with folders of their own pictures, by the commands: each case was tried by somebody and went wrong."
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sgan_nb.data import load_data
from sgan_nb.runs.run_folder import read_config, read_results
from sgan_nb.sources.own_pictures import read_own_pictures
from sgan_nb.sources.archives import ReadOptions
from sgan_nb.use.commands import evaluate_command
from sgan_nb.use.measuring_commands import benchmark_command
from sgan_nb.use.predict_commands import predict_command, sort_command
from sgan_nb.use.train_command import train_command

QUICK = ["--epochs", "1", "--epoch-steps", "2", "--no-figures"]


def make(root, **folders):
    "Pictures of noise around a brightness by folder: `cat=(17, 20)`; slashes are written as double underscores."
    rng = np.random.default_rng(0)
    for name, (n, brightness) in folders.items():
        folder = Path(root) / name.replace("__", "/")
        folder.mkdir(parents=True, exist_ok=True)
        start = len(list(folder.iterdir()))
        for i in range(start, start + n):
            Image.fromarray((rng.integers(0, 40, (32, 32, 3)) + brightness).astype(np.uint8)).save(folder / f"{i}.png")
    return Path(root)


def found(root, **options):
    "What reading says of a folder."
    return read_own_pictures(Path(root), ReadOptions(**options))[-1]


@pytest.fixture
def run(capsys):
    "Calls a command: exit code, output, errors."
    def call(command, *arguments):
        capsys.readouterr()
        code = command([str(a) for a in arguments])
        return code, *capsys.readouterr()
    return call


def fails(called):
    "The one line that a command ended with."
    code, _, error = called
    assert code == 1 and error.count("\n") == 1, called
    return error


def test_unlabeled_beside_classes_is_no_class(tmp_path, run):
    pics = make(tmp_path / "pics", cat=(17, 20), dog=(17, 160), unlabeled=(300, 90))
    code, out, _ = run(train_command, "--data", f"folder:{pics}", "--out", tmp_path / "run", *QUICK)
    assert code == 0 and "2 classes (cat 17, dog 17), 300 unlabeled, no test set" in out
    results = read_results(tmp_path / "run")
    assert (results["n_labels"], results["n_unlabeled"]) == (34, 300)
    assert read_config(tmp_path / "run")["classes"] == ("cat", "dog")


@pytest.mark.parametrize("train, validation, test", [("train", "val", "test"), ("training", "validation", "testing"),
                                                     ("Train", "Valid", "Test"), ("TRAIN", "dev", "eval")])
def test_parts_by_their_usual_names(tmp_path, train, validation, test):
    parts, classes = (train, validation, test), (("cat", 20), ("dog", 160))
    folders = {f"{part}__{label}": (3, b) for part in parts for label, b in classes}
    pics = make(tmp_path / "p", unlabeled=(9, 90), **folders)
    assert found(pics).found == "2 classes (cat 3, dog 3), 9 unlabeled, 6 validation, 6 test"


def test_loose_pictures_are_unlabeled(tmp_path):
    pics = make(tmp_path / "p", cat=(4, 20), dog=(4, 160), **{".": (30, 90)})
    assert found(pics).found == "2 classes (cat 4, dog 4), 30 unlabeled, no test set"


def test_labels_by_file_name_for_a_flat_folder(tmp_path, run):
    pics = make(tmp_path / "flat", **{".": (40, 90)})
    rows = [f"{i}.png,{'cat' if i % 2 else 'dog'}" for i in range(10)] + ["11.png,"]
    (pics / "labels.csv").write_text("file_name,label\n" + "\n".join(rows) + "\n")
    code, out, _ = run(train_command, "--data", f"folder:{pics}", "--out", tmp_path / "run", *QUICK)
    assert code == 0 and "2 classes (cat 5, dog 5), 30 unlabeled, no test set" in out
    files = json.loads((tmp_path / "run" / "files.json").read_text())
    assert sorted(files["labeled"]) == sorted(f"{i}.png" for i in range(10)) and len(files["unlabeled"]) == 30


def test_hugging_face_layout(tmp_path):
    "A metadata.csv in each part, with pictures beside it."
    pics = make(tmp_path / "hf", train=(6, 60), test=(4, 90))
    for part, n in ("train", 6), ("test", 4):
        rows = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(n))
        (pics / part / "metadata.csv").write_text("file_name,label\n" + rows)
    assert found(pics).found == "2 classes (a 3, b 3), 0 unlabeled, 4 test"


def test_a_run_among_the_pictures_is_no_class(tmp_path, run):
    pics = make(tmp_path / "pics", cat=(6, 20), dog=(6, 160), unlabeled=(9, 90))
    for i in range(2):
        code, out, _ = run(train_command, "--data", f"folder:{pics}", "--out", pics / f"run{i}", *QUICK[:-1])
        assert code == 0 and "2 classes (cat 6, dog 6), 9 unlabeled" in out
    assert "1 in runs" in out


def test_benchmark_tells_pictures_of_one_name_apart(tmp_path, run):
    tables = []
    for place, brightness in ("a", 20), ("c", 60):
        pics = make(tmp_path / place / "photos", train__x=(6, brightness), train__y=(6, 160), test__x=(4, brightness),
                    test__y=(4, 160), unlabeled=(9, 90))
        code, out, _ = run(benchmark_command, "--methods", "augmented", "--data", f"folder:{pics}",
                           "--out", tmp_path / "grid", *QUICK[:-1])
        assert code == 0
        tables.append([line for line in out.splitlines() if "results.json" in line])
    assert tables[0] != tables[1] and len(list((tmp_path / "grid").rglob("results.json"))) == 2


def test_sixteen_bits_and_hidden_colors(tmp_path):
    pics = make(tmp_path / "p", a=(3, 20), b=(3, 90))
    Image.fromarray(np.full((32, 32), 20_000, np.uint16)).save(pics / "a" / "deep.png")
    Image.new("RGBA", (32, 32), (0, 0, 0, 0)).save(pics / "b" / "clear.png")
    _, images, *_, origin = read_own_pictures(pics, ReadOptions(n_channels=1))
    values = {name: image.unique().tolist() for name, image in zip(origin.train, images)}
    assert (values["a/deep.png"], values["b/clear.png"]) == ([78], [255])


def test_leftovers_of_systems_are_counted(tmp_path):
    pics = make(tmp_path / "p", cat=(5, 20), dog=(5, 160))
    (pics / "cat" / "._0.png").write_bytes(b"\0\5\x16\7")
    (pics / "Thumbs.db").write_bytes(b"x")
    shutil.copytree(pics / "cat", pics / "__MACOSX" / "cat")
    assert found(pics).found == "2 classes (cat 5, dog 5), 0 unlabeled, no test set, 3 skipped (3 hidden)"


def test_all_unreadable_files_are_named_at_once(tmp_path, run):
    pics = make(tmp_path / "p", cat=(5, 20), dog=(5, 160), unlabeled=(9, 90))
    for i in range(3): (pics / "cat" / f"bad{i}.png").write_bytes(b"no picture")
    own = "--data", f"folder:{pics}", "--out", tmp_path / "run", *QUICK
    error = fails(run(train_command, *own))
    assert all(f"cat/bad{i}.png" in error for i in range(3)) and "--skip-broken" in error
    assert not (tmp_path / "run").exists()
    code, out, _ = run(train_command, *own, "--skip-broken")
    assert code == 0 and "3 skipped (3 unreadable)" in out


def test_one_broken_file_costs_no_answer(tmp_path, run, trained):
    pics = make(tmp_path / "new", **{".": (30, 20)})
    (pics / "broken.png").write_bytes(b"no picture")
    code, out, error = run(predict_command, trained, pics, "--csv", tmp_path / "p.csv")
    assert code == 1 and error.count("\n") == 1 and "broken.png" in error and "1 unreadable" in out
    rows = (tmp_path / "p.csv").read_text().splitlines()
    assert len(rows) == 32 and sum(",unreadable," in row for row in rows) == 1
    code, out, _ = run(sort_command, pics, tmp_path / "p.csv", "--out", tmp_path / "sorted")
    assert code == 0 and len(list((tmp_path / "sorted").rglob("*.png"))) == 30


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    "A run on two classes with a test set."
    place = tmp_path_factory.mktemp("own")
    make(place / "pics", train__a=(20, 20), train__c=(20, 160), test__a=(12, 20), test__c=(12, 160), unlabeled=(30, 90))
    assert train_command(["--data", f"folder:{place / 'pics'}", "--out", str(place / "run"), *QUICK]) == 0
    return place / "run"


def test_a_class_of_another_name_is_refused(tmp_path, run, trained):
    other = make(tmp_path / "other", a=(5, 20), C=(5, 160))
    error = fails(run(evaluate_command, trained, "--data", f"folder:{other}"))
    assert "knows the classes a, c" in error and "has C, a" in error


def test_pictures_added_later_are_not_the_test(tmp_path, run, trained):
    pics = tmp_path / "pics"
    shutil.copytree(trained.parent / "pics", pics)
    code, _, _ = run(train_command, "--data", f"folder:{pics}", "--out", tmp_path / "run", *QUICK)
    first = run(evaluate_command, tmp_path / "run")[1]
    make(pics, train__a=(30, 160), train__c=(30, 20), test__a=(30, 160), test__c=(30, 20))
    code, out, _ = run(evaluate_command, tmp_path / "run")
    assert code == 0 and "errors of 24" in out
    assert out.partition("accuracy")[2] == first.partition("accuracy")[2]


def test_unequal_classes_are_all_used(tmp_path, run):
    pics = make(tmp_path / "imb", a=(5, 20), b=(200, 90), c=(45, 160), unlabeled=(20, 60))
    code, out, _ = run(train_command, "--data", f"folder:{pics}", "--out", tmp_path / "run", *QUICK)
    assert code == 0 and "3 classes (a 5, b 200, c 45)" in out and read_results(tmp_path / "run")["n_labels"] == 250
    code, out, _ = run(train_command, "--data", f"folder:{pics}", "--out", tmp_path / "few", "--n-labels", 15, *QUICK)
    assert code == 0 and read_results(tmp_path / "few")["n_labels"] == 15


def test_without_unlabeled_pictures_the_option_that_helps_is_named(tmp_path, run):
    pics = make(tmp_path / "p", cat=(6, 20), dog=(6, 160))
    own = "--data", f"folder:{pics}", "--out", tmp_path / "run", *QUICK
    error = fails(run(train_command, *own))
    assert "every training picture" in error and "--labeled-in-unlabeled" in error
    assert run(train_command, *own, "--labeled-in-unlabeled")[0] == 0, "the corrected command is not refused"


def test_three_classes_with_defaults(tmp_path, run):
    pics = make(tmp_path / "p", x=(7, 20), y=(9, 90), z=(8, 160), unlabeled=(9, 60))
    own = "--data", f"folder:{pics}"
    assert run(train_command, *own, "--out", tmp_path / "run", *QUICK)[0] == 0
    assert read_results(tmp_path / "run")["n_labels"] == 24
    error = fails(run(train_command, *own, "--out", tmp_path / "b", "--n-labels", 100, *QUICK))
    assert "multiple of the 3 classes" in error and "21 would do, or all labels" in error


def test_arrays_and_tables(tmp_path, run):
    digits = load_data("digits")
    images, targets = digits.train_images[:300, 0].numpy(), digits.train_targets[:300].numpy().copy()
    targets[100:] = -1
    np.savez(tmp_path / "set.npz", x_train=images, y_train=targets, x_test=digits.test_images[:50, 0].numpy(),
             y_test=digits.test_targets[:50].numpy())
    header = "label," + ",".join(f"pixel{i}" for i in range(64))
    rows = [f"{'' if t < 0 else t}," + ",".join(map(str, image.ravel())) for t, image in zip(targets, images)]
    (tmp_path / "train.csv").write_text("\n".join([header, *rows]))
    for data, what in ((f"npz:{tmp_path / 'set.npz'}", "200 unlabeled, 50 test"),
                       (f"csv:{tmp_path / 'train.csv'}", "200 unlabeled")):
        code, out, _ = run(train_command, "--data", data, "--out", tmp_path / data[:3], *QUICK)
        assert code == 0 and "10 classes" in out and what in out
        assert read_results(tmp_path / data[:3])["n_labels"] == 100


def test_a_changed_folder_is_not_continued(tmp_path, run):
    pics = make(tmp_path / "p", cat=(6, 20), dog=(6, 160), unlabeled=(9, 90))
    own = "--data", f"folder:{pics}", "--out", tmp_path / "run", "--epoch-steps", 2, "--no-figures"
    assert run(train_command, *own, "--epochs", 1)[0] == 0
    assert run(train_command, *own, "--epochs", 2, "--resume")[0] == 0
    (pics / "unlabeled" / "0.png").rename(pics / "cat" / "100.png")
    assert "belongs to another configuration: data" in fails(run(train_command, *own, "--epochs", 3, "--resume"))


def test_a_full_disk_or_a_locked_cache_costs_speed_only(tmp_path, run, monkeypatch):
    pics = make(tmp_path / "p", cat=(6, 20), dog=(6, 160), unlabeled=(9, 90))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    code, _, error = run(train_command, "--data", f"folder:{pics}", "--out", tmp_path / "run", *QUICK)
    assert code == 0 and "cannot be kept" in error
