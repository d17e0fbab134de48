"""Digests of what files of code say: neither comments nor docstrings nor layout change them."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

from records.files import digest, sha256_file

ROOT = Path(__file__).resolve().parent.parent
DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def digest_page_code() -> str:
    """Return the digest of the code that decides what a page says and looks like."""
    return digest_code("reports", "specs", "workflow")


def digest_code(*folders: str) -> str:
    """Return one digest of the modules, templates, styles and scripts of the project in folders.

    Of a module only what Python runs counts; of every other file all its bytes.
    """
    files = sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".j2", ".css", ".js")
    )
    return digest([[str(path.relative_to(ROOT)), _read_meaning(path)] for path in files])


def _read_meaning(path: Path) -> Any:
    """Return what a file says: a hash of its bytes, or the tree of a module."""
    if path.suffix != ".py":
        return sha256_file(path)
    return describe_code(path.read_text(encoding="utf-8"))


def describe_code(code: str) -> Any:
    """Return the syntax tree of a module as nested lists, without positions and docstrings.

    What is empty is left out: each version of Python adds fields that are empty in older code.
    """
    return _describe(ast.parse(code))


def _describe(node: Any) -> Any:
    if isinstance(node, list):
        return [_describe(one) for one in node]
    if not isinstance(node, ast.AST):
        return node if isinstance(node, str) else repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, DEFINITIONS) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = node.body[1:]
    return [
        type(node).__name__,
        *([name, _describe(value)] for name, value in fields.items() if value not in (None, [])),
    ]
