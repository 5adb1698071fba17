"""Exercises of lesson 2.3."""

import math

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def cache_bytes(depth, kv_heads, head_size, tokens, bits):
    return 2 * depth * kv_heads * head_size * tokens * bits / 8


def only_keys(depth, kv_heads, head_size, tokens, bits):
    return depth * kv_heads * head_size * tokens * bits / 8


def in_bits(depth, kv_heads, head_size, tokens, bits):
    return 2 * depth * kv_heads * head_size * tokens * bits


def always_floats(depth, kv_heads, head_size, tokens, bits):
    return 2 * depth * kv_heads * head_size * tokens * 4


def one_block(depth, kv_heads, head_size, tokens, bits):
    return 2 * kv_heads * head_size * tokens * bits / 8


def test_cache_bytes(answer):
    got = answer(4, 4, 32, 128, 32)
    expect(
        got != 262144,
        _("each token leaves a key and a value: two vectors for each head, and you counted one"),
    )
    expect(got != 8 * 524288, _("eight bits are one byte: divide the bits by 8"))
    expect(
        got == 524288,
        _(
            "docs-base has 4 blocks of 4 heads of 32 numbers; 128 tokens in 32 bits take 524,288 "
            "bytes, not {got}"
        ).format(got=got),
    )
    got = answer(80, 8, 128, 4096, 16)
    expect(
        got == 1342177280,
        _(
            "80 blocks, 8 heads of 128 numbers, 4,096 tokens, 16 bits: 1,342,177,280 bytes, not {got}"
        ).format(got=got),
    )
    expect(
        answer(3, 2, 10, 7, 4) == 420,
        _("3 blocks, 2 heads of 10 numbers, 7 tokens, 4 bits: 420 bytes"),
    )


def turning_batch(weights, cache, operations, bandwidth, peak):
    gained = operations / peak - cache / bandwidth
    return math.ceil(weights / bandwidth / gained) if gained > 0 else math.inf


def without_caches(weights, cache, operations, bandwidth, peak):
    return math.ceil(weights / bandwidth / (operations / peak))


def one_cache_for_all(weights, cache, operations, bandwidth, peak):
    return math.ceil((weights + cache) / bandwidth / (operations / peak))


def even_below_zero(weights, cache, operations, bandwidth, peak):
    gained = operations / peak - cache / bandwidth
    return math.ceil(weights / bandwidth / gained)


def test_turning_batch(answer):
    got = answer(1000, 0, 10, 100, 20)
    expect(
        got == 20,
        _(
            "1,000 bytes of weights at 100 a second take 10 s; each text brings 10 operations, which "
            "take 0.5 s: equal at batch 20, got {got}"
        ).format(got=got),
    )
    got = answer(1000, 25, 10, 100, 20)
    expect(
        got == 40,
        _(
            "each text has 25 bytes of cache of its own, which take 0.25 of its 0.5 s: batch 40, "
            "got {got}"
        ).format(got=got),
    )
    expect(
        answer(1000, 0, 7, 100, 20) == 29,
        _("10 s divided by 0.35 s is 28.6, and a batch is a whole number: 29"),
    )
    got = answer(1000, 80, 10, 100, 20)
    expect(
        got == math.inf,
        _(
            "where the cache of a text takes longer to read (0.8 s) than its operations take (0.5 s), "
            "no batch is large enough: math.inf, got {got}"
        ).format(got=got),
    )


def answer_seconds(prompt, length, prefill, decode):
    first = prompt / prefill
    return first, first + (length - 1) / decode


def first_written_too(prompt, length, prefill, decode):
    first = prompt / prefill
    return first, first + length / decode


def all_one_by_one(prompt, length, prefill, decode):
    first = prompt / decode
    return first, first + (length - 1) / decode


def one_more_step(prompt, length, prefill, decode):
    first = prompt / prefill + 1 / decode
    return first, first + (length - 1) / decode


def test_answer_seconds(answer):
    first, total = np.ravel(answer(1000, 1, 500, 10)).tolist()
    expect(
        abs(first - 2) < 1e-9,
        _(
            "1,000 tokens at 500 a second take 2 s, and whoever has read the prompt has the scores "
            "of the first token: 2 s, got {got}"
        ).format(got=first),
    )
    expect(
        abs(total - 2) < 1e-9,
        _("an answer of one token is there when the prompt has been read: 2 s, got {got}").format(
            got=total
        ),
    )
    first, total = np.ravel(answer(1000, 101, 500, 10)).tolist()
    expect(
        abs(first - 2) < 1e-9 and abs(total - 12) < 1e-9,
        _("100 more tokens at 10 a second take 10 s: 2 s and 12 s, got {first} and {total}").format(
            first=first, total=total
        ),
    )


def users(memory, weights, cache_a_token, context):
    return max(0, int((memory - weights) // (cache_a_token * context)))


def weights_for_each(memory, weights, cache_a_token, context):
    return int(memory // (weights + cache_a_token * context))


def nothing_but_caches(memory, weights, cache_a_token, context):
    return int(memory // (cache_a_token * context))


def less_than_none(memory, weights, cache_a_token, context):
    return int((memory - weights) // (cache_a_token * context))


def parts_of_users(memory, weights, cache_a_token, context):
    return max(0, (memory - weights) / (cache_a_token * context))


def test_users(answer):
    got = answer(100, 40, 2, 10)
    expect(
        got == 3,
        _(
            "60 of 100 bytes are left beside the weights, and a user of 10 tokens takes 20: 3 users, "
            "got {got}"
        ).format(got=got),
    )
    expect(
        answer(99, 40, 2, 10) == 2, _("with 59 bytes left the third user does not fit any more: 2")
    )
    expect(
        answer(30, 40, 2, 10) == 0,
        _("where not even the weights fit, there is room for 0 users, got {got}").format(
            got=answer(30, 40, 2, 10)
        ),
    )
    expect(
        answer(80e9, 13.476831232e9, 524288, 4096) == 30,
        _("80 GB, 7 billion weights of 16 bits, 4,096 tokens a user: 30 users"),
    )


EXERCISES = (
    Exercise(
        "02-3-cache",
        test_cache_bytes,
        "Count the numbers that one token leaves in one block: for each head that has keys and "
        "values of its own, how many?",
        cache_bytes,
        (only_keys, in_bits, always_floats, one_block),
        "Heads that share keys and values share their cache: 8 instead of 64 make it an eighth. "
        "That is what grouped-query attention is for.",
    ),
    Exercise(
        "02-3-turn",
        test_turning_batch,
        "Write down both times for a batch of b: b operations over the peak, and the weights plus b "
        "caches over the bandwidth. Where are they equal?",
        turning_batch,
        (without_caches, one_cache_for_all, even_below_zero),
        "All texts share one reading of the weights, and none shares a cache. With long contexts no "
        "batch makes decoding wait for arithmetic.",
    ),
    Exercise(
        "02-3-wait",
        test_answer_seconds,
        "What does the model hold in its hands when it has read the last token of the prompt?",
        answer_seconds,
        (first_written_too, all_one_by_one, one_more_step),
        "Two numbers, two regimes: how long until something happens, and how fast it goes on. One "
        "of them alone says nothing about the other.",
    ),
    Exercise(
        "02-3-users",
        test_users,
        "Weights are there once, whoever comes. What is left for caches, and how many whole ones "
        "fit into it?",
        users,
        (weights_for_each, nothing_but_caches, less_than_none, parts_of_users),
        "Once the weights fit, memory is for caches: halving their bits, or sharing heads, doubles "
        "the users. Halving the weights' bits does it only where the weights are most of it.",
    ),
)
