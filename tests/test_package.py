"What holds for the package and the notebooks as a whole."
import ast
import base64
import importlib
import io
import json
import posixpath
import re
import sys
from configparser import ConfigParser
from dataclasses import asdict
from graphlib import TopologicalSorter
from importlib import metadata

import pytest
from house import ROOT, cells, parse
from house import MODULES as FILES
from house import NOTEBOOKS as PATHS
from house import OWNERS as MODULES
from house import module_name
from PIL import Image

import sgan_nb
from sgan_nb.methods.settings import TrainConfig, config_from_record

sys.path.append(str(ROOT / "report"))
import book

NOTEBOOKS = {path.relative_to(ROOT / "nbs").with_suffix("").as_posix(): path for path in PATHS}
CONFIG = ConfigParser(delimiters=["="])
CONFIG.read(ROOT / "settings.ini", encoding="utf-8")
SETTINGS = CONFIG["DEFAULT"]
OWNERS = metadata.packages_distributions() # name that is imported -> distributions that bring it
EXTRAS = "tensorboard_requirements", "export_requirements", "distributed_requirements", "cluster_requirements"


def sources(path, kind):
    "Sources of the cells of one kind."
    return [source for _, other, source in cells(path) if other == kind]


def directives(source):
    "First words of a cell's `#|` lines."
    return set(re.findall(r"(?m)^#\| *(\w+)", source))


TREES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
PARTS_OF_RECORDS = "results", "ablations", "evidence", "one_network"
RECORDS = sorted(path for part in PARTS_OF_RECORDS for path in (ROOT / "report" / part).rglob("config.json"))

# Who may import whom: a part imports those above it; in a wing anything but a circle. Chapters are parts of their own
PARTS = [["basics"], ["sources"], ["data"], ["baseline"], ["discriminator"], ["generator"], ["losses"], ["methods"],
         ["runs"], ["training"], ["evaluation"], ["measuring"], ["speed"], ["report", "use"]]
RANKS = {part: rank for rank, parts in enumerate(PARTS) for part in parts}


def part_of(module):
    "The wing or chapter of a module."
    return module.split(".")[0]


def project_imports(module):
    "(module, name) of everything that `module` imports from this package; name is empty for a module itself."
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from ((alias.name[8:], "") for alias in node.names if alias.name.split(".")[0] == "sgan_nb")
        elif isinstance(node, ast.ImportFrom) and (node.level or node.module.split(".")[0] == "sgan_nb"):
            folder = module.split(".")[:-node.level] if node.level else []
            source = ".".join([*folder, *(node.module or "").split(".")[0 if node.level else 1:]]).strip(".")
            for alias in node.names:
                inner = f"{source}.{alias.name}".lstrip(".")
                yield (inner, "") if inner in TREES else (source, alias.name)


def outside_imports(tree):
    "Top-level names of everything a module imports from other packages."
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module.split(".")[0] != "sgan_nb":
            yield node.module.split(".")[0]


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
    points = metadata.distribution("sgan_nb").entry_points.select(group="console_scripts")
    points = {point.name: point for point in points}
    assert {f"{name}={point.value}" for name, point in points.items()} == set(SETTINGS["console_scripts"].split())
    assert all(callable(point.load()) for point in points.values())


@pytest.mark.parametrize("distribution", sorted(requirements("requirements", *EXTRAS)))
def test_requirement_is_importable(distribution):
    names = [name for name, those in OWNERS.items() if distribution in map(str.lower, those)]
    public = [name for name in names if name.isidentifier() and not name.startswith("_")]
    assert public, f"{distribution} is not installed"
    importlib.import_module(distribution if distribution in public else min(public, key=len))


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_declared(module):
    declared = requirements("requirements", *EXTRAS)
    for name in set(outside_imports(TREES[module])) - sys.stdlib_module_names:
        assert declared & {owner.lower() for owner in OWNERS.get(name, [])}, f"{name} is not in the requirements"


def test_every_module_has_one_notebook():
    assert set(TREES) == set(MODULES)
    exporting = [path for path in PATHS if any("default_exp" in directives(source) for source in sources(path, "code"))]
    assert len(MODULES) == len(exporting)


@pytest.mark.parametrize("module", MODULES)
def test_module_lies_where_its_notebook_does(module):
    place = MODULES[module].relative_to(ROOT / "nbs").with_suffix("").as_posix()
    assert re.sub(r"^\d\d_", "", place) == module.replace(".", "/")


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_and_is_indexed(module):
    from sgan_nb import _modidx
    loaded = importlib.import_module(f"sgan_nb.{module}")
    assert loaded.__doc__
    assert all(hasattr(loaded, name) for name in loaded.__all__)
    keys = _modidx.d["syms"][f"sgan_nb.{module}"]
    indexed = {key.removeprefix(f"sgan_nb.{module}.").split(".")[0] for key in keys}
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    assert indexed == {node.name for node in TREES[module].body if isinstance(node, kinds)}


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module):
    for source, name in project_imports(module):
        assert source in MODULES, f"sgan_nb.{source} is no notebook's module"
        here, there = part_of(module), part_of(source)
        assert here == there or RANKS[there] < RANKS[here], f"{module} imports {source}"
        assert not name.startswith("_"), f"{name} is private to {source}"


@pytest.mark.parametrize("wing", book.WINGS)
def test_wing_has_no_circle(wing):
    inside = [module for module in TREES if part_of(module) == wing]
    graph = {module: {source for source, _ in project_imports(module) if part_of(source) == wing} for module in inside}
    assert inside and set(TopologicalSorter(graph).static_order()) == set(inside)  # a circle raises CycleError


@pytest.mark.parametrize("module", MODULES)
def test_module_has_no_star_import(module):
    imports = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.ImportFrom)]
    assert [node.module for node in imports if node.names[0].name == "*"] == []


# The records of earlier runs

def test_there_are_records(): assert len(RECORDS) >= 115


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.relative_to(ROOT / "report").as_posix())
def test_record_is_read(path):
    saved = json.loads(path.read_text(encoding="utf-8"))["config"]
    config = config_from_record(saved)
    assert isinstance(config, TrainConfig)
    assert (config.method, config.data, config.draw) == (saved["method"], saved["data"], saved["draw"])
    assert config_from_record(asdict(config)) == config


# The reading order

def test_reading_order_visits_every_notebook():
    assert len(set(book.READING_ORDER)) == len(book.READING_ORDER)
    assert set(book.READING_ORDER) | set(book.PAGES) == set(NOTEBOOKS)


def test_wings_are_read_in_the_order_of_their_imports():
    ranks = [RANKS[wing] for wing in book.WINGS]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("path", PATHS, ids=NOTEBOOKS)
def test_cells_have_ids_of_their_own(path):
    ids = [cell["id"] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    assert sorted(set(ids)) == sorted(ids)


@pytest.mark.parametrize("name", book.READING_ORDER)
def test_last_cell_says_where_to_read_on(name):
    *others, (_, kind, last) = cells(NOTEBOOKS[name])
    assert (kind, last) == ("markdown", book.next_text(name)), "run make book"
    assert not any(re.search(r"Next:\s+\[", source) for _, kind, source in others if kind == "markdown")


@pytest.mark.parametrize("page, table", book.tables().items())
def test_pages_list_the_notebooks(page, table):
    assert table in sources(NOTEBOOKS[page], "markdown"), "run make book"
    assert book.at_top_level(table) in (ROOT / book.PAGES[page]).read_text(encoding="utf-8"), "run make book"


def test_everything_is_listed_in_the_guide():
    assert all(f"({name}.ipynb)" in book.tables()["guide"] for name in book.READING_ORDER)


@pytest.mark.parametrize("name", [*NOTEBOOKS, "../README", "../RESULTS", "../GUIDE", "../CONTRIBUTING", "../CHANGELOG"])
def test_links_lead_to_files(name):
    page = ROOT / f"nbs/{name}.md"
    texts = sources(NOTEBOOKS[name], "markdown") if name in NOTEBOOKS else [page.read_text(encoding="utf-8")]
    for place in (match[2] for text in texts for match in book.LINK.finditer(text)):
        target = posixpath.join(posixpath.dirname(name), place.split("#")[0])
        assert (ROOT / "nbs" / target).exists(), f"{place} does not exist"


@pytest.mark.parametrize("file", book.PAGES.values())
def test_pictures_of_pages_are_described(file):
    assert "![png]" not in (ROOT / file).read_text(encoding="utf-8"), "the cell needs a line #| fig-alt: ..."


# The notebooks

@pytest.fixture(params=NOTEBOOKS)
def notebook(request):
    return NOTEBOOKS[request.param]


def test_notebook_starts_with_title_and_summary(notebook):
    assert re.match(r"# \S[^\n]*\n+> \S", sources(notebook, "markdown")[0])
    assert json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["cell_type"] == "markdown"


def test_notebook_stores_small_outputs_and_no_error(notebook):
    code = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output["ename"] for output in outputs if output["output_type"] == "error"]
    limit = 500_000 if notebook.stem.startswith("99_") else 100_000
    assert len(json.dumps(outputs)) < limit


def test_stored_pictures_have_enough_colors(notebook):
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                picture = Image.open(io.BytesIO(base64.b64decode("".join(png))))
                assert picture.mode != "P" or len(picture.getcolors()) >= 128, f"cell {number}: run make outputs"


def test_notebook_keeps_imports_apart(notebook):
    for source in sources(notebook, "code"):
        body = parse(source).body
        kinds = {isinstance(node, (ast.Import, ast.ImportFrom)) for node in body}
        assert len(kinds) < 2, f"imports and other code in one cell:\n{source}"


def test_exported_cells_are_plain_python(notebook):
    for source in sources(notebook, "code"):
        if directives(source) & {"export", "exporti"}:
            assert not re.search(r"(?m)^\s*[%!]", source), f"IPython line in\n{source}"
