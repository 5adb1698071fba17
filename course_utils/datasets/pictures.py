"""A learner's own pictures: files in MNIST's format, and digits from photographs or drawings.

What comes out looks like scikit-learn's scans. Those began as bitmaps of 32 x 32 pixels, cut close
to the ink, and became 8 x 8 by counting the ink in each block of 4 x 4 (Alpaydin and Kaynak, 1998).
"""

import gzip
import pathlib
import zlib

import numpy as np

from course_utils.backend import tf

BITMAP, BLOCK = 32, 4  # pixels of a side
MOST = 2**26  # pixels of a picture, or numbers of a file: beyond that it is no digit
FAINT = 0.1  # of full contrast: below this nothing is drawn
IDX = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def read_idx(path):
    """Reads an IDX file, the format of MNIST (LeCun and others), as it is or packed with gzip.

    Four bytes say what follows: two zeros, the type of a number, how many axes. Then each axis's
    length in four bytes, the largest first, and the numbers.

    Args:
        path: The file, such as `train-images-idx3-ubyte.gz`.

    Returns:
        An array of the file's shape and type.

    Raises:
        ValueError: If the file is missing, empty, damaged, cut off or of another format.
    """
    path = pathlib.Path(path)
    content = unpacked(path)
    if len(content) < 4:
        raise ValueError(f"{path.name} is too short for an IDX file: {len(content)} bytes")
    zeros, kind, axes = content[:2], content[2], content[3]
    if zeros != b"\0\0" or kind not in IDX or not 1 <= axes <= 8:
        raise ValueError(
            f"{path.name} is no IDX file: it must begin with two zeros, a type and a number of axes, "
            f"got {content[:4].hex(' ')}"
        )
    if len(content) < 4 + 4 * axes:
        raise ValueError(f"{path.name} is cut off: {axes} axes need a length each")
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", axes, 4))
    dtype, begin = np.dtype(IDX[kind]), 4 + 4 * axes
    wanted = dtype.itemsize * int(np.prod(shape, dtype=object))
    if len(content) - begin != wanted:
        raise ValueError(
            f"{path.name} must hold {wanted} bytes of numbers for shape {shape}, got "
            f"{len(content) - begin}"
        )
    values = np.frombuffer(content, dtype, offset=begin).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def unpacked(path):
    """Returns what a file holds, without gzip's wrapping if it has one."""
    if not path.is_file():
        raise ValueError(f"no file at {path}")
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with gzip.open(path) as packed:
            content = packed.read(8 * MOST + 1)
    except (OSError, EOFError, zlib.error) as problem:
        raise ValueError(f"{path.name} is a damaged gzip file: {problem}") from None
    if len(content) > 8 * MOST:
        raise ValueError(f"{path.name} unpacks to more than {8 * MOST} bytes")
    return content


def mnist(pictures, labels):
    """Reads scans and labels in MNIST's format, and brings the scans to 8 x 8.

    Args:
        pictures: IDX file of `(count, height, width)` bytes; for Fashion-MNIST's and other shapes
            see `read_idx`.
        labels: IDX file of `(count,)` bytes from 0 to 9.

    Returns:
        `float32` of shape `(count, 64)` in 0..1 and `int32` of shape `(count,)`, as `digits.load`
        gives them.

    Raises:
        ValueError: If a file is damaged or of another format, the two do not fit each other, or a
            picture is empty.
    """
    scans, classes = read_idx(pictures), read_idx(labels)
    if scans.ndim != 3 or scans.dtype != np.uint8 or not scans.size:
        raise ValueError(
            f"pictures must be bytes of shape (count, height, width), got {scans.dtype} of shape "
            f"{scans.shape}"
        )
    if classes.shape != scans.shape[:1] or classes.dtype != np.uint8:
        raise ValueError(
            f"labels must be a byte for each of {len(scans)} pictures, got {classes.dtype} of shape "
            f"{classes.shape}"
        )
    if classes.max() > 9:
        raise ValueError(f"labels must be from 0 to 9, got {classes.max()}")
    return np.stack([to_scan(scan / 255) for scan in scans]), classes.astype(np.int32)


def read(path):
    """Reads a digit that you drew, wrote or photographed.

    Args:
        path: A PNG or JPEG file of any size: grey, colour or palette, with or without
            transparency, 8 or 16 bits; dark on light or light on dark.

    Returns:
        `float32` of shape `(64,)` in 0..1, as the scans are.

    Raises:
        ValueError: If the file is missing, damaged, of another kind or too large, or nothing is
            drawn on it.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"no picture at {path}")
    content = path.read_bytes()
    pixels = decoded(content, path.name).astype(np.float32) / 255
    if pixels.shape[-1] in (
        2,
        4,
    ):  # transparent: on white paper, or where that shows nothing, black
        opaque, color = pixels[..., -1:], pixels[..., :-1]
        seen = [grey(color * opaque + paper * (1 - opaque)) for paper in (1, 0)]
        return to_scan(seen[0] if np.ptp(seen[0]) >= FAINT else seen[1])
    return to_scan(grey(pixels))


def decoded(content, name):
    """Returns the pixels of a PNG or JPEG file: `uint8` of shape `(height, width, channels)`."""
    if not content.startswith((PNG, JPEG)):
        raise ValueError(f"{name} is neither a PNG nor a JPEG file: it begins with {content[:8]!r}")
    try:
        height, width = size(content)
        if not 0 < height * width <= MOST:
            raise ValueError(f"{name} must have from 1 to {MOST} pixels, got {height} x {width}")
        return tf.io.decode_image(content, expand_animations=False).numpy()
    except tf.errors.OpError as problem:
        raise ValueError(f"{name} is damaged: {problem.message.splitlines()[0][:80]}") from None


def size(content):
    """Returns height and width as a file's header says them, before memory is taken for its
    pixels."""
    if content.startswith(JPEG):
        return tf.io.extract_jpeg_shape(content).numpy()[:2].tolist()
    width, height = np.frombuffer(content.ljust(24, b"\0"), ">u4", 2, 16).tolist()
    return height, width


def grey(pixels):
    """Returns how light each pixel is: `(height, width, 1 or 3)` -> `(height, width)`."""
    weights = [0.299, 0.587, 0.114] if pixels.shape[-1] == 3 else [1.0]
    return pixels @ np.array(weights, np.float32)


def to_scan(light):
    """Brings a grey picture of one digit to 8 x 8, as scikit-learn's scans were made.

    Ink is told from paper by Otsu's threshold (1979), and which of the two is ink by the picture's
    edge, where there is paper. Cut to the ink, scaled to 32 pixels on its longer side and put into
    the middle, it is counted in blocks of 4 x 4; a pixel at the edge of a stroke counts in part.

    Args:
        light: Array `(height, width)`, from 0 (black) to 1 (white).

    Returns:
        `float32` of shape `(64,)`, from 0 (paper) to 1 (all 16 pixels are ink).

    Raises:
        ValueError: If the picture has no height or width, or nothing is drawn on it.
    """
    light = np.asarray(light, np.float32)
    if light.ndim != 2 or not light.size or not np.isfinite(light).all():
        raise ValueError(f"a picture needs finite values (height, width), got shape {light.shape}")
    if np.ptp(light) < FAINT:
        raise ValueError(
            f"nothing is drawn: all of the picture is from {light.min():.2f} to {light.max():.2f}, "
            f"and ink must differ from paper by {FAINT}"
        )
    bright = light > otsu(light)
    edge = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    drawn = bright if edge.mean() < 0.5 else ~bright
    paper, full = np.median(light[~drawn]), np.median(light[drawn])
    ink = np.clip((light - paper) / (full - paper), 0, 1)  # a pixel at an edge is half covered
    rows, columns = (np.flatnonzero(drawn.any(axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(BITMAP * side / max(ink.shape))) for side in ink.shape)
    bitmap, top, left = np.zeros((BITMAP, BITMAP)), (BITMAP - height) // 2, (BITMAP - width) // 2
    bitmap[top : top + height, left : left + width] = (
        shares(height, ink.shape[0]) @ ink @ shares(width, ink.shape[1]).T
    )
    side = BITMAP // BLOCK
    blocks = bitmap.reshape(side, BLOCK, side, BLOCK).mean((1, 3))
    return blocks.astype(np.float32).ravel()


def otsu(light):
    """Returns the threshold that leaves least variance within the two sides (Otsu, 1979)."""
    counts, edges = np.histogram(light, 256)
    middles, below = (edges[:-1] + edges[1:]) / 2, np.cumsum(counts)
    above, sums = below[-1] - below, np.cumsum(counts * middles)
    mean_below = sums / np.maximum(below, 1)
    mean_above = (sums[-1] - sums) / np.maximum(above, 1)
    between = below * above * (mean_below - mean_above) ** 2
    return edges[1:][np.argmax(between)]


def shares(size, pixels):
    """Returns the matrix `(size, pixels)` that averages a line of pixels over `size` equal
    stretches."""
    edges = np.linspace(0, pixels, size + 1)
    low, high = (
        np.maximum(edges[:-1, None], np.arange(pixels)),
        np.minimum(edges[1:, None], np.arange(1, pixels + 1)),
    )
    return np.maximum(0, high - low) * size / pixels
