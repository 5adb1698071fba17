"""A larger model begins with the function of a smaller one, and all of it can learn."""

import numpy as np
import pytest
from small import decoder

from course_utils.backend import keras, tf
from course_utils.experiments.growing import grow

SIZES = {"vocabulary": 24, "context": 16}


def pair():
    small = decoder(width=16, depth=2, heads=2, **SIZES)
    for table in (small.embedding, small.positions):  # as loud as in a trained model
        table.embeddings.assign(20 * np.asarray(table.embeddings))
    for norm, _ in small.norms():
        norm.scale.assign(np.random.default_rng(0).uniform(0.5, 2, norm.scale.shape))
    return small, decoder(width=40, depth=3, heads=5, seed=1, **SIZES)


def test_the_function_stays():
    small, large = pair()
    tokens = np.random.default_rng(0).integers(0, 24, (4, 16))
    assert not np.allclose(large(tokens), small(tokens), atol=0.1)
    grow(small, large)
    np.testing.assert_allclose(large(tokens), small(tokens), atol=1e-4)
    assert large.count_params() > 3 * small.count_params()


def test_every_weight_learns_within_three_steps():
    small, large = pair()
    grow(small, large)
    before = [np.asarray(weight).copy() for weight in large.trainable_weights]
    tokens = np.random.default_rng(0).integers(0, 24, (8, 16))
    optimizer = keras.optimizers.Adam(0.01)
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = keras.losses.sparse_categorical_crossentropy(
                tokens[:, 1:], large(tokens[:, :-1]), from_logits=True
            )
        gradients = tape.gradient(loss, large.trainable_weights)
        optimizer.apply(gradients, large.trainable_weights)
    for weight, old in zip(large.trainable_weights, before):
        moved = np.asarray(weight) != old
        if weight.path.endswith("positions/embeddings"):
            moved = moved[:15]  # the last place was not read
        assert moved.mean() > 0.99, weight.path


def test_a_smaller_or_unlike_one_is_refused():
    small, large = pair()
    with pytest.raises(ValueError, match="width must be .* got 16"):
        grow(large, decoder(width=16, depth=3, heads=5, head_size=8, **SIZES))
    with pytest.raises(ValueError, match="head_size must be"):
        grow(small, decoder(width=16, depth=2, heads=4, **SIZES))
