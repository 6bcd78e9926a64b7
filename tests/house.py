"""The figures of the house and, below the bars, who is in the way: `python tests/house.py [notebook or file ...]`.

Lines have 120 columns, modules 200 lines, functions 40 lines and 1,600 characters; every parameter and return value of
a public function has a type and a comment; three of five cells that show something also assert something; a public name
is defined once. Exits 1 when a bar is missed. With paths, only their offenders are listed and counted.
"""
import ast
import io
import json
import re
import sys
import tokenize
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS, MODULE_LINES, FUNCTION_LINES, FUNCTION_CHARACTERS, ASSERTING = 120, 200, 40, 1600, 60
LINK = re.compile(r"\]\([^)\s]*\)|<?https?://[^\s)>]+>?")
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
NOTEBOOKS = sorted(path for path in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
MODULES = sorted(path for path in (ROOT / "sgan_nb").rglob("*.py") if not path.name.startswith("_"))
SCRIPTS = [ROOT / "setup.py", *sorted((ROOT / "tests").glob("*.py")), *sorted((ROOT / "report").glob("*.py")),
           ROOT / "docs/conf.py"]


def text(path):
    "A file's text."
    return path.read_text(encoding="utf-8")


def cells(path):
    "Number, kind and source of a notebook's cells."
    for number, cell in enumerate(json.loads(text(path))["cells"]):
        yield number, cell["cell_type"], "".join(cell["source"])


def parse(source):
    "Syntax tree of a cell, its IPython lines blanked."
    return ast.parse(re.sub(r"(?m)^( *)[%!].*$", r"\1pass", source))


def module_name(path):
    "Name of an exported module inside the package: use.service."
    return ".".join(path.relative_to(ROOT / "sgan_nb").with_suffix("").parts)


def notebook_of_modules():
    "Module name -> notebook, from the `default_exp` lines."
    return {match[1]: path for path in NOTEBOOKS for _, kind, source in cells(path)
            if kind == "code" and (match := re.search(r"(?m)^#\| *default_exp +([\w.]+)", source))}


OWNERS = notebook_of_modules()


def owner(module):
    "The notebook that a module is exported from, else the module."
    return OWNERS.get(module_name(module), module)


# Lines

def long_lines():
    "(file, where) of every line over 120 columns; tables, addresses of links, nbdev's lists do not count."
    written = defaultdict(set)
    for path in NOTEBOOKS:
        for number, kind, source in cells(path):
            for place, line in enumerate(source.splitlines(), 1):
                written[path].add(line)
                if kind == "markdown":
                    line = "" if line.lstrip().startswith("|") else LINK.sub("", line)
                if len(line) > COLUMNS: yield path, f"cell {number}, line {place}: {len(line)} columns"
    for path in [*MODULES, *SCRIPTS]:
        notebook, by_nbdev = owner(path) if path in MODULES else path, False
        for place, line in enumerate(text(path).splitlines(), 1):
            if line.startswith("# %% "): by_nbdev = line.startswith("# %% auto") # its list of names
            if len(line) > COLUMNS and not by_nbdev and line not in written[notebook]:
                yield path, f"line {place}: {len(line)} columns"


def long_modules():
    "(notebook, what) of every exported module of more than 200 lines."
    for path in MODULES:
        if (n := len(text(path).splitlines())) > MODULE_LINES: yield owner(path), f"{module_name(path)}: {n} lines"


# Functions

def functions(body, prefix=""):
    "Qualified name and node of functions and methods, not of those inside functions."
    for node in body:
        if isinstance(node, FUNCTION): yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef): yield from functions(node.body, f"{prefix}{node.name}.")


def long_functions():
    "(notebook, what) of every exported function of more than 40 lines or 1,600 characters."
    for path in MODULES:
        lines = text(path).splitlines(keepends=True)
        for name, node in functions(ast.parse(text(path)).body):
            source = "".join(lines[node.lineno - 1:node.end_lineno])
            n = node.end_lineno - node.lineno + 1
            if n > FUNCTION_LINES or len(source) > FUNCTION_CHARACTERS:
                yield owner(path), f"{name}: {n} lines, {len(source):,} characters"


def comments_of(source):
    "Column of the comment on each line that has one."
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.start[1] for token in tokens if token.type == tokenize.COMMENT}


def parameters(node):
    "(parameter, last line of it) of a function, without self and cls."
    spec = node.args
    positional = [*spec.posonlyargs, *spec.args]
    defaults = dict(zip([arg.arg for arg in positional][len(positional) - len(spec.defaults):], spec.defaults))
    defaults |= {arg.arg: value for arg, value in zip(spec.kwonlyargs, spec.kw_defaults) if value}
    for arg in [*positional, spec.vararg, *spec.kwonlyargs, spec.kwarg]:
        if arg and arg.arg not in ("self", "cls"): yield arg, (defaults.get(arg.arg) or arg).end_lineno


def returns_something(node):
    "Whether a function returns a value or yields."
    inner = [child for statement in node.body for child in ast.walk(statement)]
    nested = {id(part) for child in inner if isinstance(child, FUNCTION | ast.Lambda) for part in ast.walk(child)}
    return any(isinstance(child, ast.Yield | ast.YieldFrom) or isinstance(child, ast.Return) and child.value is not None
               for child in inner if id(child) not in nested)


def docments():
    "(notebook, name, what is missing or None) of every parameter and return value of the public functions."
    for path in MODULES:
        comments = comments_of(text(path))
        for name, node in functions(ast.parse(text(path)).body):
            if any(part.startswith("_") and part != "__init__" for part in name.split(".")): continue
            lines = [end for _, end in parameters(node)]
            for arg, end in parameters(node):
                missing = [] if arg.annotation else ["type"]
                if end not in comments or lines.count(end) > 1: missing.append("comment")
                yield owner(path), f"{name}({arg.arg})", " and ".join(missing) or None
            nothing = isinstance(node.returns, ast.Constant) and node.returns.value is None
            if node.name == "__init__" or nothing or not (node.returns or returns_something(node)): continue
            commented = node.returns and node.returns.end_lineno in comments
            missing = [] if node.returns else ["type"]
            yield owner(path), f"{name} -> ", " and ".join([*missing, *([] if commented else ["comment"])]) or None


# Cells that assert

def calls_or_asserts(node, helpers=()):
    "Whether a node is an assertion."
    name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
    return isinstance(node, ast.Assert) or name in helpers or re.match(r"test_|assert_|expect_fail$", name)


def asserts(tree, helpers=()):
    "Whether a tree asserts something, by itself or through one of the helpers."
    return any(calls_or_asserts(node, helpers) for node in ast.walk(tree))


def shown_cells(path):
    "(number, whether it asserts) of cells that are run, and neither exported nor hidden nor imports."
    notebook = [(number, source, parse(source)) for number, kind, source in cells(path) if kind == "code"]
    defined = [node for _, _, tree in notebook for node in tree.body if isinstance(node, FUNCTION)]
    helpers = {node.name for node in defined if asserts(node)}
    left_out = r"(?m)^#\| *(export|exporti|exports|hide|default_exp|slow|gpu|notest|eval: *false)\b"
    for number, source, tree in notebook:
        only_imports = all(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
        if not (only_imports or re.search(left_out, source)): yield number, asserts(tree, helpers)


def cells_that_assert():
    "(notebook, number, whether it asserts) of the cells that count, in the notebooks that export a module."
    return [(path, *cell) for path in OWNERS.values() for cell in shown_cells(path)]


# Names

def public_names(tree):
    "Names a module defines at its top level."
    for node in tree.body:
        if isinstance(node, FUNCTION | ast.ClassDef): names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [name.id for target in targets for name in ast.walk(target)
                     if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)]
        else: names = []
        yield from (name for name in names if not name.startswith("_"))


def doubled_names():
    "(notebook, name) of public names that another module has, too."
    owners = defaultdict(set)
    for path in MODULES:
        for name in public_names(ast.parse(text(path))): owners[name].add(path)
    for name, paths in owners.items():
        for path in sorted(paths) if len(paths) > 1 else (): yield owner(path), name


# The figures

def figures(paths=()):
    "(name, figure, whether the bar is met, offenders as (file, text)) of each bar; of the given files only, if any."
    def chosen(rows):
        return [row for row in rows if not paths or row[0].resolve() in paths]

    for name, found in (("lines > 120", long_lines), ("modules > 200 lines", long_modules),
                        ("functions > 40 lines or 1,600 characters", long_functions),
                        ("public names defined twice", doubled_names)):
        offenders = chosen(found())
        yield name, len(offenders), not offenders, offenders
    comments = chosen(docments())
    missing = [(path, f"{name}: no {what}") for path, name, what in comments if what]
    yield "docments", f"{100 * (1 - len(missing) / max(1, len(comments))):.1f}%", not missing, missing
    shown = chosen(cells_that_assert())
    share = 100 * sum(good for *_, good in shown) / len(shown) if shown else 100
    below = []
    for path in dict.fromkeys(path for path, *_ in shown):
        own = [(number, good) for other, number, good in shown if other == path]
        silent = [number for number, good in own if not good]
        if 100 * len(silent) > (100 - ASSERTING) * len(own):
            below.append((path, f"{len(own) - len(silent)} of {len(own)} cells assert; silent: {silent}"))
    yield f"cells that assert (at least {ASSERTING}%)", f"{share:.1f}%", share >= ASSERTING, below


def main(paths):
    "Print the figures, then the offenders by file; 1 if a bar is missed."
    rows = list(figures({Path(path).resolve() for path in paths}))
    by_file = defaultdict(list)
    for name, figure, _, offenders in rows:
        print(f"{name}: {figure}")
        for path, what in offenders: by_file[path].append(f"    {name.split(' (')[0]}: {what}")
    missed = not all(met for _, _, met, _ in rows)
    if missed or paths:
        for path in sorted(by_file): print(f"\n{path.relative_to(ROOT)}", *by_file[path], sep="\n")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
