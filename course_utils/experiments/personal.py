"""Adapters for several readers of one rounded model: `python3 -m course_utils results personal`.

Each reader's adapters are trained on the train split of what he reads. Layers, learning rate and
steps were chosen on validation text; test text is only measured.
"""

import time

import numpy as np

from course_utils import evaluation, files, models, quantization
from course_utils.backend import keras, tf
from course_utils.compression import Quantize, adapters, baseline, compress
from course_utils.compression.finetuning import finetune, warm_up_then_cosine
from course_utils.datasets import readers
from course_utils.models.compiled import compiled

BASE, BITS, GROUP_SIZE = "docs-base", (4, 2), 32
RANKS, USUAL = (1, 4, 16), 4  # each at 4 bits; the usual one at 2 bits too
ONLY = "block"
STEPS, ROWS, LENGTH = 300, 16, 128
RATE, FULL_RATE, BIAS_RATE, SEED = 3e-3, 3e-4, 3e-2, 4
COUNT = 128  # windows that are reported on


def rounded(bits):
    """Returns the base with all matrices rounded, as `compress` makes it."""
    recipe = [Quantize(quantization.absmax, bits=bits, group_size=GROUP_SIZE)]
    return compress(models.load(BASE), recipe)


def batches(reader):
    """Returns a function from a step to inputs and targets of a reader's train text."""
    line = readers.tokens(reader, "train")

    def batch(step):
        starts = np.random.default_rng([SEED, step]).integers(0, len(line) - LENGTH, ROWS)
        window = line[starts[:, None] + np.arange(LENGTH + 1)]
        return window[:, :-1], window[:, 1:]

    return batch


def named(reader, rank, bits):
    """Returns the name of an adapter, as `adapters.load` takes it."""
    return f"{reader}-rank{rank}-{bits}bits"


def rate(highest):
    return warm_up_then_cosine(highest, STEPS, STEPS // 20)


def logits(model, tokens):
    return model(tokens)


def fitted_bias(model, batch, count=32, steps=STEPS):
    """Fits one number for each token of the vocabulary, which is added to its logit: what a reader's
    favourite words alone can bring.

    Returns:
        `float32` of shape `(vocabulary,)`.
    """
    ask, bias = compiled(model, logits), keras.Variable(np.zeros(model.config["vocabulary"]))
    optimizer = keras.optimizers.Adam(rate(BIAS_RATE))
    optimizer.build([bias])
    seen = [(ask(tf.constant(inputs)), targets) for inputs, targets in map(batch, range(count))]

    @tf.function(autograph=False)
    def step(said, targets):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, said + bias)
            cost = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(cost, [bias.value]))

    for number in range(steps):
        step(*seen[number % count])
    return np.array(bias)


def losses(model, reader, split, bias=0.0):
    """Returns the mean loss of each window of a reader's text."""
    tokens = readers.sequences(reader, split, COUNT)
    if not np.any(bias):
        return evaluation.next_token(model, tokens).losses
    ask, found = compiled(model, logits), []
    for part in np.split(tokens, len(tokens) // ROWS):
        said = ask(tf.constant(part[:, :-1])) + bias
        found.append(tf.nn.sparse_softmax_cross_entropy_with_logits(part[:, 1:], said))
    return np.concatenate([np.mean(one, axis=1) for one in found]).astype(np.float64)


def told(model, reader, bias=0.0):
    """Returns validation and test losses, window by window, as a record keeps them."""
    return {
        split: losses(model, reader, split, bias).round(5).tolist()
        for split in ("validation", "test")
    }


def experiment(folder, run):
    """Trains what each reader needs, and the rivals; ships the adapters."""
    small = {bits: rounded(bits) for bits in BITS}
    plan = [(4, rank) for rank in RANKS] + [(2, USUAL)]
    for reader in readers.READERS:
        batch = batches(reader)
        for bits, rank in plan:
            part = f"{reader}, rank {rank}, {bits} bits"
            there = folder / "adapters" / f"{named(reader, rank, bits)}.safetensors"
            if part not in run.parts or not there.is_file():
                begun = time.perf_counter()
                fresh = adapters.begin(small[bits].model, rank, ONLY, SEED)
                made = adapters.learn(small[bits].model, fresh, batch, STEPS, rate(RATE))
                content, ledger = adapters.pack(made)
                files.write(there, content)
                kept = adapters.fold(small[bits].model, adapters.unpack(content))
                found = {"bytes": len(content), "numbers": ledger.weights}
                seconds = round(time.perf_counter() - begun)
                run.keep(part, {**found, "seconds": seconds, **told(kept, reader)})
        if (part := f"{reader}, bias") not in run.parts:
            bias = fitted_bias(small[4].model, batch)
            found = {"bytes": 2 * bias.size, **told(small[4].model, reader, bias)}
            run.keep(part, found)
        if (part := f"{reader}, all weights") not in run.parts:
            begun = time.perf_counter()
            whole = finetune(models.load(BASE), batch, STEPS, lambda step: [], rate(FULL_RATE))
            again = compress(whole, [Quantize(quantization.absmax, bits=4, group_size=GROUP_SIZE)])
            found = {"bytes": len(again.content), "float_bytes": baseline(whole)}
            seconds = round(time.perf_counter() - begun)
            found |= {"seconds": seconds, "float": told(whole, reader)}
            run.keep(part, {**found, **told(again.model, reader)})
        for name, model in (("float", models.load(BASE)), ("4 bits", small[4].model)):
            if (part := f"{reader}, base, {name}") not in run.parts:
                run.keep(part, told(model, reader))
    return {
        "base": BASE,
        "base_bytes": {str(bits): len(one.content) for bits, one in small.items()},
        "only": ONLY,
        "steps": STEPS,
        "rows": ROWS,
        "length": LENGTH,
        "learning_rates": {"adapter": RATE, "all weights": FULL_RATE, "bias": BIAS_RATE},
        "seed": SEED,
        "windows": COUNT,
        "parts": run.parts,
    }
