"""What a machine can see of a page: boxes that overflow, words that break or overlap, heads out of
line with their columns, pictures without words.

All lessons are shown at once, each as one cell whose outputs are its texts and its saved outputs in
their order. JupyterLab draws them with the same renderers and styles as in the lesson, but has no
editors to build and no kernel to wait for.
"""

import html
import json

import nbformat
from browser import JUPYTER_DATA
from nbformat.sign import NotebookNotary

WIDGET = "application/vnd.jupyter.widget-view+json"
SETTINGS = {"windowingMode": "none", "maxNumberOutputs": 10_000}


def gathered(books):
    """Puts notebooks into one, a cell for each.

    Args:
        books: By name, a notebook.

    Returns:
        The notebook, and by lesson the ids of the cells to which its outputs belong.
    """
    whole = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )
    owners = []
    for name, book in books.items():
        shown = [(cell.get("id", ""), output) for cell in book.cells for output in outputs(cell)]
        cell = nbformat.v4.new_code_cell(f"# {name}", outputs=[output for __, output in shown])
        whole.cells.append(cell)
        owners.append([f"{name}: {owner}" for owner, __ in shown])
    return whole, owners


def outputs(cell):
    """What a cell shows where there is no kernel."""
    if cell.cell_type == "markdown":
        return [nbformat.v4.new_output("display_data", {"text/markdown": cell.source})]
    shown = []
    for output in cell.get("outputs", ()):
        output = nbformat.from_dict(json.loads(json.dumps(output)))
        data = output.get("data", {})
        if data.pop(WIDGET, None) and "image/png" in data:
            data["text/html"] = picture(data.pop("image/png"), output.metadata["image/png"])
        if output.output_type == "execute_result":
            data, metadata = output.data, output.metadata
            output = nbformat.v4.new_output("display_data", data, metadata=metadata)
        if output.output_type == "stream":  # streams that follow each other would become one
            output = nbformat.v4.new_output("display_data", {"text/plain": output.text})
        shown.append(output)
    return shown


def picture(png, shown):
    """A picture as nbconvert shows it, with the words that its metadata has for it."""
    words = html.escape(shown.get("alt", ""))
    return f'<img alt="{words}" style="max-width: 100%" src="data:image/png;base64,{png}">'


def show(page, whole, name="pages.ipynb"):
    """Opens a notebook that is trusted, with all that it holds on the page, formulas set."""
    server = page.server
    place = server.base / "settings" / "@jupyterlab" / "notebook-extension"
    place.mkdir(parents=True, exist_ok=True)
    (place / "tracker.jupyterlab-settings").write_text(json.dumps(SETTINGS))
    nbformat.write(whole, server.folder / name)
    notary = NotebookNotary(data_dir=str(server.base / JUPYTER_DATA))
    notary.sign(nbformat.read(server.folder / name, 4))
    notary.store.close()
    page.goto(f"{server.url}/lab/tree/{name}?reset&token={server.token}")
    page.wait_for_function(
        "count => document.querySelectorAll('.jp-OutputArea-output').length >= count",
        arg=sum(len(cell.outputs) for cell in whole.cells),
    )
    page.evaluate("window.jupyterapp.shell.collapseLeft()")
    texts = (
        o.data["text/markdown"]
        for c in whole.cells
        for o in c.outputs
        if "text/markdown" in o.get("data", {})
    )
    page.wait_for_function(SET, arg=sum("$$" in text for text in texts), polling=400)


# The number of formulas that are set has stayed for three looks.
SET = r"""expected => {
  const count = document.querySelectorAll('mjx-container').length;
  window.looks = window.formulas === count && count >= expected ? window.looks + 1 : 0;
  window.formulas = count;
  return window.looks >= 3;
}"""

LOOK = r"""() => {
  const found = [];
  const visible = r => r.width > 0 && r.height > 0;
  // The first box around an element that can be scrolled sideways, up to the output's own.
  const box = (e, output) => {
    for (let p = e; p && p !== output; p = p.parentElement)
      if (p.tabIndex === 0 && /auto|scroll/.test(getComputedStyle(p).overflowX)) return p;
    return output;
  };
  document.querySelectorAll('.jp-CodeCell').forEach((cell, lesson) => {
    cell.querySelectorAll('.jp-OutputArea-output').forEach((output, place) => {
      const say = (kind, what) => found.push([lesson, place, kind, String(what).trim().slice(0, 80)]);
      const whole = output.getBoundingClientRect();
      let named = false;
      for (const e of output.querySelectorAll('mjx-container')) {
        const r = (e.querySelector('mjx-math, svg') || e).getBoundingClientRect();
        const around = box(e, output).getBoundingClientRect();
        if (visible(r) && box(e, output) === output && r.right > around.right + 1) {
          named = true;
          say('formula is cut', `${Math.round(r.right - around.right)} px: ${e.parentElement.textContent}`);
        }
      }
      if (!named && output.scrollWidth > output.clientWidth + 1) {
        const wide = [...output.querySelectorAll('*')].find(e => e.getBoundingClientRect().right > whole.right + 1);
        say('box overflows', `${output.scrollWidth - output.clientWidth} px: ${wide ? wide.tagName + ' ' + wide.textContent : output.textContent}`);
      }
      const walk = document.createTreeWalker(output, NodeFilter.SHOW_TEXT);
      const range = document.createRange();
      let told = 0;
      for (let node = walk.nextNode(); node && told < 2; node = walk.nextNode()) {
        if (node.parentElement.closest('svg, mjx-container, style, script')) continue;
        range.selectNodeContents(node);
        if (range.getClientRects().length < 2) continue;  // on one line: nothing is broken
        for (const match of node.data.matchAll(/[-−+]?\d[\d.,]*(e[-+]?\d+)?%?|[A-Za-z]{2,}/g)) {
          if (match[0].length < 2) continue;
          range.setStart(node, match.index);
          range.setEnd(node, match.index + match[0].length);
          const tops = new Set([...range.getClientRects()].filter(visible).map(r => Math.round(r.top)));
          if (tops.size > 1) { say('word is broken', match[0]); told += 1; break; }
        }
      }
      for (const table of output.querySelectorAll('table')) {
        const rows = [...table.querySelectorAll('tbody tr')].map(row => [...row.children]);
        const heads = [...table.querySelectorAll('thead th')];
        heads.forEach((head, column) => {
          const sides = rows.map(row => row[column] && getComputedStyle(row[column]).textAlign);
          if (rows.length && !sides.includes(getComputedStyle(head).textAlign))
            say('head out of line', `${head.textContent}: ${getComputedStyle(head).textAlign} over ${sides[0]}`);
        });
      }
      for (const picture of output.querySelectorAll('img'))
        if (!(picture.alt || '').trim()) say('picture without words', picture.src.slice(0, 40));
      for (const picture of output.querySelectorAll('svg')) {
        if (picture.parentElement.closest('svg, mjx-container')) continue;
        if (picture.getAttribute('role') !== 'img' || !picture.getAttribute('aria-label'))
          say('picture without words', picture.textContent);
        const words = [...picture.querySelectorAll('text')]
          .map(e => [e.textContent, e.getBoundingClientRect()]).filter(([text, r]) => text.trim() && visible(r));
        const around = picture.getBoundingClientRect();
        words.forEach(([text, r], i) => {
          if (r.left < around.left - 1 || r.right > around.right + 1) say('words leave the picture', text);
          for (const [other, q] of words.slice(i + 1)) {
            const wide = Math.min(r.right, q.right) - Math.max(r.left, q.left);
            const tall = Math.min(r.bottom, q.bottom) - Math.max(r.top, q.top);
            if (wide > 1 && tall > 0.35 * Math.min(r.height, q.height)) say('words overlap', `${text} | ${other}`);
          }
        });
      }
    });
  });
  return found;
}"""


def faults(page, owners, width):
    """Looks at the page that `show` opened, in a window of this width.

    Returns:
        Lines: the width, the lesson and the cell, what is wrong, and where.
    """
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(700)  # JupyterLab lays itself out again
    return [
        f"{width} px, {owners[lesson][place]}: {kind}: {what}"
        for lesson, place, kind, what in page.evaluate(LOOK)
    ]


PLANTED = {
    "box overflows": "<table><tr><td style='white-space: pre'>"
    + 60 * "wide "
    + "</td></tr></table>",
    "word is broken": "<p style='width: 2.5em; overflow-wrap: anywhere'>1,234,567</p>",
    "head out of line": "<table><thead><tr><th style='text-align: left'>bytes</th></tr></thead>"
    "<tbody><tr><td style='text-align: right'>98</td></tr></tbody></table>",
    "words overlap": "<svg role='img' aria-label='a' width='200' height='40'>"
    "<text x='10' y='20'>seven</text><text x='20' y='20'>eight</text></svg>",
    "words leave the picture": "<svg role='img' aria-label='a' width='40' height='40'>"
    "<text x='10' y='20'>too long for it</text></svg>",
}
PNG = (  # one black pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
FORMULA = "$$" + " + ".join(f"x_{{{i}}}" for i in range(60)) + "$$"


KINDS = (*PLANTED, "picture without words", "formula is cut")


def planted():
    """A notebook with one fault of each kind; the cells are called by what should be found."""
    v4 = nbformat.v4
    outputs = {kind: {"text/html": page} for kind, page in PLANTED.items()}
    outputs["picture without words"] = {"image/png": PNG}
    cells = [
        v4.new_code_cell(
            "", id=kind.replace(" ", "-"), outputs=[v4.new_output("display_data", data)]
        )
        for kind, data in outputs.items()
    ]
    return v4.new_notebook(cells=[*cells, v4.new_markdown_cell(FORMULA, id="formula-is-cut")])
