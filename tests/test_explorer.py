"""Explorers and controls in this process: what a learner does on the page is done to the widgets'
own traits."""

import base64
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils import chart, widgets
from course_utils.widgets.controls import without_use


@dataclass
class Rounded:
    step: float
    value: float


def rounded(step, x):
    if x == 13:
        raise ValueError("13 is <not> for us")
    return Rounded(step, round(x / step) * step if step else float(x))


def render(result):
    picture = chart.Chart(
        [chart.Points([0], [result.value])], title="Rounded", description="One point"
    )
    return [widgets.cards(widgets.readout("rounded", f"{result.value:.3f}", "the-value")), picture]


@pytest.fixture
def explorer():
    return widgets.Explorer(
        rounded,
        render,
        step=widgets.log_slider("Q", 0.001, 10, 0.1, "distance", off=True),
        x=widgets.slider("x", 0, 20, 1, 3),
    )


def test_shows_the_result_at_once_and_after_every_move(explorer):
    assert explorer.result == Rounded(0.1, pytest.approx(3))
    explorer.controls["step"].slider.value += 1
    assert explorer.values["step"] == 0.112
    assert explorer.result == rounded(0.112, 3)
    assert f'<span class="the-value">{explorer.result.value:.3f}</span>' in explorer.picture.value
    assert "<svg" in explorer.picture.value


def test_box_and_slider_follow_each_other_and_keep_what_was_typed(explorer):
    control = explorer.controls["step"]
    control.box.value = "0.0537"
    assert control.value == 0.0537 and explorer.result.step == 0.0537
    assert (
        control.stops[control.slider.value] == 0.0537
        or abs(control.stops[control.slider.value] - 0.0537) < 0.004
    )
    control.slider.value += 1
    assert control.box.value == f"{control.value:.12g}" and control.value > 0.0537


@pytest.mark.parametrize("typed", ["", "abc", "-1", "0", "11", "nan", "inf", "1e-9", "0,5", "<b>"])
def test_nonsense_is_answered_and_changes_nothing(explorer, typed):
    before, picture, place = (
        explorer.result,
        explorer.picture.value,
        explorer.controls["step"].slider.value,
    )
    explorer.controls["step"].box.value = typed
    assert "Q must be a number from 0.001 to 10, or &quot;off&quot;; got" in explorer.message.value
    assert 'aria-live="polite"' in explorer.message.value and "<b>" not in explorer.message.value
    assert (explorer.result, explorer.picture.value, explorer.controls["step"].slider.value) == (
        before,
        picture,
        place,
    )
    explorer.controls["step"].slider.value += 1
    assert "must be" not in explorer.message.value and explorer.result != before


def test_typing_the_old_value_again_takes_the_message_away(explorer):
    explorer.controls["step"].box.value = "nothing"
    explorer.controls["step"].box.value = "0.1"
    assert "must be" not in explorer.message.value


def test_off_is_a_position_of_its_own(explorer):
    control = explorer.controls["step"]
    control.slider.value = 0
    assert (
        control.value is None and control.box.value == "off" and explorer.result == Rounded(None, 3)
    )
    control.box.value = "1"
    control.box.value = "off"
    assert control.value is None
    explorer.controls["x"].box.value = "off"  # this one has no such position
    assert "x must be a whole number from 0 to 20; got" in explorer.message.value


def test_a_value_error_of_compute_is_a_message_above_the_last_good_picture(explorer):
    before = explorer.picture.value
    explorer.controls["x"].value = 13
    assert "13 is &lt;not&gt; for us" in explorer.message.value
    assert (
        explorer.picture.value == before
        and explorer.result.value == pytest.approx(3)
        and explorer.values["x"] == 13
    )
    explorer.controls["x"].value = 14
    assert "13" not in explorer.message.value and explorer.result.value == pytest.approx(14)


def test_other_exceptions_are_not_swallowed():
    broken = widgets.Explorer(lambda x: 1 / (x - 5), str, x=widgets.slider("x", 0, 10, 1, 3))
    with pytest.raises(ZeroDivisionError):
        broken.controls["x"].slider.value = 5
    with pytest.raises(ValueError):  # a start that cannot be shown is the author's mistake
        widgets.Explorer(
            rounded,
            render,
            step=widgets.log_slider("Q", 1, 10, 1),
            x=widgets.slider("x", 0, 20, 1, 13),
        )


def test_at_computes_elsewhere_and_moves_nothing(explorer):
    before = explorer.result, explorer.picture.value, explorer.values
    assert explorer.at(step=1, x=7) == Rounded(1, 7) and explorer.at(x=7).step == 0.1
    assert (explorer.result, explorer.picture.value, explorer.values) == before
    with pytest.raises(ValueError, match="unknown control 'y'; choose from: step, x"):
        explorer.at(y=1)


def test_setting_a_value_that_does_not_exist_raises(explorer):
    for name, value in (("step", 11), ("step", "0.1"), ("x", None), ("x", 2.5), ("x", True)):
        with pytest.raises(ValueError, match="must be a"):
            explorer.controls[name].value = value
    assert explorer.values == {"step": 0.1, "x": 3}


def test_choices_and_ticks():
    same = widgets.Explorer(
        lambda **values: values,
        str,
        rule=widgets.choice("rule", {"none": None, "step": "s"}, None),
        many=widgets.choice("many", range(9), 4),
        tied=widgets.checkbox("tied", True, "share"),
    )
    rule, many, tied = same.controls.values()
    assert same.result == {"rule": None, "many": 4, "tied": True}
    assert (
        rule.control.value == 0
        and rule.positions() == [None, "s"]
        and tied.positions() == [False, True]
    )
    rule.control.value, many.control.value, tied.control.value = 1, 7, False
    assert same.result == {"rule": "s", "many": 7, "tied": False}
    rule.value = None
    assert rule.control.value == 0
    with pytest.raises(ValueError, match="unknown rule 'x'"):
        rule.value = "x"
    assert (
        type(rule.control).__name__ == "ToggleButtons" and type(many.control).__name__ == "Dropdown"
    )


def test_positions_are_the_ends_and_the_middle():
    assert widgets.slider("x", 0, 1, 0.1, 0.5).positions() == [0, 0.5, 1]
    assert widgets.slider("x", 2, 9, 2, 4).positions() == [
        2,
        6,
        9,
    ]  # the end is reachable though no multiple
    log = widgets.log_slider("Q", 0.001, 1, 0.1)
    assert log.positions() == [0.001, 0.0316, 1.0] and len(log.stops) == 61
    assert widgets.log_slider("Q", 0.001, 1, None, off=True).positions()[0] is None


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-6, 1e3), st.floats(1.001, 1e6), st.booleans())
def test_every_stop_of_a_log_slider_can_be_reached_with_the_arrow_key(low, ratio, off):
    control = widgets.log_slider("Q", low, low * ratio, low, off=off)
    assert control.low == low and control.high == low * ratio
    stops = [stop for stop in control.stops if stop is not None]
    assert stops == sorted(set(stops))
    for place in range(len(control.stops)):
        control.slider.value = place
        assert control.slider.value == place and control.value == control.stops[place]


@pytest.mark.parametrize(
    "make",
    [
        lambda: widgets.log_slider("Q", 0, 1, 0.5),
        lambda: widgets.log_slider("Q", 1, 1, 1),
        lambda: widgets.log_slider("Q", 0.1, 1, 2),
        lambda: widgets.log_slider("Q", 0.1, 1, None),
        lambda: widgets.slider("x", 0, 1, 0, 0),
        lambda: widgets.slider("x", 1, 0, 1, 0),
        lambda: widgets.choice("rule", ["a"], "b"),
    ],
)
def test_controls_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError):
        make()


def test_a_page_without_a_kernel_gets_a_picture_and_words(explorer):
    bundle, shown = explorer._repr_mimebundle_()
    picture = base64.b64decode(bundle["image/png"])
    assert (
        picture.startswith(b"\x89PNG")
        and int.from_bytes(picture[16:20], "big") == 2 * shown["image/png"]["width"]
    )
    assert bundle["text/plain"].splitlines() == [
        "Q = 0.1, x = 3",
        "rounded 3.000",
        "Rounded. One point",
    ]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    only_text = widgets.Explorer(lambda x: x, str, x=widgets.slider("x", 0, 9, 1, 3))
    assert "image/png" not in only_text._repr_mimebundle_()[0]


def test_the_picture_survives_nbconvert(tmp_path):
    import nbconvert
    import nbformat

    widget = {
        "application/vnd.jupyter.widget-view+json": {
            "model_id": "gone",
            "version_major": 2,
            "version_minor": 0,
        }
    }
    explorer = widgets.Explorer(
        rounded, render, step=widgets.slider("Q", 1, 9, 1, 2), x=widgets.slider("x", 0, 9, 1, 3)
    )
    data, metadata = explorer._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", {**data, **widget}, metadata=metadata)
    cell = nbformat.v4.new_code_cell("explorer", outputs=[output])
    page, _ = nbconvert.HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert data["image/png"][:200] in page


def test_cards_escape_what_they_show():
    card = widgets.readout("<a>", "1 < 2", 'x"y', "R&D")
    assert (
        card.count("<a>") == 0
        and "1 &lt; 2" in card
        and 'class="x&quot;y"' in card
        and "R&amp;D" in card
    )
    assert widgets.cards(card, card).count("1 &lt; 2") == 2


def test_a_control_that_changes_nothing_is_closed_and_says_why():
    def idle(values):
        return {} if values["on"] else {"x": "Not used: <it> is off."}

    explorer = widgets.Explorer(
        lambda x, on: x if on else 0,
        str,
        idle,
        x=widgets.slider("x", 0, 9, 1, 3, "how many"),
        on=widgets.checkbox("on", False),
    )
    x, on = explorer.controls["x"], explorer.controls["on"]
    note = x.widget.children[-1]
    assert x.box.disabled and x.slider.disabled and not on.control.disabled
    assert "Not used: &lt;it&gt; is off." in note.value and "how many" not in note.value
    on.value = True
    assert not x.box.disabled and not x.slider.disabled and "how many" in note.value
    on.value = False
    assert x.box.disabled and "Not used" in note.value and explorer.result == 0


@pytest.mark.parametrize("rule", ["step", "absmax"])
@pytest.mark.parametrize("theta", [None, 0.1])
def test_the_studios_know_what_is_of_no_use(rule, theta):
    closed = without_use({"rule": rule, "theta": theta, "step": 0.1, "bits": 4})
    assert ("bits" in closed, "step" in closed) == (rule == "step", rule != "step")
    assert ("score" in closed, "on" in closed) == (theta is None, theta is None)


@pytest.mark.parametrize("rule, step", [("step", None), ("step", 0.1), ("absmax", None)])
def test_storage_is_of_use_where_there_are_codes(rule, step):
    closed = without_use({"rule": rule, "theta": 0.1, "step": step, "bits": 4})
    assert ("storage" in closed) == (rule == "step" and step is None)
