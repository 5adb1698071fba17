"""Files from strangers, by the thousand: each loads rightly, or ends in ValueError, and soon.

    python tests/fuzz_files.py N SEED

makes N files of which one place was edited and the checksum made true again, and N that were
damaged. A child of limited memory loads them; one that dies is replaced, and counts as a fault.
"""

import collections
import json
import multiprocessing
import pathlib
import random
import sys
import tempfile
import time
import zlib

import numpy as np

MEMORY, SECONDS = 512 << 20, 2.0  # beyond what the child has at its start, for one load
KNOWN = {"keras", "numpy", "tensorflow", "course_utils"}  # whose modules a load may bring in
STRANGE = (
    *(None, True, -1, 0, 1, 2, 3, 33, 255, 2**24, 2**31, 2**40, 2**63, 10**30),
    *(
        0.5,
        -2.5,
        float("nan"),
        float("inf"),
        1e39,
        "",
        "w",
        "relu",
        "/etc/hostname",
        "os",
        "x" * 500,
    ),
    *("<f4", "<f2", "|O", "|V8", "bfloat16", [], {}, [-1], [2**20, 2**20], [2**12, 2**12]),
    {"module": "os", "class_name": "function", "config": "system", "registered_name": None},
    {"module": "keras.utils", "class_name": "function", "config": "set_random_seed"},
    {"module": "keras_hub", "class_name": "Dense", "config": {"units": 4}},
    {"module": "keras.layers", "class_name": "Lambda", "config": {"function": "relu"}},
    {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "."}},
)


def originals():
    """Returns honest files by name: one of each layout, 16-bit floats, words, and checkpoints."""
    from small import decoder

    from course_utils import compression, pruning, quantization, storage
    from course_utils.backend import keras
    from course_utils.compression import Prune, Quantize
    from course_utils.models import checkpoint

    keras.utils.set_random_seed(0)
    q, layers = quantization, keras.layers

    def network(*more, dtype="float32"):
        stack = [layers.Dense(16, "relu", dtype=dtype), layers.BatchNormalization(dtype=dtype)]
        return keras.Sequential([keras.Input((12,)), *stack, layers.Dense(4, dtype=dtype), *more])

    text = layers.TextVectorization(vocabulary=["a", "cat", "sat"], output_sequence_length=4)
    words = [keras.Input((1,), dtype="string"), text, layers.Embedding(8, 4), layers.LSTM(3)]
    few, half = (Prune(pruning.magnitude, pruning.fraction(share)) for share in (0.9, 0.5))
    plain, recipes = (
        network(),
        {
            "floats": [],
            "zeros": [few],
            "half": [half],
            "bitmap": [half, Quantize(q.step, step=0.02)],
            "gaps": [few, Quantize(q.absmax, bits=4)],
            "absmax": [Quantize(q.absmax, bits=3, group_size=5)],
            "affine": [Quantize(q.affine, bits=3, group_size=5)],
            "kmeans": [Quantize(q.kmeans, bits=2)],
        },
    )
    jobs = {
        f"{name} {kind}": (plain, steps, kind)
        for name, steps in recipes.items()
        for kind in storage.STORAGE
    }
    jobs |= {dtype: (network(dtype=dtype), [few], "fixed") for dtype in ("float16", "bfloat16")}
    jobs["words"] = keras.Sequential(words), [few], "fixed"
    jobs["decoder"] = decoder(), recipes["absmax"], "entropy"
    made = {name: compression.compress(*job).content for name, job in jobs.items()}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in {"checkpoint": plain, "decoder's checkpoint": decoder()}.items():
            made[name] = checkpoint.save(
                pathlib.Path(folder, "it"), model, {"seed": 0}
            ).read_bytes()
    return made


# --- what is done to them ------------------------------------------------------------------------


def places(value, path=()):
    """Yields the path to everything inside a value of JSON."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(item, (dict, list)):
            yield from places(item, (*path, key))


def edit(value, rng):
    """Changes one place inside a value of JSON, and says which."""
    *path, key = rng.choice(list(places(value)))
    for step in path:
        value = value[step]
    before, way = value[key], rng.random()
    if way < 0.12:
        del value[key]
    elif way < 0.2 and isinstance(value, list):
        value.append(before)
    elif way < 0.45 and type(before) is int:
        value[key] += rng.choice((-1, 1, 8, 4096))
    elif way < 0.55 and path:  # something that stands elsewhere, where it may fit better
        value[key] = json.loads(
            json.dumps(rng.choice(list(value.values() if isinstance(value, dict) else value)))
        )
    else:
        value[key] = rng.choice(STRANGE)
    return f"{(*path, key)}: {before!r:.40} is now {value[key] if key in places_of(value) else 'gone'!r:.40}"


def places_of(value):
    return value if isinstance(value, dict) else range(len(value))


def signed(content, rng):
    """Returns a file with one edit and a true checksum, and what was edited."""
    from course_utils import container

    arrays, notes = container.unpack(content, "the original")
    if rng.random() < 0.25:
        name = rng.choice(sorted(arrays))
        flat, count = arrays[name].ravel(), rng.choice((1, 4, 1000))
        way = rng.choice(("shorter", "longer", "other values", "other type"))
        if way == "other values":
            bits = np.frombuffer(rng.randbytes(flat.nbytes), np.uint8)
            flat = bits[: flat.nbytes].view(flat.dtype)
        elif way == "other type":
            flat = flat.astype(np.float64)
        else:
            flat = flat[:-count] if way == "shorter" else np.append(flat, np.resize(flat, count))
        arrays[name], what = flat, f"{name}: {way}"
    elif "layout" in arrays:
        header = json.loads(zlib.decompress(arrays["layout"].tobytes()))
        what = edit(header["tensors"] if rng.random() < 0.6 else header, rng)
        arrays["layout"] = np.frombuffer(zlib.compress(json.dumps(header).encode()), np.uint8)
    else:
        loose = {key: json.loads(value) for key, value in notes.items()}
        what = edit(loose, rng)
        notes = {key: json.dumps(value) for key, value in loose.items()}
    return container.pack(arrays, notes), what


def damaged(content, rng):
    """Returns a file with flipped bits, cut short, grown or with a piece of it elsewhere."""
    way, at = rng.choice(("flipped", "cut", "grown", "moved")), rng.randrange(len(content))
    if way == "cut":
        return content[:at], f"cut at {at}"
    if way == "grown":
        return content[:at] + rng.randbytes(8) + content[at:], f"grown at {at}"
    if way == "moved":
        new = content[at:] + content[:at]
        return (
            (new, f"moved at {at}") if new != content else (content[1:], "without its first byte")
        )
    spoiled = bytearray(content)
    for place in {at, *(rng.randrange(len(content)) for i in range(rng.randrange(3)))}:
        spoiled[place] ^= 1 << rng.randrange(8)
    return bytes(spoiled), f"flipped at {at}"


# --- what comes of them --------------------------------------------------------------------------


def fault(path, content):
    """Loads a file; returns what is wrong with that which came out, or nothing."""
    from course_utils import compression, container, quantization, storage
    from course_utils.models import checkpoint

    compressed = "layout" in container.unpack(content, "it")[0]
    model = (compression if compressed else checkpoint).load(path)
    tensors = storage.decode(content)[0].values() if compressed else ()
    if not all(np.isfinite(np.asarray(weight, np.float64)).all() for weight in model.weights):
        return "weights that are not finite"
    for one in tensors:
        if isinstance(one, quantization.QuantizedTensor):
            low, high = int(one.codes.min()), int(one.codes.max())
            if type(one.bits) is not int or quantization.bits_for(low, high) > one.bits:
                return "codes that do not fit in their bits"
            if np.min(one.scale) < 0 or one.codes.dtype.kind != "i":
                return "scales or codes that make no sense"
    return ""


def used():
    """Returns the bytes of memory that this process holds, and the most that it ever held."""
    text = pathlib.Path("/proc/self/status").read_text()
    return [1024 * int(text.partition(name)[2].split()[0]) for name in ("VmRSS:", "VmHWM:")]


def child(pipe, path):
    """Loads each file that it is sent and answers with what came of it."""
    warm(pipe, path)
    at_start, modules = used()[0], set(sys.modules)
    while True:
        content = pipe.recv()
        pathlib.Path(path).write_bytes(content)
        began = time.process_time()
        try:
            outcome = f"loads, with {wrong}" if (wrong := fault(path, content)) else "loads"
        except Exception as error:
            outcome = type(error).__name__
        seconds = time.process_time() - began
        strange = {name.partition(".")[0] for name in set(sys.modules) - modules} - KNOWN
        modules |= set(sys.modules)
        for wrong in (
            f"after {seconds:.0f} s" if seconds > SECONDS else "",
            f"with {used()[1] - at_start >> 20} MB" if used()[1] - at_start > MEMORY else "",
            f"imports {min(strange)}" if strange else "",
        ):
            outcome += f", {wrong}" if wrong else ""
        pipe.send(outcome)


def warm(pipe, path):
    """Loads the honest files first: what they bring in is not the fault of the others."""
    for content in pipe.recv():
        pathlib.Path(path).write_bytes(content)
        assert fault(path, content) == ""
    pipe.send("ready")


class Loader:
    """A child that loads files, replaced when it dies or does not answer."""

    def __init__(self, folder, honest):
        self.path, self.honest, self.process = str(pathlib.Path(folder, "it")), honest, None

    def outcome(self, content):
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, there = context.Pipe()
            self.process = context.Process(target=child, args=(there, self.path), daemon=True)
            self.process.start()
            there.close()
            self.pipe.send(self.honest)
            assert self.pipe.recv() == "ready"
        self.pipe.send(content)
        try:
            if self.pipe.poll(30):
                return self.pipe.recv()
            self.process.kill()
            outcome = "no answer"
        except EOFError:
            self.process.join()
            outcome = f"killed by signal {-self.process.exitcode}"
        self.process = None
        return outcome


def fuzz(count, first=0):
    """Makes `count` signed and as many damaged files, the seed of the first being `first`.

    Returns:
        By way and outcome, such as `("signed", "ValueError")`, a list of what was done.
    """
    files, found = originals(), collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        loader = Loader(folder, list(files.values()))
        for seed in range(first, first + count):
            for way in (signed, damaged):
                rng = random.Random(f"{way.__name__} {seed}")
                name = rng.choice(sorted(files))
                content, what = way(files[name], rng)
                found[way.__name__, loader.outcome(content)].append(f"{seed}: {name}, {what}")
        if loader.process:
            loader.process.kill()
    return found


def faults(found):
    """Returns those outcomes that are not allowed."""
    right = {("signed", "loads"), ("signed", "ValueError"), ("damaged", "ValueError")}
    return {key: examples for key, examples in found.items() if key not in right}


def main(count="1000", first="0"):
    began, found = time.time(), fuzz(int(count), int(first))
    for (way, outcome), examples in sorted(found.items(), key=lambda one: -len(one[1])):
        print(f"{len(examples):6}  {way:8} {outcome:<40} {examples[0]}")
    print(f"{time.time() - began:.0f} s")
    return int(bool(faults(found)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
