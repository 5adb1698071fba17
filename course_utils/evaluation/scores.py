"""What a task says of a model."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Score:
    """How well a model does a task.

    Attributes:
        accuracy: Share of what it got right; `None` where nothing is right or wrong.
        perplexity: `exp` of its mean surprise at what is true; `None` where it gives no chances.
        measured: What was measured in full: a `NextToken`, a `Classification`, skills by name.
        value: What the task's `measure` names; its accuracy if left out.
    """

    accuracy: float | None
    perplexity: float | None
    measured: object
    value: float | None = None

    @property
    def quality(self):
        """What the model is judged by: more is better."""
        return self.accuracy if self.value is None else self.value
