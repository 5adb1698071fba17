"""How many can be served (lesson 08_4)."""

import dataclasses

import numpy as np

from course_utils.chart import Axis, Chart, Line, Points
from course_utils.checks import positive
from course_utils.decoding import serving
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, log_slider, readout

RATES_A_SECOND = tuple(np.geomspace(1, 1000, 13).round(1).tolist())


@dataclasses.dataclass(frozen=True)
class Load:
    """What requests experience at one rate of arrivals, rehearsed with measured costs.

    Attributes:
        rate: Requests a second.
        policy: Who decides when a row is taken.
        report: A `serving.Report`.
        curves: By policy, goodput at each of `RATES_A_SECOND`.
        knee: By policy, the highest of these rates at which at least 95% are served in time; 0 if
            there is none.
    """

    rate: float
    policy: str
    report: serving.Report
    curves: dict
    knee: dict


class Counter:
    """A queue of requests before an engine whose passes cost what was measured.

    Args:
        prompts, lengths: What is asked, see `serving.arrivals`.
        costs: As `serving.costs` measures them.
        rows, context: Of the engine.
        first_limit, each_limit: What is still in time, in seconds.
    """

    POLICIES = ("static", "continuous")

    def __init__(self, prompts, lengths, costs, rows, context, first_limit, each_limit):
        self.asked, self.costs, self.sizes = (prompts, lengths), costs, (rows, context)
        self.limits = positive("first_limit", first_limit), positive("each_limit", each_limit)
        reports = {
            policy: [self.report(rate, policy) for rate in RATES_A_SECOND]
            for policy in self.POLICIES
        }
        self.curves = {policy: [one.goodput for one in found] for policy, found in reports.items()}
        self.knee = {
            policy: max(
                (r for r, one in zip(RATES_A_SECOND, found) if one.within >= 0.95), default=0
            )
            for policy, found in reports.items()
        }

    def report(self, rate, policy, chunks=None):
        """Rehearses the requests at a rate; returns a `serving.Report`."""
        requests = serving.arrivals(*self.asked, rate)
        return serving.report(
            serving.rehearse(requests, self.costs, *self.sizes, policy, chunks), *self.limits
        )

    def at(self, rate, policy, chunks):
        """Returns a `Load`."""
        chunks = None if chunks == "all" else chunks
        return Load(rate, policy, self.report(rate, policy, chunks), self.curves, self.knee)


def milliseconds(pair):
    """Says a median and a 99th percentile."""
    return f"{1000 * pair[0]:.1f} / {1000 * pair[1]:.1f} ms"


def show_load(seen):
    """The numbers of one rate, and goodput over all rates."""
    report = seen.report
    names = {"static": _("static"), "continuous": _("continuous")}
    marks = [
        Line(RATES_A_SECOND, seen.curves[policy], color=color, label=names[policy])
        for policy, color in (("static", "orange"), ("continuous", "blue"))
    ]
    here = Points([seen.rate], [report.goodput], color="vermillion", label=_("now"), size=6)
    return [
        cards(
            readout(_("first token"), milliseconds(report.first), note=_("median / 99 of 100")),
            readout(_("each token after"), milliseconds(report.each), note=_("median / 99 of 100")),
            readout(
                _("between two tokens"), milliseconds(report.between), note=_("median / 99 of 100")
            ),
            readout(_("throughput"), _("{rate:,.0f} tokens/s").format(rate=report.throughput)),
            readout(
                _("goodput"),
                _("{rate:,.1f} requests/s").format(rate=report.goodput),
                note=_("{share:.0%} in time").format(share=report.within),
            ),
        ),
        Chart(
            [*marks, here],
            x=Axis(_("requests that arrive, a second"), log=True),
            y=Axis(_("served in time, a second"), low=0),
            title=_("Goodput, simulated with measured costs"),
            description=_(
                "Up to {static:g} requests a second 95% are served in time by static batching, up to "
                "{continuous:g} by continuous batching."
            ).format(**seen.knee),
            width=640,
        ),
    ]


def load_explorer(counter):
    """Slides the rate at which requests arrive."""
    return Explorer(
        counter.at,
        show_load,
        lambda values: (
            {"chunks": _("static batching reads all prompts before it writes")}
            if values["policy"] == "static"
            else {}
        ),
        rate=log_slider(
            _("arrivals"), RATES_A_SECOND[0], RATES_A_SECOND[-1], 20.0, _("requests a second")
        ),
        policy=choice(
            _("batching"),
            {_("static"): "static", _("continuous"): "continuous"},
            "continuous",
            _("when a row is taken"),
        ),
        chunks=choice(
            _("chunks"),
            {_("all"): "all", "1": 1, "4": 4},
            "all",
            _("of a prompt that are read before the others write on"),
        ),
    )
