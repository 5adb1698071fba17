"""The file format: everything comes back, the ledger is the file, and nothing damaged ever
loads."""

import dataclasses
import json
import pickle
import zlib

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import small
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils import container, models, pruning, quantization, storage
from course_utils.compression import Prune, Quantize, compress
from course_utils.models.description import describe
from course_utils.quantization import QuantizedTensor, packed_bytes
from course_utils.storage import choice, file, layouts

seeds = st.integers(0, 2**32)
normal = np.random.default_rng(0).standard_normal((96, 40)).astype(np.float32)


@st.composite
def tensors(draw):
    """One tensor of any kind that a recipe can make, pruned or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.sampled_from([(1, 1), (7, 3), (40, 5), (64, 33)]))
    weights = rng.standard_normal(shape).astype(np.float32) * draw(
        st.sampled_from([1e-6, 0.05, 1.0, 1e6])
    )
    weights[rng.random(shape) < draw(st.sampled_from([0, 0.5, 0.9, 0.99, 1]))] = 0
    if draw(st.booleans()):
        weights = np.full_like(weights, weights.flat[0])  # all equal
    group = draw(st.sampled_from(["tensor", "channel", 1, 3, 32]))
    bits = draw(st.integers(2, 8))
    rules = [
        lambda: weights,
        lambda: weights.astype(np.float64),
        lambda: weights.astype(ml_dtypes.bfloat16),
        lambda: (weights / 64).astype(np.float16) if abs(weights).max() < 1e5 else weights,
        lambda: weights[0],
        lambda: np.float32(weights[0, 0]),
        lambda: quantization.step(
            weights, draw(st.sampled_from([0.01, 1, 1e9])) * max(np.abs(weights).max(), 1e-9)
        ),
        lambda: quantization.step(
            weights.astype(float),  # codes of 32 bits
            max(float(np.abs(weights).max()), 1e-9) / (2**31 - 2),
        ),
        lambda: quantization.absmax(weights, bits, group),
        lambda: quantization.clipped(weights, bits, group),
        lambda: quantization.affine(weights, bits, group),
        lambda: quantization.kmeans(weights, bits),
        lambda: quantization.nf4(weights, group),
        lambda: quantization.fp4(weights, group),
        lambda: quantization.binary(weights, group),
        lambda: QuantizedTensor(
            rng.integers(-(2**31) + 1, 2**31, shape, dtype=np.int64), np.float32(0.5), 32
        ),
    ]
    return draw(st.sampled_from(rules))()


def floats(tensor):
    return tensor.dequantize() if isinstance(tensor, QuantizedTensor) else np.asarray(tensor)


# --- round trips ---------------------------------------------------------------------------------


@given(st.lists(tensors(), max_size=4), st.sampled_from(storage.STORAGE))
@settings(max_examples=120)
def test_any_mix_of_tensors_comes_back(mix, kind):
    named = {f"layer_{i}/kernel": tensor for i, tensor in enumerate(mix)}
    content, ledger = storage.encode(named, kind, model={"class": "x", "config": [1, None, "θ"]})
    back, model = storage.decode(content)
    assert model == {"class": "x", "config": [1, None, "θ"]} and list(back) == list(named)
    for name, tensor in named.items():
        assert floats(back[name]).dtype == floats(tensor).dtype
        np.testing.assert_array_equal(floats(back[name]), floats(tensor))
        if isinstance(tensor, QuantizedTensor):
            np.testing.assert_array_equal(back[name].codes, tensor.codes)
            assert (back[name].bits, back[name].group_size) == (tensor.bits, tensor.group_size)
    assert ledger.total == sum(ledger.parts.values()) == len(content)
    assert (
        sum(size for _, _, size in ledger.layouts.values()) == ledger.total - ledger.parts["header"]
    )
    assert ledger.weights == sum(floats(tensor).size for tensor in mix)


@given(
    st.integers(1, 400), st.integers(0, 2**32), st.integers(-(10**6), 10**6), st.integers(0, 300)
)
def test_entropy_coding_round_trip(count, seed, low, span):
    codes = low + np.random.default_rng(seed).geometric(0.2, count).clip(0, span)
    table, words = storage.entropy_encode(codes, low, low + span)
    np.testing.assert_array_equal(storage.entropy_decode(table, words, count, low), codes)


@given(st.integers(1, 500), st.floats(0, 1), st.integers(0, 2**32), st.integers(0, 9))
def test_gaps_point_at_every_kept_weight(size, share, seed, bits):
    kept = np.flatnonzero(np.random.default_rng(seed).random(size) < share)
    if not kept.size:
        return
    stored = storage.gap_entries(kept, bits)
    distances = np.diff(stored, prepend=-1) - 1
    assert (
        np.isin(kept, stored).all()
        and np.all(np.diff(stored) > 0)
        and stored[0] >= 0
        and stored[-1] == kept[-1]
    )
    assert distances.max() < 2**bits
    chosen, entries = storage.gap_bits(kept, bits)
    assert len(storage.gap_entries(kept, chosen)) == entries


@given(
    st.integers(20, 3000), st.floats(0.002, 0.3), st.integers(0, 2**32), st.sampled_from([1, 4, 32])
)
def test_the_width_of_gaps_is_the_best_of_all(size, share, seed, width):
    kept = np.flatnonzero(np.random.default_rng(seed).random(size) < share)
    if not kept.size:
        return

    def takes(bits):
        entries = len(storage.gap_entries(kept, bits))
        return packed_bytes(bits, entries) + packed_bytes(width, entries)

    bits, entries = storage.gap_bits(kept, width)
    assert entries == len(storage.gap_entries(kept, bits))
    assert takes(bits) == min(map(takes, range(13)))


# --- layouts -------------------------------------------------------------------------------------


def some(kept):
    """3840 floats, whole numbers up to 7, of which only so many are not zero, anywhere."""
    rng, flat = np.random.default_rng(2), np.zeros(3840, np.float32)
    flat[rng.permutation(flat.size)[:kept]] = rng.integers(1, 8, kept) * rng.choice([-1, 1], kept)
    return flat


def every_32nd():
    flat = np.zeros(3840, np.float32)
    flat[31::32] = some(3840)[:120]
    return flat


def codes(flat):
    return QuantizedTensor(flat.astype(np.int8), np.float32(1), 4)


SKEWED = np.repeat(np.float32([0, 1, 2, 7]), [7000, 1000, 1000, 1000])
HALF, BRAIN = np.float16, ml_dtypes.bfloat16
SMALLEST = [  # of neighbours, the second has so many weights less that they pay for the bitmap
    (layouts.Raw, some(3720), {"untouched": 4 * 3840}),
    (layouts.FloatBitmap, some(3650), {"indices": 480, "payload": 4 * 3650}),
    (layouts.ShortBitmap, some(3500).astype(HALF), {"indices": 480, "payload": 2 * 3500}),
    (layouts.ShortGaps, every_32nd().astype(BRAIN), {"indices": 75, "payload": 2 * 120}),
    (layouts.FloatGaps, every_32nd(), {"indices": 120 * 5 // 8, "payload": 4 * 120}),
    (layouts.Packed, codes(some(2880)), {"payload": 3840 // 2}),
    (layouts.CodeBitmap, codes(some(2600)), {"indices": 480, "payload": 2600 // 2}),
    (layouts.CodeGaps, codes(every_32nd()), {"indices": 120 * 5 // 8, "payload": 120 // 2}),
    (layouts.Ans, codes(SKEWED), {"codebooks": 8, "payload": pytest.approx(1696, rel=0.02)}),
]  # 1.357 bits, the entropy of 0.7, 0.1, 0.1, 0.1, times 10,000 are 1,696 bytes


@pytest.mark.parametrize(("kind", "tensor", "parts"), SMALLEST)
def test_each_layout_is_chosen_where_it_is_smallest(kind, tensor, parts):
    storage_kind = "entropy" if kind is layouts.Ans else "fixed"
    content, ledger = storage.encode({"w": tensor}, storage_kind)
    flat, candidates = tried(tensor, storage_kind == "entropy")
    sizes = {type(layout): sum(layout.sizes(flat.size).values()) for layout in candidates}
    assert min(sizes, key=sizes.get) is kind
    chosen = next(layout for layout in candidates if type(layout) is kind)
    assert ledger.layouts["w"] == (str(chosen), flat.size, sizes[kind])
    assert {part: size for part, size in ledger.parts.items() if size and part != "header"} == parts
    back = storage.decode(content)[0]["w"]
    np.testing.assert_array_equal(getattr(back, "codes", back), flat)


def tried(tensor, entropy):
    """Returns a tensor, flat, and the layouts that are tried for it."""
    if not isinstance(tensor, QuantizedTensor):
        return tensor, list(layouts.float_layouts(tensor))
    flat = tensor.codes.astype(np.int64)
    return flat, list(layouts.code_layouts(flat, 0, entropy))


def test_every_layout_has_such_a_place():
    assert {kind for kind, _, _ in SMALLEST} == set(layouts.LAYOUTS.values())


@st.composite
def flat_codes(draw):
    """Flat codes, of which one value takes any share, and that value."""
    size, rng = draw(st.integers(1, 2000)), np.random.default_rng(draw(st.integers(0, 2**32)))
    low = draw(st.integers(-(2**31), 2**31))
    span = draw(st.sampled_from([0, 1, 6, 254, 300, 2**31]))
    zero = low + draw(st.integers(0, span))
    flat = rng.integers(low, low + span, size, endpoint=True)
    return np.where(rng.random(size) < draw(st.floats(0, 1)), flat, zero), zero


def comes_back(layout, flat):
    """What a layout promises: its sizes by part, and the tensor, from what the header says."""
    written = layout.write(flat)
    assert {part: len(piece) for part, piece in written.items()} == layout.sizes(flat.size)
    assert set(written) <= set(storage.PARTS)
    assert all(piece.dtype == np.uint8 for piece in written.values())
    again = layouts.layout_of(json.loads(json.dumps(dataclasses.asdict(layout))))
    assert again == layout
    around = {part: np.concatenate([[7], piece, [9]]) for part, piece in written.items()}
    pieces = layouts.Pieces({part: piece.astype(np.uint8) for part, piece in around.items()})
    for part in written:
        assert pieces.take(part, 1) == 7
    np.testing.assert_array_equal(again.read(pieces, flat.size), flat)
    for part in written:
        assert pieces.take(part, 1) == 9 and pieces.left(part) == 0  # all was taken, and no more


@given(flat_codes(), st.booleans())
def test_layouts_of_codes_take_their_size_and_come_back(drawn, entropy):
    flat, zero = drawn
    for layout in layouts.code_layouts(flat, zero, entropy):
        comes_back(layout, flat)


@given(flat_codes(), st.sampled_from([np.float32, np.float64, np.float16, np.int64]))
@pytest.mark.filterwarnings("ignore:overflow")
def test_layouts_of_floats_take_their_size_and_come_back(drawn, dtype):
    flat, zero = drawn
    flat = (flat - zero).astype(dtype)
    for layout in layouts.float_layouts(flat):
        comes_back(layout, flat)


@pytest.mark.parametrize("width", range(33))
@pytest.mark.parametrize("size", [1, 7, 100, 3840])
def test_a_bitmap_that_is_not_tried_would_not_be_smaller(width, size):
    entries = int(np.ceil(0.97 * size))
    bitmap = layouts.CodeBitmap(entries, 0, width, 0)
    packed = layouts.Packed(0, width)
    assert sum(bitmap.sizes(size).values()) >= sum(packed.sizes(size).values())


# --- the smallest file ---------------------------------------------------------------------------


def too_long(named, kind, model=None):
    """By how many bytes a file is longer than with another layout of any one tensor, each written
    out; 0 if there is no shorter one."""
    drafts = [file.Draft(name, tensor, kind == "entropy") for name, tensor in named.items()]
    described, content = file.COMPACT(model), storage.encode(named, kind, model)[0]
    chosen = file._chosen(drafts, described)

    def length(*layouts):
        return len(file._write(drafts, layouts, described)[0])

    assert length(*chosen) == len(content)
    return len(content) - min(
        length(*chosen[:i], other, *chosen[i + 1 :])
        for i, draft in enumerate(drafts)
        for other in draft.layouts
    )


@given(st.lists(tensors(), min_size=1, max_size=4), st.sampled_from(storage.STORAGE))
@settings(max_examples=60)
def test_no_other_layout_of_one_tensor_makes_the_file_shorter(mix, kind):
    assert too_long({f"layer_{i}/kernel": one for i, one in enumerate(mix)}, kind) == 0


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0, 1)), min_size=1, max_size=8), seeds)
@settings(max_examples=40)
def test_nor_among_biases_of_which_some_weights_are_zero(biases, seed):
    rng = np.random.default_rng(seed)
    named = {
        f"dense_{i}/bias": np.where(rng.random(size) < share, 0, rng.standard_normal(size))
        for i, (size, share) in enumerate(biases)
    }
    assert too_long({name: one.astype(np.float32) for name, one in named.items()}, "fixed") == 0


RECIPES = {
    "unchanged": [],
    "half pruned": [Prune(pruning.magnitude, pruning.fraction(0.5))],
    "pruned": [Prune(pruning.magnitude, pruning.fraction(0.95))],
    "pruned, rounded": [
        Prune(pruning.magnitude, pruning.fraction(0.9)),
        Quantize(quantization.absmax, bits=4, group_size=32),
    ],
    "2:4": [Prune(pruning.magnitude, pruning.n_of_m(2, 4)), Quantize(quantization.absmax, bits=2)],
    "step": [Quantize(quantization.step, step=0.3)],
    "shared": [Quantize(quantization.kmeans, bits=2)],
}


def whole_model(name, recipe):
    """The tensors and the description of a model after a recipe."""
    model = small.decoder() if name == "small" else models.load(name)
    return compress(model, RECIPES[recipe]).tensors, describe(model)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ["small", "digits-mlp", "digits-lenet", "docs-tiny", "docs-lstm"])
def test_nor_in_a_whole_model(name, recipe):
    named, model = whole_model(name, recipe)
    assert [too_long(named, kind, model) for kind in storage.STORAGE] == [0, 0]


def test_without_what_layouts_take_in_the_header_a_file_is_too_long(monkeypatch):
    named, model = whole_model("digits-mlp", "unchanged")
    monkeypatch.setattr(
        file, "smallest", lambda sizes, *more: [some.index(min(some)) for some in sizes]
    )
    assert too_long(named, "fixed", model) > 100


def test_beside_a_long_description_hardly_a_byte_is_lost():
    named, _ = whole_model("digits-mlp", "half pruned")
    words = np.random.default_rng(0).integers(0, 2000, file.LONG).tolist()
    lost = [too_long(named, kind, words) for kind in storage.STORAGE]
    fixed, entropy = (len(storage.encode(named, kind, words)[0]) for kind in storage.STORAGE)
    assert max(lost) <= 8 and entropy <= fixed


@pytest.mark.parametrize("size", [1, 300, 2**18])
def test_floats_that_are_all_zero_take_next_to_nothing(size):
    zeros = np.zeros(size, np.float32)
    content, ledger = storage.encode({"bias": zeros})
    assert ledger.total - ledger.parts["header"] == (0 if size < 2**16 else size // 8)
    np.testing.assert_array_equal(storage.decode(content)[0]["bias"], zeros)


def test_tensors_that_differ_by_more_than_their_notes_cost_no_comparison():
    sizes = [[4000, 125 + 1000], [choice.NOTES, 0], [7]]
    assert choice.smallest(sizes, length=None) == (1, 1, 0)


def test_of_equals_the_simpler_layout_is_chosen():
    assert choice.smallest([[8, 8], [9, 8, 9]], length=lambda chosen: 100) == (0, 0)


@given(st.dictionaries(st.sampled_from(storage.PARTS), st.integers(0, 20000)))
def test_the_length_of_a_file_is_known_before_it_is_written(sizes):
    rows = {part: np.zeros(size, np.uint8) for part, size in sizes.items()}
    assert container.length(sizes) == len(container.pack(rows, {}))


# --- sizes ---------------------------------------------------------------------------------------


@given(st.lists(tensors(), min_size=1, max_size=3))
def test_entropy_storage_is_never_larger(mix):
    named = {str(i): tensor for i, tensor in enumerate(mix)}
    fixed, entropy = (storage.encode(named, kind)[1] for kind in storage.STORAGE)
    assert entropy.total <= fixed.total


def test_the_notes_of_the_entropy_coder_are_counted():
    """64 codes: the coder saves some 20 bytes of them, and its table takes more."""
    few = quantization.absmax(np.random.default_rng(0).standard_normal((64, 8)), 4)
    fixed, entropy = (len(storage.encode({"w": few}, kind)[0]) for kind in storage.STORAGE)
    assert entropy <= fixed


@pytest.mark.parametrize("kind", [HALF, BRAIN])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_floats_of_16_bits_take_2_bytes_and_come_back(kind, share):
    values = np.where(np.abs(normal) < np.quantile(np.abs(normal), share), 0, normal).astype(kind)
    content, ledger = storage.encode({"w": values, "whole": np.arange(9, dtype=np.int16)})
    back = storage.decode(content)[0]
    assert back["w"].dtype == kind and back["whole"].dtype == np.int16
    np.testing.assert_array_equal(back["w"], values)
    most = 2 * np.count_nonzero(values) + (values.size / 8 if share else 0) + 18
    assert ledger.total - ledger.parts["header"] <= most


def test_entropy_coder_reaches_the_entropy_and_beats_zlib():
    codes = quantization.step(np.random.default_rng(1).standard_normal(400_000), 0.2).codes
    counts = np.unique(codes, return_counts=True)[1]
    entropy = -np.sum(counts / codes.size * np.log2(counts / codes.size))
    table, words = storage.entropy_encode(codes, int(codes.min()), int(codes.max()))
    bits = 8 * (len(table) + words.nbytes) / codes.size
    assert entropy <= bits < 1.01 * entropy
    assert len(zlib.compress(codes.astype(np.int8).tobytes(), 9)) > 1.08 * (
        len(table) + words.nbytes
    )


def test_ledger_names_where_bytes_went():
    weights = {
        "a": quantization.absmax(normal, 4, 32),
        "b": quantization.kmeans(normal, 3),
        "bias": np.ones(40, np.float32),
    }
    ledger = storage.encode(weights)[1]
    assert ledger.parts["payload"] == normal.size * 4 // 8 + normal.size * 3 // 8
    assert ledger.parts["scales"] == 3 * 40 * 2  # float16
    assert ledger.parts["codebooks"] == 8 * 4 and ledger.parts["untouched"] == 40 * 4
    assert ledger.bits_per_weight == 8 * ledger.total / (2 * normal.size + 40)
    assert f"{ledger.total:,} bytes" in str(ledger)


def test_empty_and_single():
    content, ledger = storage.encode({})
    assert storage.decode(content) == ({}, None) and ledger.total == len(content)
    one = quantization.step(np.array([0.7]), 0.1)
    assert storage.decode(storage.encode({"one": one})[0])[0]["one"].dequantize() == np.float32(0.7)


def test_unknown_storage():
    with pytest.raises(ValueError, match="unknown storage 'zip'; choose from: fixed, entropy"):
        storage.encode({}, "zip")


# --- damage --------------------------------------------------------------------------------------

CONTENT = storage.encode(
    {
        "a": quantization.absmax(np.where(np.abs(normal) > 1.5, normal, 0), 4, 32),
        "b": quantization.affine(normal, 3),
        "c": quantization.kmeans(normal, 3),
        "bias": normal[0],
    },
    "entropy",
    model={"name": "x"},
)[0]
HEADER = 8 + int.from_bytes(CONTENT[:8], "little")


@pytest.mark.parametrize(
    "length",
    sorted(
        {
            0,
            1,
            7,
            8,
            9,
            HEADER - 1,
            HEADER,
            HEADER + 1,
            len(CONTENT) - 1,
            *range(16, len(CONTENT), len(CONTENT) // 40),
        }
    ),
)
def test_truncated_files_do_not_load(length):
    with pytest.raises(ValueError, match=r"m\.safetensors is (damaged|not a file of this course)"):
        storage.decode(CONTENT[:length], "m.safetensors")


def test_no_flipped_bit_goes_unnoticed():
    rng = np.random.default_rng(3)
    places = np.concatenate(
        [
            np.arange(min(HEADER, 400)),
            rng.integers(0, HEADER, 100),
            rng.integers(HEADER, len(CONTENT), 300),
        ]
    )
    for place in places:
        damaged = bytearray(CONTENT)
        damaged[place] ^= 1 << rng.integers(8)
        try:
            storage.decode(bytes(damaged), "m.safetensors")
        except ValueError as problem:
            assert (
                "m.safetensors" in str(problem) and type(problem) is ValueError
            )  # not a UnicodeDecodeError
        else:  # pragma: no cover
            raise AssertionError(f"a flipped bit at byte {place} of {len(CONTENT)} went unnoticed")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "damaged or no safetensors"),
        (b"\0" * 64, "damaged or no safetensors"),
        (pickle.dumps({"w": [1.0, 2.0]}), "damaged or no safetensors"),
        (b"PK\3\4" + b"\0" * 100, "damaged or no safetensors"),
        (safetensors.numpy.save({"w": normal}), "not a file of this course: format None"),
        (
            safetensors.numpy.save({"w": normal}, {"format": "pt"}),
            "not a file of this course: format 'pt'",
        ),
        (
            safetensors.numpy.save({"w": normal}, {"format": container.FORMAT}),
            "do not match their checksum",
        ),
        (container.pack({"w": normal}, {"record": "{}"}), "holds no compressed model"),
        (CONTENT + b"\0", "damaged"),
    ],
)
def test_foreign_files_do_not_load(content, says):
    with pytest.raises(ValueError, match=says):
        storage.decode(content, "m.safetensors")


def test_swapped_tensors_are_noticed():
    arrays, notes = {"a": normal, "b": normal + 1}, {"note": "x"}
    packed = container.pack(arrays, notes)
    back, read = container.unpack(packed, "it")
    assert read == notes and all(np.array_equal(back[name], arrays[name]) for name in arrays)
    metadata = json.loads(packed[8 : 8 + int.from_bytes(packed[:8], "little")])["__metadata__"]
    swapped = safetensors.numpy.save({"a": arrays["b"], "b": arrays["a"]}, metadata)
    with pytest.raises(ValueError, match="2 tensors do not match their checksum"):
        container.unpack(swapped, "it")


# --- a true checksum and a false inside ----------------------------------------------------------

HEAD = {"bits": 4, "group_size": None, "scale": 1.0, "zero_point": 0, "codebook": None}
PACKED, RAW = {"width": 4, "low": 0}, {"dtype": "<f4"}


def u8(*values):
    return np.array(values, np.uint8)


def signed(tensors, model=None, **parts):
    """A file whose checksum is true, whatever is in it."""
    text = json.dumps({"tensors": tensors, "model": model}).encode()
    return container.pack({**parts, "layout": np.frombuffer(zlib.compress(text), np.uint8)}, {})


def one(shape, layout, constants=HEAD, **parts):
    return signed([["w", shape, layout, constants]], **parts)


def packed(text):
    return container.pack({"layout": np.frombuffer(zlib.compress(text), np.uint8)}, {})


FALSE = {
    "terabytes": one([10**6, 10**6], {**PACKED, "width": 0}),
    "17 GB of nothing": one([2**31], {**PACKED, "width": 0}, payload=u8()),
    "a negative size": one([-1], PACKED, payload=u8(1)),
    "a size that is no number": one(["2"], PACKED, payload=u8(1)),
    "a shape that is none": one(2, PACKED, payload=u8(1)),
    "no codes": one([0], PACKED, payload=u8()),
    "an unknown type": one([1], {"dtype": "<U2"}, [], untouched=u8(*range(8))),
    "Python's objects": one([1], {"dtype": "|O"}, [], untouched=u8(*range(8))),
    "a wide code": one([2], {**PACKED, "width": 99}, payload=u8(1)),
    "a code beyond 32 bits": one([2], {**PACKED, "low": 2**40}, payload=u8(0x21)),
    "a code beyond its bits": one([2], {**PACKED, "width": 8}, payload=u8(0, 255)),
    "bits that are none": one([2], PACKED, {**HEAD, "bits": "many"}, payload=u8(1)),
    "a group of none": one([2], PACKED, {**HEAD, "group_size": 0}, payload=u8(1)),
    "a scale of NaN": one([2], PACKED, {**HEAD, "scale": float("nan")}, payload=u8(1)),
    "a scale below 0": one([2], PACKED, {**HEAD, "scale": -1}, payload=u8(1)),
    "no scale": one([2], PACKED, {**HEAD, "scale": None}, payload=u8(1)),
    "scales of another shape": one(
        [2, 1], PACKED, {**HEAD, "scale": ["<f2", [3, 1]]}, payload=u8(1), scales=u8(0, 60) * 3
    ),
    "scales that are missing": one(
        [2, 1], PACKED, {**HEAD, "scale": ["<f2", [1, 1]]}, payload=u8(1)
    ),
    "a codebook without places": one(
        [2], PACKED, {**HEAD, "codebook": ["<f4", [1]]}, payload=u8(0x21), codebooks=u8(0, 0, 0, 0)
    ),
    "a key too many": one([2], PACKED, {**HEAD, "more": 1}, payload=u8(1)),
    "a layout without name": one([2], {"deep": 4}, payload=u8(1)),
    "floats with a scale": one([1], RAW, untouched=u8(0, 0, 0, 0)),
    "codes without a scale": one([2], PACKED, [], payload=u8(1)),
    "infinity": one(
        [1], RAW, [], untouched=np.frombuffer(np.float32([np.inf]).tobytes(), np.uint8)
    ),
    "a byte too many": one([2], PACKED, payload=u8(1, 2)),
    "a byte too few": one([3], PACKED, payload=u8(1)),
    "an unknown part": one([2], PACKED, payload=u8(1), more=u8(1)),
    "a gap over the end": one(
        [4], {**PACKED, "gap": 8, "entries": 1, "zero": 0}, indices=u8(200), payload=u8(1)
    ),
    "a bitmap of another count": one(
        [4], {**PACKED, "entries": 1, "zero": 0}, indices=u8(3), payload=u8(1)
    ),
    "another zero": one([4], {**PACKED, "entries": 1, "zero": 1}, indices=u8(1), payload=u8(1)),
    "terabytes of the coder": one(
        [2**40], {"levels": 2, "low": 0, "words": 1}, codebooks=u8(8, 8), payload=u8(1, 2, 3, 4)
    ),
    "lengths of the coder": one(
        [8], {"levels": 2, "low": 0, "words": 1}, codebooks=u8(8, 254), payload=u8(1, 2, 3, 4)
    ),
    "no level of the coder": one(
        [8], {"levels": 1, "low": 0, "words": 0}, codebooks=u8(255), payload=u8()
    ),
    "one name twice": signed([["w", [1], RAW, []]] * 2, untouched=u8(*[0] * 8)),
    "a name that is none": signed([[7, [1], RAW, []]], untouched=u8(0, 0, 0, 0)),
    "no list": signed({"w": 1}),
    "a short list": signed([["w", [1]]]),
    "no header": container.pack({"layout": u8(1, 2, 3)}, {}),
    "a header of many dimensions": container.pack({"layout": np.zeros((2, 2), np.uint8)}, {}),
    "a deep header": packed(b'{"tensors":[],"model":' + b"[" * 900 + b"]" * 900 + b"}"),
    "a very deep header": packed(b'{"tensors":[],"model":' + b"[" * 10**5 + b"]" * 10**5 + b"}"),
    "gigabytes of blanks": packed(b" " * 10**8),
    "a key too many in the header": packed(b'{"tensors":[],"model":1,"more":2}'),
    "notes": container.pack(
        {"layout": np.frombuffer(zlib.compress(b'{"tensors":[],"model":1}'), np.uint8)}, {"a": "b"}
    ),
}


@pytest.mark.parametrize("what", FALSE)
def test_a_true_checksum_does_not_make_a_file_true(what):
    with pytest.raises(ValueError, match=r"m\.safetensors contradicts itself: ") as caught:
        storage.decode(FALSE[what], "m.safetensors")
    assert type(caught.value) is ValueError and "\n" not in str(caught.value)


def test_what_these_files_are_made_of_is_right():
    assert storage.decode(one([2], PACKED, payload=u8(0x21)))[0]["w"].codes.tolist() == [1, 2]
    gaps = {**PACKED, "gap": 8, "entries": 1, "zero": 0}
    back = storage.decode(one([4], gaps, indices=u8(2), payload=u8(1)))[0]["w"]
    assert back.codes.tolist() == [0, 0, 1, 0]


def test_more_weights_than_a_file_may_hold_are_refused_where_it_is_written(monkeypatch):
    monkeypatch.setattr(file, "most_weights", lambda content: 1000)
    with pytest.raises(ValueError, match="1001 weights of which so little is left"):
        storage.encode({"w": np.zeros(1001, np.float32)})


def test_a_header_that_could_not_be_read_is_not_written():
    with pytest.raises(ValueError, match="repeats itself more than a reader believes"):
        storage.encode({}, model=["x" * 10**7])


def test_a_tensor_of_an_unknown_type_is_named():
    header = b'{"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
    with pytest.raises(ValueError, match="F8_E4M3"):
        container.unpack(len(header).to_bytes(8, "little") + header + b"0", "it")
