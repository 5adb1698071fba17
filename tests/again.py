"""Which names of a lesson are read by a cell after a later cell gave them another value: a lesson
without any can be run again from any cell on."""

import ast


class Reads(ast.NodeVisitor):
    """Walks through a cell in the order in which it runs.

    Attributes:
        read: Names that it reads before it sets them.
        set: Names that it sets, each with the import that does, or None.
        functions: Names that each of its functions reads when it is called.
    """

    def __init__(self, functions=()):
        self.read, self.set, self.functions = set(), {}, dict(functions)

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            inside = self.functions.get(node.id, set()) | {node.id}
            self.read |= inside - set(self.set)
        else:
            self.set[node.id] = None

    def visit_Assign(self, node):
        for part in (node.value, *node.targets):
            self.visit(part)

    def visit_AugAssign(self, node):
        if isinstance(node.target, ast.Name):
            self.visit_Name(ast.Name(node.target.id, ast.Load()))
        self.generic_visit(node)

    def visit_For(self, node):
        for part in (node.iter, node.target, *node.body, *node.orelse):
            self.visit(part)

    def visit_Import(self, node):
        for one in node.names:
            self.set[(one.asname or one.name).split(".")[0]] = ast.unparse(one)

    def visit_ImportFrom(self, node):
        for one in node.names:
            self.set[one.asname or one.name] = f"{node.module} {ast.unparse(one)}"

    def visit_FunctionDef(self, node):
        for part in (*node.decorator_list, *node.args.defaults):
            self.visit(part)
        self.set[node.name] = None
        self.functions[node.name] = free(node)

    def visit_ClassDef(self, node):
        for part in node.bases:
            self.visit(part)
        self.set[node.name] = None
        self.functions[node.name] = free(node)

    def visit_Lambda(self, node):
        self.read |= free(node) - set(self.set)

    def comprehension(self, node):
        own = {one.id for part in node.generators for one in ast.walk(part.target) if names(one)}
        seen = Reads(self.functions)
        seen.generic_visit(node)
        self.read |= seen.read - own - set(self.set)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = comprehension


def names(node):
    """Whether a node is a name."""
    return isinstance(node, ast.Name)


def free(function):
    """Returns the names that a function or class reads and does not set itself."""
    inside = list(ast.walk(function))
    own = {node.arg for node in inside if isinstance(node, ast.arg)}
    own |= {node.id for node in inside if names(node) and isinstance(node.ctx, ast.Store)}
    own |= {node.name for node in inside if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return {node.id for node in inside if names(node) and isinstance(node.ctx, ast.Load)} - own


def overwritten(sources):
    """Returns what would go wrong if a lesson's cells were run again from one of them on.

    Args:
        sources: Python source of each code cell, in order.

    Returns:
        A list of `(cell, name)`: the number of the cell that reads the name, set before it, which
        this cell or a later one sets to something else.
    """
    cells, functions = [], {}
    for source in sources:
        cells.append(Reads(functions))
        cells[-1].visit(ast.parse(source))
        functions = cells[-1].functions
    found = []
    for number, cell in enumerate(cells):
        for name in sorted(cell.read):
            before = [one.set[name] for one in cells[:number] if name in one.set]
            after = [one.set[name] for one in cells[number:] if name in one.set]
            if before and any(how is None or how != before[-1] for how in after):
                found.append((number, name))
    return found
