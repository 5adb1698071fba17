"""Where the course keeps its files, and how it writes one without ever leaving half of it."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import stat
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA, NOTEBOOKS = ROOT / "data", ROOT / "notebooks"
ADDED = ROOT / ".added"  # what a learner brought, which is not the course's


class NotWrittenError(OSError, ValueError):
    """A file could not be written; says in one sentence why, and what to do."""


def write(path, content):
    """Writes a file beside its place and renames it there, so that readers see all of it or none.

    What was there keeps its mode; a new file has the one that the system gives new files. Where
    `path` is a link, the file that it leads to is written, and where a file has several names, all
    of them show the new content: such a file is written in its place.

    Args:
        path: Where the file goes; its folder is made if it is missing.
        content: `bytes`, or `str` that is written as UTF-8.

    Returns:
        The path, as a `pathlib.Path`.

    Raises:
        NotWrittenError: A `ValueError`: the file is read-only, in use by another program, or cannot
            be written where it should go. What was there is then still there.
    """
    path = pathlib.Path(path)
    content = content.encode("utf8") if isinstance(content, str) else content
    place = pathlib.Path(os.path.realpath(path))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        before = place.stat() if place.exists() else None
        writable(path)
        # A name of its own length would be too long beside a name that just fits.
        handle, beside = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name[:40]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            if before and before.st_nlink > 1:
                place.write_bytes(content)
                os.unlink(beside)
                return path
            with contextlib.suppress(OSError):  # drives and shares without modes refuse it
                os.chmod(beside, stat.S_IMODE(before.st_mode) if before else 0o666 & ~umask())
            _replace(beside, place)
        except BaseException:
            os.unlink(beside)
            raise
    except NotWrittenError:
        raise
    except OSError as problem:
        raise NotWrittenError(_why(path, place, problem)) from problem
    return path


def writable(path):
    """Raises `NotWrittenError` if a file is read-only, for the system's own user, too."""
    path = pathlib.Path(path)
    if path.exists() and not (path.stat().st_mode & stat.S_IWUSR and os.access(path, os.W_OK)):
        raise NotWrittenError(f"{path} is read-only; make it writable, or save under another name")


def umask():
    """Returns which bits of a mode new files of this process do not get."""
    mask = os.umask(0o077)  # there is no way to ask but to set one
    os.umask(mask)
    return mask


def _replace(beside, place, tries=10):
    """Renames a file. On Windows that fails while another program, such as a virus scanner, has the
    old one open, which often is over soon."""
    for left in reversed(range(tries)):
        try:
            return os.replace(beside, place)
        except PermissionError:
            if not left:
                raise NotWrittenError(
                    f"{place} cannot be replaced: close the program that uses it, then save again"
                ) from None
            time.sleep(0.1)


def _why(path, place, problem):
    """Returns one sentence that says why a file was not written, and what to do."""
    if problem.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return f"no space is left in {place.parent} for {path.name}; make room there"
    if problem.errno == errno.ENAMETOOLONG:
        return f"a name of {len(path.name)} letters is too long for a file: {path.name[:40]}..."
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"nothing may be written in {place.parent}; save {path.name} in another folder"
    return f"{path} cannot be written: {problem.strerror or problem}"


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
