"""What every record of a run says."""

from course_utils.compression import (
    baseline,
)

SEED = 2  # the models were trained with 0 and 1: fine-tuning sees other batches
PACKAGES = (
    "tensorflow",
    "keras",
    "numpy",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "tokenizers",
    "ai-edge-litert",
)


def sizes(model, small):
    """Where the bytes went, and how many times smaller the file is than the float32 one."""
    whole = baseline(model)
    return {
        "float_bytes": whole,
        "bytes": len(small.content),
        "ratio": whole / len(small.content),
        "bits_per_weight": small.ledger.bits_per_weight,
        "ledger": small.ledger.parts,
        "layouts": small.ledger.layouts,
    }
