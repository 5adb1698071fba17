"""Runs a notebook and then moves every control in it through its positions, to find the callback
that breaks.

Tools that only run the cells never move a slider. Here the kernel itself does: each move is one
request, so that an exception is answered with the notebook, the control and the value, and so that
the ones which `interact` swallows are seen too: they still leave an `error` message on the kernel's
output channel.
"""

import contextlib
import json
import os
import queue
import time
from dataclasses import dataclass

import jupyter_client
import nbformat

from course_utils.files import ROOT

# Defined in the kernel under test. `moves` lists what there is to do, `move` does one of them.
PROBE = '''
class _Sweep:
    def __init__(self, namespace):
        import gc
        import ipywidgets
        from course_utils.widgets import Explorer

        self.collided = []
        self.watch()
        names = {id(value): name for name, value in namespace.items() if not name.startswith("_")}
        alive = [thing for thing in gc.get_objects() if isinstance(thing, ipywidgets.Widget)]
        explorers = [widget for widget in alive if isinstance(widget, Explorer)]
        inside, parts = set(), list(explorers)
        while parts:
            part = parts.pop()
            inside.add(id(part))
            parts += getattr(part, "children", ())
        self.things = []  # (owner, control, where the value stands, positions, explorer or None)
        for explorer in explorers:
            owner = names.get(id(explorer), f"explorer of {getattr(explorer.compute, '__name__', 'compute')}")
            self.things += [(owner, name, control, "value", control.positions(), explorer)
                            for name, control in explorer.controls.items()]
        for widget in alive:
            positions = self.positions(widget) if id(widget) not in inside else None
            if positions:
                owner = names.get(id(widget), type(widget).__name__)
                self.things.append((owner, getattr(widget, "description", ""), widget, *positions, None))

    @staticmethod
    def positions(widget):
        """The trait to set and its values: every option, both ticks, or the ends and the middle of a range."""
        if not hasattr(widget, "value") and not hasattr(widget, "index"):
            return None
        if hasattr(widget, "_options_labels") and hasattr(widget, "index"):
            if isinstance(widget.index, tuple):  # a choice of several: none, each one
                count = len(widget._options_labels)
                return "index", [(i, i) if "Range" in type(widget).__name__ else (i,) for i in range(count)]
            return "index", list(range(len(widget._options_labels)))
        if isinstance(getattr(widget, "value", None), bool):
            return "value", [False, True]
        low, high = getattr(widget, "min", None), getattr(widget, "max", None)
        ranged = isinstance(low, (int, float)) and isinstance(high, (int, float))
        if not ranged or "Progress" in type(widget).__name__:
            return None
        middle = (low + high) // 2 if isinstance(low, int) and isinstance(high, int) else (low + high) / 2
        values = [low, middle, high]
        if hasattr(widget, "base"):  # a log slider counts in exponents
            values = [widget.base**value for value in values]
        if isinstance(widget.value, tuple):
            return "value", [(low, low), (low, high), (high, high)]
        return "value", values

    def watch(self):
        """Notes words of live pictures that touch one another, or leave the picture."""
        import itertools
        import sys
        from course_utils.chart import layout

        def watched(chart):
            frame, drawn = layout(chart)
            boxes = [(item.text, self.box(item)) for item in drawn if hasattr(item, "turned") and item.text.strip()]
            for text, (left, _, right, _) in boxes:
                if left < -1 or right > chart.width + 1:
                    self.collided.append(f"{text!r} leaves the picture")
            for (one, a), (other, b) in itertools.combinations(boxes, 2):
                wide, tall = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
                if wide > 1 and tall > 0.35 * min(a[3] - a[1], b[3] - b[1]):
                    self.collided.append(f"{one!r} and {other!r} overlap")
            return frame, drawn

        sys.modules["course_utils.chart.svg"].layout = watched

    @staticmethod
    def box(word):
        """Left, top, right and bottom of a word, in pixels, by matplotlib's own font."""
        from matplotlib import font_manager
        from course_utils.chart.marks import FONT

        font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
        font.set_size(0.92 * FONT, 72)
        font.set_text(word.text)
        wide, tall = font.get_width_height()[0] / 64, 0.75 * FONT
        before = {"start": 0, "middle": wide / 2, "end": wide}[word.anchor]
        if word.turned:
            return word.x - tall, word.y + before - wide, word.x, word.y + before
        return word.x - before, word.y - tall, word.x - before + wide, word.y

    def moves(self):
        return [(thing, place, owner, name, repr(value))
                for thing, (owner, name, _, _, values, _) in enumerate(self.things)
                for place, value in enumerate(values)]

    def move(self, thing, place):
        _, _, control, trait, values, explorer = self.things[thing]
        if place == 0:
            self.before, self.idle = getattr(control, trait), getattr(control, "idle", "")
            self.pictures = {self.shown(explorer)} if explorer is not None else set()
        self.collided.clear()
        setattr(control, trait, values[place])
        if self.collided:
            raise AssertionError("; ".join(self.collided))
        if explorer is not None:
            import re

            seen = re.sub(r"<[^>]*>", "", explorer.picture.value).strip()
            if not seen and "<svg" not in explorer.picture.value:
                raise AssertionError("what is shown is empty")
            self.pictures.add(self.shown(explorer))
        if place == len(values) - 1:
            setattr(control, trait, self.before)
            if explorer is not None and len(values) > 1:
                self.judge(len(self.pictures) > 1)

    def judge(self, moved):
        """A control that changes nothing where the others stand is closed and says why; no other
        is."""
        if self.idle and moved:
            raise AssertionError(f"is closed ({self.idle}) and changes what is shown")
        if not self.idle and not moved:
            raise AssertionError("changes nothing and is not closed")

    @staticmethod
    def shown(explorer):
        """What is on the page, without the time it took and without the trail of earlier moves."""
        import re

        if hasattr(explorer, "trail"):
            explorer.trail.clear()
            explorer._show(explorer.result)
        return re.sub(r"studio-time.*?<", "", explorer.picture.value) + explorer.message.value

_sweep = _Sweep(dict(globals()))
print(__import__("json").dumps(_sweep.moves()))
'''


class SweepError(AssertionError):
    """A cell or a move that failed; the message says which."""


@dataclass
class Report:
    """What a sweep did: the number of cells run, and for each move its owner, control and value."""

    cells: int
    moves: list


class Kernel:
    """A kernel that runs code without any page; `client` is what it is reached by."""

    def __init__(self, client):
        self.client = client

    def run(self, code, timeout):
        """Runs code; returns what it printed and the first error, shown by the reply or by any
        callback."""
        request, printed, error = self.client.execute(code, allow_stdin=False), [], None
        deadline = time.monotonic() + timeout
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                return "".join(printed), f"still running after {timeout} s"
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream" and content["name"] == "stdout":
                printed.append(content["text"])
            elif kind == "error" and error is None:
                error = f"{content['ename']}: {content['evalue']}"
            elif kind == "status" and content["execution_state"] == "idle":
                return "".join(printed), error


def run_cells(kernel, notebook, timeout=300):
    """Runs the code cells of a notebook and returns how many there were; `SweepError` for one that
    fails."""
    count = 0
    for index, cell in enumerate(nbformat.read(notebook, as_version=4).cells):
        if cell.cell_type != "code" or "NBVAL_SKIP" in cell.source:
            continue
        _, error = kernel.run(cell.source, timeout)
        if error and "NBVAL_RAISES_EXCEPTION" not in cell.source:
            raise SweepError(f"{notebook.name}: cell {cell.get('id', index)} failed: {error}")
        count += 1
    return count


def move_everything(kernel, name, timeout=60):
    """Moves every control in a kernel through its positions, one control at a time, and then back.

    Args:
        kernel: A `Kernel` in which the cells of a notebook have run.
        name: What messages should call the notebook.
        timeout: Seconds that one move may take.

    Returns:
        For each move its owner, control and value.

    Raises:
        SweepError: For a move that raises, shows nothing, or takes too long.
    """
    printed, error = kernel.run(PROBE, timeout)
    if error:
        raise SweepError(f"{name}: the sweep could not look for controls: {error}")
    done = []
    for thing, place, owner, control, value in json.loads(printed.splitlines()[-1]):
        _, error = kernel.run(f"_sweep.move({thing}, {place})", timeout)
        if error:
            raise SweepError(f"{name}: {owner}, control {control!r} at {value}: {error}")
        done.append((owner, control, value))
    return done


@contextlib.contextmanager
def kernel(folder):
    """A kernel of its own that works in a folder."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    manager, client = jupyter_client.manager.start_new_kernel(
        kernel_name="python3", cwd=str(folder), env={**os.environ, "PYTHONPATH": path}
    )
    try:
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
