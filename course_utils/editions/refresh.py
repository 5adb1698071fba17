"""Runs notebooks and saves their outputs."""

import pathlib

from course_utils import files


def refresh(paths=()):
    """Runs notebooks from top to bottom and saves their outputs, without widget state.

    Args:
        paths: Notebooks; all of the course if left out.
    """
    import nbformat
    from nbclient import NotebookClient

    for path in map(pathlib.Path, paths or sorted(files.NOTEBOOKS.glob("*.ipynb"))):
        notebook = nbformat.read(path, as_version=4)
        print(f"running {path.name}", flush=True)
        NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            store_widget_state=False,
            resources={"metadata": {"path": str(path.parent)}},
        ).execute()
        notebook.metadata.pop("widgets", None)
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of this run, which say nothing to a reader
            if cell.cell_type == "code":
                cell.outputs = joined(cell.outputs)
        files.write(path, nbformat.writes(notebook) + "\n")


def joined(outputs):
    """Joins what a cell printed in several pieces, as a page shows it."""
    whole = []
    for output in outputs:
        if whole and output.output_type == "stream" and whole[-1].get("name") == output.name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole
