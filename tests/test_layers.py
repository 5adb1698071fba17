"""What layers multiply: told by the table, checked against what Keras computes."""

import numpy as np
import pytest

from course_utils import pruning, quantization, second_order
from course_utils.backend import keras
from course_utils.compression import Prune, Quantize, capture, compress, load, weights
from course_utils.compression.layers import TABLE, WITHOUT_MATRIX

L = keras.layers
LINEAR = [
    (lambda: L.Dense(5), (4, 7)),
    (lambda: L.EinsumDense("abc,cbd->ad", (7,)), (6, 8)),  # summed axes in another order
    (lambda: L.EinsumDense("abcd,dce->abe", (5, 7)), (5, 6, 8)),
    (lambda: L.EinsumDense("abcd,bde->ace", (5, 7)), (4, 5, 6)),  # not the last axes
    (lambda: L.EinsumDense("abc,bcd->abd", (6, 7)), (6, 8)),  # a matrix for each b
    (lambda: L.EinsumDense("abc,dbc->abd", (6, 7)), (6, 8)),  # the same, another order
    (lambda: L.EinsumDense("...x,xy->...y", 7), (3, 4)),
    (lambda: L.EinsumDense("abc,cd->ad", 7), (6, 8)),  # b is summed without a kernel
    (lambda: L.Conv1D(6, 3, padding="causal", dilation_rate=2), (9, 4)),
    (lambda: L.Conv1D(6, 3, strides=2, padding="same", groups=2), (9, 4)),
    (lambda: L.Conv2D(6, (3, 2), strides=2, padding="same"), (9, 8, 4)),
    (lambda: L.Conv2D(6, 3, dilation_rate=2), (9, 8, 4)),
    (lambda: L.Conv2D(6, 3, groups=2), (9, 8, 4)),
    (lambda: L.Conv3D(3, 2), (4, 5, 4, 2)),
    (lambda: L.DepthwiseConv1D(3, depth_multiplier=2), (9, 4)),
    (lambda: L.DepthwiseConv2D(3, strides=2, padding="same"), (9, 8, 4)),
    (lambda: L.Conv1DTranspose(6, 3, strides=2), (9, 4)),
    (lambda: L.Conv2DTranspose(6, 3, strides=2, padding="same", output_padding=1), (5, 6, 4)),
    (lambda: L.Conv3DTranspose(3, 2, strides=2), (3, 4, 3, 2)),
]


def sample(shape, rows=3, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, *shape)).astype(np.float32)


def by_matrix(weight, x):
    """What a layer's inputs, as the table sees them, give times its matrix: `(samples, units)`."""
    read = weight.read(keras.ops.convert_to_tensor(x))
    read = read if read.ndim == 3 else read[None]
    columns = np.split(weight.matrix(), weight.product.parts, axis=1)
    return np.concatenate([one @ part for one, part in zip(read, columns)], axis=-1)


@pytest.mark.parametrize("make, shape", LINEAR, ids=lambda v: None if callable(v) else str(v))
def test_inputs_times_the_matrix_are_what_the_layer_gives(make, shape):
    """A layer without bias and activation is its inputs times its matrix, and nothing else."""
    layer, x = make(), sample(shape)
    layer.use_bias = False
    given = np.asarray(keras.Sequential([keras.Input(shape), layer])(x))
    (weight,) = weights(keras.Sequential([keras.Input(shape), layer]))[:1]
    got = by_matrix(weight, x)
    assert got.size == given.size
    np.testing.assert_allclose(np.sort(got, None), np.sort(given, None), atol=1e-5)
    if not isinstance(layer, L.EinsumDense):
        np.testing.assert_allclose(got.reshape(given.shape), given, atol=1e-5)


def test_both_halves_of_a_separable_convolution():
    layer, x = (
        L.SeparableConv2D(6, 3, strides=2, padding="same", depth_multiplier=2),
        sample((9, 8, 4)),
    )
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    given, (window, point) = np.asarray(model(x)), weights(model)[:2]
    np.testing.assert_allclose(by_matrix(point, x).reshape(given.shape), given, atol=1e-5)
    assert window.read(keras.ops.convert_to_tensor(x)).shape == (4, 3 * 5 * 4, 9)


# Layers of Keras without any weight; whatever is in neither list may hold a matrix.
WEIGHTLESS = """
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
    AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
    AlphaDropout AugMix AutoContrast Average AveragePooling1D AveragePooling2D AveragePooling3D
    CategoryEncoding CenterCrop Concatenate ContrastLimitedAdaptiveHistogramEqualization Cropping1D
    Cropping2D Cropping3D CutMix Discretization Dot Dropout ELU Equalization Flatten GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D HashedCrossing Hashing Identity
    InputLayer IntegerLookup LeakyReLU Masking MaxNumBoundingBoxes MaxPooling1D MaxPooling2D
    MaxPooling3D Maximum Minimum MixUp Multiply Permute RandAugment RandomBrightness
    RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform
    RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert
    RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness
    RandomShear RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing Softmax
    Solarization SpatialDropout1D SpatialDropout2D SpatialDropout3D StringLookup Subtract
    TextVectorization UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D
    ZeroPadding2D ZeroPadding3D
""".split()
# Their weights are those of layers inside them, or of code that no file may bring along.
MADE_OF_OTHERS = """
    Bidirectional ConvLSTM1D ConvLSTM2D ConvLSTM3D FlaxLayer GRU GroupQueryAttention JaxLayer LSTM
    Lambda Layer MultiHeadAttention Pipeline RNN SimpleRNN StackedRNNCells TFSMLayer TimeDistributed
    TorchModuleWrapper Wrapper
""".split()


def test_every_layer_of_keras_is_in_a_list():
    known = {*WEIGHTLESS, *MADE_OF_OTHERS, *WITHOUT_MATRIX, *(kind for kind, _ in TABLE)}
    exported = {
        kind.__name__: kind
        for kind in vars(L).values()
        if isinstance(kind, type) and issubclass(kind, L.Layer)
    }
    unknown = [
        name
        for name, kind in exported.items()
        if not known & {b.__name__ for b in kind.__mro__[:2]}
    ]
    assert len(exported) > 100 and not unknown, f"add to layers.TABLE or a list here: {unknown}"


def test_a_layer_that_is_called_twice_shows_both_calls():
    @keras.saving.register_keras_serializable("tests")
    class Both(keras.Model):
        def __init__(self, **more):
            super().__init__(**more)
            self.dense = L.Dense(8)

        def build(self, shape):
            self.dense.build((None, 6))

        def call(self, x):
            return self.dense(x) + self.dense(inputs=-3 * x[:, ::-1])  # the second by keyword

    model, x, shown = Both(), sample((6,), 5), []
    model.build((None, 6))
    both = np.concatenate([x, -3 * x[:, ::-1]])
    np.testing.assert_array_equal(capture(model, weights(model)[0], x), both)

    def spy(matrix, inputs):
        shown.append(inputs)
        return matrix

    compress(model, [Quantize(spy)], calibration=x)
    np.testing.assert_array_equal(shown[0], both)


@pytest.mark.parametrize(
    "layer, shape, says",
    [
        (
            lambda: L.LSTM(4),
            (5, 3),
            "lstm_cell/kernel is read step by step, in a loop, so it has no inp",
        ),
        (
            lambda: L.Embedding(9, 4),
            (),
            "embeddings is looked up, so it has no inputs to calibrate on",
        ),
    ],
)
def test_what_cannot_be_seen_is_refused_by_name(layer, shape, says):
    model = keras.Sequential([keras.Input(shape), layer()])
    with pytest.raises(ValueError, match=says):
        compress(model, [Quantize(second_order.gptq, bits=4)], calibration=np.ones((2, *shape)))


def test_a_call_of_its_own_is_refused_by_name():
    @keras.saving.register_keras_serializable("tests")
    class Turned(L.Dense):
        def call(self, x):
            return super().call(x[:, ::-1])

    model = keras.Sequential([keras.Input((4,)), Turned(3)])
    assert not weights(model)[0].skipped_because  # rules that need no inputs know what to do
    with pytest.raises(ValueError, match="Turned, which has a call of its own"):
        compress(model, [Quantize(second_order.gptq, bits=4)], calibration=sample((4,)))


def output_error(model, steps, x, only):
    small = compress(model, steps(only), calibration=x)
    return float(np.mean(np.square(np.asarray(small.model(x)) - np.asarray(model(x)))))


RULES = {
    "rounded": lambda only: [Quantize(quantization.absmax, only=only, bits=3)],
    "gptq": lambda only: [Quantize(second_order.gptq, only=only, bits=3)],
    "magnitude": lambda only: [Prune(pruning.magnitude, pruning.fraction_per_unit(0.5), only=only)],
    "wanda": lambda only: [Prune(pruning.wanda, pruning.fraction_per_unit(0.5), only=only)],
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "make, shape",
    [LINEAR[1], LINEAR[3], LINEAR[4], LINEAR[10], LINEAR[12], LINEAR[14], LINEAR[17]],
    ids=lambda v: None if callable(v) else str(v),
)
def test_calibrated_rules_help_on_every_kind(make, shape, seed):
    """Inputs of very different size, strongly correlated: whoever sees them wrongly does worse."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input(shape), make()])
    random, size = np.random.default_rng(seed), int(np.prod(shape))
    mixed = random.standard_normal((size, size)) * np.linspace(0.05, 2, size)
    x = (random.standard_normal((256, size)) @ mixed).reshape(256, *shape).astype(np.float32)
    error = {name: output_error(model, steps, x, "") for name, steps in RULES.items()}
    assert error["gptq"] < 0.95 * error["rounded"]
    assert error["wanda"] < error["magnitude"]


def test_side_by_side_maps_are_put_back_in_place(tmp_path):
    """GPTQ at 8 bits hardly moves a weight: parts in another order would."""
    x = sample((9, 8, 4), 8)
    model = keras.Sequential(
        [keras.Input(x.shape[1:]), L.Conv2D(6, 3, groups=2), L.DepthwiseConv2D(3)]
    )
    small = compress(model, [Quantize(second_order.gptq, bits=8)], calibration=x)
    np.testing.assert_allclose(np.asarray(small.model(x)), np.asarray(model(x)), atol=0.05)
    back = load(small.save(tmp_path / "groups.safetensors"))
    np.testing.assert_array_equal(np.asarray(back(x)), np.asarray(small.model(x)))
