"""The documentation site: pages from the notebooks and their stored outputs, navigation from the one reading order.

`make docs` runs it. The pages are written to _docs/pages and built into _docs/site; nothing is executed.
"""
import json
import posixpath
import re
import shutil
import sys
from pathlib import Path

import book
import reference

ROOT = book.ROOT
HIDDEN = re.compile(r"(?m)^#\| *(hide\b|default_exp)")
DIRECTIVE = re.compile(r"(?m)^#\|.*\n?")
PROJECT = ["CONTRIBUTING.md", "CHANGELOG.md"]
PAGES = {file: f"nbs/{name}.ipynb" for name, file in book.PAGES.items()} # File -> the notebook it is written from
METADATA = {"kernelspec": {"name": "python3", "display_name": "Python 3"},
            "language_info": {"name": "python", "pygments_lexer": "ipython3"}}


class Pages:
    "Writes pages into a folder, and copies the files of the repository that they link to."
    def __init__(self, folder):
        self.folder, self.linked = Path(folder), set()

    def write(self, place, text):
        "Write a page at a place inside the folder."
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def relinked(self, text, base):
        "`text` with its links, relative to a folder of the repository, leading to pages or copied files."
        def relink(match):
            path, mark, anchor = match[2].partition("#")
            path = posixpath.normpath(posixpath.join(base, path))
            path = PAGES.get(path, path)
            if (ROOT / path).is_dir(): # a site has no listing of a folder: the first of its records stands for all
                path = min((ROOT / path).rglob("results.json")).relative_to(ROOT).as_posix()
            if not path.startswith("nbs/"): self.linked.add(path)
            return f"{match[1]}/{path.removeprefix('nbs/')}{mark}{anchor}"

        return book.LINK.sub(relink, text)

    def copy_linked(self):
        "Copy what has been linked to; Markdown becomes a page, the links of which are followed. Return the pages."
        done = []
        while left := sorted(self.linked - set(done)):
            for place in left:
                done.append(place)
                if place.endswith(".md"):
                    text = (ROOT / place).read_text(encoding="utf-8")
                    if not text.startswith("# "): text = f"# {title_of_file(place)}\n\n{text}"
                    self.write(place, self.relinked(text, posixpath.dirname(place)))
                else:
                    (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / place, self.folder / place)
        return [place for place in done if place.endswith(".md")]


def title_of_file(place):
    "Title of a page that has none: service_load.md is Service load."
    return Path(place).stem.replace("_", " ").capitalize()


def modules():
    "Module -> notebook of the package, in reading order."
    found = {}
    for name in book.READING_ORDER:
        text = "\n".join("".join(cell["source"]) for cell in book.read(name)["cells"] if cell["cell_type"] == "code")
        if match := re.search(r"(?m)^#\| *default_exp +([\w.]+)", text): found[match[1]] = name
    return found


def cell_of_page(cell, pages, base):
    "A cell as it is shown: without nbdev's directives; None if it is hidden."
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        text = re.sub(r"(?m)^- skip_exec: true\n?", "", source)
        return {**cell, "source": pages.relinked(text, base)}
    if HIDDEN.search(source): return None
    hidden = re.match(r"#\| *echo: *false", source)
    texts = ["".join(output["data"]["text/markdown"]) for output in cell["outputs"]
             if "text/markdown" in output.get("data", {})]
    if hidden and texts: # links to files are followed in Markdown cells, not in outputs
        return {"cell_type": "markdown", "id": cell["id"], "metadata": {},
                "source": pages.relinked("\n\n".join(texts), base)}
    tags = ["remove-input"] if hidden else []
    return {**cell, "source": DIRECTIVE.sub("", source), "metadata": {"tags": tags}}


def write_notebook(pages, name, *extra):
    "Write the page of a notebook, with further Markdown cells at its end."
    notebook = book.read(name)
    base = posixpath.dirname(f"nbs/{name}")
    cells = [cell_of_page(cell, pages, base) for cell in notebook["cells"]]
    cells = [cell for cell in cells if cell and cell["source"].strip()]
    cells += [{"cell_type": "markdown", "metadata": {}, "id": f"docs{i}", "source": text}
              for i, text in enumerate(extra)]
    pages.write(f"{name}.ipynb", json.dumps({**notebook, "cells": cells, "metadata": METADATA}))


def toctree(names, caption=""):
    "Navigation to pages, shown beside the text only."
    return "\n".join(["```{toctree}", ":hidden:", *([f":caption: {caption}"] if caption else []), "", *names, "```"])


def wing_page(wing, purpose, names):
    "The page that lists the notebooks of a wing."
    lines = []
    for name in names:
        title, summary = book.title_and_summary(f"{wing}/{name}")
        lines.append(f"- [{title}]({name}.ipynb): {summary}")
    purpose = purpose[0].upper() + purpose[1:]
    return "\n".join([f"# {wing.capitalize()}", "", f"{purpose}.", "", *lines, "", toctree(names), ""])


def write_reference(pages, owners):
    "Write the pages of the API reference."
    lines = []
    for module, notebook in owners.items():
        title, summary = book.title_and_summary(notebook)
        pages.write(f"api/{module}.md", reference.page(module, notebook, title))
        lines.append(f"- [sgan_nb.{module}]({module}.md): {summary}")
    text = ("Every public name of the package, by module, in the order of the notebooks. All names in alphabetical "
            "order: {ref}`index <genindex>`.")
    pages.write("api/index.md", "\n".join(["# API reference", "", text, "", *lines, "", toctree(owners), ""]))


def write_pages(folder):
    "Write all pages into an empty folder."
    pages, owners = Pages(folder), modules()
    module_of = {notebook: module for module, notebook in owners.items()}
    for name in book.READING_ORDER:
        module = module_of.get(name)
        write_notebook(pages, name, *([f"Reference: [sgan_nb.{module}](/api/{module}.md)"] if module else []))
    for wing, (purpose, names) in book.WINGS.items():
        pages.write(f"{wing}/index.md", wing_page(wing, purpose, names))
    write_reference(pages, owners)
    wings = [*(f"{wing}/index" for wing in book.WINGS), "99_gpu_run"]
    trees = [toctree(book.SPINE, "The book"), toctree(wings, "The wings")]
    pages.linked |= set(PROJECT)
    for name in book.PAGES: write_notebook(pages, name)
    others = [place for place in pages.copy_linked() if place not in PROJECT]
    trees.append(toctree(["guide", "results", "api/index", *PROJECT, *others], "Reference"))
    write_notebook(pages, "index", *trees)


def build(folder):
    "Write the pages and build the site in `folder`; return Sphinx's exit status. A warning is an error."
    from sphinx.cmd.build import build_main
    pages, site = Path(folder) / "pages", Path(folder) / "site"
    for old in (pages, site): shutil.rmtree(old, ignore_errors=True)
    write_pages(pages)
    options = ["-q", "-W", "--keep-going", "-j", "auto", "-d", str(Path(folder) / "doctrees")]
    return build_main([*options, "-c", str(ROOT / "docs"), str(pages), str(site)])


if __name__ == "__main__":
    sys.exit(build(ROOT / "_docs"))
