"The bars of tests/house.py are met; `python tests/house.py` lists who is in the way."
import house
import pytest

FIGURES = {name: (figure, met, offenders) for name, figure, met, offenders in house.figures()}


@pytest.mark.parametrize("name", FIGURES)
def test_bar_is_met(name):
    figure, met, offenders = FIGURES[name]
    lines = [f"{path.relative_to(house.ROOT)}: {what}" for path, what in offenders]
    assert met, "\n".join([f"{name}: {figure}", *lines])


def test_a_long_line_is_found_but_no_table_and_no_address(tmp_path, monkeypatch):
    lines = ["x" * 121, "y" * 120, "| " + "z" * 150, f"see [this]({'a' * 150})", f"see https://{'b' * 150}"]
    path = tmp_path / "a.ipynb"
    path.write_text(house.json.dumps({"cells": [{"cell_type": "markdown", "source": ["\n".join(lines)]}]}))
    monkeypatch.setattr(house, "NOTEBOOKS", [path])
    monkeypatch.setattr(house, "MODULES", [])
    monkeypatch.setattr(house, "SCRIPTS", [])
    assert list(house.long_lines()) == [(path, "cell 0, line 1: 121 columns")]


def missing(source, tmp_path, monkeypatch):
    "What the docments of a module lack."
    (tmp_path / "sgan_nb").mkdir()
    path = tmp_path / "sgan_nb" / "a.py"
    path.write_text(source)
    monkeypatch.setattr(house, "ROOT", tmp_path)
    monkeypatch.setattr(house, "MODULES", [path])
    return {name: what for _, name, what in house.docments()}


def test_every_parameter_needs_a_type_and_a_comment_of_its_own(tmp_path, monkeypatch):
    source = """
def f(
    a:int, # one
    b:int, c:int, # two on a line
    d=3, # no type
    e:dict={"x": 1,
            "y": 2}, # over two lines
) -> int: # all
    return a

def g(self, a:int): return a # that line is not its own
def _h(a): return a
"""
    assert missing(source, tmp_path, monkeypatch) == {
        "f(a)": None, "f(b)": "comment", "f(c)": "comment", "f(d)": "type", "f(e)": None, "f -> ": None,
        "g(a)": None, "g -> ": "type and comment"}


def test_a_cell_that_calls_an_asserting_helper_asserts(tmp_path):
    sources = ["#| export\nx = 1", "import os", "def check(a):\n    assert a", "check(1)", "1 + 1", "#| slow\n2",
               "test_eq(1, 1)"]
    path = tmp_path / "a.ipynb"
    path.write_text(house.json.dumps({"cells": [{"cell_type": "code", "source": [source]} for source in sources]}))
    assert list(house.shown_cells(path)) == [(2, True), (3, True), (4, False), (6, True)]
