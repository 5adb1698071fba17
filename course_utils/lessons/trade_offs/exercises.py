"""Exercises of lesson 3.1, 3.3 and 3.4."""

import itertools
import numbers

import numpy as np

from course_utils import compression, evaluation, models, quantization
from course_utils.datasets import docs
from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def least_seconds(operations, size, bandwidth, peak):
    return max(size / bandwidth, operations / peak)


def one_after_the_other(operations, size, bandwidth, peak):
    return size / bandwidth + operations / peak


def the_faster_one(operations, size, bandwidth, peak):
    return min(size / bandwidth, operations / peak)


def test_least_seconds(answer):
    from_memory, by_arithmetic = answer(10, 400, 100, 1000), answer(4000, 400, 100, 1000)
    expect(
        abs(from_memory - 4) < 1e-9,
        _(
            "400 bytes at 100 a second take 4 s, 10 operations at 1,000 a second 0.01 s meanwhile: 4 "
            "s, got {got}"
        ).format(got=from_memory),
    )
    expect(
        abs(by_arithmetic - 4) < 1e-9,
        _("both take 4 s and run at once: 4 s, got {got}").format(got=by_arithmetic),
    )
    expect(
        abs(answer(8000, 400, 100, 1000) - 8) < 1e-9,
        _("8,000 operations take 8 s: now arithmetic decides"),
    )


def tokens_per_second(parameters, bits, bandwidth):
    return bandwidth / (parameters * bits / 8)


def bits_for_bytes(parameters, bits, bandwidth):
    return bandwidth / (parameters * bits)


def whatever_the_bits(parameters, bits, bandwidth):
    return bandwidth / (parameters * 4)


def test_tokens_per_second(answer):
    got = answer(7e9, 16, 140e9)
    expect(got != 1.25, _("the bandwidth counts bytes and a weight has 16 bits: divide them by 8"))
    expect(
        abs(got - 10) < 1e-6,
        _(
            "7 billion weights of 2 bytes are 14 GB; 140 GB/s read them 10 times a second, not {got}"
        ).format(got=got),
    )
    fewer = answer(7e9, 4.5, 140e9)
    expect(
        abs(fewer - 140 / 3.9375) < 1e-6,
        _("at 4.5 bits it is {expected:.1f}, got {got}").format(expected=140 / 3.9375, got=fewer),
    )


def exact_product(x, w):
    return x.astype(np.int32) @ w.astype(np.int32)


def in_eight_bits(x, w):
    return x @ w


def widened_too_late(x, w):
    return (x @ w).astype(np.int32)


def in_sixteen_bits(x, w):
    return x.astype(np.int16) @ w.astype(np.int16)


def test_exact_product(answer):
    random = np.random.default_rng(0)
    small = np.asarray(answer(np.array([[100, 3]], np.int8), np.array([[2], [1]], np.int8)))
    expect(
        small.shape == (1, 1),
        _("one row times one column is one number: shape (1, 1), yours has {shape}").format(
            shape=small.shape
        ),
    )
    expect(
        small.tolist() == [[203]],
        _(
            "100 * 2 + 3 * 1 is 203, got {got}: NumPy multiplies int8 in 8 bits and wraps around"
        ).format(got=small.tolist()),
    )
    x, w = (random.integers(100, 128, shape).astype(np.int8) for shape in ((4, 512), (512, 3)))
    got = np.asarray(answer(x, w))
    expect(
        np.array_equal(got, x.astype(np.int64) @ w.astype(np.int64)),
        _("512 products of up to 127 * 127 do not fit in 16 bits: the sums need 32"),
    )
    expect(
        got.dtype == np.int32, _("the sums are int32, yours are {dtype}").format(dtype=got.dtype)
    )


def choose_bits(harm, size, budget):
    bits = {name: min(widths) for name, widths in harm.items()}
    while True:
        left = budget - sum(bits[name] * size[name] for name in bits)
        worth = {}
        for name, widths in harm.items():
            for wider in widths:
                price = (wider - bits[name]) * size[name]
                if 0 < price <= left:
                    worth[name, wider] = (widths[bits[name]] - widths[wider]) / price
        if not worth or max(worth.values()) <= 0:
            return bits
        name, wider = max(worth, key=worth.get)
        bits[name] = wider


def same_for_all(harm, size, budget):
    per_weight = budget / sum(size.values())
    return {
        name: max(width for width in widths if width <= per_weight) for name, widths in harm.items()
    }


def the_best_of_each(harm, size, budget):
    return {name: min(widths, key=widths.get) for name, widths in harm.items()}


def whatever_it_costs(harm, size, budget):
    ones = dict.fromkeys(size, 1)
    return choose_bits(harm, ones, budget / sum(size.values()) * len(size))


def by_harm_alone(harm, size, budget):
    bits = {name: min(widths) for name, widths in harm.items()}
    for name in sorted(harm, key=lambda name: -harm[name][bits[name]]):
        left = budget - sum(bits[each] * size[each] for each in bits)
        fits = [w for w in harm[name] if (w - bits[name]) * size[name] <= left]
        bits[name] = max(fits)
    return bits


WIDTHS = (2, 3, 4, 5, 6, 8)
PRACTICE = (  # harm, sizes and a budget: small enough to try all choices
    (
        {
            "a": {2: 0.5, 4: 0.1, 8: 0.0},
            "b": {2: 0.6, 4: 0.05, 8: 0.0},
            "c": {2: 0.02, 4: 0.01, 8: 0.0},
        },
        {"a": 100, "b": 1000, "c": 100},
        4800,
    ),
    (
        {
            "a": {2: 0.9, 4: 0.2, 8: 0.01},
            "b": {2: 1.0, 4: 0.9, 8: 0.8},
            "c": {2: 0.3, 4: 0.1, 8: 0.0},
        },
        {"a": 100, "b": 1000, "c": 100},
        4400,
    ),
)


def spent(bits, size):
    """Returns the bits of all weights."""
    return sum(bits[name] * size[name] for name in size)


def least_harm(harm, size, budget):
    """Returns the smallest sum of harms that a budget allows, by trying all choices."""
    choices = (dict(zip(harm, widths)) for widths in itertools.product(*harm.values()))
    return min(
        sum(harm[name][bits[name]] for name in harm)
        for bits in choices
        if spent(bits, size) <= budget
    )


def expect_choice(bits, harm, size, budget):
    """Refuses what is no choice of a width for each matrix, or costs too much."""
    names = ", ".join(harm)
    expect(
        isinstance(bits, dict) and set(bits) == set(harm),
        _("the answer is a dictionary with a width for each of {names}").format(names=names),
    )
    for name, width in bits.items():
        expect(
            isinstance(width, numbers.Integral) and width in harm[name],
            _("the width of {name} must be one of {widths}, got {got!r}").format(
                name=name, widths=list(harm[name]), got=width
            ),
        )
    expect(
        spent(bits, size) <= budget,
        _("your choice takes {spent:,} bits, and there are {budget:,.0f} to spend").format(
            spent=spent(bits, size), budget=budget
        ),
    )


def harms(model, tokens):
    """Returns by how much the loss rises when one matrix alone has so many bits, in nats."""
    before, found = evaluation.next_token(model, tokens).loss, {}
    for bits in WIDTHS:
        recipe = [compression.Quantize(quantization.absmax, bits=bits)]
        for name, loss in compression.sensitivity(
            model, recipe, lambda small: evaluation.next_token(small, tokens).loss
        ).items():
            found.setdefault(name, {})[bits] = loss - before
    return found


def test_choose_bits(answer):
    for harm, size, budget in PRACTICE:
        bits = answer(harm, size, budget)
        expect_choice(bits, harm, size, budget)
        mine, best = sum(harm[name][bits[name]] for name in harm), least_harm(harm, size, budget)
        expect(
            mine <= 1.2 * best,
            _(
                "with {budget:,} bits for matrices of {sizes} weights your harm adds up to {mine:.2f}, "
                "and {best:.2f} is possible: spend where a bit takes away most"
            ).format(budget=budget, sizes=list(size.values()), mine=mine, best=best),
        )
    model = models.load("docs-tiny")
    size = {
        weight.name: weight.matrix().size
        for weight in compression.weights(model)
        if not weight.skipped_because
    }
    harm, budget = harms(model, docs.sequences("train", 16)), 4 * sum(size.values())
    bits = answer(harm, size, budget)
    expect_choice(bits, harm, size, budget)
    perplexity = []
    for widths in (dict.fromkeys(size, 4), bits):
        recipe = [
            compression.Quantize(quantization.absmax, only=name, bits=int(width))
            for name, width in widths.items()
        ]
        small = compression.compress(model, recipe).model
        tokens = docs.sequences("validation", 64)
        perplexity.append(evaluation.next_token(small, tokens).perplexity)
    expect(
        perplexity[1] < 0.93 * perplexity[0],
        _(
            "docs-tiny has a validation perplexity of {reached:.2f} with your widths and {before:.2f} "
            "with 4 bits everywhere: the aim is 7% below that"
        ).format(reached=perplexity[1], before=perplexity[0]),
    )


EXERCISES = (
    Exercise(
        "03-4-roof",
        test_least_seconds,
        "While one part of the matrix is multiplied, the next one is on its way. Which of the two "
        "has to be waited for?",
        least_seconds,
        (one_after_the_other, the_faster_one),
        "That is the whole roofline. Fewer bytes shorten the first term alone; where the second is "
        "larger, nothing is won.",
    ),
    Exercise(
        "03-4-tokens",
        test_tokens_per_second,
        "To write one token, each weight is read once. How many bytes is that, and how often do "
        "they fit into the bandwidth?",
        tokens_per_second,
        (bits_for_bytes, whatever_the_bits),
        "This is why 4-bit files write faster on computers that multiply no 4-bit integers at all: "
        "they only have to be read.",
    ),
    Exercise(
        "03-4-exact",
        test_exact_product,
        "Widen both arrays before they are multiplied, not after.",
        exact_product,
        (in_eight_bits, widened_too_late, in_sixteen_bits),
        "A product of two codes fits in 16 bits, their sum does not. Processors with 8-bit "
        "products add them up in 32.",
    ),
    Exercise(
        "03-4-bits",
        test_choose_bits,
        "Begin with the narrowest width everywhere. Of all steps to a wider one that you can still "
        "pay, take the one with the most harm removed for each bit that it costs; repeat until none "
        "is left.",
        choose_bits,
        (same_for_all, the_best_of_each, whatever_it_costs, by_harm_alone),
        "One width for all is a choice, too, and seldom the best. The harms were measured one matrix "
        "at a time; that they add up is a guess, which is why the result is measured again, on text "
        "that nothing was chosen by.",
    ),
)
