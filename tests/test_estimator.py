"The estimator passes scikit-learn's own checks, learns from unlabeled rows and from nothing else."
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, make_blobs
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils.estimator_checks import check_classifiers_classes, parametrize_with_checks

from sgan_nb.use import estimator as module
from sgan_nb.use.estimator import SGANClassifier

TINY = SGANClassifier(max_iter=5, random_state=0)
EXPECTED = {"check_classifiers_classes":
            "it also trains on the classes -1 and 1, but -1 marks unlabeled rows; scikit-learn exempts its own "
            "semi-supervised classifiers by name, and the check passes under such a name"}


@parametrize_with_checks([SGANClassifier(max_iter=60)], expected_failed_checks=lambda estimator: EXPECTED)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_classes_check_as_a_semi_supervised_classifier():
    check_classifiers_classes("SelfTrainingClassifier", SGANClassifier(max_iter=60))


@pytest.fixture(scope="module")
def blobs():
    "300 rows, 4 classes, three labels of each."
    X, y = make_blobs(300, centers=4, n_features=3, random_state=0)
    known = np.full_like(y, -1)
    labeled = np.concatenate([np.flatnonzero(y == c)[:3] for c in range(4)])
    known[labeled] = y[labeled]
    return X, y, known


@pytest.fixture(scope="module")
def digits():
    "8x8 images, values 0 to 16; five labels of each class among the first 1,400."
    images, y = load_digits().images, load_digits().target
    known = np.full(1400, -1)
    labeled = np.concatenate([np.flatnonzero(y[:1400] == c)[:5] for c in range(10)])
    known[labeled] = y[labeled]
    return images[:1400], y, known, images[1400:]


@pytest.fixture(scope="module")
def fitted(digits):
    return SGANClassifier(max_iter=300, random_state=0).fit(digits[0], digits[2])


def test_few_labels_suffice_for_blobs(blobs):
    X, y, known = blobs
    assert SGANClassifier(random_state=0).fit(X, known).score(X, y) > 0.9


@pytest.mark.parametrize("shape", [(64,), (8, 8), (1, 8, 8), (4, 4, 4), (2, 4, 8), (1, 1, 64), (16, 4), (32, 2)])
def test_rows_of_any_shape(shape, digits):
    X, _, known, test = digits
    X, test = X.reshape(-1, *shape), test.reshape(-1, *shape)
    model = clone(TINY).fit(X, known)
    assert model.n_features_in_ == 64
    assert model.predict_proba(test).shape == (len(test), 10)
    sample = model.sample(7, random_state=0)
    assert sample.shape == (7, *shape)
    assert (0 <= sample).all() and (sample <= 16).all() and sample.std() > 0


def test_sample_is_in_the_units_of_each_feature(blobs):
    X, _, known = blobs
    X = X * [1, 1000, 1e-3] + [0, 5e4, -7]
    sample = clone(TINY).fit(X, known).sample(200, random_state=0)
    rounding = 1e-6 * np.ptp(X, 0)
    assert (X.min(0) - rounding <= sample).all() and (sample <= X.max(0) + rounding).all()
    assert (np.abs(sample.mean(0) - X.mean(0)) < np.ptp(X, 0)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64, bool])
def test_sample_has_the_kind_of_numbers_of_the_rows(dtype, digits):
    X = (digits[0] > 8).astype(bool) if dtype is bool else digits[0].astype(dtype)
    assert clone(TINY).fit(X, digits[2]).sample(2, 0).dtype == (dtype if np.dtype(dtype).kind in "iu" else np.float64)


def test_only_labels_of_labeled_rows_are_read(blobs, monkeypatch):
    X, y, known = blobs
    before = clone(TINY).fit(X, known).predict_proba(X)
    train, seen = module.train, []

    def with_other_targets(config, data, split, **options):
        "Train on wrong targets wherever there is no label."
        wrong = (data.train_targets + 1) % 4
        wrong[split.labeled] = data.train_targets[split.labeled]
        seen.append(split.labeled.tolist())
        object.__setattr__(data, "train_targets", wrong)
        return train(config, data, split=split, **options)

    monkeypatch.setattr(module, "train", with_other_targets)
    np.testing.assert_array_equal(clone(TINY).fit(X, known).predict_proba(X), before)
    assert seen == [np.flatnonzero(known >= 0).tolist()]


def test_targets_of_labeled_rows_are_theirs(blobs, monkeypatch):
    X, y, known = blobs
    seen = []

    class Stop(Exception):
        pass

    def look(config, data, split, **options):
        targets, unlabeled = data.train_targets[split.labeled].numpy(), split.unlabeled.tolist()
        seen.append((targets, unlabeled, config.n_labels, len(data.test_images)))
        raise Stop

    monkeypatch.setattr(module, "train", look)
    with pytest.raises(Stop):
        clone(TINY).fit(X, known)
    np.testing.assert_array_equal(seen[0][0], known[known >= 0])
    assert seen[0][1:] == (list(range(300)), 12, 0)


def test_unlabeled_rows_change_the_result_and_their_labels_do_not(blobs):
    X, y, known = blobs
    labeled = known >= 0
    before = clone(TINY).fit(X, known).predict_proba(X)
    permuted = y.copy()
    permuted[~labeled] = np.random.default_rng(0).permutation(y[~labeled])
    np.testing.assert_array_equal(clone(TINY).fit(X, np.where(labeled, permuted, -1)).predict_proba(X), before)
    other = X.copy()
    other[~labeled] = other[~labeled][::-1] * 0.5
    assert np.abs(clone(TINY).fit(other, known).predict_proba(X) - before).max() > 1e-4
    alone = SGANClassifier("augmented", max_iter=5, random_state=0)
    scale = StandardScaler().fit(X)
    rows = scale.transform(X)
    assert np.abs(alone.fit(rows[labeled], y[labeled]).predict_proba(rows) - before).max() > 1e-4


def test_a_set_without_unlabeled_rows(blobs):
    X, y, _ = blobs
    assert clone(TINY).set_params(max_iter=150).fit(X, y).score(X, y) > 0.8


@pytest.mark.parametrize("classes", [("d", "a", "c", "b"), (-7, 3, -2, 0), (1.0, 5.0, 2.0, 0.0)])
def test_classes_of_any_kind(classes, blobs):
    X, y, known = blobs
    names = np.array(classes)
    model = clone(TINY).set_params(max_iter=150)
    for marker in -1, None:
        partly = np.array([marker if k < 0 else names[k] for k in known], dtype=object)
        model.fit(X, partly)
        assert model.classes_.tolist() == sorted(classes)
        assert model.score(X, names[y]) > 0.8
        probabilities = model.predict_proba(X)
        np.testing.assert_allclose(probabilities.sum(1), 1)
        np.testing.assert_array_equal(model.classes_[probabilities.argmax(1)], model.predict(X))
        labeled = known >= 0
        assert model.score(X, partly) == (model.predict(X) == names[y])[labeled].mean()


def missing(known, how):
    "Labels with missing ones in each way that data arrive with."
    pandas = pytest.importorskip("pandas")
    names = {"string": "abcd", "strings": "abcd", "string list": "abcd"}.get(how, range(4))
    if how == "float": return np.where(known < 0, np.nan, known)
    if how == "masked": return np.ma.array(np.maximum(known, 0), mask=known < 0)
    mark = {"None": None, "NA": pandas.NA, "Int64": pandas.NA}.get(how, np.nan if how != "strings" else None)
    labels = [mark if k < 0 else names[k] for k in known]
    if how == "string list": return labels
    if how in ("Int64", "string", "category"): return pandas.Series(labels, dtype=how)
    return np.array(labels, dtype=object)


@pytest.mark.parametrize("how", ["float", "None", "NaN", "NA", "Int64", "string", "category", "strings", "string list",
                                 "masked"])
def test_every_mark_of_a_missing_label(how, blobs):
    X, y, known = blobs
    expected, labels = clone(TINY).fit(X, known), missing(known, how)
    model = clone(TINY).fit(X, labels)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert model.classes_.tolist() == (["a", "b", "c", "d"] if "string" in how else [0, 1, 2, 3])
    assert model.score(X, labels) == expected.score(X, known)


@pytest.mark.parametrize("labels", [["nan", "a"], ["None", "a"], ["", "a"], [False, True]])
def test_labels_that_only_look_missing_are_classes(labels, blobs):
    X, y, _ = blobs
    model = clone(TINY).fit(X, np.array(labels, dtype=object)[y % 2])
    assert model.classes_.tolist() == sorted(labels)
    assert (model.predict_proba(X) == clone(TINY).fit(X, (y + (labels[0] > labels[1])) % 2).predict_proba(X)).all()


def wrappers():
    "Everything in scikit-learn that numbers the classes anew for what is inside."
    inner = SGANClassifier(max_iter=20, random_state=0)
    return [BaggingClassifier(inner, 2, random_state=0), OneVsRestClassifier(inner), OneVsOneClassifier(inner),
            OutputCodeClassifier(inner, random_state=0), VotingClassifier([("gan", inner)], voting="soft"),
            StackingClassifier([("gan", inner)], LogisticRegression(), cv=2)]


@pytest.mark.parametrize("wrapper", [*wrappers(), CalibratedClassifierCV(SGANClassifier(max_iter=20), cv=2)],
                         ids=lambda wrapper: type(wrapper).__name__)
def test_wrappers_refuse_missing_labels_that_are_not_numbers(wrapper, blobs):
    X, y, known = blobs
    with pytest.raises(ValueError, match="contains NaN"):
        clone(wrapper).fit(X, missing(known, "float"))
    for how in "None", "strings":
        with pytest.raises((ValueError, TypeError), match="Unknown label type|NoneType"):
            clone(wrapper).fit(X, missing(known, how))
    assert clone(wrapper).fit(X, y).score(X, y) > 0.6 # without missing labels they work


@pytest.mark.parametrize("wrapper", wrappers(), ids=lambda wrapper: type(wrapper).__name__)
def test_wrappers_make_a_class_of_minus_one_as_the_docstring_says(wrapper, blobs):
    X, y, known = blobs
    fitted = clone(wrapper).fit(X, known)
    assert fitted.classes_.tolist() == [-1, 0, 1, 2, 3]
    assert fitted.score(X, y) < 0.5 < (fitted.predict(X) == -1).mean()
    assert type(wrapper).__name__ in SGANClassifier.__doc__


def test_calibration_keeps_minus_one_unlabeled_and_lists_it_as_a_class(blobs):
    X, y, known = blobs
    fitted = CalibratedClassifierCV(SGANClassifier(max_iter=60, random_state=0), cv=3).fit(X, known)
    assert fitted.classes_.tolist() == [-1, 0, 1, 2, 3]
    assert fitted.score(X, y) > 0.9
    assert fitted.predict_proba(X).max() < 0.9 # unlabeled rows count against each class


def test_self_training_and_search_take_minus_one_as_unlabeled(blobs):
    X, y, known = blobs
    inner = SGANClassifier(max_iter=60, random_state=0)
    around = SelfTrainingClassifier(inner).fit(X, known)
    assert around.classes_.tolist() == [0, 1, 2, 3] and around.score(X, y) > 0.6
    search = GridSearchCV(make_pipeline(StandardScaler(), inner), {"sganclassifier__learning_rate": [3e-3]}, cv=2)
    assert search.fit(X, known).score(X, y) > 0.8


def test_far_rows_are_named_by_number(fitted, digits):
    with pytest.warns(UserWarning, match="396 of 397 rows lie far outside") as heard:
        fitted.predict(np.concatenate([digits[3][:1], 255 * digits[3][1:]]))
    assert heard[0].filename == __file__


@pytest.mark.parametrize("method", ["predict", "predict_proba", "transform", "fake_score"])
def test_every_answer_warns_of_far_rows_and_of_no_others(method, fitted, digits, recwarn):
    getattr(fitted, method)(digits[3] * 1.9) # to 30.4: outside, and less than 16 beyond 16
    assert not recwarn.list
    getattr(fitted, method)(digits[3] * 2.1)
    assert len(recwarn.list) == 1


def test_threads_are_those_asked_for_and_are_put_back(blobs, monkeypatch):
    X, _, known = blobs
    train, seen, before = module.train, [], torch.get_num_threads()

    def look(*args, **options):
        seen.append(torch.get_num_threads())
        return train(*args, **options)

    monkeypatch.setattr(module, "train", look)
    for n_jobs in None, 2:
        clone(TINY).set_params(n_jobs=n_jobs).fit(X, known)
    assert seen == [1, 2] and torch.get_num_threads() == before


def test_partly_labeled_rows_cross_validate(blobs):
    X, y, known = blobs
    pipeline = make_pipeline(StandardScaler(), SGANClassifier(max_iter=60, random_state=0))
    assert cross_val_score(pipeline, X, known, cv=2).mean() > 0.6
    assert cross_val_score(pipeline, X, known, cv=2, scoring="accuracy").mean() < 0.1 # the docstring of score warns
    still = {"learning_rate": 1e-9, "generator_learning_rate": 1e-9}
    search = GridSearchCV(pipeline, {"sganclassifier__settings": [None, still]}, cv=2).fit(X, known)
    assert search.best_params_ == {"sganclassifier__settings": None}
    assert search.best_estimator_.score(X, y) > 0.8


def test_score_refuses_labels_and_weights_of_other_rows(fitted, digits):
    X, y = digits[3], digits[1][1400:]
    for rest in (y[1:],), (y, np.ones(3)):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            fitted.score(X, *rest)


def test_global_random_sources_neither_matter_nor_change(blobs):
    X, _, known = blobs
    before = clone(TINY).fit(X, known).predict_proba(X)
    np.random.seed(7)
    torch.manual_seed(7)
    states = np.random.get_state()[1].copy(), torch.get_rng_state()
    model = clone(TINY).fit(X, known)
    model.sample(3, random_state=0)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    np.testing.assert_array_equal(np.random.get_state()[1], states[0])
    assert torch.equal(torch.get_rng_state(), states[1])
    assert (clone(TINY).set_params(random_state=1).fit(X, known).predict_proba(X) != before).any()


def test_pickle_in_another_process(fitted, digits, tmp_path):
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(fitted))
    np.save(tmp_path / "rows.npy", digits[3])
    program = ("import pickle, numpy, sys; from pathlib import Path; folder = Path(sys.argv[1]);"
               "model = pickle.loads((folder / 'model.pkl').read_bytes()); rows = numpy.load(folder / 'rows.npy');"
               "numpy.savez(folder / 'out.npz', p=model.predict_proba(rows), sample=model.sample(3, 0), "
               "fake=model.fake_score(rows))")
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    out = np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(out["p"], fitted.predict_proba(digits[3]))
    np.testing.assert_array_equal(out["sample"], fitted.sample(3, 0))
    np.testing.assert_array_equal(out["fake"], fitted.fake_score(digits[3]))


def test_noise_scores_as_fake(fitted, digits):
    held_out = digits[3]
    noise = np.random.default_rng(0).uniform(0, 16, held_out.shape)
    scores = fitted.fake_score(np.concatenate([held_out, noise]))
    assert (0 <= scores).all() and (scores <= 1).all()
    assert roc_auc_score(np.repeat([0, 1], len(noise)), scores) > 0.8 # 0.88 to 0.98 over seeds


def test_no_output_unless_verbose(blobs, capfd):
    X, _, known = blobs
    clone(TINY).fit(X, known)
    assert capfd.readouterr() == ("", "")
    clone(TINY).set_params(verbose=True).fit(X, known)
    out, err = capfd.readouterr()
    assert out == "" and "sgan" in err


def test_names_of_features(blobs):
    pandas = pytest.importorskip("pandas")
    X, _, known = blobs
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    model = clone(TINY).set_output(transform="pandas").fit(frame, pandas.Series(known))
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    assert model.transform(frame).columns.tolist() == model.get_feature_names_out().tolist()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c"]])


@pytest.mark.parametrize("change, error, text", [
    (dict(X=lambda X: csr_array(X)), TypeError, "dense data is required"),
    (dict(X=lambda X: np.where(X > 5, np.nan, X)), ValueError, "contains NaN"),
    (dict(X=lambda X: X[:, 0]), ValueError, "Reshape your data"),
    (dict(X=lambda X: X[:-1]), ValueError, "inconsistent numbers of samples"),
    (dict(X=lambda X: X.reshape(-1, 3, 1, 1, 1)), ValueError, "dim 5"),
    (dict(X=lambda X: np.tile(X[:, :, None, None], (1, 1, 4, 1)).reshape(-1, 4, 3, 1)), ValueError, "channels last"),
    (dict(y=lambda y: np.full_like(y, -1)), ValueError, "y has no label"),
    (dict(y=lambda y: np.where(y == 2, 2, -1)), ValueError, "one class only, 2,"),
    (dict(y=lambda y: y + 0.5), ValueError, "Unknown label type"),
    (dict(y=lambda y: None), ValueError, "requires y to be passed"),
    (dict(method="sgna"), ValueError, "did you mean 'sgan'"),
    (dict(method="uda"), ValueError, "needs an augmentation"),
    (dict(max_iter=-1), ValueError, "max_iter must be at least 1, got -1"),
    (dict(learning_rate=0.0), ValueError, "learning_rate must be in"),
    (dict(y=lambda y: np.where(y < 0, "nan", "a")), ValueError, "pass y with dtype=object"),
    (dict(y=lambda y: np.where(y < 0, "None", "a")), ValueError, "y has the text 'None'"),
    (dict(y=lambda y: np.where(y < 0, "<NA>", "a")), ValueError, "y has the text '<NA>'"),
    (dict(max_iter=500.0), TypeError, "max_iter must be a whole number or None, got 500.0"),
    (dict(batch_size=10.0), TypeError, "batch_size must be a whole number or None, got 10.0"),
    (dict(settings=["dropout"]), TypeError, "settings must be a dict or None"),
    (dict(y=lambda y: np.full(len(y), np.nan)), ValueError, "y has no label"),
    (dict(y=lambda y: np.where(y < 0, np.inf, y)), ValueError, "infinity"),
    (dict(n_jobs=0), ValueError, "n_jobs == 0"),
    (dict(settings={"seed": 3}), ValueError, "unknown setting 'seed'"),
    (dict(device="cuda:77"), ValueError, "is not available here"),
])
def test_mistakes_are_named_in_one_line(change, error, text, blobs):
    X, _, known = blobs
    X, y = change.pop("X", lambda X: X)(X), change.pop("y", lambda y: y)(known)
    with pytest.raises(error) as caught:
        clone(TINY).set_params(**change).fit(X, y)
    assert text in str(caught.value)
