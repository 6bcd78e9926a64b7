"""One reading order; from it the last cell of every notebook, the tables of notebooks and the front pages are written.

`make book` runs it. A new notebook is one row of READING_ORDER.
"""
import json
import os
import posixpath
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / "nbs"
PICTURES = "report/figures"
LINK = re.compile(r"""(\]\(|\b(?:src|href)=["'])(?![a-z]+:|[/#])([^)"'\s]+)""")
PAGES = {"index": "README.md", "results": "RESULTS.md", "guide": "GUIDE.md"} # Notebooks that are no chapters

# The chapters of the book, then the wings in the order in which they import each other
SPINE = ["00_data", "01_baseline", "02_discriminator", "03_generator", "04_losses", "05_training", "06_evaluation"]
WINGS = {
    "basics": ("what every part may use", ["names", "atomic_files", "text_files", "plot_style", "random_numbers"]),
    "sources": ("where pictures come from", [
        "read_options", "archives", "packaged_sets", "picture_files", "folder_names", "label_files", "label_matching",
        "folder_layout", "decoded_pictures", "own_pictures", "axes_and_scale", "arrays"]),
    "methods": ("what the literature adds to the plain method, and every setting", [
        "term_weights", "settings", "residual_network", "networks", "augmentation", "consistency", "complement",
        "label_propagation", "pixel_labels", "spreading", "picture_features", "picture_choice", "choosing_labels",
        "terms", "methods"]),
    "runs": ("what happens around a step: machine, state, files, several processes", [
        "devices", "data_parallel", "run_folder", "threads", "run_data", "run_state", "run_labels", "step_losses",
        "checkpoints", "run_records", "trained_model", "cluster"]),
    "measuring": ("how good is it, and how sure can one be", [
        "run_figures", "wilson_interval", "cross_validation", "benchmark", "results_table", "fresh_draws",
        "paired_tests", "calibration", "decision_boundary"]),
    "speed": ("what a step costs", [
        "step_parts", "tutorial_loop", "parallel_steps", "parallel_draws", "step_cost", "thread_choice",
        "time_to_accuracy"]),
    "use": ("what to do with a trained classifier", [
        "sheet_of_paper", "picture_input", "estimator_setup", "estimator", "half_precision", "formats",
        "model_card", "export", "request_limits", "answers", "service", "predictions", "thumbnails",
        "label_store", "check_sample", "label_counts", "label_guesses", "label_requests", "label_answers",
        "labelling", "options", "serving", "train_command", "commands", "predict_commands", "labelling_command",
        "own_pictures_rounds", "waits", "measuring_commands"]),
    "report": ("from runs to figures, tables and the paper", [
        "experiments", "latex", "settings_tables", "method_tables", "differences", "fresh_results", "one_network",
        "wrong_modes", "pseudo_labels", "numbers", "manifest", "figures_of_runs", "evaluated_runs",
        "figures_of_networks", "work", "tables", "build"]),
}
READING_ORDER = [*SPINE, *(f"{wing}/{name}" for wing, (_, names) in WINGS.items() for name in names), "99_gpu_run"]

# Where the next notebook needs something that the order has not come to yet, or a reader may turn off
ASIDES = {
    "04_losses": "Three notebooks of the wings help in reading it: the [settings](methods/settings.ipynb) of a run, "
                 "the [terms](methods/terms.ipynb) of its objective by name, and the [losses of one step]"
                 "(runs/step_losses.ipynb). They can be read now, or when the chapter comes to them.",
    "06_evaluation": "The book ends here. What follows are the wings, each for those who need it: "
                     "the [guide](guide.ipynb) lists them.",
}


def read(name):
    "The notebook `name` of READING_ORDER, or index, as JSON."
    return json.loads((NBS / f"{name}.ipynb").read_text(encoding="utf-8"))


def write(name, notebook):
    "Write a notebook as nbdev_clean does, if it has changed."
    from execnb.nbio import write_nb
    if notebook != read(name): write_nb(notebook, NBS / f"{name}.ipynb")


def title_and_summary(name):
    "Title and one-line summary in the first cell of a notebook."
    return re.match(r"# (\S[^\n]*)\n+> (\S[^\n]*)", "".join(read(name)["cells"][0]["source"])).groups()


def next_text(name):
    "The last cell of a notebook: where to read on."
    place = READING_ORDER.index(name) + 1
    if place == len(READING_ORDER): return "Next: back to the [guide](guide.ipynb), which lists all notebooks."
    title, summary = title_and_summary(READING_ORDER[place])
    link = posixpath.relpath(f"{READING_ORDER[place]}.ipynb", posixpath.dirname(name) or ".")
    if not re.match(r"[A-Z]{2}", summary): summary = summary[0].lower() + summary[1:]
    text = f"Next: [{title}]({link}), {summary} {ASIDES.get(name, '')}"
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def row(name):
    "A line of a table of notebooks."
    title, summary = title_and_summary(name)
    return f"| [{title}]({name}.ipynb) | {summary.rstrip('.')} |"


def tables():
    "The cells that list notebooks, by the page and the heading that they stand in: the chapters, and everything."
    head = ["", "| notebook | what it is about |", "|---|---|"]
    spine = ["## The notebooks", "", "Seven chapters are the book, read in this order; the wings are for those who "
             "need them ([all notebooks](../GUIDE.md#all-notebooks)).", "`make docs` builds all of them, with an API "
             "reference, as a site to be read without Jupyter.", *head, *map(row, SPINE)]
    everything = ["## All notebooks", "", "They run from top to bottom on a CPU, without data on disk, but for cells "
                  "marked `#| slow`, which are run on demand:", "some of these read or download MNIST and "
                  "Fashion-MNIST. Only the last notebook trains for hours. The notebooks of a", "folder export a "
                  "subpackage: `nbs/use/service.ipynb` is the source of `sgan_nb.use.service`.", *head,
                  *map(row, SPINE)]
    for wing, (purpose, names) in WINGS.items():
        everything += [f"| **{wing}/** | *{purpose}* |", *(row(f"{wing}/{name}") for name in names)]
    return {"index": "\n".join(spine), "guide": "\n".join([*everything, row("99_gpu_run")])}


def is_next(cell):
    "Whether a cell is one that says where to read on."
    return cell["cell_type"] == "markdown" and re.match(r"Next:|NEXT\s*$", "".join(cell["source"]))


def write_next(name):
    "Put the last cell of a notebook in its place."
    notebook = read(name)
    old = [cell for cell in notebook["cells"] if is_next(cell)]
    last = old[-1] if old else {"cell_type": "markdown", "id": f"next{READING_ORDER.index(name):04}", "metadata": {}}
    last = {**last, "source": next_text(name).splitlines(keepends=True)}
    notebook["cells"] = [*(cell for cell in notebook["cells"] if not is_next(cell)), last]
    write(name, notebook)


def write_tables():
    "Put the tables of notebooks into the pages that have one."
    for page, table in tables().items():
        notebook, heading = read(page), table.partition("\n")[0]
        [cell] = [cell for cell in notebook["cells"] if "".join(cell["source"]).startswith(heading)]
        cell["source"] = table.splitlines(keepends=True)
        write(page, notebook)


def at_top_level(text):
    "`text` with the links that are relative to nbs/ made relative to the repository."
    return LINK.sub(lambda match: match[1] + posixpath.normpath(posixpath.join("nbs", match[2])), text)


def page(name):
    "Markdown of a notebook of PAGES, and its pictures, path -> bytes."
    import nbformat
    from nbconvert import MarkdownExporter
    from traitlets.config import Config
    notebook = nbformat.read(NBS / f"{name}.ipynb", as_version=4)
    notebook.metadata.language_info = {"name": "python"}
    notebook.cells = [cell for cell in notebook.cells if not re.match(r"#\| *(hide\b|default_exp)", cell.source)]
    alternatives = [re.search(r"(?m)^#\| *fig-alt: *(.+)", cell.source) for cell in notebook.cells]
    for cell in notebook.cells:
        if re.match(r"#\| *echo: *false", cell.source): cell.metadata.tags = ["output_only"]
        if cell.cell_type == "markdown": cell.source = at_top_level(cell.source)
        else: cell.source = re.sub(r"(?m)^#\|.*\n?", "", cell.source)
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "text/markdown" in data: data["text/markdown"] = at_top_level(data["text/markdown"])
    config = Config({"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": ["output_only"]}})
    names = {"unique_key": PAGES[name].removesuffix(".md").lower(), "output_files_dir": PICTURES}
    markdown, resources = MarkdownExporter(config=config).from_notebook_node(notebook, names)
    for place, text in enumerate(alternatives): # of a picture nbconvert says that it is a png
        file = f"]({PICTURES}/{names['unique_key']}_{place}_"
        if text: markdown = markdown.replace(f"![png{file}", f"![{text[1]}{file}")
    markdown = re.sub(r"\n(?: *\n){2,}", "\n\n", markdown).strip()
    return f"<!-- Written by `make book` from nbs/{name}.ipynb -->\n\n{markdown}\n", resources["outputs"]


def write_pages():
    "Write the files of PAGES and the pictures that are outputs of their notebooks."
    for name, file in PAGES.items():
        markdown, pictures = page(name)
        for stale in (ROOT / PICTURES).glob(f"{file.removesuffix('.md').lower()}_*"): stale.unlink()
        os.makedirs(ROOT / PICTURES, exist_ok=True)
        for path, content in pictures.items(): (ROOT / path).write_bytes(content)
        (ROOT / file).write_text(markdown, encoding="utf-8")


if __name__ == "__main__":
    for name in READING_ORDER: write_next(name)
    write_tables()
    write_pages()
