"""Making language models fast: quantization, pruning, distillation, and how to measure them."""

SUPPORTED = [(3, 10), (3, 11), (3, 12), (3, 13)]  # the Pythons that TensorFlow has a build for
