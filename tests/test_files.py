"""Files are written whole or not at all, and what belongs to somebody stays as he set it."""

import errno
import os
import stat
import sys
import threading

import nbformat
import pytest

from course_utils import files
from course_utils.editions import refresh

posix = pytest.mark.skipif(os.name != "posix", reason="modes and links as on POSIX")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fails(number):
    def call(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return call


def test_a_mode_is_a_wish(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "chmod", fails(errno.EPERM))
    assert files.write(tmp_path / "it", b"1").read_bytes() == b"1" and names(tmp_path) == ["it"]


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_new_files_are_as_private_as_the_system_says(tmp_path, mask):
    before = os.umask(mask)
    try:
        path = files.write(tmp_path / "it", b"1")
        assert mode(path) == 0o666 & ~mask and files.umask() == mask
    finally:
        os.umask(before)


@posix
@pytest.mark.parametrize("kept", [0o600, 0o640, 0o755])
def test_a_file_keeps_its_mode(tmp_path, kept):
    path = files.write(tmp_path / "it", b"1")
    path.chmod(kept)
    assert files.write(path, b"2").read_bytes() == b"2" and mode(path) == kept


@posix
def test_links_are_written_through(tmp_path):
    real = files.write(tmp_path / "real", b"old")
    (tmp_path / "there").mkdir()
    link, chain, name = (tmp_path / kind for kind in ("link", "there/chain", "name"))
    link.symlink_to("real")
    chain.symlink_to("../link")
    name.hardlink_to(real)
    for path in (link, chain, name):
        assert files.write(path, path.name) == path
        assert real.read_text() == name.read_text() == path.name
    assert link.is_symlink() and chain.is_symlink() and name.samefile(real)
    nowhere = tmp_path / "nowhere"
    nowhere.symlink_to("there/new")
    assert files.write(nowhere, "1").is_symlink()
    assert names(tmp_path / "there") == ["chain", "new"]


def test_a_read_only_file_is_left_alone(tmp_path):
    path = files.write(tmp_path / "it", b"old")
    path.chmod(0o444)
    with pytest.raises(ValueError, match="it is read-only; make it writable, or save under"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["it"]
    path.chmod(0o644)


@pytest.mark.parametrize("letter", ["n", "模"])
def test_a_long_name_is_written_and_one_too_long_is_named(tmp_path, letter):
    most = 250 // len(letter.encode())
    path = files.write(tmp_path / (letter * most), b"1")
    assert path.read_bytes() == b"1"
    with pytest.raises(ValueError, match="a name of 300 letters is too long for a file"):
        files.write(tmp_path / (letter * 300), b"1")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "no space is left in .* for it; make room there"),
        (errno.EROFS, "nothing may be written in .*; save it in another folder"),
        (errno.EACCES, "nothing may be written in .*; save it in another folder"),
        (errno.EIO, "it cannot be written: "),
    ],
)
@pytest.mark.parametrize("where", ["tempfile.mkstemp", "os.fdopen"])
def test_what_hinders_is_said_in_one_sentence(tmp_path, monkeypatch, number, says, where):
    path = files.write(tmp_path / "it", b"old")
    module, name = where.split(".")
    monkeypatch.setattr(sys.modules[module], name, fails(number))
    with pytest.raises(ValueError, match=says) as caught:
        files.write(path, b"new")
    assert isinstance(caught.value, OSError) and str(tmp_path) in str(caught.value)
    monkeypatch.undo()
    assert path.read_bytes() == b"old" and names(tmp_path) == ["it"]


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path):
    files.write(tmp_path / "it", b"1")
    with pytest.raises(ValueError, match="cannot be written"):
        files.write(tmp_path / "it" / "more", b"1")
    with pytest.raises(ValueError, match="cannot be written"):
        files.write(tmp_path, b"1")


def test_a_file_in_use_is_tried_again(tmp_path, monkeypatch):
    path, replace, tries = files.write(tmp_path / "it", b"old"), os.replace, []

    def busy(*args):
        tries.append(args)
        return replace(*args) if len(tries) == 3 else fails(errno.EACCES)()

    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(os, "replace", busy)
    assert files.write(path, b"new").read_bytes() == b"new" and len(tries) == 3
    with pytest.raises(ValueError, match="close the program that uses it, then save again"):
        files.write(path, b"newer")
    assert path.read_bytes() == b"new" and names(tmp_path) == ["it"]


def test_many_writers_leave_one_whole_file(tmp_path):
    path, texts = tmp_path / "it", [str(i) * 100_000 for i in range(8)]
    writers = [threading.Thread(target=files.write, args=(path, text)) for text in texts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_text() in texts and names(tmp_path) == ["it"]


# --- notebooks that are run again ----------------------------------------------------------------


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A notebook outside the course, and a `refresh.run` that only adds an output."""
    path = tmp_path / "mine.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), path)

    def run(path):
        read = nbformat.read(path, 4)
        read.cells.append(nbformat.v4.new_markdown_cell("run again"))
        return read, 1

    monkeypatch.setattr(refresh, "run", run)
    monkeypatch.setattr(refresh.maps, "write", lambda: [])
    return path


def test_what_was_saved_while_it_ran_is_not_lost(notebook, monkeypatch):
    run = refresh.run

    def saved_meanwhile(path):
        found = run(path)
        path.write_text(path.read_text("utf8").replace('"1"', '"my answer"'), "utf8")
        return found

    monkeypatch.setattr(refresh, "run", saved_meanwhile)
    with pytest.raises(ValueError, match="was saved while it ran, and stays as it was saved"):
        refresh.refresh([notebook])
    assert "my answer" in notebook.read_text("utf8") and "run again" not in notebook.read_text(
        "utf8"
    )


def test_a_read_only_notebook_is_left_alone(notebook, monkeypatch):
    before = notebook.read_bytes()
    notebook.chmod(0o444)
    monkeypatch.setattr(refresh, "run", lambda path: pytest.fail("it is not to be run"))
    with pytest.raises(ValueError, match="is read-only"):
        refresh.refresh([notebook])
    assert notebook.read_bytes() == before
    notebook.chmod(0o644)


@posix
def test_a_notebook_keeps_its_mode_and_its_links(notebook):
    link = notebook.with_name("link.ipynb")
    link.symlink_to(notebook.name)
    notebook.chmod(0o600)
    refresh.refresh([link])
    assert link.is_symlink() and mode(notebook) == 0o600
    assert "run again" in notebook.read_text("utf8")
