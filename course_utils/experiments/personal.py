"""Adapters for several readers of one rounded model: `python3 -m course_utils results personal`.

Each reader's adapters are trained on the train split of what they read. Learning rates are chosen on
the validation text of one of them; test text is only measured.
"""

import time

import numpy as np

from course_utils import evaluation, files, models, quantization
from course_utils.backend import keras, tf
from course_utils.compression import Quantize, adapters, baseline, compress
from course_utils.compression.finetuning import finetune, warm_up_then_cosine
from course_utils.datasets import readers
from course_utils.models.checkpoint import clone
from course_utils.models.compiled import compiled

BASE, ROUNDING = "docs-tiny", [Quantize(quantization.absmax, bits=4, group_size=32)]
STORAGE = "entropy"  # of the file: as the explorer lays it out
RANKS, USUAL = (1, 4), 4
ONLY = "block"
STEPS, ROWS, LENGTH = 100, 16, 128
RATES = {"adapter": (3e-3, 1e-2, 3e-2), "all": (1e-3, 3e-3, 1e-2)}  # tried for one reader
BIAS_RATE, SEED = 3e-2, 4
COUNT = 96  # windows of a split that are reported on


def batches(reader):
    """Returns a function from a step to inputs and targets of a reader's train text."""
    line = readers.tokens(reader, "train")

    def batch(step):
        starts = np.random.default_rng([SEED, step]).integers(0, len(line) - LENGTH, ROWS)
        window = line[starts[:, None] + np.arange(LENGTH + 1)]
        return window[:, :-1], window[:, 1:]

    return batch


def rate(highest):
    """Returns the learning rate of all that is trained here, given its highest value."""
    return warm_up_then_cosine(highest, STEPS, STEPS // 20)


def logits(model, tokens):
    """Calls a model: to be compiled."""
    return model(tokens)


class Lab:
    """The base, rounded, and a twin that wears what is to be measured: it is compiled once."""

    def __init__(self):
        self.base = models.load(BASE)
        self.small = compress(self.base, ROUNDING, STORAGE)
        self.twin = clone(self.small.model)

    def adapter(self, reader, rank, highest):
        """Trains an adapter for a reader; returns its file, its ledger and the seconds it took."""
        begun, fresh = time.perf_counter(), adapters.begin(self.small.model, rank, ONLY, SEED)
        made = adapters.learn(self.small.model, fresh, batches(reader), STEPS, rate(highest))
        return *adapters.pack(made), round(time.perf_counter() - begun)

    def all(self, reader, highest):
        """Trains all weights for a reader and rounds them as the base was; returns the compressed
        model, bytes before it was rounded, and the seconds of the training."""
        begun = time.perf_counter()
        own = finetune(self.base, batches(reader), STEPS, lambda step: [], rate(highest))
        seconds = round(time.perf_counter() - begun)
        return compress(own, ROUNDING, STORAGE), baseline(own), seconds

    def wear(self, content):
        """Folds the adapter of a file into the rounded base."""
        worn = adapters.fold(self.small.model, adapters.unpack(content))
        self.twin.set_weights(worn.get_weights())

    def losses(self, reader, split, bias=0.0):
        """Returns the mean loss of each window of a reader's text, with what the twin wears."""
        tokens = readers.sequences(reader, split, COUNT)
        if not np.any(bias):
            return evaluation.next_token(self.twin, tokens).losses
        ask, found = compiled(self.twin, logits), []
        for part in np.split(tokens, len(tokens) // ROWS):
            said = ask(tf.constant(part[:, :-1])) + bias
            found.append(tf.nn.sparse_softmax_cross_entropy_with_logits(part[:, 1:], said))
        return np.concatenate([np.mean(one, axis=1) for one in found]).astype(np.float64)

    def told(self, reader, bias=0.0):
        """Returns validation and test losses, window by window, as a record keeps them."""
        return {
            split: self.losses(reader, split, bias).round(4).tolist()
            for split in ("validation", "test")
        }

    def bias(self, reader, count=16):
        """Fits one number for each token of the vocabulary, which is added to its logit: what a
        reader's favourite words alone can bring. `count` batches are looked at, again and again.

        Returns:
            `float32` of shape `(vocabulary,)`.
        """
        ask, bias = (
            compiled(self.twin, logits),
            keras.Variable(np.zeros(self.base.config["vocabulary"])),
        )
        optimizer = keras.optimizers.Adam(rate(BIAS_RATE))
        optimizer.build([bias])
        told = map(batches(reader), range(count))
        seen = [(ask(tf.constant(inputs)), targets) for inputs, targets in told]

        @tf.function(autograph=False)
        def step(said, targets):
            with tf.GradientTape() as tape:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, said + bias)
                cost = tf.reduce_mean(losses)
            optimizer.apply(tape.gradient(cost, [bias.value]))

        for number in range(STEPS):
            step(*seen[number % count])
        return bias.numpy()


def tried(lab, kind, highest, reader):
    """Returns the validation loss of one reader at one learning rate."""
    if kind == "adapter":
        lab.wear(lab.adapter(reader, USUAL, highest)[0])
    else:
        lab.twin.set_weights(lab.all(reader, highest)[0].model.get_weights())
    return round(float(lab.losses(reader, "validation").mean()), 4)


def adapted(lab, reader, rank, highest, path):
    """Trains one adapter and ships it; returns what is to be told of it."""
    content, ledger, seconds = lab.adapter(reader, rank, highest)
    files.write(path, content)
    lab.wear(content)
    found = {"bytes": len(content), "numbers": ledger.weights, "seconds": seconds}
    return {**found, **lab.told(reader)}


def whole(lab, reader, highest):
    """Trains all weights for one reader; returns what is to be told of it."""
    again, float_bytes, seconds = lab.all(reader, highest)
    lab.twin.set_weights(again.model.get_weights())
    found = {"bytes": len(again.content), "float_bytes": float_bytes, "seconds": seconds}
    return {**found, **lab.told(reader)}


def bare(lab, reader, biased=False):
    """Returns what is to be told of the shared base, alone or with a reader's bias."""
    lab.twin.set_weights(lab.small.model.get_weights())
    if not biased:
        return lab.told(reader)
    bias = lab.bias(reader)
    return {"bytes": 2 * bias.size, **lab.told(reader, bias)}


def experiment(folder, run):
    """Trains what each reader needs, and the rivals; ships the adapters."""
    lab, highest = Lab(), {}

    def once(part, make, *given, there=None):
        if part not in run.parts or (there and not there.is_file()):
            run.keep(part, make(lab, *given))
        return run.parts[part]

    for kind, several in RATES.items():
        costs = {
            r: once(f"rate-{kind}-{r:g}", tried, kind, r, readers.READERS[-1]) for r in several
        }
        highest[kind] = min(costs, key=costs.get)
    for reader in readers.READERS:
        once(f"{reader}-nobody", bare, reader)
        once(f"{reader}-bias", bare, reader, True)
        for rank in RANKS:
            name = f"{reader}-rank{rank}"
            path = folder / "adapters" / f"{name}.safetensors"
            once(name, adapted, reader, rank, highest["adapter"], path, there=path)
        once(f"{reader}-all", whole, reader, highest["all"])
    return {
        "base": BASE,
        "base_bytes": len(lab.small.content),
        "only": ONLY,
        "steps": STEPS,
        "rows": ROWS,
        "length": LENGTH,
        "learning_rates": {**highest, "bias": BIAS_RATE},
        "seed": SEED,
        "windows": COUNT,
        "parts": run.parts,
    }
