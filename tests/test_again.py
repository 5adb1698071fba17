"""Every lesson survives that its cells are run again, in order, from any cell on."""

import ast

import nbformat
import pytest

from course_utils.files import NOTEBOOKS


def names(tree, context):
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


def uses(source):
    """Returns the names that a cell reads before it sets them, and those that it sets."""
    read, made = set(), set()
    for part in ast.parse(source).body:
        arguments = {n.arg for n in ast.walk(part) if isinstance(n, ast.arg)}
        arguments |= {n.name for n in ast.walk(part) if isinstance(n, ast.ExceptHandler)}
        inside = {
            name
            for n in ast.walk(part)
            if isinstance(n, (ast.comprehension, ast.For, ast.With, ast.If, ast.Try))
            for name in names(n, ast.Store)
        }
        scoped = {
            name
            for n in ast.walk(part)
            if isinstance(n, ast.comprehension)
            for name in names(n.target, ast.Store)
        }
        stored, own = names(part, ast.Store) - scoped, set()
        if isinstance(part, (ast.FunctionDef, ast.ClassDef)):
            arguments, stored = arguments | stored, {part.name}
        elif isinstance(part, (ast.Import, ast.ImportFrom)):
            own = {(n.asname or n.name).split(".")[0] for n in part.names}
        read |= names(part, ast.Load) - made - arguments - inside
        made |= stored | own
    return read, made


def overtaken(cells):
    """Lists names that a cell reads as an earlier cell left them, and a later cell, or itself,
    sets anew.

    Args:
        cells: Pairs of id and source.
    """
    known, found = [(name, *uses(source)) for name, source in cells], []
    for place, (name, read, made) in enumerate(known):
        for one in sorted(read):
            before = [other for other in known[:place] if one in other[2]]
            after = [other for other in known[place:] if one in other[2]]
            found += [(name, one, other[0]) for other in after] if before else []
    return found


def test_a_name_that_is_set_anew_is_found():
    cells = [("a", "x = f(1)"), ("b", "print(x)"), ("c", "x = 'text'"), ("d", "y = x")]
    assert overtaken(cells) == [("b", "x", "c")]
    assert overtaken([("a", "x = 1"), ("b", "x = x + 1")]) == [("b", "x", "b")]
    assert overtaken([("a", "rows = []\nfor r in (1, 2):\n    rows.append(r)")] * 2) == []


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_cells_can_be_run_again_from_any_cell_on(path):
    cells = [
        (cell.id, cell.source) for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"
    ]
    # Imports set a name to what it was.
    assert [found for found in overtaken(cells) if found[1] != "lesson"] == []
