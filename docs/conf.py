"Settings of Sphinx for the site that `make docs` builds from the pages report/docs.py writes."
from importlib.util import find_spec

MATHJAX = find_spec("sphinx-mathjax-offline").submodule_search_locations[0]  # a package of MathJax and its fonts

project = html_title = "sgan_nb"
extensions = ["myst_nb", "sphinx.ext.mathjax"]
mathjax_path = "mathjax/tex-chtml.js"
nb_execution_mode = "off"  # outputs are those stored in the notebooks
nb_render_markdown_format = "gfm"  # tables among them, too
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]
smartquotes = False  # code in docstrings keeps its quotes

html_theme = "furo"
pygments_dark_style = "github-dark"
html_static_path = ["style.css", f"{MATHJAX}/static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_copyright = False
python_maximum_signature_line_length = 90
add_module_names = False
toc_object_entries_show_parents = "hide"
