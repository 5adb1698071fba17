"""What the numbers of a lesson were measured on, read off its code: which shipped model, which
split, how many examples. Nothing is run."""

import ast
from typing import NamedTuple

# Calls that give data of a split, and how many examples where nobody says.
DATA = {
    "docs.sequences": 256,
    "digits.load": None,
    "scenes.load": None,
    "speech.load": None,
    "tales.translation_batch": None,
    "tales.instruction_batch": None,
    "tales.pretraining_line": None,
}
SCORES = ("next_token", "classify", "cached_next_token")
SPLITS = ("train", "validation", "test")


class Data(NamedTuple):
    split: str
    examples: int | None


class Model(NamedTuple):
    name: str


class Score(NamedTuple):
    """What a call that measures gives; `model` is the name of a shipped one as it is, or None."""

    model: str | None
    split: str
    examples: int | None


def called(node):
    """The dotted name of what a call calls."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


class Reader:
    """Follows names through the code cells of a lesson, in their order.

    Attributes:
        known: By name, the set of what it may stand for. Parts of a dict or a tuple count for it,
            and what a function reads counts for the function.
        scores: All scores so far.
    """

    def __init__(self):
        self.known, self.scores = {}, set()

    def read(self, source):
        """Reads one cell.

        Returns:
            The scores that its printing statements stand on.
        """
        tree, shown = ast.parse(source), set()
        for statement in tree.body:
            self.statement(statement)
        for node in ast.walk(tree):
            if called(node) in ("print", "lesson.table", "display"):
                shown |= self.value(node)
        return {one for one in shown if isinstance(one, Score)}

    def statement(self, node):
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                self.bind(target, node.value)
        elif isinstance(node, ast.For):
            self.bind(node.target, node.iter)
            for inner in node.body:
                self.statement(inner)
        elif isinstance(node, ast.With):
            for inner in node.body:
                self.statement(inner)
        elif isinstance(node, ast.FunctionDef):
            own = {one.arg for one in node.args.args}
            hidden = {name: self.known.pop(name) for name in own if name in self.known}
            for inner in node.body:
                self.statement(inner)
            self.known[node.name] = {
                one
                for inner in ast.walk(node)
                if isinstance(inner, ast.Return) and inner.value
                for one in self.value(inner.value)
                if not isinstance(one, Model)  # what it does to a model it does not say
            }
            self.known.update(hidden)
        elif isinstance(node, ast.Expr):
            value = self.value(node.value)
            if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
                owner = node.value.func.value  # rows.append(...)
                if isinstance(owner, ast.Name) and node.value.func.attr in ("append", "extend"):
                    self.known[owner.id] = self.known.get(owner.id, set()) | value

    def bind(self, target, value):
        """Notes what a target may stand for from now on."""
        if isinstance(target, (ast.Tuple, ast.List)):
            same = isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts)
            for i, one in enumerate(target.elts):
                self.bind(one, value.elts[i] if same else value)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, value)
        elif isinstance(target, ast.Name):
            self.known[target.id] = self.value(value)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            name = target.value.id
            self.known[name] = self.known.get(name, set()) | self.value(value)

    def value(self, node):
        """What an expression may stand for."""
        name = called(node)
        if name in ("min", "max", "sorted") and any(one.arg == "key" for one in node.keywords):
            return set()  # a choice among settings, no number
        if name in ("skills", "evaluation.skills"):
            split = next((one.value.value for one in node.keywords if one.arg == "split"), "test")
            return {Score(None, split, None)}
        if name in DATA and node.args and isinstance(node.args[0], ast.Constant):
            count = node.args[1] if len(node.args) > 1 else ast.Constant(DATA[name])
            plain = len(node.args) < 3 and isinstance(count, ast.Constant)
            return {Data(node.args[0].value, count.value if plain else -1)}
        if name == "models.load" and isinstance(node.args[0], ast.Constant):
            return {Model(node.args[0].value)}
        if name.rpartition(".")[2] in SCORES and len(node.args) > 1:
            first, *rest = node.args
            models = [one for one in self.value(first) if isinstance(one, Model)]
            data = [one for arg in rest for one in self.value(arg) if isinstance(one, Data)]
            whole = isinstance(first, (ast.Name, ast.Attribute)) and all(
                isinstance(arg, (ast.Name, ast.Starred)) or called(arg) in DATA for arg in rest
            )
            names = [one.name for one in models] if whole and models else [None]
            found = {Score(each, one.split, one.examples) for each in names for one in data}
            self.scores |= found
            return found
        if isinstance(node, ast.Name):
            return self.known.get(node.id, set())
        if isinstance(node, (ast.DictComp, ast.ListComp, ast.GeneratorExp, ast.SetComp)):
            kept = dict(self.known)
            for part in node.generators:
                self.bind(part.target, part.iter)
            parts = [node.value] if isinstance(node, ast.DictComp) else [node.elt]
            found = set().union(*(self.value(part) for part in parts))
            self.known = kept
            return found
        found = set().union(*(self.value(part) for part in ast.iter_child_nodes(node)))
        if isinstance(node, ast.Call):  # of a model it makes something else; data stay data
            loads = isinstance(node.func, ast.Attribute) and node.func.attr in ("items", "values")
            found = {one for one in found if loads or not isinstance(one, Model)}
        return found
