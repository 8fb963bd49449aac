"""Small functions: none is longer than 60 lines, its docstring aside, or branches more than 12 times without a reason
in its docstring."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.places import ROOT

MOST_LINES, MOST_BRANCHES = 60, 12
BRANCHES = (ast.If, ast.For, ast.While, ast.ExceptHandler, ast.match_case)
REASONS = ("Long because", "Branches because")


def own_branches(function: ast.AST) -> int:
    """Statements that branch, without those of functions inside."""
    inner = [
        child
        for child in ast.iter_child_nodes(function)
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return sum(isinstance(child, BRANCHES) + own_branches(child) for child in inner)


def too_large(source: str, where: str) -> Iterator[str]:
    """A line for each function that is too long or branches too often, and gives no reason."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            said, branches = ast.get_docstring(node) or "", own_branches(node)
            about = node.body[0] if said else None
            documented = (about.end_lineno or 0) - about.lineno + 1 if about else 0
            lines = (node.end_lineno or 0) - node.lineno + 1 - documented
            if lines > MOST_LINES and REASONS[0] not in said:
                yield f"{where}:{node.lineno} {node.name} has {lines} lines"
            if branches > MOST_BRANCHES and REASONS[1] not in said:
                yield f"{where}:{node.lineno} {node.name} branches {branches} times"


def test_functions_are_small() -> None:
    sources = [
        path for top in ("vfl", "protocols", "tools", "benchmarks") for path in sorted((ROOT / top).rglob("*.py"))
    ]
    assert len(sources) > 200
    assert [
        line for path in sources for line in too_large(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    ] == []


def test_planted_long_and_branching_functions_are_found() -> None:
    body = "".join(f"    if x == {k}:\n        return {k}\n" for k in range(31))
    assert len(list(too_large(f"def f(x):\n{body}", "planted"))) == 2
    reasons = '    """What it does.  Long because of this.  Branches because of that."""\n'
    assert list(too_large(f"def f(x):\n{reasons}{body}", "planted")) == []
