"""A learner's pictures: MNIST's format and drawings, and whatever can be wrong with them."""

import gzip
import struct
import zlib

import numpy as np
import pytest

from course_utils import models
from course_utils.backend import tf
from course_utils.datasets import digits, pictures, scenes

KINDS = {0x08: "u1", 0x0B: ">i2", 0x0D: ">f4"}


def idx(array, kind=0x08):
    array = np.asarray(array)
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return head + array.astype(KINDS[kind]).tobytes()


def enlarged(scan, size=56, edge=10):
    """A scan as a large light picture with dark ink, in 0..1."""
    return np.clip(1 - np.pad(scenes.scaled(scan.reshape(8, 8), size, size), edge), 0, 1)


@pytest.fixture(scope="module")
def drawing():
    return (255 * enlarged(digits.load("validation")[0][0])).astype(np.uint8)


@pytest.fixture(scope="module")
def wanted(drawing):
    return pictures.to_scan(drawing / 255)


def same(scan, wanted, tolerance=0.02):
    assert scan.shape == (64,) and scan.dtype == np.float32
    assert np.abs(scan - wanted).max() <= tolerance


# --- IDX -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [False, True])
def test_an_idx_file_is_read_as_it_was_written(tmp_path, kind, packed):
    array = np.arange(24).reshape(2, 3, 4)
    path, content = tmp_path / "some-idx3", idx(array, kind)
    path.write_bytes(gzip.compress(content) if packed else content)
    found = pictures.read_idx(path)
    assert np.array_equal(found, array) and found.dtype == np.dtype(KINDS[kind]).newbyteorder("=")


DAMAGED = {
    "empty": (b"", "too short for an IDX file: 0 bytes"),
    "short": (b"\0\0\x08", "too short"),
    "magic": (b"\x01" + idx([1])[1:], "must begin with two zeros"),
    "type": (b"\0\0\x07\x01" + idx([1])[4:], "must begin with two zeros"),
    "no axes": (b"\0\0\x08\0", "must begin with two zeros"),
    "many axes": (b"\0\0\x08\xff" + bytes(2000), "must begin with two zeros"),
    "no lengths": (b"\0\0\x08\x03\0\0", "3 axes need a length each"),
    "cut off": (idx(np.ones((3, 4)))[:-1], r"12 bytes of numbers for shape \(3, 4\), got 11"),
    "too long": (idx(np.ones((3, 4))) + b"\0", "got 13"),
    "huge": (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "bytes of numbers for shape"),
    "a picture": (pictures.PNG + bytes(20), "must begin with two zeros"),
    "torn gzip": (gzip.compress(idx(np.arange(100)))[:-20], "damaged gzip"),
    "wrong gzip": (b"\x1f\x8b\x08" + bytes(40), "damaged gzip"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_idx_file_is_refused(tmp_path, name):
    content, says = DAMAGED[name]
    path = tmp_path / "bad.idx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=says):
        pictures.read_idx(path)


def test_a_flipped_byte_in_a_packed_file_is_found(tmp_path):
    content = bytearray(gzip.compress(idx(np.arange(200) % 7)))
    content[len(content) // 2] ^= 0x55
    (tmp_path / "bad.gz").write_bytes(bytes(content))
    with pytest.raises(ValueError, match="damaged gzip|must hold|must begin"):
        pictures.read_idx(tmp_path / "bad.gz")


def test_a_missing_file_is_named(tmp_path):
    for read in (pictures.read_idx, pictures.read):
        with pytest.raises(ValueError, match="nowhere"):
            read(tmp_path / "nowhere")


@pytest.fixture
def files(tmp_path):
    def write(scans, labels):
        for name, array in (("scans", scans), ("labels", labels)):
            (tmp_path / name).write_bytes(idx(array))
        return tmp_path / "scans", tmp_path / "labels"

    return write


def test_scans_in_mnists_format_are_recognised(files):
    scans, labels = (part[:100] for part in digits.load("validation"))
    drawn = np.stack([255 * (1 - enlarged(scan, 20, 4)) for scan in scans]).astype(np.uint8)
    assert drawn.shape == (100, 28, 28)
    found, classes = pictures.mnist(*files(drawn, labels))
    assert np.array_equal(classes, labels) and classes.dtype == np.int32
    right = np.asarray(models.load("digits-lenet")(found)).argmax(1) == labels
    upside_down = np.asarray(models.load("digits-lenet")(1 - found)).argmax(1) == labels
    assert right.mean() > 0.85 > 0.3 > upside_down.mean()


@pytest.mark.parametrize(
    ("scans", "labels", "says"),
    [
        (np.ones((2, 28, 28)), [1, 2, 3], "a byte for each of 2 pictures"),
        (np.ones((2, 28)), [1, 2], r"shape \(count, height, width\)"),
        (np.ones((0, 28, 28)), np.ones(0), r"shape \(count, height, width\)"),
        (np.ones((1, 28, 28)), [10], "from 0 to 9, got 10"),
        (np.ones((1, 28, 28)), [3], "nothing is drawn"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(files, scans, labels, says):
    with pytest.raises(ValueError, match=says):
        pictures.mnist(*files(scans, labels))


# --- PNG and JPEG --------------------------------------------------------------------------------


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def palette_png(codes, colors):
    """A PNG whose pixels are numbers of colours."""
    height, width = codes.shape
    lines = b"".join(b"\0" + bytes(line.astype(np.uint8)) for line in codes)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", head), (b"PLTE", bytes(np.ravel(colors).astype(np.uint8)))]
    parts += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return pictures.PNG + b"".join(chunk(*part) for part in parts)


def png(pixels):
    return tf.io.encode_png(tf.constant(pixels)).numpy()


def color(grey):
    return np.repeat(grey[..., None], 3, -1)


def transparent(ink, shade):
    """Ink of one shade on nothing at all."""
    return np.dstack([np.full_like(color(ink), shade), 255 - ink])


FORMS = {
    "grey": lambda d: png(d[..., None]),
    "light on dark": lambda d: png(255 - d[..., None]),
    "colour": lambda d: png(color(d)),
    "sixteen bits": lambda d: png(d[..., None].astype(np.uint16) * 257),
    "grey and alpha": lambda d: png(np.dstack([np.zeros_like(d), 255 - d])),
    "black on nothing": lambda d: png(transparent(d, 0)),
    "white on nothing": lambda d: png(transparent(d, 255)),
    "palette": lambda d: palette_png(d, np.repeat(np.arange(256), 3)),
    "blue on yellow": lambda d: png(
        (color(d) / 255 * [255, 255, 120] + (1 - color(d) / 255) * [0, 0, 160]).astype(np.uint8)
    ),
    "jpeg": lambda d: tf.io.encode_jpeg(color(d), quality=95).numpy(),
    "grey jpeg": lambda d: tf.io.encode_jpeg(d[..., None], quality=95).numpy(),
    "low contrast": lambda d: png((120 + d[..., None] // 4).astype(np.uint8)),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_picture_gives_the_same_scan(tmp_path, drawing, wanted, name):
    path = tmp_path / "mine"
    path.write_bytes(FORMS[name](drawing))
    same(pictures.read(path), wanted, 0.06)


@pytest.mark.parametrize(("size", "edge"), [(24, 2), (200, 90)])
def test_size_and_place_do_not_matter(drawing, wanted, size, edge):
    large = np.pad(enlarged(digits.load("validation")[0][0], size, 0), edge, constant_values=1)
    large = np.pad(large, ((0, 30), (7, 0)), constant_values=1)
    same(pictures.to_scan(large), wanted, 0.25)


def test_a_bar_is_as_high_as_the_scan_and_counted_in_blocks():
    light = np.ones((100, 60))
    light[10:90, 20:30] = 0  # 80 x 10 pixels: 32 x 4 of the bitmap
    expected = np.zeros((8, 8))
    expected[:, 3:5] = 0.5  # the four middle columns are halves of two blocks
    assert np.allclose(pictures.to_scan(light).reshape(8, 8), expected, atol=1e-6)


def test_a_wide_picture_keeps_its_shape():
    light = np.ones((60, 100))
    light[20:30, 10:90] = 0
    assert np.allclose(pictures.to_scan(light).reshape(8, 8).sum(1)[[0, 1, 6, 7]], 0)


def test_the_scan_is_recognised(tmp_path):
    scans, labels = (part[:20] for part in digits.load("validation"))
    found = []
    for scan in scans:
        (tmp_path / "mine.png").write_bytes(png((255 * enlarged(scan)).astype(np.uint8)[..., None]))
        found.append(pictures.read(tmp_path / "mine.png"))
    right = np.asarray(models.load("digits-lenet")(np.stack(found))).argmax(1) == labels
    assert right.mean() >= 0.8


WRONG = {
    "empty": (b"", "neither a PNG nor a JPEG"),
    "text": (b"digit", "neither a PNG nor a JPEG"),
    "gif": (b"GIF89a" + bytes(20), "neither a PNG nor a JPEG"),
    "only a head": (pictures.PNG, "pixels, got 0 x 0"),
    "no size": (palette_png(np.zeros((0, 0)), [0] * 3), "pixels, got 0 x 0"),
    "torn jpeg": (None, "is damaged"),
    "torn png": (None, "is damaged"),
    "flipped": (None, "is damaged"),
    "huge": (
        pictures.PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", 2**20, 2**20, 8, 0, 0, 0, 0)),
        "from 1 to 67108864 pixels, got 1048576 x 1048576",
    ),
    "blank": (png(np.full((9, 9, 1), 200, np.uint8)), "nothing is drawn"),
    "nothing at all": (png(np.zeros((9, 9, 4), np.uint8)), "nothing is drawn"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_picture_is_refused(tmp_path, drawing, name):
    content, says = WRONG[name]
    if content is None:
        whole = FORMS["jpeg" if "jpeg" in name else "grey"](drawing)
        content = whole[: len(whole) // 2]
        if name == "flipped":
            content = whole[:60] + bytes([whole[60] ^ 0xFF]) + whole[61:]
    (tmp_path / "mine.png").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        pictures.read(tmp_path / "mine.png")


@pytest.mark.parametrize("light", [np.ones((4, 4, 3)), np.ones((0, 4)), np.full((4, 4), np.nan)])
def test_what_is_no_picture_is_refused(light):
    with pytest.raises(ValueError, match="a picture needs finite values"):
        pictures.to_scan(light)
