"""The font with which pictures show Chinese: `python3 -m course_utils.experiments.font SOURCE`.

matplotlib's own font has no Chinese letters, and a whole Chinese font takes many megabytes. So the
few thousand letters that the course needs are cut out of one.
"""

import io
import pathlib
import sys

from course_utils import files
from course_utils.chart.png import CHINESE
from course_utils.chart.scale import WIDE

FAMILY = "Noto Sans SC Subset"  # a name of its own: the whole font may be installed as well
FACES = ("Noto Sans CJK SC", "Noto Sans SC")
READ = ("course_utils", "notebooks", "translations")  # whose letters are all in the font
BLOCKS = (
    (0x20, 0x7E),  # ASCII
    (0xA0, 0xFF),  # Latin-1
    (0x370, 0x3FF),  # Greek
    (0x2010, 0x205F),  # punctuation
    (0x2070, 0x209F),  # raised and lowered digits
    (0x2190, 0x22FF),  # arrows and signs of mathematics
    (0x2460, 0x2473),  # digits in circles
    (0x25A0, 0x25FF),  # squares, triangles, circles
    (0x3000, 0x303F),  # Chinese punctuation
    (0xFF01, 0xFF5E),  # forms as wide as a Chinese letter
    (0xFFE0, 0xFFE6),
)
NAMES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14)  # with copyright, trademark and licence


def make(source, folder=None):
    """Cuts the course's letters out of a Noto Sans font and writes them as a font of their own.

    The same source, texts and version of fontTools give the same bytes.

    Args:
        source: Path of `NotoSansCJK-Regular.ttc`, or of a font that holds only its simplified
            Chinese face.
        folder: Where `fonts` lies; `data` if left out.

    Returns:
        The path of the font.

    Raises:
        ValueError: If the source has no simplified Chinese face (with outlines in CFF, as in files
            named `.otf` and `.ttc`), or lacks a letter of the course.
    """
    from fontTools import subset

    folder = pathlib.Path(folder or files.DATA)
    font = simplified(source)
    wanted = set(map(ord, level_1() | written()))
    absent = map(chr, sorted(wanted - set(font.getBestCmap())))
    # of the rest matplotlib's own font has what the source lacks
    if missing := [letter for letter in absent if WIDE < letter < "\U00010000"]:
        raise ValueError(f"{source} lacks letters of the course: {' '.join(missing)}")
    options = subset.Options(
        layout_features=[],
        hinting=False,
        desubroutinize=False,
        name_IDs=list(NAMES),
        notdef_outline=True,
    )
    options.drop_tables += ["BASE", "GDEF", "GPOS", "GSUB", "VORG", "vhea", "vmtx"]
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=wanted.union(*(range(low, high + 1) for low, high in BLOCKS)))
    cutter.subset(font)
    rename(font)
    content = io.BytesIO()
    font.save(content)
    path = files.write(folder / "fonts" / CHINESE.name, content.getvalue())
    if files.DATA in path.parents:
        files.write_manifest()
    return path


def simplified(source):
    """Opens the simplified Chinese face of a font, alone or in a collection."""
    from fontTools.ttLib import TTCollection, TTFont

    content = pathlib.Path(source).read_bytes()
    # without the time of making, which would make every font another one
    how = {"file": io.BytesIO(content), "lazy": True, "recalcTimestamp": False}
    faces = TTCollection(**how).fonts if content[:4] == b"ttcf" else [TTFont(**how)]
    names = [face["name"].getDebugName(1) for face in faces]
    found = [face for face, name in zip(faces, names) if name in FACES and "CFF " in face]
    if not found:
        raise ValueError(
            f"{source} has no face {FACES[0]!r} with CFF outlines, only: {', '.join(names)}"
        )
    return found[0]


def level_1():
    """Returns the 3,755 letters of GB 2312's first level, which ordinary Chinese is written
    with."""
    rows = (bytes((row, column)) for row in range(0xB0, 0xD8) for column in range(0xA1, 0xFF))
    return set(b"".join(rows).decode("gb2312", "ignore"))


def written():
    """Returns every letter beyond ASCII that package, notebooks and translations are written
    with."""
    kinds = (".py", ".ipynb", ".json", ".md")
    paths = (path for name in READ for path in (files.ROOT / name).rglob("*"))
    text = "".join(path.read_text("utf8") for path in paths if path.suffix in kinds)
    return {letter for letter in text if letter > "\x7f"}


def rename(font):
    """Gives a modified font a name of its own, so that nobody takes it for the original."""
    postscript = FAMILY.replace(" ", "") + "-Regular"
    for record in font["name"].names:
        new = {1: FAMILY, 3: f"{record.toUnicode()};subset", 4: FAMILY, 6: postscript}
        if record.nameID in new:
            record.string = new[record.nameID]
    whole = font["CFF "].cff
    whole.fontNames[0] = postscript
    whole.topDictIndex[0].FullName = whole.topDictIndex[0].FamilyName = FAMILY


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("font wants the whole font: python3 -m course_utils.experiments.font SOURCE")
    print(make(sys.argv[1]))
