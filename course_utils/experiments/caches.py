"""The experiment of lesson 8.3: `docs-base` with smaller caches, right away and after training on.

`python3 -m course_utils results caches` makes all of it.
"""

import time

from course_utils import evaluation, models
from course_utils.compression import share_heads, with_window
from course_utils.compression.finetuning import finetune, warm_up_then_cosine
from course_utils.container import digest
from course_utils.datasets import docs
from course_utils.experiments import docs_small, training
from course_utils.models import cache, checkpoint

MODEL, SHIPPED = "docs-base", "docs-base-kv2"
HEADS, WINDOWS = (4, 2, 1), (8, 16, 32, 64, 128)
STEPS, ROWS = (125, 250), 16  # 1.25% and 2.5% of the tokens that the model was trained on
SEEDS, PILOT = (4,), 6  # of the batches; the shipped models were trained on others
RATES, DECAY = (3e-4, 3e-3), 0.05
PILOT_STEPS = 30
SPLITS = ("validation", "test")


def trained_on(model, steps, rate, seed):
    """Returns a copy of a model after some more steps of its own training: a rate that rises over
    the first tenth, then falls along a cosine to nothing."""
    line, rates = docs.tokens("train"), warm_up_then_cosine(rate, steps, steps // 10)
    return finetune(
        model,
        lambda step: tuple(tokens[:ROWS] for tokens in training.windows(line, seed, step)),
        steps,
        lambda step: [],
        rates,
        weight_decay=DECAY,
    )


def quality(model, other):
    """Measures a model on both splits, and by how much its perplexity is above that of another."""
    found = {}
    for split in SPLITS:
        both = docs_small.compare(other, model, docs.sequences(split))
        rise = {name: both[name] for name in ("rise", "rise_interval")}
        found[split] = {**both["small"], **rise}
    return found


def pilot(run, model):
    """Finds a learning rate for each number of heads on validation text, with another seed and few
    steps.

    Returns:
        By number of heads and rate, the validation loss.
    """
    tried = {heads: {} for heads in HEADS}
    for heads in HEADS:
        for rate in RATES:
            if (part := f"pilot, {heads} heads, {rate}") not in run.parts:
                twin = trained_on(share_heads(model, heads), PILOT_STEPS, rate, PILOT)
                run.keep(part, evaluation.next_token(twin, docs.sequences("validation")).loss)
            tried[heads][rate] = run.parts[part]
    return tried


def runs(run, model, rates):
    """Trains on with each number of heads, for each number of steps and each seed.

    With as many heads as before nothing but the training is new. That is the control: each of the
    others is compared with it, too, which saw the same batches.
    """
    found = []
    for seed in SEEDS:
        for steps in reversed(STEPS):
            for heads in HEADS:
                part, control = (
                    f"{n} heads, {steps} steps, seed {seed}" for n in (heads, HEADS[0])
                )
                if part not in run.parts:
                    begun = time.perf_counter()
                    twin = trained_on(share_heads(model, heads), steps, rates[heads], seed)
                    told = {"kv_heads": heads, "steps": steps, "seed": seed, "rate": rates[heads]}
                    told["seconds"] = round(time.perf_counter() - begun)
                    told |= quality(twin, model)
                    if heads < HEADS[0]:
                        told["over_control"] = {
                            split: {name: of[name] for name in ("rise", "rise_interval")}
                            for split, of in quality(twin, run.model(control)).items()
                        }
                    run.keep(part, told, twin)
                found.append(run.parts[part])
    return found


def read_from(model, kinds=(cache.Cache, cache.Int8Cache)):
    """Measures a model that reads its text from each kind of cache, token by token."""
    return {
        kind.__name__: {
            "bytes_a_token": cache.slot_size(model, kind),
            **{
                split: docs_small.recorded(
                    evaluation.cached_next_token(model, docs.sequences(split), kind)
                )
                for split in SPLITS
            },
        }
        for kind in kinds
    }


def experiment(folder, run):
    """Makes `docs-base` keep less: heads that share keys and values, 8 bits, windows.

    Learning rates are chosen on validation text; test text is only measured. Ships the first seed's
    model with two heads and the longest training as `docs-base-kv2`, in float16.
    """
    model = models.load(MODEL)
    tried = pilot(run, model)
    rates = {heads: min(RATES, key=tried[heads].get) for heads in HEADS}
    found = runs(run, model, rates)
    steps, seed = STEPS[-1], SEEDS[0]
    trained = run.model(f"2 heads, {steps} steps, seed {seed}")
    shared = trained.remade(name=SHIPPED.replace("-", "_"))
    shared.set_weights(trained.get_weights())
    path = checkpoint.save(
        folder / "models" / f"{SHIPPED}.safetensors",
        shared,
        {
            "command": "python3 -m course_utils results caches",
            "start": MODEL,
            "seed": seed,
            "steps": steps,
            "learning_rate": rates[2],
            "tokens_seen": steps * ROWS * training.LENGTH,
        },
        "float16",
    )
    shared = checkpoint.load(path)
    before = models.record(MODEL)["tokens_seen"]
    texts = {split: digest({"": docs.sequences(split)}, None) for split in SPLITS}
    return {
        "model": MODEL,
        "steps": STEPS,
        "share_of_tokens": [steps * ROWS * training.LENGTH / before for steps in STEPS],
        "rows": ROWS,
        "length": training.LENGTH,
        "seeds": SEEDS,
        "weight_decay": DECAY,
        "sequences": len(docs.sequences("validation")),
        "tokens_sha256": texts,
        "pilot": {"steps": PILOT_STEPS, "seed": PILOT, "loss": tried},
        "rates": rates,
        "bytes_a_token": {n: cache.slot_size(share_heads(model, n)) for n in HEADS},
        "shared": {n: quality(share_heads(model, n), model) for n in HEADS},
        "runs": found,
        "shipped": {
            "name": SHIPPED,
            "bytes": path.stat().st_size,
            **quality(shared, model),
        },
        "caches": {MODEL: read_from(model), SHIPPED: read_from(shared)},
        "windows": {w: quality(with_window(model, w), model) for w in WINDOWS},
    }
