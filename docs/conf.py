"""How the book is built: `make docs`.

Every page with code is run at every build, so that a figure or a printed number is never older than
the library. Nothing is fetched, neither to build nor to read: the equations' MathJax lies in the
built pages, and there are no fonts, scripts or badges from elsewhere.
"""

import importlib
import os
import re

from sphinx.util.nodes import make_refnode

# The kernel that runs the pages inherits these: the same numbers on every machine, on one core.
os.environ.update(MINIHF_BACKEND="numpy", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

project = "minihf"
author = copyright = "the minihf authors"
version = release = importlib.import_module("minihf").__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build"]
suppress_warnings = ["ref.python"]  # a word in a docstring may fit two objects: no link, then

html_theme = "furo"
html_title = "minihf"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_copy_source = False
html_theme_options = {"footer_icons": []}

# Chapters are numbered by the table of contents, equations and figures by chapter: (2.3).
numfig = True
math_numfig = True
math_eqref_format = "({number})"
numfig_format = {"figure": "Figure %s", "code-block": "Listing %s", "section": "chapter %s"}

myst_enable_extensions = ["amsmath", "dollarmath", "deflist"]
myst_heading_anchors = 2

# "force", not "cache": a cache looks at a page's code, and would miss a change in the library.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 60
nb_execution_show_tb = True
nb_merge_streams = True
nb_code_prompt_show = "The code of this figure"
nb_code_prompt_hide = "The code of this figure"

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
add_module_names = False
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_ivar = True
default_role = "py:obj"


def setup(app):
    """Read docstrings as they are written here: for a terminal first."""
    app.connect("autodoc-process-docstring", show_formulas, priority=100)  # before napoleon
    app.connect("missing-reference", find_by_name)


def show_formulas(app, what, name, obj, options, lines):
    """Keep a module's indented formulas as they stand; let |x| be a norm and lam *= 2 a product."""
    if what == "module":
        for i in range(len(lines) - 1, 1, -1):
            starts = lines[i].startswith(" ") and not lines[i - 1] and lines[i - 2]
            if starts and not lines[i - 2].startswith(" "):
                lines[i:i] = [".. code-block:: text", ""]
    if what in ("attribute", "property"):
        lines[0] = lines[0].replace(": ", " – ", 1)  # napoleon reads "type: text"
    block = doctest = False
    for i, line in enumerate(lines):
        doctest = line.startswith(">>>") or (doctest and line != "")
        if line and not line.startswith(" "):
            block = line.startswith(".. code-block") or line.endswith("::")
        if not (block or doctest):
            parts = re.split(r"(``.*?``|`.*?`)", line)  # every other one is code: leave it
            parts[::2] = [re.sub(r"(\||\*=)", r"\\\1", part) for part in parts[::2]]
            lines[i] = "".join(parts)


def find_by_name(app, env, node, contnode):
    """Link `GGN`, or `minihf.GGN`, from anywhere: if only one object has that name."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removeprefix("minihf.")
    if node["reftype"] == "class" and target[0].islower():  # "array, shape (n,)" are words
        return None
    ends = f".{target}"
    found = {name: o for name, o in env.domains["py"].objects.items() if name.endswith(ends)}
    if len(found) != 1:
        return None
    ((name, entry),) = found.items()
    return make_refnode(
        app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, name
    )
