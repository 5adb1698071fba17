"""A latency budget: it is kept while the load changes, by the best variant that can."""

import threading
import types

import numpy as np
import pytest
import small

from course_utils import decoding
from course_utils.backend import keras
from course_utils.decoding import budget
from course_utils.decoding.budget import LOOK, Paced, Pacer, Variant
from course_utils.decoding.load import busy

COSTS = {"large": 4.0, "middle": 2.0, "little": 1.0}  # milliseconds a token on a quiet machine
LOSSES = {"middle": 2.2, "little": 2.5, "large": 2.0}
PROMPT = [3, 1, 4]


def decoder(seed):
    """An untrained decoder whose weights are large enough that every token matters."""
    model = small.decoder(vocabulary=24, width=16, context=128, seed=seed)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            layer.kernel.assign(2 * np.asarray(layer.kernel))
    return model


@pytest.fixture(scope="module")
def variants():
    """Three models that write different texts; given in another order than that of their loss."""
    return [Variant(name, decoder(i), loss) for i, (name, loss) in enumerate(LOSSES.items())]


class Blank:
    """A pen that writes nothing, for tests of the clock."""

    def __init__(self, variant):
        self.name, self.read_to = variant.name, 0

    def read(self, text, length):
        self.read_to = max(self.read_to, length - 1)

    def write(self, text, length, until):
        self.read_to = until - 1
        return text


@pytest.fixture
def blank(monkeypatch):
    """Variants that cost time on a `Machine` and nothing here."""
    monkeypatch.setattr(budget, "Pen", Blank)
    model = types.SimpleNamespace(config={"vocabulary": 24, "context": 128})
    return [Variant(name, model, loss) for name, loss in LOSSES.items()]


class Machine:
    """A clock on which a variant costs what `COSTS` says, times the load, times a little chance.

    Args:
        felt: By name, how much of the load a variant feels; all of it where nothing is said.
    """

    def __init__(self, felt=(), noise=0.03, seed=0):
        self.load, self.felt, self.noise = 1.0, dict(felt), noise
        self.random = np.random.default_rng(seed)

    def cost(self, name):
        return COSTS[name] * self.load ** self.felt.get(name, 1)

    def __call__(self, function, *args):
        pen, length = function.__self__, args[1]
        passes = -(-(length - 1 - pen.read_to // 16 * 16) // 16) if pen.read_to < length - 1 else 0
        steps = 1.5 * passes if function.__name__ == "read" else args[2] - length
        spread = np.exp(self.noise * self.random.standard_normal())
        return function(*args), steps * self.cost(pen.name) * spread / 1000


def written(pacer, machine, loads, texts=1, length=6 * LOOK):
    """Writes some texts under one load after the other; returns a `Paced` for each load."""
    found = []
    for load in loads:
        machine.load = load
        several = [pacer.write(PROMPT, length) for _ in range(texts)]
        found.append(Paced(*map(np.concatenate, zip(*several))))
    return found


def chunks(paced, length=6 * LOOK, settling=3):
    """Milliseconds a token and variant of each chunk: without those in which a new load is met,
    and without the first of a text, which reads the prompt."""
    first = np.arange(0, len(paced.tokens), LOOK)
    kept = first[(first >= settling * LOOK) & (first % length > 0)]
    return 1000 * paced.seconds[kept], paced.variants[kept]


@pytest.mark.parametrize("felt", [{}, {"little": 0.5}, {"large": 1.5, "middle": 1.2}])
@pytest.mark.parametrize("seed", range(8))
def test_the_budget_is_kept_and_by_the_best_that_can(blank, felt, seed):
    machine = Machine(felt, seed=seed)
    loads = np.exp(np.random.default_rng(seed).uniform(0, np.log(5), 10))
    pacer = Pacer(blank, 6.0, machine)
    kept, best = [], []
    for load, paced in zip(loads, written(pacer, machine, loads, texts=4)):
        machine.load = load
        times, names = chunks(paced)
        kept += (times <= 6).tolist()
        surely = next((name for name in COSTS if machine.cost(name) < 0.75 * 6), "little")
        best += [COSTS[name] >= COSTS[surely] for name in names]
    assert np.mean(kept) >= 0.95
    assert np.mean(best) >= 0.8
    assert len(set(loads > 1.5)) == 2  # neither the best nor the fastest alone would do


def test_it_comes_back_when_the_load_falls_and_learns_at_once_from_one_variant(blank):
    machine = Machine(noise=0)
    calm, loaded, after = written(Pacer(blank, 6.0, machine), machine, (1, 4, 1))
    assert set(calm.variants) == {"large"} and calm.losses.mean() == 2.0
    assert chunks(loaded)[1].tolist() == ["little"] * 3
    assert "middle" not in loaded.variants[2 * LOOK :]  # what fits now was known without trying it
    assert set(after.variants[4 * LOOK :]) == {"large"}
    assert 2.0 < np.concatenate([calm.losses, loaded.losses, after.losses]).mean() < 2.5


def test_one_slow_chunk_is_forgiven(blank):
    machine = Machine(noise=0)
    pacer = Pacer(blank, 6.0, machine)
    costs = iter([4, 40])  # the first chunk reads, and writes
    machine.cost = lambda name: next(costs, COSTS[name])
    names = pacer.write(PROMPT, 7 * LOOK).variants[::LOOK].tolist()
    assert names == ["large", "little", *["large"] * 5]


def test_a_variant_that_was_blamed_wrongly_is_tried_again(blank):
    machine = Machine(noise=0)
    pacer = Pacer(blank, 6.0, machine)
    pacer.estimates[0] = 100
    names = written(pacer, machine, [1], texts=12)[0].variants[::LOOK].tolist()
    assert names[: budget.REST].count("large") == 0 and names[-10:] == ["large"] * 10


def test_one_that_is_always_too_slow_is_tried_rarely(blank):
    machine = Machine({"large": 3}, noise=0)
    (paced,) = written(Pacer(blank, 6.0, machine), machine, [1.8], texts=60)
    times, names = chunks(paced)
    assert np.mean(times <= 6) >= 0.95 and 1 <= np.sum(names == "large") <= 360 / budget.REST


def test_a_budget_that_nothing_keeps_is_said_and_the_fastest_writes(blank):
    machine = Machine(noise=0)
    pacer = Pacer(blank, 0.5, machine)
    paced = pacer.write(PROMPT, 4 * LOOK)
    assert set(paced.variants) == {"little"} and not paced.possible.any()
    assert (1000 * paced.seconds > 0.5).all()
    machine.load = 0.2
    eased = written(pacer, machine, [0.2], texts=2)[0]
    assert eased.possible[-LOOK:].all() and not eased.possible[0]


def test_the_time_of_reading_what_others_wrote_counts(variants):
    machine = Machine(noise=0)
    pacer = Pacer(variants, 6.0, machine)
    machine.load = 4
    seconds, names = (part[::LOOK] for part in pacer.write(PROMPT, 6 * LOOK)[3:0:-2])
    came = names.tolist().index("little")
    passes = -(-(len(PROMPT) + came * LOOK - 1) // 16)
    assert 1000 * seconds[came] == pytest.approx(4 * (1 + 1.5 * passes / LOOK))
    assert 1000 * seconds[-1] == pytest.approx(4)


def test_each_token_is_what_its_variant_thinks_most_likely(variants):
    machine, models = Machine(noise=0), {v.name: v.model for v in variants}
    pacer = Pacer(variants, 6.0, machine)
    text, order = list(PROMPT), ["large", "little", "large", "middle", "little", "large", "large"]
    turns = iter(order)
    ranks = [variant.name for variant in pacer.variants]
    pacer.pick = lambda: (ranks.index(next(turns)), True)
    paced = pacer.write(PROMPT, 7 * LOOK - 5)
    assert paced.variants.tolist() == np.repeat(order, LOOK)[:-5].tolist()
    for token, name in zip(paced.tokens, paced.variants):
        read = np.zeros((1, 128), np.int32)
        read[0, : len(text)] = text
        assert token == np.asarray(models[name](read))[0, len(text) - 1].argmax()
        text.append(token)
    for model in models.values():
        alone = decoding.generate(model, PROMPT, len(paced.tokens))[len(PROMPT) :].tolist()
        assert alone != paced.tokens.tolist()


def test_what_is_not_allowed_is_said(variants):
    clock = Machine()
    first, other = variants[0], Variant("other", small.decoder(context=128), 1.0)
    for wrong, limit, says in (
        ([], 1, "variants must hold at least one variant, got none"),
        ([first, first], 1, "names of their own, got middle, middle"),
        ([first, other], 1, "must have one vocabulary, got 24, 64"),
        ([Variant("x", small.decoder(24), 1.0), first], 1, "must have one context, got 8, 128"),
        ([Variant("x", small.decoder(24), 1.0)], 1, "context must be a whole number from 18"),
        ([Variant("x", first.model, float("nan"))], 1, "loss must be finite"),
        (variants, 0, "budget must be a number > 0, got 0"),
        (variants, float("nan"), "budget must be a number > 0, got nan"),
    ):
        with pytest.raises(ValueError, match=says):
            Pacer(wrong, limit, clock)
    pacer = Pacer(variants, 6.0, clock)
    for prompt, length in (([], 3), ([24], 3), ([1] * 126, 3), ([1] * 200, 1), ([1], 0)):
        with pytest.raises(ValueError, match="prompt|length"):
            pacer.write(prompt, length)
    with pytest.raises(ValueError, match="threads must be a whole number from 0"), busy(-1):
        pass


def test_the_load_is_there_while_it_is_wanted_and_no_longer():
    before = threading.active_count()
    with pytest.raises(KeyError), busy(3):
        assert threading.active_count() == before + 3
        raise KeyError
    assert threading.active_count() == before
