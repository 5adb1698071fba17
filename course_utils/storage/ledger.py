"""The ledger: where the bytes of a file went."""

import dataclasses

PARTS = ("payload", "scales", "codebooks", "indices", "untouched", "header")


@dataclasses.dataclass(frozen=True)
class Ledger:
    """Where the bytes of a file went.

    Attributes:
        parts: Bytes by part: `payload` (codes, or floats that were kept), `scales` (with zero
            points), `codebooks` (with the code-length tables of the entropy coder), `indices`
            (where the kept weights stand), `untouched` (tensors stored as they were), `header`
            (names, shapes, layouts, the model's configuration, checksum).
        layouts: By tensor: the layout chosen, how many weights it has, and its bytes without
            header.
    """

    parts: dict
    layouts: dict

    @property
    def total(self):
        """Length of the file in bytes."""
        return sum(self.parts.values())

    @property
    def weights(self):
        """How many weights the tensors have, zeros included."""
        return sum(count for _, count, _ in self.layouts.values())

    @property
    def bits_per_weight(self):
        return 8 * self.total / self.weights

    def __str__(self):
        rows = [f"{part:<10} {size:>10,} bytes" for part, size in self.parts.items() if size]
        bits = f"{self.bits_per_weight:.2f} bits a weight"
        return "\n".join([*rows, f"{'total':<10} {self.total:>10,} bytes = {bits}"])
