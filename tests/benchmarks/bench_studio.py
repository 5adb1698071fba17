"""From a key press to new numbers on the page: the studio, and the plain way, on docs-base in
Chromium; and the same settings pruned, rounded, laid out and scored with no page at all.

pytest tests/benchmarks/bench_studio.py -s
"""

import nbformat
import numpy as np
import pytest
from browser import browser, jupyter, open_notebook, run_all

from course_utils import doctor

PRESSES = 50
STUDIO = """
from course_utils.widgets.studio import Studio
Studio("docs-base")
"""
ALONE = """
import statistics
from course_utils.evaluation.bench import bench
fixed = {"score": "magnitude", "on": "weight", "storage": "fixed"}
settings = [(1e-4 * 1.122**k, None) for k in range(28)] + [(None, 1e-3 * 1.122**k) for k in range(28)]
seconds = [bench("docs-base").measure(step=step, theta=theta, **fixed).seconds for step, theta in settings]
print("alone", 1000 * statistics.median(seconds[3:]))
"""
PLAIN = """
import matplotlib.pyplot as plt
from ipywidgets import FloatLogSlider, interact
from course_utils.evaluation.bench import bench
here = bench("docs-base")

@interact(step=FloatLogSlider(min=-4, max=0, step=0.05, value=0.001), theta=FloatLogSlider(min=-3, max=5, step=0.05, value=0.001))
def show(step, theta):
    seen = here.measure(step=step, theta=theta, score="magnitude", on="weight", storage="fixed")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.6))
    left.stairs(seen.after, seen.edges, fill=True)
    right.plot(seen.ledger.total, seen.accuracy, "o")
    plt.show()
    print(seen.accuracy, seen.perplexity, seen.ledger.total)
"""
WATCH = """([where, ready]) => {
  window.times = []; window.start = null;
  document.addEventListener('keydown', () => { window.start = performance.now(); }, true);
  new MutationObserver(() => {
    if (window.start !== null && document.querySelector(ready)) {
      const now = performance.now();
      window.last = now - window.start; window.seen = now;
    }
  }).observe(document.querySelector(where), {childList: true, subtree: true, characterData: true});
}"""


def press(page, handles, where, ready):
    """Milliseconds from each key press to the last change of the page that it caused before it fell
    quiet."""
    page.evaluate(WATCH, [where, ready])
    times = []
    for handle in handles:
        handle.focus()
        for _ in range(PRESSES // len(handles) + 3):
            page.evaluate("window.last = null")
            page.keyboard.press("ArrowRight")
            page.wait_for_function(
                "window.last !== null && performance.now() - window.seen > 400", polling=50
            )
            times.append(page.evaluate("window.last"))
        del times[-PRESSES // len(handles) - 3 : -PRESSES // len(handles)]  # the first ones warm up
    return np.array(times)


@pytest.mark.skipif(doctor.browser() is None, reason="no Chromium, Chrome or Edge on this machine")
def test_key_press_to_page(tmp_path):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    results, alone = {}, None
    for name, *codes in (("studio", STUDIO, ALONE), ("interact", PLAIN)):
        path = tmp_path / f"{name}.ipynb"
        cells = [nbformat.v4.new_code_cell(code) for code in codes]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
        with jupyter(path) as server, browser(server) as page:
            open_notebook(page, path.name)
            run_all(page)
            handles = page.locator(".noUi-handle")
            handles.nth(1).wait_for()
            page.wait_for_timeout(3000)
            if name == "studio":  # numbers only: the text sample below comes a moment later
                page.evaluate(
                    "document.querySelector('.course-cards').closest('.widget-html').id = 'numbers'"
                )
                where, ready = "#numbers", ".studio-size"
                said = page.locator(".jp-OutputArea-output", has_text="alone").last.inner_text()
                alone = float(said.split()[1])
            else:
                where, ready = ".jp-Cell-outputWrapper", "img"
            results[name] = press(page, [handles.nth(0), handles.nth(1)], where, ready)
    print(
        f"\nkey press to new numbers on the page, ms, {PRESSES} presses, docs-base, 2,048 "
        "predictions a move"
    )
    for name, times in results.items():
        print(
            f"{name:<10} median {np.median(times):6.0f}   95th percentile "
            f"{np.percentile(times, 95):6.0f}   "
            f"worst {times.max():6.0f}"
        )
    print(
        f"interact takes {np.median(results['interact']) / np.median(results['studio']):.1f} times "
        "as long"
    )
    ratio = np.median(results["studio"]) / alone
    print(
        f"alone      median {alone:6.0f}: pruned, rounded, laid out and scored, no page; key to "
        f"page takes {ratio:.2f} times as long"
    )
