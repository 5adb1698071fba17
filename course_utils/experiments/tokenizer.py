"""The tokenizer of the docstrings."""

import hashlib

import tokenizers

from course_utils import files
from course_utils.datasets import docs

VOCABULARY = 512


def learn(folder, run):
    """Learns byte pairs from the train split: 256 bytes, one end mark, and merges of pairs."""
    learned = tokenizers.Tokenizer(tokenizers.models.BPE())
    learned.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    learned.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[docs.END],
        show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    learned.train_from_iterator(docs.docstrings("train"), trainer)
    text = learned.to_str()
    files.write(folder / "tokenizers" / "docs.json", text)
    digest = hashlib.sha256(text.encode("utf8")).hexdigest()
    return {"vocabulary": learned.get_vocab_size(), "sha256": digest}
