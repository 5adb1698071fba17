"""Once nbval has run the cells of a notebook, every control in it is moved, in the same kernel."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "tests"))
from sweep import Kernel, SweepError, move_everything


class EveryControl(pytest.Item):
    """Moves every control of a notebook to its ends, its middle and each option."""

    def runtest(self):
        move_everything(Kernel(self.parent.kernel.kc), self.path.name)

    def repr_failure(self, excinfo):
        return (
            str(excinfo.value)
            if excinfo.errisinstance(SweepError)
            else super().repr_failure(excinfo)
        )

    def reportinfo(self):
        return self.path, 0, f"every control of {self.path.name}"


def pytest_collection_modifyitems(items):
    notebooks = {
        item.parent: place
        for place, item in enumerate(items)
        if type(item.parent).__name__ == "IPyNbFile"
    }
    for notebook, last in sorted(notebooks.items(), key=lambda found: -found[1]):
        items.insert(last + 1, EveryControl.from_parent(notebook, name="every control"))
