"Write README.md from nbs/index.ipynb; its output pictures become report/figures/readme_*."
import posixpath
import re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter
from traitlets.config import Config

ROOT = Path(__file__).resolve().parent.parent
PICTURES = "report/figures"
LINK = re.compile(r"""(\]\(|\b(?:src|href)=["'])(?![a-z]+:|[/#])([^)"'\s]+)""")


def at_top_level(text):
    "`text` with the links that are relative to nbs/ made relative to the repository."
    return LINK.sub(lambda match: match[1] + posixpath.normpath(posixpath.join("nbs", match[2])), text)


notebook = nbformat.read(ROOT / "nbs/index.ipynb", as_version=4)
notebook.metadata.language_info = {"name": "python"}
notebook.cells = [cell for cell in notebook.cells if not re.match(r"#\| *(hide\b|default_exp)", cell.source)]
for cell in notebook.cells:
    if re.match(r"#\| *echo: *false", cell.source):
        cell.metadata.tags = ["output_only"]
    cell.source = at_top_level(cell.source) if cell.cell_type == "markdown" else re.sub(r"(?m)^#\|.*\n?", "", cell.source)

exporter = MarkdownExporter(config=Config({"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": ["output_only"]}}))
markdown, resources = exporter.from_notebook_node(notebook, {"unique_key": "readme", "output_files_dir": PICTURES})

(ROOT / PICTURES).mkdir(exist_ok=True)
for stale in (ROOT / PICTURES).glob("readme_*"):
    stale.unlink()
for path, content in resources["outputs"].items():
    (ROOT / path).write_bytes(content)
markdown = re.sub(r"\n(?: *\n){2,}", "\n\n", markdown).strip()
(ROOT / "README.md").write_text(f"<!-- Written by `make readme` from nbs/index.ipynb -->\n\n{markdown}\n", encoding="utf-8")
