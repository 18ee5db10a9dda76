"""The book's pages: what they show of the library is there, and every page can be reached.

Building the book, which also runs its pages, is `make docs`.
"""

import ast
import importlib
import re
from pathlib import Path

import pytest

import minihf as hf

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

NO_API = {"minihf.cli", "minihf.train.console"}  # for the terminal, not for programs

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="no docs/ beside the tests")


def pages(docs):
    return sorted(p for p in docs.rglob("*.md") if "_build" not in p.relative_to(docs).parts)


def directives(page, name):
    """Yield (argument, options, body lines) of each MyST directive of that name."""
    for found in re.finditer(rf"```\{{{name}\}} ?(.*)\n((?:(?!```).*\n)*)```", page.read_text()):
        lines = found[2].splitlines()
        options = dict(re.findall(r"^:([\w-]+): *(.*)$", found[2], flags=re.MULTILINE))
        yield found[1].strip(), options, [x for x in lines if x and not x.startswith(":")]


def defined_names(source):
    """Return the dotted names of all classes, functions and methods in a file."""

    def walk(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                yield prefix + child.name
                yield from walk(child, f"{prefix}{child.name}.")

    return set(walk(ast.parse(source), ""))


def includes(docs):
    return [
        (page, page.parent / target, options)
        for page in pages(docs)
        for target, options, _ in directives(page, "literalinclude")
    ]


def broken_includes(docs):
    """Say which listings show a file or an object that does not exist."""
    for page, target, options in includes(docs):
        shown = options.get("pyobject")
        if not target.is_file():
            yield f"{page.name}: no file {target}"
        elif shown and shown not in defined_names(target.read_text()):
            yield f"{page.name}: no {shown} in {target.name}"


def unreachable_pages(docs):
    """Say which pages no table of contents leads to, beginning at the index."""
    reached, waiting = set(), [docs / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or not page.is_file():
            continue
        reached.add(page)
        for _, options, entries in directives(page, "toctree"):
            for entry in entries:
                if "glob" in options:
                    waiting += page.parent.glob(f"{entry}.md")
                else:
                    waiting.append((page.parent / f"{entry}.md").resolve())
    return set(pages(docs)) - reached


def test_every_listing_shows_something_that_exists():
    assert len(includes(DOCS)) >= 5
    assert list(broken_includes(DOCS)) == []


def test_every_page_is_in_a_table_of_contents():
    assert len(pages(DOCS)) >= 5
    assert unreachable_pages(DOCS) == set()


def test_every_public_module_has_its_place_in_the_reference():
    text = "".join(page.read_text() for page in pages(DOCS / "api"))
    documented = set(re.findall(r"automodule:: (\S+)", text))
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for part in ("", "ops", "layers", "curvature", "solvers", "optim", "train", "testing")
        for path in (ROOT / "minihf" / part).glob("[!_]*.py")
        if re.search("^__all__ = ", path.read_text(), flags=re.MULTILINE)
    }
    assert modules - documented - NO_API == set()


def test_the_reference_lists_every_short_name_under_its_true_one():
    text = (DOCS / "api" / "index.md").read_text()
    listed = dict(re.findall(r"\{py:obj\}`hf\.(\w+) <([\w.]+)>`", text))
    assert set(listed) == set(hf.__all__)
    for short, true_name in listed.items():
        try:
            there = importlib.import_module(true_name)
        except ModuleNotFoundError:
            module, _, name = true_name.rpartition(".")
            there = getattr(importlib.import_module(module), name)
        assert there is getattr(hf, short), short


def test_the_checks_see_what_is_wrong(tmp_path):
    (tmp_path / "code.py").write_text("class A:\n    def f(self): ...\n")
    (tmp_path / "index.md").write_text("```{toctree}\n:hidden:\n\nlinked\n```\n")
    (tmp_path / "orphan.md").write_text("# Alone\n")
    (tmp_path / "linked.md").write_text(
        "```{literalinclude} code.py\n:pyobject: A.f\n```\n"
        "```{literalinclude} code.py\n:pyobject: A.g\n```\n"
        "```{literalinclude} gone.py\n```\n"
    )
    first, second = broken_includes(tmp_path)
    assert "no A.g in code.py" in first
    assert "gone.py" in second
    assert unreachable_pages(tmp_path) == {tmp_path / "orphan.md"}
