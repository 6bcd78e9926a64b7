"The documentation site: complete, without dead links, and asking nobody else; in a real browser, too."
import ast
import importlib
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from functools import partial
from html import unescape
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from fastcore.docments import docments
from filelock import FileLock
from house import MODULES, NOTEBOOKS, ROOT, module_name, text
from playwright.sync_api import expect

sys.path.append(str(ROOT / "report"))
import book
import docs
import reference

LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
IN_CSS = re.compile(r"""(?:@import\s+|url\()\s*["']?([^"')\s]+)""")


class Page(HTMLParser):
    "Addresses a built page loads and links to, and the names of its places."
    def __init__(self, path):
        super().__init__()
        self.path, self.loads, self.links, self.ids, self.html = path, [], [], set(), text(path)
        self.loads += IN_CSS.findall("".join(re.findall(r"(?s)<style.*?</style>", self.html)))
        self.feed(self.html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs: self.ids.add(attrs["id"])
        if tag == "a" and attrs.get("href"): self.links.append(attrs["href"])
        if attrs.get(LOADS.get(tag)): self.loads.append(attrs[LOADS[tag]])


@pytest.fixture(scope="session")
def site():
    "The site of `make docs`, built anew if anything has changed since."
    if not os.environ.get("CI"): pytest.importorskip("myst_nb", reason="Sphinx is not installed: make docs")
    folder = ROOT / "_docs"
    folder.mkdir(exist_ok=True)
    sources = [*NOTEBOOKS, *MODULES, *ROOT.glob("*.md"), *(ROOT / "docs").iterdir(), *(ROOT / "report").glob("*.py")]
    with FileLock(folder / "lock"):
        built = folder / "site/searchindex.js"
        if not built.exists() or built.stat().st_mtime < max(path.stat().st_mtime for path in sources):
            subprocess.run([sys.executable, ROOT / "report/docs.py"], check=True)
    return folder / "site"


@pytest.fixture(scope="session")
def pages(site):
    "Built pages by their place in the site."
    paths = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    return {path.relative_to(site).as_posix(): Page(path) for path in paths}


def local(address):
    "Whether an address lies in the site itself."
    return not urlsplit(address).scheme and not address.startswith("//")


# The pages

def test_every_notebook_has_a_page(pages):
    assert {f"{name}.html" for name in [*book.PAGES, *book.READING_ORDER]} <= pages.keys()


def test_navigation_is_the_reading_order(pages):
    tree = pages["index.html"].html.partition('class="sidebar-tree"')[2].partition("</div></div>")[0]
    links = re.findall(r'<a class="reference internal" href="([^"#]+)\.html">([^<]+)</a>', tree)
    shown = [(name, unescape(title)) for name, title in links if name in book.READING_ORDER]
    assert shown == [(name, book.title_and_summary(name)[0]) for name in book.READING_ORDER]


def test_no_directive_is_shown(pages):
    assert [place for place, page in pages.items() if re.search(r">#\| *[a-z]", page.html)] == []
    assert "skip_exec" not in pages["99_gpu_run.html"].html


def test_hidden_cells_are_left_out_and_outputs_kept():
    pages = docs.Pages(ROOT)
    cell = {"cell_type": "code", "id": "a", "outputs": [], "metadata": {}}
    assert docs.cell_of_page({**cell, "source": ["#| hide\n", "import os"]}, pages, "nbs") is None
    assert docs.cell_of_page({**cell, "source": "#| export\nx = 1"}, pages, "nbs")["source"] == "x = 1"
    shown = docs.cell_of_page({**cell, "source": "#| echo: false\n1", "outputs": [{"data": {"text/markdown": [
        "[a](../README.md#b)"]}}]}, pages, "nbs")
    assert (shown["cell_type"], shown["source"]) == ("markdown", "[a](/index.ipynb#b)")
    picture = [{"data": {"image/png": "x"}}]
    drawn = docs.cell_of_page({**cell, "source": "#| echo: false\n1", "outputs": picture}, pages, "nbs")
    assert (drawn["metadata"]["tags"], drawn["outputs"]) == (["remove-input"], picture)


def test_links_lead_somewhere(site, pages):
    broken = []
    for place, page in pages.items():
        for address in filter(local, {*page.links, *page.loads}):
            parts = urlsplit(address)
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            if not target.exists(): broken.append((place, address))
            elif parts.fragment and target.suffix == ".html":
                known = pages[target.relative_to(site.resolve()).as_posix()].ids
                if unquote(parts.fragment) not in known: broken.append((place, address))
    assert broken == []


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_a_dead_link_stops_the_build(site, tmp_path, monkeypatch):
    def write_pages(folder):
        Path(folder).mkdir()
        (Path(folder) / "index.md").write_text("# A\n\n[b](b.md)\n")

    monkeypatch.setattr(docs, "write_pages", write_pages)
    assert docs.build(tmp_path) == 1


def test_nothing_is_loaded_from_elsewhere(site, pages):
    assert [(place, address) for place, page in pages.items() for address in page.loads
            if not local(address) and not address.startswith("data:")] == []
    styles = [path for path in site.rglob("*.css") if "mathjax" not in path.parts]
    assert styles and [(path.name, address) for path in styles for address in IN_CSS.findall(text(path))
                       if not local(address) and not address.startswith("data:")] == []


# The API reference

@pytest.fixture(scope="session")
def public():
    "Module -> its public names."
    return {module_name(path): reference.public_names(ast.parse(text(path))) for path in MODULES}


def test_every_public_name_appears_once(pages, public):
    described = Counter(re.findall(r'<dt class="sig[^>]* id="(sgan_nb\.[^"]+)"', "".join(
        page.html for place, page in pages.items() if place.startswith("api/"))))
    wanted = {f"sgan_nb.{module}.{name}": module for module, names in public.items() for name in names}
    assert {name: described[name] for name in wanted if described[name] != 1} == {}
    assert all(name in pages[f"api/{module}.html"].ids for name, module in wanted.items())


@pytest.mark.parametrize("module", ["losses", "methods.term_weights", "sources.packaged_sets", "basics.names"])
def test_comments_are_those_of_docments(module):
    loaded = importlib.import_module(f"sgan_nb.{module}")
    tree, notes = ast.parse(Path(loaded.__file__).read_text(encoding="utf-8")), reference.comments(text(
        Path(loaded.__file__)))
    nodes = reference.definitions(tree)
    for name in reference.public_names(tree):
        if not isinstance(nodes[name], reference.FUNCTION | ast.ClassDef): continue
        rows = reference.fields if isinstance(nodes[name], ast.ClassDef) else reference.parameters
        found = {name.lstrip("*"): notes.get(line) for name, _, _, line in rows(nodes[name])}
        theirs = docments(getattr(loaded, name), returns=False)
        assert found and found == {name: theirs[name] for name in found}


def test_entry_of_a_function():
    source = '''
def f(
    a:"int|None", # One | two
    *rest:int, # More
    b:str="x|y", # Three, `as_is` but not_here
) -> int: # Four
    "What *it* does."
    if a is None: raise ValueError("no")
    return _helper(a)

def _helper(a):
    raise OSError("gone")
'''
    tree, notes = ast.parse(source), reference.comments(source)
    found = reference.definitions(tree)
    lines = reference.function(found["f"], notes, {"_helper": found["_helper"]})
    assert [line for line in lines if line] == [
        "`````{py:function} f(a: 'int|None', *rest: int, b: str='x|y') -> int", r"What \*it\* does.",
        "| parameter | type | default | meaning |", "|---|---|---|---|", r"| `a` | `int\|None` |  | One \| two |",
        "| `*rest` | `int` |  | More |", r"| `b` | `str` | `'x\|y'` | Three, `as_is` but not\_here |",
        "*Returns* `int`: Four", "*Raises* `OSError`, `ValueError`", "`````"]


def test_search_knows_a_function(site):
    assert "feature_matching_loss" in text(site / "searchindex.js")


# In a browser

@pytest.fixture(scope="module")
def address(site):
    "Address of a server of the site."
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_): pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def visit(browser, address):
    "Opens a page; afterwards nothing may have gone wrong in it, and nobody else may have been asked."
    contexts, problems = [], []

    def note_request(request):
        if not request.url.startswith((address, "data:", "blob:")): problems.append(request.url)

    def opened(place, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", note_request)
        page.goto(f"{address}/{place}")
        page.wait_for_load_state("networkidle")
        return page

    yield opened
    for context in contexts: context.close()
    assert problems == []


def test_first_page_leads_to_a_chapter(visit):
    page = visit("index.html", viewport=dict(width=1300, height=900))
    page.locator(".sidebar-tree").get_by_role("link", name="Losses", exact=True).click()
    expect(page.locator("h1")).to_contain_text("Losses")


def test_equations_are_drawn(visit):
    page = visit("04_losses.html")
    expect(page.locator("mjx-container[display=true]")).to_have_count(page.locator("div.math").count())
    assert page.locator("mjx-container").count() > 10 and page.locator("mjx-merror").count() == 0


def test_search_finds_a_function(visit):
    page = visit("index.html", viewport=dict(width=1300, height=900))
    page.fill("input[name=q]", "feature_matching_loss")
    page.keyboard.press("Enter")
    expect(page.locator("ul.search a").first).to_contain_text("feature_matching_loss")
    page.locator("ul.search a").first.click()
    expect(page.locator("[id='sgan_nb.losses.feature_matching_loss']")).to_be_visible()


def test_dark_and_light(visit):
    colors = [visit("04_losses.html", color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
              for scheme in ("light", "dark")]
    assert colors[0] == "rgb(255, 255, 255)" and max(map(int, re.findall(r"\d+", colors[1]))) < 40


@pytest.mark.parametrize("place", ["index", "04_losses", "06_evaluation", "methods/index", "methods/methods",
                                   "api/index", "api/methods.settings", "CONTRIBUTING"])
def test_phone_scrolls_down_only(visit, place):
    page = visit(f"{place}.html", viewport=dict(width=360, height=740))
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
