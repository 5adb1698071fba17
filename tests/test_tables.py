"""Tables: heads stand over their columns, in any script, as text and as HTML."""

import pytest

from course_utils import lesson
from course_utils.widgets.tables import Table


def test_numbers_stand_right_and_words_left_with_their_heads():
    shown = repr(lesson.table(["rule", "bytes"], [["absmax", "1,024"], ["gptq", 98]]))
    assert shown.splitlines() == ["rule    bytes", "absmax  1,024", "gptq       98"]


def test_a_chinese_letter_takes_the_room_of_two():
    lines = repr(Table(["词", "count"], [["量化误差", 7], ["Q", 12]])).splitlines()
    assert [line[-1] for line in lines] == ["t", "7", "2"]
    assert lines[1].startswith("量化误差") and lines[2].startswith("Q" + 7 * " ")


def test_a_page_gets_every_cell_escaped():
    shown = Table(["a"], [["<b>"]])._repr_html_()
    assert "&lt;b&gt;" in shown and "<b>" not in shown and "scope='col'" in shown


def test_a_row_of_another_length_is_named():
    with pytest.raises(ValueError, match=r"each row must have 2 cells, got \['1'\]"):
        Table(["a", "b"], [[1]])


def test_a_table_without_rows_shows_its_head():
    assert repr(Table(["a", "b"], [])) == "a  b"
