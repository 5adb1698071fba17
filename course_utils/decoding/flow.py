"""Pictures from noise: flow matching, one small step after another.

A network was taught which way to move at each place and time, on straight lines from noise to
scans (Lipman et al., 2023; Liu et al., 2023). To draw, begin with noise and follow it.
"""

import numpy as np

from course_utils.checks import seed as checked_seed
from course_utils.checks import whole

PIXELS, CLASSES, TIMES = 64, 10, 8


def state(pictures, time, labels):
    """Puts side by side what the network is told: the picture as it is, the time, the class.

    Args:
        pictures: `float32` of shape `(batch, 64)`, from -1 (paper) to 1 (ink) at the end.
        time: From 0 (noise) to 1 (picture), a number or one for each picture.
        labels: Which digit each shall become, of shape `(batch,)`.

    Returns:
        `float32` of shape `(batch, 90)`.
    """
    time = np.broadcast_to(np.reshape(time, (-1, 1)), (len(pictures), 1))
    waves = np.pi * time * 2.0 ** np.arange(TIMES)
    one_hot = np.eye(CLASSES)[np.asarray(labels)]
    parts = [pictures, np.sin(waves), np.cos(waves), one_hot]
    return np.concatenate(parts, axis=1).astype(np.float32)


def euler(model, pictures, time, labels, length):
    """Moves pictures along their velocity for a length of time: Euler's method.

    Args:
        model: Gives velocities `(batch, 64)` for a `state`.
        pictures, time, labels: See `state`.
        length: Of the step; with `n` steps from noise to picture, `1 / n`.

    Returns:
        The pictures a step later.
    """
    return pictures + length * np.asarray(model(state(pictures, time, labels)))


def noise(count, seed=0):
    """Draws the noise that pictures begin with, `(count, 64)`: the same for the same seed."""
    rng = np.random.default_rng(checked_seed(seed))
    return rng.standard_normal((whole("count", count, 1, 10**6), PIXELS)).astype(np.float32)


def draw(model, labels, steps=16, seed=0):
    """Draws a picture for each label.

    Args:
        model: Gives velocities for a `state`.
        labels: Digits, of shape `(count,)`.
        steps: How many steps of Euler's method lead from noise to picture.
        seed: Of the noise.

    Returns:
        `float32` of shape `(count, 64)` in 0..1, as the scans are.

    Raises:
        ValueError: If there is no label, or one that is no digit.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not labels.size or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be a row of whole numbers, got {labels.dtype} {labels!r}")
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise ValueError(f"labels must be from 0 to 9, got {labels.min()} to {labels.max()}")
    steps, pictures = whole("steps", steps, 1, 1000), noise(len(labels), seed)
    for step in range(steps):
        pictures = euler(model, pictures, step / steps, labels, 1 / steps)
    return np.clip((pictures + 1) / 2, 0, 1).astype(np.float32)
