"""Making language models fast: quantization, pruning, distillation, and how to measure them."""

__version__ = "0.1.0"
