"""Tables: heads stand over their columns, in any script, as text and as HTML."""

import pytest

from course_utils import lesson
from course_utils.evaluation.speed import Timing
from course_utils.widgets.tables import Markup, Table


def test_numbers_stand_right_and_words_left_with_their_heads():
    shown = repr(lesson.table(["rule", "bytes"], [["absmax", "1,024"], ["gptq", 98]]))
    assert shown.splitlines() == ["rule    bytes", "absmax  1,024", "gptq       98"]


def test_a_chinese_letter_takes_the_room_of_two():
    lines = repr(Table(["词", "count"], [["量化误差", 7], ["Q", 12]])).splitlines()
    assert [line[-1] for line in lines] == ["t", "7", "2"]
    assert lines[1].startswith("量化误差") and lines[2].startswith("Q" + 7 * " ")


NUMBERS = (
    *("7", "-0.05", "+30.5%", "1,024", "2.31x", "1.99σ", "0.5 GB", "10^-3", "1e-05", "±0.1", "inf"),
    *(
        "0.5 to 0.7",
        "-2.7% to +3.5%",
        "[0.1, 0.3]",
        "[0.1 0.2]",
        "97% [96, 98]",
        "[ 0.1\n -3. ]",
        "1/8",
        "(64, 256)",
        "17-32",
    ),
    *("4 of 11", "1024 x 64", "200 -> -56"),
)


@pytest.mark.parametrize("cell", NUMBERS)
def test_a_number_may_have_a_unit_a_range_or_company(cell):
    assert Table(["a"], [[cell]]).right == [True]


@pytest.mark.parametrize("cell", ["yes", "Q = 0.1", "1-quantize", "10 乔治", "e", "two to 3"])
def test_words_are_no_numbers(cell):
    assert Table(["a"], [[cell]]).right == [False]


def test_a_word_or_a_gap_among_numbers_stands_where_they_do():
    rows = [["off", "", "tensor"], ["off", "—", "channel"], ["0.2", "3", "32"]]
    assert Table(["step", "gap", "scale"], rows).right == [True, True, False]


def test_a_cell_may_have_lines():
    lines = repr(Table(["a\nb", "c"], [["1\n22", "3"]])).splitlines()
    assert lines == [" a  c", " b", " 1  3", "22"]


def test_a_page_gets_every_cell_escaped():
    shown = Table(["a"], [["<b>"]])._repr_html_()
    assert "&lt;b&gt;" in shown and "<b>" not in shown and "scope='col'" in shown


def test_a_row_of_another_length_is_named():
    with pytest.raises(ValueError, match=r"each row must have 2 cells, got \['1'\]"):
        Table(["a", "b"], [[1]])


def test_a_table_without_rows_shows_its_head():
    assert repr(Table(["a", "b"], [])) == "a  b"


def test_timings_stand_beside_the_first_one():
    measured = {
        "float": Timing(2.852e-3, 1.0, (1.0, 1.0), 9),
        "int8": Timing(1.472e-3, 1.934, (1.73, 2.12), 9),
    }
    lines = repr(lesson.timings(measured)).splitlines()
    assert lines[1].split() == "float 2.852 ms 1.00x 1.00 to 1.00".split()
    assert lines[2].split() == "int8 1.472 ms 1.93x 1.73 to 2.12".split()
    assert len({len(line) for line in lines}) == 1


def test_markup_is_shown_as_it_is_and_read_without_tags():
    table = Table(["n", "said"], [["1", Markup("<mark>a &amp; b</mark>")]], widths=("3em", "auto"))
    shown = table._repr_html_()
    assert "<mark>a &amp; b</mark>" in shown and "width: 3em" in shown and "100%" in shown
    assert repr(table).splitlines()[1].split() == ["1", "a", "&", "b"]


def test_on_a_narrow_page_numbers_stay_whole_and_the_table_scrolls():
    shown = Table(["rule", "between", "said"], [["absmax", "9.9 to 12.2", 9 * "so it goes, "]])
    cells = shown._repr_html_().split("<td ")[1:]
    assert "overflow-x: auto" in shown._repr_html_() and "tabindex='0'" in shown._repr_html_()
    assert ["white-space: pre;" in cell for cell in cells] == [True, True, False]
    assert all("padding" in cell for cell in cells)  # a widget's page has no style for tables
