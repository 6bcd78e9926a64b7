"What holds for the package and the notebooks as a whole."
import ast
import importlib
import json
import re
import sys
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import pytest

import sgan_nb
from sgan_nb import _modidx

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
CONFIG = ConfigParser(delimiters=["="])
CONFIG.read(ROOT / "settings.ini", encoding="utf-8")
SETTINGS = CONFIG["DEFAULT"]
EXTRAS = "tensorboard_requirements", "export_requirements", "distributed_requirements", "cluster_requirements"


def cells(path, kind):
    "Sources of the cells of one kind."
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def directives(source):
    "First words of a cell's `#|` lines."
    return set(re.findall(r"(?m)^#\| *(\w+)", source))


def parse(source):
    "Syntax tree of a cell, its IPython lines blanked."
    return ast.parse(re.sub(r"(?m)^( *)[%!].*$", r"\1pass", source))


def exported_module(path):
    "Name after `default_exp`, or None."
    names = [match[1] for source in cells(path, "code") if (match := re.search(r"(?m)^#\| *default_exp +(\w+)", source))]
    return names[0] if names else None


MODULES = {name: path for path in NOTEBOOKS if (name := exported_module(path))}  # in the order of their numbers
TREES = {name: ast.parse((ROOT / "sgan_nb" / f"{name}.py").read_text(encoding="utf-8")) for name in MODULES}
ORDER = list(MODULES)


def project_imports(tree):
    "(module, name) of everything a module imports from this package."
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "sgan_nb":
                    yield alias.name.removeprefix("sgan_nb").lstrip("."), ""
        elif isinstance(node, ast.ImportFrom) and (node.level or node.module.split(".")[0] == "sgan_nb"):
            module = (node.module or "").removeprefix("sgan_nb").lstrip(".")
            for alias in node.names:
                yield (module, alias.name) if module else (alias.name, "")


def outside_imports(tree):
    "Top-level names of everything a module imports from other packages."
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def public_names(tree):
    "Names a module defines at its top level."
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


def requirements(*keys):
    "Distribution names in the given settings, without versions."
    return {re.split(r"[<>=!~\[]", item)[0].lower() for key in keys for item in SETTINGS[key].split()}


# The package

def test_metadata_is_that_of_the_settings():
    installed = metadata.metadata("sgan_nb")
    assert sgan_nb.__version__ == installed["Version"] == SETTINGS["version"]
    assert installed["Requires-Python"] == ">=" + SETTINGS["min_python"]
    assert installed["License"] == "Apache-2.0"
    wanted = {item for item in metadata.requires("sgan_nb") if "extra ==" not in item}
    assert wanted == set(SETTINGS["requirements"].split())


def test_commands_are_those_of_the_settings():
    points = {point.name: point for point in metadata.distribution("sgan_nb").entry_points.select(group="console_scripts")}
    assert {f"{name}={point.value}" for name, point in points.items()} == set(SETTINGS["console_scripts"].split())
    assert all(callable(point.load()) for point in points.values())


@pytest.mark.parametrize("distribution", sorted(requirements("requirements", *EXTRAS)))
def test_requirement_is_importable(distribution):
    names = [name for name, owners in metadata.packages_distributions().items() if distribution in map(str.lower, owners)]
    public = [name for name in names if name.isidentifier() and not name.startswith("_")]
    assert public, f"{distribution} is not installed"
    importlib.import_module(distribution if distribution in public else min(public, key=len))


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_declared(module):
    owners = metadata.packages_distributions()
    declared = requirements("requirements", *EXTRAS)
    for name in set(outside_imports(TREES[module])) - sys.stdlib_module_names:
        assert declared & {owner.lower() for owner in owners.get(name, [])}, f"{name} is not in the requirements"


def test_every_module_has_one_notebook():
    files = {path.stem for path in (ROOT / "sgan_nb").glob("*.py")} - {"__init__", "_modidx"}
    assert files == set(MODULES)
    assert len(MODULES) == sum(exported_module(path) is not None for path in NOTEBOOKS)


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_and_is_indexed(module):
    loaded = importlib.import_module(f"sgan_nb.{module}")
    assert loaded.__doc__
    assert all(hasattr(loaded, name) for name in loaded.__all__)
    indexed = {key.split(".")[2] for key in _modidx.d["syms"][f"sgan_nb.{module}"]}
    defined = {node.name for node in TREES[module].body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    assert indexed == defined


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_lower_numbers(module):
    for source, name in project_imports(TREES[module]):
        assert source in MODULES, f"sgan_nb.{source} is no notebook's module"
        assert ORDER.index(source) < ORDER.index(module), f"{module} imports {source}"
        assert not name.startswith("_"), f"{name} is private to {source}"


@pytest.mark.parametrize("module", MODULES)
def test_module_has_no_star_import(module):
    stars = [node.module for node in ast.walk(TREES[module]) if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"]
    assert stars == []


def test_public_names_are_defined_once():
    owner = {}
    for module, tree in TREES.items():
        for name in set(public_names(tree)):
            assert name not in owner, f"{name} is defined in {owner[name]} and in {module}"
            owner[name] = module


# The notebooks

@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param


def test_notebook_starts_with_title_and_summary(notebook):
    assert re.match(r"# \S[^\n]*\n+> \S", cells(notebook, "markdown")[0])
    assert json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["cell_type"] == "markdown"


def test_notebook_stores_small_outputs_and_no_error(notebook):
    code = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output["ename"] for output in outputs if output["output_type"] == "error"]
    limit = 500_000 if notebook.stem.startswith("99_") else 100_000
    assert len(json.dumps(outputs)) < limit


@pytest.mark.parametrize("module", MODULES)
def test_notebook_asserts(module):
    def asserts(node):
        name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
        return isinstance(node, ast.Assert) or re.match(r"test_|assert_|expect_fail$", name)

    tests = [source for source in cells(MODULES[module], "code") if not directives(source) & {"export", "exporti"}]
    assert any(asserts(node) for source in tests for node in ast.walk(parse(source)))


def test_notebook_keeps_imports_apart(notebook):
    for source in cells(notebook, "code"):
        body = parse(source).body
        kinds = {isinstance(node, (ast.Import, ast.ImportFrom)) for node in body}
        assert len(kinds) < 2, f"imports and other code in one cell:\n{source}"


def test_exported_cells_are_plain_python(notebook):
    for source in cells(notebook, "code"):
        if directives(source) & {"export", "exporti"}:
            assert not re.search(r"(?m)^\s*[%!]", source), f"IPython line in\n{source}"
