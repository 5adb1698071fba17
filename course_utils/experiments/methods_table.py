"""The table of methods: each on the blocks of `docs-base`, quality, bytes and speed."""

import itertools
import time

from course_utils import evaluation, litert, models, pruning, quantization, second_order
from course_utils.backend import tf
from course_utils.compression import (
    Apply,
    Prune,
    Quantize,
    baseline,
    compress,
    equalization,
    windows,
)
from course_utils.container import digest
from course_utils.datasets import docs
from course_utils.evaluation import speed, sweeps

BITS, DRAWS, WINDOWS = (4, 3, 2), 4, 64  # what `recovered` measures: widths, draws, text a draw
GRIDS = {"": quantization.clipped, "affine ": quantization.affine}
RULES = {"gptq": second_order.gptq, "corrected gptq": second_order.corrected_gptq}
REPEATED = (
    "float",
    "step 0.05",
    "absmax 4 bits, group 32",
)  # a test measures these again, on 64 sequences
COMPUTED = {
    "float": "float",
    "absmax 8 bits, channel": "dynamic",
    "absmax 4 bits, group 32": "int4",
}  # LiteRT's modes


def methods(folder, run):
    """Measures each method on the blocks of `docs-base`: perplexity, bytes of the whole file, and
    speed.

    Embeddings and head stay float32. Every row is a float32 model when it computes, with the graph
    of the original: only where LiteRT has a form of the method do fewer bits reach the processor.
    """
    model, tokens, begun = (
        models.load("docs-base"),
        docs.sequences("validation"),
        time.perf_counter(),
    )
    calibration, path = (
        docs.sequences("train", 16)[:, :-1],
        run.path("jsonl"),
    )

    def swept(start, recipes):
        return sweeps.sweep(start, recipes, tokens, ("fixed", "entropy"), calibration, path)

    rows = swept("docs-base", method_recipes())
    for name, grid in (("awq", quantization.absmax), ("awq affine", quantization.affine)):
        for bits in BITS:
            scaled = equalization.awq(model, calibration, bits, 32, grid)
            clipped = group_of_32(equalization.clipped_by_output, bits, grid=grid)
            rows += swept(scaled, {f"{name} {bits} bits, group 32": clipped})
    computed = latencies(model, tokens)
    table = [
        {
            "method": fixed.recipe,
            "accuracy": fixed.accuracy,
            "perplexity": fixed.perplexity,
            "bytes": fixed.bytes,
            "bits_per_weight": fixed.bits_per_weight,
            "bytes_entropy": coded.bytes,
            "computed": computed.get(fixed.recipe),
        }
        for fixed, coded in zip(rows[::2], rows[1::2], strict=True)
    ]
    few = docs.sequences("validation", 64)
    twins = {name: compress(model, method_recipes()[name]).model for name in REPEATED}
    again = {name: evaluation.next_token(twin, few).perplexity for name, twin in twins.items()}
    return {
        "model": "docs-base",
        "sequences": len(tokens),
        "tokens_sha256": digest({"": tokens}, None),
        "calibration": "docs.sequences('train', 16)[:, :-1]",
        "baseline": baseline(model),
        "seconds": round(time.perf_counter() - begun),
        "rows": table,
        "repeated": {
            "sequences": len(few),
            "tokens_sha256": digest({"": few}, None),
            "perplexity": again,
        },
    }


def method_recipes():
    """Returns the table's recipes by name. AWQ is not among them: it changes the model first."""
    recipes = {"float": []}
    for size in (0.01, 0.03, 0.05):
        recipes[f"step {size}"] = [Quantize(quantization.step, only="block", step=size)]
    for rule, widths in (
        (quantization.absmax, (8, *BITS)),
        (quantization.clipped, BITS),
        (quantization.affine, BITS),
        (quantization.clipped_affine, BITS),
        (second_order.gptq, BITS),
    ):
        for bits in widths:
            channel = Quantize(rule, only="block", bits=bits, group_size="channel")
            name = rule.__name__.replace("_", " ")
            recipes[f"{name} {bits} bits, channel"] = [channel]
            recipes[f"{name} {bits} bits, group 32"] = group_of_32(rule, bits)
    for name, rule in RULES.items():
        for spelled, grid in GRIDS.items():
            for bits in BITS:
                steps = group_of_32(rule, bits, grid=grid)
                recipes[f"{name} {spelled}{bits} bits, group 32"] = steps
    recipes["nf4 4 bits, group 32"] = [Quantize(quantization.nf4, only="block", group_size=32)]
    for label, mask in (("50%", pruning.fraction(0.5)), ("2:4", pruning.n_of_m(2, 4))):
        each = pruning.fraction_per_unit(0.5) if label == "50%" else mask
        recipes[f"magnitude {label}"] = [Prune(pruning.magnitude, mask, only="block")]
        recipes[f"wanda {label}"] = [Prune(pruning.wanda, each, only="block")]
        recipes[f"sparsegpt {label}"] = [Apply(second_order.sparsegpt, only="block", mask=mask)]
    return recipes


def group_of_32(rule, bits, **more):
    """Returns the steps that round the blocks with a scale for each 32 inputs of a unit."""
    return [Quantize(rule, only="block", bits=bits, group_size=32, **more)]


def recovered(folder, run):
    """Measures how much of what clipped rounding costs the calibrated rules take back on
    `docs-base`, over several draws of calibration text from the train split.

    Returns:
        A dict: what was drawn, the perplexity of the model as it is, and by bits the perplexities:
        of the rules without data, and a list, one for each draw, of the others.
    """
    model, tokens = models.load("docs-base"), docs.sequences("validation")

    def measured(part, rule, bits, text=None, **more):
        if part not in run.parts:
            small = compress(model, group_of_32(rule, bits, **more), calibration=text)
            run.keep(part, evaluation.next_token(small.model, tokens).perplexity)
        return run.parts[part]

    rules = quantization.absmax, quantization.clipped, quantization.affine
    simple = {
        rule.__name__.replace("_", " "): rule for rule in (*rules, quantization.clipped_affine)
    }
    found = {
        str(bits): {
            name: measured(f"{name}, {bits} bits", rule, bits) for name, rule in simple.items()
        }
        for bits in BITS
    }
    for draw in range(DRAWS):
        text = windows(docs.tokens("train"), WINDOWS, draw)
        for bits, name, grid in itertools.product(BITS, RULES, GRIDS):
            part = f"{name} {grid}{bits} bits, draw {draw}"
            value = measured(part, RULES[name], bits, text, grid=GRIDS[grid])
            found[str(bits)].setdefault(f"{name} {grid}".strip(), []).append(value)
    return {
        "model": "docs-base",
        "sequences": len(tokens),
        "calibration": f"windows(docs.tokens('train'), {WINDOWS}, draw)",
        "float": evaluation.next_token(model, tokens).perplexity,
        "perplexity": found,
    }


def latencies(model, tokens):
    """Times one call of 1 x 128 tokens in TensorFlow's graph, XLA and LiteRT, all in one run.

    Returns:
        By method, for each form that this machine has: the median in milliseconds, and how many
        times as fast it is as the float model in TensorFlow's graph. For LiteRT, which uses one
        thread, also bytes and perplexity of its own file; there, int8 reaches embeddings and head
        as well.
    """
    one, calls, own = tokens[:1, :-1], {}, {}
    for name, mode in COMPUTED.items():
        twin = compress(model, method_recipes()[name]).model
        for form, jit in (("TF graph", False), ("XLA", True)):
            run = tf.function(twin, jit_compile=jit, autograph=False)
            calls[name, form] = lambda run=run: run(tf.constant(one)).numpy()
        if mode in litert.modes():
            content = litert.export(model, mode)
            runner = litert.Runner(content)
            calls[name, "LiteRT"] = lambda runner=runner: runner(one)
            perplexity = evaluation.next_token(runner, tokens).perplexity
            own[name] = {"mode": mode, "bytes": len(content), "perplexity": perplexity}
    found = {name: {} for name in COMPUTED}
    for (name, form), timing in speed.pairs(calls).items():
        more = own[name] if form == "LiteRT" else {}
        found[name][form] = {
            "ms": 1e3 * timing.median,
            "speedup": timing.speedup,
            "interval": timing.interval,
            **more,
        }
    return found
