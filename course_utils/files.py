"""Where the course keeps its files, and how it writes one without ever leaving half of it."""

import hashlib
import json
import os
import pathlib
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA, NOTEBOOKS = ROOT / "data", ROOT / "notebooks"


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


def manifest():
    """Returns size and sha256 of every file under `data`, by its path there, as
    `data/manifest.json` keeps them."""
    kinds = (".safetensors", ".json", ".npz", ".otf")
    found = sorted(
        path for path in DATA.rglob("*") if path.suffix in kinds and ".backup." not in path.name
    )
    contents = {
        path.relative_to(DATA).as_posix(): path.read_bytes()
        for path in found
        if path.name != "manifest.json"
    }
    return {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    }


def write_manifest():
    """Brings `data/manifest.json` up to date; to be called after a shipped file was made anew."""
    return write(DATA / "manifest.json", json.dumps(manifest(), indent=1) + "\n")
