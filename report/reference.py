"""The API reference: one page per module, from signatures, docments, docstrings and errors in its source.

Nothing is imported: what a page says stands in the module's text, defaults and types as they are written there.
"""
import ast
import inspect
import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sgan_nb"
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
MARKUP = re.compile(r"([\\`*_{}\[\]<>$|#~])")


def prose(text):
    "Text as Markdown that shows it literally, but for `code`."
    parts = re.split(r"(`[^`\n]+`)", text or "")
    return "".join(part.replace("|", r"\|") if i % 2 else MARKUP.sub(r"\\\1", part) for i, part in enumerate(parts))


def written(node):
    "A type or value as it is written, without the quotes of a type that stands in quotes."
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ast.unparse(node)


def code(text):
    "A piece of source as code in a table."
    return "`" + text.replace("|", r"\|") + "`" if text else ""


def comments(source):
    "Line -> comment behind the code on it."
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def parameters(node):
    "(name, annotation, default, last line) of each parameter of a function, without self."
    spec = node.args
    plain = [*spec.posonlyargs, *spec.args]
    defaults = [*[None] * (len(plain) - len(spec.defaults)), *spec.defaults, None, *spec.kw_defaults, None]
    for arg, default in zip([*plain, spec.vararg, *spec.kwonlyargs, spec.kwarg], defaults):
        if arg is None or arg.arg in ("self", "cls"): continue
        stars = "*" * (arg is spec.vararg) + "**" * (arg is spec.kwarg)
        yield stars + arg.arg, arg.annotation, default, (default or arg).end_lineno


def fields(node):
    "(name, annotation, default, last line) of each public field of a class."
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and not item.target.id.startswith("_"):
            yield item.target.id, item.annotation, item.value, item.end_lineno


def table(kind, rows, notes):
    "Table of parameters or fields, with their comments."
    lines = [f"| `{name}` | {code(type_ and written(type_))} | {code(default and ast.unparse(default))} "
             f"| {prose(notes.get(line))} |" for name, type_, default, line in rows]
    return ["", f"| {kind} | type | default | meaning |", "|---|---|---|---|", *lines] if lines else []


def errors(node, helpers):
    "Names of the errors that a function raises, by itself or through private functions of its module."
    inside = list(ast.walk(node))
    for name in {part.id for part in inside if isinstance(part, ast.Name)} & helpers.keys() - {node.name}:
        inside += ast.walk(helpers[name])
    raised = (part.exc.func for part in inside if isinstance(part, ast.Raise) and isinstance(part.exc, ast.Call))
    return sorted({ast.unparse(name) for name in raised if ast.unparse(name).endswith(("Error", "Exit", "Exception"))})


def directive(kind, signature, lines, depth=0):
    "A Markdown block that describes a name; the deeper ones inside it have shorter fences."
    fence = "`" * (5 - depth)
    return ["", f"{fence}{{py:{kind}}} {signature}", *lines, fence]


def function(node, notes, helpers, depth=0):
    "Block of a function, method or property."
    decorators = {ast.unparse(item) for item in node.decorator_list}
    returns = f" -> {written(node.returns)}" if node.returns else ""
    lines = [prose(ast.get_docstring(node)), *table("parameter", parameters(node), notes)]
    note = notes.get(node.returns.end_lineno) if node.returns else None
    if note: lines += ["", f"*Returns* {code(written(node.returns))}: {prose(note)}"]
    if raised := errors(node, helpers): lines += ["", f"*Raises* {', '.join(f'`{name}`' for name in raised)}"]
    if decorators & {"property", "cached_property"}:
        return directive("property", node.name, lines, depth)
    arguments = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(node.args)) if depth else ast.unparse(node.args)
    return directive("method" if depth else "function", f"{node.name}({arguments}){returns}", lines, depth)


def class_(node, notes, helpers):
    "Block of a class with its fields, or the parameters of its constructor, and its public methods."
    methods = [item for item in node.body if isinstance(item, FUNCTION)]
    bases = f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ""
    lines = [prose(ast.get_docstring(node)), *table("field", fields(node), notes)]
    for item in methods:
        if item.name == "__init__":
            lines += table("parameter", parameters(item), notes)
            if raised := errors(item, helpers): lines += ["", f"*Raises* {', '.join(f'`{name}`' for name in raised)}"]
        elif not item.name.startswith("_"): lines += function(item, notes, helpers, depth=1)
    return directive("class", node.name + bases, lines)


def constant(name, node, source):
    "Block of a value, as it is written."
    text = ast.get_source_segment(source, node)
    return directive("data", name, ["", "```python", *text.splitlines(), "```"])


def definitions(tree):
    "Name -> node of everything a module defines at its top level."
    found = {}
    for node in tree.body:
        if isinstance(node, FUNCTION | ast.ClassDef): found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {part.id: node for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return found


def public_names(tree):
    "The names in a module's `__all__`."
    node = definitions(tree).get("__all__")
    return ast.literal_eval(node.value) if node else []


def page(module, notebook, title):
    "The Markdown page of a module, say losses, made from a notebook, say 04_losses, titled Losses."
    source = (PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    tree, notes = ast.parse(source), comments(source)
    found = definitions(tree)
    helpers = {name: node for name, node in found.items() if name.startswith("_") and isinstance(node, FUNCTION)}
    lines = [f"# sgan_nb.{module}", "", prose(inspect.cleandoc(ast.get_docstring(tree))), "",
             f"Explained and tested in the notebook [{title}](/{notebook}.ipynb).", "",
             f"```{{py:module}} sgan_nb.{module}", "```"]
    for name in public_names(tree):
        node = found[name]
        if isinstance(node, FUNCTION): lines += function(node, notes, helpers)
        elif isinstance(node, ast.ClassDef): lines += class_(node, notes, helpers)
        else: lines += constant(name, node, source)
    return "\n".join(lines) + "\n"
