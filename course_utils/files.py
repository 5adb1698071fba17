"""Where the course keeps its files, and how it writes one without ever leaving half of it."""

import os
import pathlib
import tempfile

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"


def write(path, content):
    """Writes a file beside its place and renames it there, so that readers see all of it or none.

    Args:
        path: Where the file goes; its folder is made if it is missing.
        content: `bytes`, or `str` that is written as UTF-8.

    Returns:
        The path, as a `pathlib.Path`.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = content.encode("utf8") if isinstance(content, str) else content
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    return path
