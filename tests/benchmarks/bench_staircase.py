"""From reading everything again for each token to as fast as this machine allows: one text, many
texts, and the teacher with a drafter.

pytest tests/benchmarks/bench_staircase.py -s
"""

import numpy as np
import pytest

from course_utils import decoding, models
from course_utils.datasets import docs
from course_utils.decoding import speculative
from course_utils.evaluation import products, speed, staircase

LENGTH, ROWS, ROUNDS = 96, 32, 15


@pytest.fixture(scope="module")
def roof():
    return products.roofline()


def told(title, stairs, *columns):
    print(f"\n{title}\n{'':42}{'tokens/s':>10}{'factor':>9}", *(f"{name:>22}" for name in columns))
    for stair, *more in stairs:
        shares = "".join(f"{share:>23.0%}" for share in (stair.share, *more))
        print(f"{stair.name:42}{stair.rate:10,.0f}{stair.factor:8.2f}x{shares}")


def bounds(model, roof):
    """Seconds a token by the bandwidth of memory, and by that of where the weights lie."""
    size = staircase.bytes_a_token(model, LENGTH / 2)
    return size / roof.bandwidth, size / staircase.bandwidth(model)


@pytest.mark.parametrize("name", ("docs-base", "docs-teacher"))
def test_one_text(name, roof):
    model, prompt = models.load(name), docs.tokenizer().encode("Returns ").ids[:1]
    ways = staircase.one_text(model, prompt, LENGTH)
    texts = {way: write().tolist() for way, write in ways.items()}
    wanted = texts["recompute, XLA"]
    print(
        *(
            f"{w}: {np.mean(np.equal(t, wanted)):.0%} of its text is the same"
            for w, t in texts.items()
            if t != wanted
        )
    )
    memory, cache = bounds(model, roof)
    stairs = staircase.climb(ways, LENGTH, memory, ROUNDS)
    told(
        f"one text, {name}; memory reads {roof.bandwidth / 1e9:.0f} GB/s, the model's matrices "
        f"where they lie {memory / cache * roof.bandwidth / 1e9:.0f} GB/s",
        [(stair, stair.share * cache / memory) for stair in stairs],
        "of memory's bound",
        "of the caches' bound",
    )
    exact = [way for way in ways if way != "LiteRT int8"]
    assert all(texts[way] == wanted for way in exact)


def test_many_texts(roof):
    model = models.load("docs-base")
    prompts = docs.sequences("validation", ROWS)[:, :1]
    ways = staircase.many_texts(model, prompts, LENGTH)
    least = staircase.operations_a_token(model, LENGTH / 2) / roof.peak
    texts = [write().tolist() for write in ways.values()]
    stairs = staircase.climb(ways, ROWS * LENGTH, least, ROUNDS)
    title = f"{ROWS} texts, docs-base; {roof.peak / 1e9:.0f} GFLOP/s"
    told(title, [(stair,) for stair in stairs], "of the arithmetic")
    print(f"the last is {stairs[-1].rate / stairs[0].rate:.1f} times the first")
    assert all(text == texts[0] for text in texts)


def test_speculating():
    """Several prompts, each drafter with the draft length that is best for it."""
    teacher = models.load("docs-teacher")
    vocabulary = teacher.config["vocabulary"]
    drafters = {
        "docs-base": speculative.ModelDrafter(models.load("docs-base")),
        "docs-tiny": speculative.ModelDrafter(models.load("docs-tiny")),
        "its own first 2 of 6 blocks": speculative.ModelDrafter(speculative.early_exit(teacher, 2)),
        "a table of pairs": speculative.TableDrafter(docs.tokens("train"), vocabulary),
        "a look-up in the text": speculative.LookUpDrafter(vocabulary),
    }
    prompts = docs.sequences("validation", 8)[:, :16]

    def write(pair):
        return [pair.generate(prompt, LENGTH) for prompt in prompts]

    plain = [decoding.generate(teacher, prompt, LENGTH).tolist() for prompt in prompts]
    ways = {"alone": lambda: [decoding.generate(teacher, prompt, LENGTH) for prompt in prompts]}
    passes = {}
    for name, drafter in drafters.items():
        for ahead in (1, 2, 3, 4, 6):
            pair, way = speculative.Speculator(teacher, drafter, ahead), f"{name}, {ahead} ahead"
            ways[way] = lambda pair=pair: write(pair)
            found = write(pair)
            assert [one.tokens.tolist() for one in found] == plain, way
            passes[way] = len(prompts) * LENGTH / sum(one.passes for one in found)
    measured = speed.pairs(ways, ROUNDS, warm_up=1)
    print(f"\n{len(prompts)} texts of {LENGTH} tokens by docs-teacher, losslessly")
    for way, timing in measured.items():
        print(f"{way:42}{timing}   {passes.get(way, 1):.2f} tokens a pass")
