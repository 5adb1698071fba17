"""Once nbval has run the cells of a notebook, every control in it is moved, in the same kernel; and
what the examples in docstrings may take for granted."""

import pytest
import warm
from sweep import Kernel, SweepError, move_everything

from course_utils import environment


def pytest_configure(config):
    """Gives every kernel of the tests what it has in a lesson, whatever its user's home holds."""
    settled = environment.settled()
    settled.__enter__()
    config.add_cleanup(lambda: settled.__exit__(None, None, None))


class EveryControl(pytest.Item):
    """Moves every control of a notebook to its ends, its middle and each option."""

    def runtest(self):
        move_everything(Kernel(self.parent.kernel.kc), self.path.name)

    def repr_failure(self, excinfo):
        if excinfo.errisinstance(SweepError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, 0, f"every control of {self.path.name}"


def pytest_collection_modifyitems(config, items):
    notebooks = {
        item.parent: place
        for place, item in enumerate(items)
        if type(item.parent).__name__ == "IPyNbFile"
    }
    for notebook, last in sorted(notebooks.items(), key=lambda found: -found[1]):
        items.insert(last + 1, EveryControl.from_parent(notebook, name="every control"))
    if len(notebooks) > 1:
        warmed = warm.kernels()
        warmed.__enter__()
        config.add_cleanup(lambda: warmed.__exit__(None, None, None))
    for item in items:
        if type(item.parent).__name__ == "IPyNbFile":
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def names_of_examples(request, doctest_namespace):
    """Gives the examples in docstrings the names that a notebook has after its first cell."""
    if type(request.node).__name__ == "DoctestItem":
        import numpy as np

        from course_utils import chart, compression, lesson, models, pruning, quantization, widgets
        from course_utils.datasets import docs, tales

        doctest_namespace.update(
            {
                name: getattr(room, name)
                for room in (chart, compression, widgets)
                for name in room.__all__
            },
            np=np,
            docs=docs,
            tales=tales,
            lesson=lesson,
            models=models,
            pruning=pruning,
            quantization=quantization,
        )
