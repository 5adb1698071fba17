"""The chart: values land where they belong, both renderers draw the same shapes, and odd values do
no harm."""

import io
import itertools
import math
import re
import struct
import warnings
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import font_manager
from matplotlib.image import imread

from course_utils import files
from course_utils.chart import (
    PALETTE,
    Axis,
    Band,
    Bars,
    Chart,
    Grid,
    Line,
    Note,
    Points,
    Rule,
    Shape,
    Word,
    layout,
    nice_ticks,
    png,
    spoken,
    svg,
)
from course_utils.chart.marks import FONT, LETTER
from course_utils.chart.png import CHINESE
from course_utils.chart.scale import labels
from course_utils.experiments import font

SVG = "{http://www.w3.org/2000/svg}"


def shapes(chart):
    return [item for item in layout(chart)[1] if isinstance(item, Shape) and item.clipped]


def words(chart):
    return [item.text for item in layout(chart)[1] if isinstance(item, Word)]


def paths(picture):
    return ElementTree.fromstring(picture).iter(f"{SVG}path")


def test_points_land_on_the_pixels_of_their_values():
    frame, _ = layout(
        chart := Chart(
            [Points([0, 5, 10], [0, 50, 100])], Axis(low=0, high=10), Axis(low=0, high=100)
        )
    )
    (drawn,) = shapes(chart)
    middle = (frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2
    assert np.allclose(drawn.at, [(frame.left, frame.bottom), middle, (frame.right, frame.top)])


def test_a_log_axis_makes_equal_ratios_equal_distances():
    (drawn,) = shapes(Chart([Points([0.01, 0.1, 1], [1, 2, 3])], x=Axis(log=True)))
    xs = [x for x, _ in drawn.at]
    assert math.isclose(xs[1] - xs[0], xs[2] - xs[1])
    (plain,) = shapes(Chart([Points([0.01, 0.1, 1], [1, 2, 3])]))
    assert not math.isclose(
        plain.at[1][0] - plain.at[0][0], plain.at[2][0] - plain.at[1][0], rel_tol=0.5
    )


def test_bars_stand_on_zero_and_touch_their_edges():
    chart = Chart([Bars([0, 1, 3], [4, 2])])
    frame, _ = layout(chart)
    first, second = shapes(chart)
    assert first.template[2][1] == pytest.approx(frame.bottom)
    heights = [bar.template[2][1] - bar.template[0][1] for bar in (first, second)]
    widths = [bar.template[1][0] - bar.template[0][0] for bar in (first, second)]
    assert heights[0] == pytest.approx(2 * heights[1]) and widths[1] == pytest.approx(2 * widths[0])


def test_turned_texts_all_find_room_and_hang_from_the_axis():
    names = dict(enumerate(["a long word", "another long word", "a third one", "the last one"] * 4))
    flat, turned = (
        Chart([Grid(np.ones((4, 16)))], x=Axis(ticks=names, turned=turned))
        for turned in (False, True)
    )
    assert len(words(flat)) < len(names) == sum(text in names.values() for text in words(turned))
    frame, drawn = layout(turned)
    hanging = [item for item in drawn if isinstance(item, Word) and item.turned]
    assert all(item.anchor == "end" and item.y > frame.bottom for item in hanging)
    longest = max(
        hanging, key=lambda item: len(item.text)
    )  # it reaches down from y, and the picture holds it
    assert (
        longest.y + 6 * len(longest.text) < turned.height and frame.bottom < layout(flat)[0].bottom
    )


def test_chinese_labels_get_their_width():
    chart = Chart([Grid(np.ones((2, 2)))], y=Axis(ticks={0.5: "1 雨伞", 1.5: "2 一会儿"}))
    latin = Chart([Grid(np.ones((2, 2)))], y=Axis(ticks={0.5: "1 ab", 1.5: "2 abc"}))
    assert layout(chart)[0].left > layout(latin)[0].left + 15 and "雨伞" in svg(chart)
    ticks = dict(
        enumerate(["朴素贝叶斯分类器", "隐马尔可夫模型", "长短期记忆网络", "只有解码器的转换器"])
    )
    lines = [Line([0, 3], [0, 3], f"第{name}条曲线的困惑度") for name in "一二三"]
    marks = [*lines, Rule(2.8, label="均方误差在这里最小")]
    drawn = layout(Chart(marks, Axis(low=-1, high=4, ticks=ticks), width=400))[1]
    shares = {"start": 0, "middle": 0.5, "end": 1}
    spans = [  # a Chinese letter is as wide as the font is large
        (item.y, item.x - shares[item.anchor] * FONT * len(item.text), FONT * len(item.text))
        for item in drawn
        if isinstance(item, Word) and item.text > "\u2e80"
    ]
    assert len(lines) + 1 < len(spans) < len(lines) + 1 + len(ticks)  # some ticks have no room
    assert all(left >= 0 and left + width <= 400 for _, left, width in spans)
    for (y, left, width), (next_y, next_left, _) in itertools.pairwise(sorted(spans)):
        assert next_y != y or left + width < next_left


def chinese_chart(translate):
    """Words in every place that a chart has for them, each sent through `translate`."""
    ticks = {i + 0.5: translate(text) for i, text in enumerate(["雨伞", "厨房", "一会儿"])}
    return Chart(
        [
            Grid(np.eye(3)),
            Line([0, 1], [0, 1], translate("困惑度")),
            Rule(1, label=translate("零点")),
        ],
        x=Axis(translate("被看的词"), ticks=ticks, turned=True),
        y=Axis(translate("看的词"), ticks=ticks),
        title=translate("头，第一个"),
    )


def pixels(chart):
    """Grey levels of the still picture, one a pixel of the chart."""
    return imread(io.BytesIO(png(chart, scale=1)))[..., :3].mean(axis=2)


def test_the_still_picture_keeps_chinese_words(caplog):
    chart = chinese_chart(str)
    blank, other = (
        chinese_chart(lambda text, to=to: re.sub("[\u4e00-\u9fff]", to, text)) for to in "\u3000龄"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown, without, another = map(pixels, (chart, blank, other))
    found = [item for item in layout(chart)[1] if isinstance(item, Word) and item.text > "\u2e80"]
    assert len(found) == 11 and not caplog.records  # nor does matplotlib grumble in its log
    for word in found:
        along = {"start": (0, 12), "middle": (-6, 6), "end": (-12, 0)}[word.anchor]
        rows, columns = (-9, 2), along  # one letter of the word
        if word.turned:  # it reads upwards
            rows, columns = (-along[1], -along[0]), (-9, 2)
        here = tuple(
            slice(max(round(centre + low), 0), round(centre + high))
            for centre, (low, high) in ((word.y, rows), (word.x, columns))
        )
        assert (without[here] - shown[here]).sum() > 4, word  # about four black pixels
        assert np.abs(another[here] - shown[here]).max() > 0.3, word  # not a box for every letter


def test_a_letter_that_no_font_has_becomes_an_empty_square():
    def titled(text):
        return png(Chart([], title=text))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert titled("词\uac00\U00020000") == titled("词□□") != titled("词词□")


def test_the_font_has_every_chinese_letter_of_the_course():
    package = files.ROOT / "course_utils"
    paths = [*package.rglob("*.py"), *files.NOTEBOOKS.rglob("*.ipynb")]
    used = set("".join(path.read_text("utf8") for path in paths))
    with TTFont(CHINESE) as shipped:
        missing = {
            x for x in used if "\u2e80" < x <= "\uffef" and ord(x) not in shipped.getBestCmap()
        }
        assert not missing, f"make the font again, as data/README.md says: {missing}"
        assert len(font.level_1()) == 3755
        assert set(map(ord, font.level_1())) <= set(shipped.getBestCmap())


def test_the_font_can_be_made_again(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="has no face 'Noto Sans CJK SC' .* only: DejaVu Sans"):
        font.make(font_manager.findfont("DejaVu Sans"), tmp_path)
    monkeypatch.setattr(font, "FACES", (font.FAMILY,))  # a part of itself: the original is large
    monkeypatch.setattr(font, "level_1", lambda: {"阿", "座"})
    first = font.make(CHINESE, tmp_path).read_bytes()
    assert font.make(CHINESE, tmp_path).read_bytes() == first
    assert len(first) < CHINESE.stat().st_size < 1.5e6
    with TTFont(io.BytesIO(first)) as made:
        assert set(made.getBestCmap()) >= set(map(ord, "aθ√，阿座伞"))
        assert "SIL Open Font License" in made["name"].getDebugName(13)
    monkeypatch.setattr(font, "written", lambda: {"\u9f98"})
    with pytest.raises(ValueError, match="lacks letters of the course: \u9f98"):
        font.make(CHINESE, tmp_path)


def test_nan_breaks_a_line_and_is_counted():
    chart = Chart([Line([0, 1, 2, 3, 4, 5], [1, 2, np.nan, 3, np.nan, 4])])
    piece, dots = shapes(chart)  # two neighbours make a piece of line, the lone values are dots
    assert len(piece.template) == 2 and not piece.filled and len(dots.at) == 2 and dots.filled
    assert "2 values not shown" in words(chart)
    assert "1 values not shown" in words(Chart([Points([0, 1], [1, 1])], x=Axis(log=True)))


NOTHING = [[], [Line([], [])], [Points([np.nan], [1])], [Bars([0], [])], [Grid(np.zeros((0, 0)))]]


@pytest.mark.parametrize("marks", NOTHING)
def test_an_empty_chart_says_so(marks):
    assert "nothing to show" in words(Chart(marks))
    ElementTree.fromstring(svg(Chart(marks)))
    assert png(Chart(marks), scale=1).startswith(b"\x89PNG")


def test_everything_can_be_told_apart_without_colour():
    lines = Chart([Line([0, 1], [i, i]) for i in range(3)] + [Points([0], [i]) for i in range(3)])
    drawn = shapes(lines)
    assert len({shape.dash for shape in drawn if not shape.filled}) == 3
    assert len({str(shape.template) for shape in drawn if shape.filled}) == 3
    assert len({shape.color for shape in drawn}) == 6
    first, second = shapes(Chart([Bars([0, 1], [1]), Bars([0, 1], [1])]))
    assert first.filled and not second.filled


def test_intervals_are_solid_and_take_no_dash_from_lines_that_have_names():
    bars = [Line([i, i], [0, 1], color="blue") for i in range(3)]
    drawn = shapes(Chart([*bars, Line([0, 3], [0, 1], "first"), Line([0, 3], [1, 0], "second")]))
    dashes = [shape.dash for shape in drawn]
    assert dashes[:4] == [()] * 4 and dashes[4] != ()


def test_what_has_no_place_is_said_below_the_axis_where_there_is_room():
    line = Line([0, 1, 2], [1, np.nan, 2])
    for label, below in (
        ("step", True),
        ("a label as long as the axis that it stands under", False),
    ):
        chart = Chart([line], x=Axis(label))
        said = next(
            word for word in layout(chart)[1] if getattr(word, "text", "").startswith("1 v")
        )
        assert (said.y > layout(chart)[0].bottom) == below


def test_a_long_label_of_the_y_axis_keeps_out_of_the_legend():
    lines = [Line([0, 1], [0, i], f"a line with a long name, number {i}") for i in range(6)]
    frame, drawn = layout(Chart(lines, y=Axis("mean error of all others (RMS)")))
    label = next(word for word in drawn if getattr(word, "text", "").startswith("mean error"))
    assert label.turned and label.y - LETTER * len(label.text) / 2 >= frame.top - 1


def test_no_lines_shine_through_a_matrix():
    _, drawn = layout(Chart([Grid(np.ones((3, 3)))], y=Axis(ticks={0.5: "a", 1.5: "b"})))
    assert not [one for one in drawn if isinstance(one, Shape) and one.opacity == 0.13]


def test_the_picture_speaks_and_escapes():
    chart = Chart(
        [Line([0, 1], [0, 1], label='<b>"a" & b</b>')],
        x=Axis("<script>"),
        title="T",
        description='Rises & "falls" <so>',
    )
    root = ElementTree.fromstring(svg(chart))
    assert root.get("role") == "img" and root.get(
        "aria-label"
    ) == 'T. Rises & "falls" <so>' == spoken(chart)
    assert root.find(f"{SVG}desc").text == spoken(chart)
    assert "<script>" not in svg(chart) and "<b>" not in svg(chart)
    assert (
        spoken(Chart([Line([0], [0], "test")], Axis("Q"), Axis("loss"))) == "loss against Q: test"
    )
    asked = Chart([Line([0], [0])], Axis("Q"), Axis("loss"), title="Why?", description="It rises.")
    assert spoken(asked) == "Why? It rises."


def test_it_follows_the_page_in_colour_and_width():
    picture = svg(Chart([Rule(0.5, label="θ")], title="T"))
    assert 'width="100%"' in picture and "max-width:420px" in picture and "font:12px" in picture
    used = set(re.findall(r'(?:fill|stroke)="([^"]+)"', picture))
    assert used <= {"currentColor", "none", "var(--jp-layout-color0,Canvas)"}


def test_what_leaves_the_axes_is_cut_off_in_both_renderers():
    chart = Chart([Line([0, 1], [0, 1e9])], Axis(low=0, high=1), Axis(low=0, high=1))
    root = ElementTree.fromstring(svg(chart))
    assert root.find(f"{SVG}svg").find(f"{SVG}path") is not None
    assert all(abs(float(n)) < 5000 for n in re.findall(r"-?\d+\.\d+", svg(chart)))


def test_rules_bands_and_grids():
    chart = Chart(
        [
            Band(-math.inf, 0.02, "removed"),
            Rule(0.05, label="Q"),
            Rule(0.06, label="θ"),
            Rule(3, vertical=False),
        ]
    )
    frame, _ = layout(chart)
    area, *rules = shapes(chart)
    assert area.template[0][0] <= frame.left and len(rules) == 3 and "removed" in words(chart)
    labels = [
        item for item in layout(chart)[1] if isinstance(item, Word) and item.text in ("Q", "θ")
    ]
    assert labels[0].y != labels[1].y
    cells = shapes(Chart([Grid([[1, -1], [0, np.nan]])]))
    assert {cell.color for cell in cells} == {PALETTE["blue"], PALETTE["vermillion"], "ink"}
    positive = next(cell for cell in cells if cell.color == PALETTE["blue"])
    frame, _ = layout(Chart([Grid([[1, -1], [0, np.nan]])]))
    assert positive.at[0] == pytest.approx(
        (frame.left, frame.top)
    )  # row 0, column 0 is at the top left


@pytest.mark.parametrize(
    "matrix, said, colors",
    [
        ([[0.2, 0.5], [0.84, np.nan]], "share, 0 to 0.84", {"blue"}),
        ([[-2, 1], [0, 0.5]], "share, −2 to 1", {"blue", "vermillion"}),
        ([[-3, -1]], "share, −3 to 0", {"vermillion"}),
        (np.zeros((2, 2)), "share, 0 to 0", {"vermillion"}),  # of no depth
    ],
)
def test_the_legend_of_a_grid_is_a_scale_of_its_shades(matrix, said, colors):
    chart = Chart([Grid(matrix, "share")])
    assert said in words(chart)
    scale = [one for one in layout(chart)[1] if isinstance(one, Shape) and one.filled][-5:]
    depths = [one.opacity * (1 if one.color == PALETTE["blue"] else -1) for one in scale]
    assert not any(one.clipped for one in scale) and depths == sorted(depths)
    assert {one.color for one in scale if one.opacity or not np.any(matrix)} == {
        PALETTE[color] for color in colors
    }
    assert max(map(abs, depths)) == (1 if np.any(matrix) else 0)


def test_a_note_stands_where_it_is_put():
    chart = Chart([Grid(np.ones((4, 4))), Note(1, 2, "seven"), Note(np.nan, 0, "lost")])
    frame, drawn = layout(chart)
    (word,) = (item for item in drawn if isinstance(item, Word) and item.text in ("seven", "lost"))
    assert (word.x, word.y) == pytest.approx((float(frame.x(1)), float(frame.y(2))))
    assert ">seven</text>" in svg(chart)


def test_png_has_the_size_it_promises_and_shows_the_bars():
    chart = Chart([Bars([0, 1, 2], [1, 2], color="blue")], width=300, height=200)
    file = png(chart, chart, scale=2)
    assert struct.unpack(">II", file[16:24]) == (1200, 400)
    colors = imread(io.BytesIO(png(chart, scale=1)))[..., :3]
    blue = (np.abs(colors - (64 / 255, 149 / 255, 197 / 255)).max(axis=2) < 0.05).sum(
        axis=0
    )  # blue at 75% on white
    frame, _ = layout(chart)
    columns = [round(frame.left + share * (frame.right - frame.left)) for share in (0.25, 0.75)]
    assert blue[columns[1]] == pytest.approx(2 * blue[columns[0]], abs=3)
    with pytest.raises(ValueError, match="at least one chart"):
        png()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Chart([Line([0], [0], color="red")]), "unknown color 'red'"),
        (lambda: Chart([Points([0], [0], marker="star")]), "unknown marker 'star'"),
        (lambda: Chart(["line"]), "got 'line'"),
        (lambda: svg(Chart([Line([0, 1], [0])])), "same length"),
        (lambda: svg(Chart([Bars([0, 1], [1, 2])])), "need 3 edges, got 2"),
        (lambda: svg(Chart([], x=Axis(log=True, low=0))), "must be > 0"),
        (lambda: svg(Chart([], x=Axis("Q", low=2, high=1))), "low < high"),
        (lambda: svg(Chart([Grid([1, 2])])), "needs a matrix"),
    ],
)
def test_bad_input_is_answered(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_numbers_are_written_as_people_read_them():
    written = {
        0: "0",
        0.05: "0.05",
        -1.5: "−1.5",
        1500: "1,500",
        2e7: "2×10⁷",
        1e6: "10⁶",
        1e-5: "10⁻⁵",
        100.0: "100",
    }
    assert {value: labels([value])[0] for value in written} == written


def test_one_axis_writes_all_its_numbers_in_one_way():
    assert labels([0, 20_000, 2e6]) == ["0", "2×10⁴", "2×10⁶"]
    assert labels([0, 5e5, 1e6]) == ["0", "5×10⁵", "10⁶"]
    assert labels([1e-4, 0.01, 1]) == ["0.0001", "0.01", "1"]
    assert labels([1e-9, 1e-3, 1]) == ["10⁻⁹", "10⁻³", "10⁰"]
    assert labels([0, 5e-5, 1e-4]) == ["0", "0.00005", "0.0001"]


def test_an_axis_has_at_least_three_ticks_where_there_is_room():
    assert nice_ticks(-0.44, 0.44, 4) == [-0.4, -0.2, 0, 0.2, 0.4]


@settings(max_examples=80, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6), st.integers(2, 10))
def test_ticks_are_round_few_and_inside(low, span, count):
    high = low + span
    ticks = nice_ticks(low, high, count)
    assert len(ticks) <= count + 1 and all(
        low - 1e-6 * span <= tick <= high + 1e-6 * span for tick in ticks
    )
    if len(ticks) > 1:
        lead = f"{ticks[1] - ticks[0]:e}"
        assert round(float(lead.split("e")[0]), 3) in (1, 2, 5, 10)


@settings(max_examples=80, deadline=None)
@given(st.floats(-12, 8), st.floats(0.05, 15))
def test_log_ticks_are_inside(start, decades):
    low, high = 10**start, 10 ** (start + decades)
    ticks = nice_ticks(low, high, 5, log=True)
    assert ticks and len(ticks) <= 9 and all(low * 0.999 <= tick <= high * 1.001 for tick in ticks)


numbers = st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=6)


@settings(max_examples=60, deadline=None)
@given(numbers, st.booleans(), st.booleans())
def test_any_values_give_a_well_formed_picture_with_finite_numbers(values, log_x, log_y):
    chart = Chart(
        [
            Line(values, values[::-1], "a"),
            Bars(range(len(values) + 1), values),
            Points(values, values),
        ],
        Axis("x", log=log_x),
        Axis("y", log=log_y),
    )
    picture = svg(chart)
    ElementTree.fromstring(picture)
    assert "nan" not in picture and "inf" not in picture


# --- sizes and ends ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e5, 4001, 5, 0, -1, np.nan, np.inf, "100", None])
def test_a_chart_has_a_size_that_can_be_drawn(size):
    for side in ("width", "height"):
        with pytest.raises(ValueError, match=f"{side} must be a number from 10 to 4000, got "):
            Chart([Line([0, 1], [0, 1])], **{side: size})


def test_a_picture_has_a_size_that_can_be_drawn():
    large = Chart([Line([0, 1], [0, 1])], width=4000, height=4000)
    with pytest.raises(ValueError, match="a picture may have at most 100,000,000 pixels, got 192"):
        png(large, large, large)
    for scale in (0, 11, np.nan):
        with pytest.raises(ValueError, match="scale must be a number from 0.1 to 10"):
            png(Chart([]), scale=scale)


RARE = (0.0, 1.0, -1.0, 1e-320, 1e-300, 1e300, -1e300, 1e308, -1e308, np.nan, np.inf, 1 + 2.3e-16)


@pytest.mark.parametrize("log", [False, True])
def test_rare_values_are_drawn_or_named(log):
    axis = Axis(log=log)
    for one, other in itertools.product(RARE, RARE):
        for describe in (
            lambda a, b: Chart([Line([0, 1], [a, b])], y=axis),
            lambda a, b: Chart([Bars([0, 1, 2], [a, b])], y=axis),
            lambda a, b: Chart([Points([0, 1], [0, 1]), Rule(a), Band(a, b)], x=axis),
            lambda a, b: Chart([Line([0, 1], [0, 1])], y=Axis(log=log, low=a, high=b)),
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    drawn = svg(describe(one, other))
                except ValueError as e:
                    assert re.search("the ends of a log axis|must lie within|low < high", str(e))
                else:
                    assert "nan" not in drawn and ">inf" not in drawn


def test_a_log_axis_reaches_over_600_powers_of_ten():
    frame, _ = layout(Chart([Line([0, 1], [1e-300, 1e300])], y=Axis(log=True)))
    assert frame.y(1e-300) > frame.y(1.0) > frame.y(1e300)
    assert len(frame.y.ticks()) > 2
    for ends in ((-1e308, 1e308), (0, 0), (0, 1e-320), (np.nan, 1)):
        with pytest.raises(ValueError, match="ticks need low < high"):
            nice_ticks(*ends)


def test_ends_of_a_narrow_type_are_compared_without_a_warning():
    """float32 cannot hold the largest number that an axis may reach."""
    axis = Axis("x", low=np.float32(-1.2), high=np.float32(1.2))
    with np.errstate(all="raise"):
        assert svg(Chart([Line([0, 1], [0, 1])], x=axis))
