"""The reference card: what each shipped model reaches on each split, all on the same examples.

Every lesson may measure on what suits it. Where it prints the baseline of a model, this is the
number. `python3 -m course_utils results reference` measures all of it.
"""

import hashlib
import json

from course_utils import files, models
from course_utils.checks import one_of
from course_utils.evaluation import tasks
from course_utils.models import catalogue

SPLITS = ("validation", "test")


def shipped():
    """Lists the models of the catalogue whose files are there."""
    folder = files.DATA / "models"
    return [name for name in catalogue.CATALOGUE if (folder / f"{name}.safetensors").is_file()]


def measure(name):
    """Measures a shipped model on as many examples as its task asks for.

    Returns:
        A dict: the checksum of its file, parameters, examples (`None` for all of a split), the name
        of the measure, and for each of `SPLITS` the quality and the perplexity, which is `None`
        where there is none.
    """
    model, task = models.load(name), tasks.of(name)
    path = files.DATA / "models" / f"{name}.safetensors"
    found = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "parameters": int(model.count_params()),
        "examples": task.report,
        "measure": getattr(task, "measure", "accuracy"),
    }
    for split in SPLITS:
        score = task.score(model, task.data(split, task.report))
        perplexity = None if score.perplexity is None else float(score.perplexity)
        found[split] = {"quality": float(score.quality), "perplexity": perplexity}
    return found


def card():
    """Returns what `measure` gave for each shipped model, by name, when the card was made."""
    path = files.DATA / "results" / "reference.json"
    return json.loads(path.read_text("utf8"))["models"]


def reference(name):
    """Returns what is on the card about one model.

    Raises:
        ValueError: If it is not on the card.

    Example:

    >>> reference("docs-tiny")["examples"]
    128
    """
    known = card()
    return known[one_of("model", name, known)]
