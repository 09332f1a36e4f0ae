"""Small Keras networks of layers that no application has."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

__all__ = [
    "bidirectional_gru",
    "conv_lstm",
    "lstm",
    "separable",
    "text_convolutions",
    "transformer",
    "unet",
    "volumes",
]


def lstm() -> Any:
    """Two layers of LSTM."""
    x = keras.Input((12, 8))
    y = layers.LSTM(16, return_sequences=True)(x)
    return keras.Model(x, layers.Dense(3)(layers.LSTM(16)(y)))


def bidirectional_gru() -> Any:
    """GRU of words, both ways."""
    x = keras.Input((10,), dtype="int32")
    y = layers.Bidirectional(layers.GRU(12))(layers.Embedding(50, 16)(x))
    return keras.Model(x, layers.Dense(4, activation="softmax")(y))


def transformer() -> Any:
    """A block of attention and a feed-forward network."""
    x = keras.Input((16, 32))
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(4, 8)(x, x))
    y = layers.LayerNormalization()(y + layers.Dense(32)(layers.Dense(64, activation="gelu")(y)))
    return keras.Model(x, layers.Dense(5)(layers.GlobalAveragePooling1D()(y)))


def text_convolutions() -> Any:
    """Convolutions of several widths over words."""
    x = keras.Input((20,), dtype="int32")
    y = layers.Embedding(50, 16)(x)
    parts = [
        layers.GlobalMaxPooling1D()(layers.Conv1D(8, width, activation="relu")(y)) for width in (2, 3, 4)
    ]
    return keras.Model(x, layers.Dense(2)(layers.Concatenate()(parts)))


def unet() -> Any:
    """Down, up by transposed convolutions, and across."""
    x = keras.Input((32, 32, 3))
    first = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    second = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D()(first))
    up = layers.Conv2DTranspose(8, 3, strides=2, padding="same")(second)
    y = layers.Concatenate()([up, first, layers.UpSampling2D(interpolation="bilinear")(second)])
    return keras.Model(x, layers.Conv2D(2, 1, activation="softmax")(y))


def separable() -> Any:
    """Separable convolutions and activations that few have."""
    x = keras.Input((32, 32, 3))
    y = layers.SeparableConv2D(8, 3, strides=2, padding="same")(x)
    y = layers.PReLU(shared_axes=(1, 2))(layers.BatchNormalization()(y))
    y = layers.Activation("hard_sigmoid")(layers.DepthwiseConv2D(3, padding="same")(y))
    return keras.Model(x, layers.Dense(4, activation="elu")(layers.GlobalMaxPooling2D()(y)))


def conv_lstm() -> Any:
    """Convolutions over images in a row."""
    x = keras.Input((4, 12, 12, 2))
    y = layers.ConvLSTM2D(4, 3, padding="same", unroll=True)(x)
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(y)))


def volumes() -> Any:
    """Three dimensions."""
    x = keras.Input((8, 16, 16, 1))
    y = layers.MaxPooling3D()(layers.Conv3D(4, 3, padding="same", activation="relu")(x))
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling3D()(layers.Conv3D(8, 3)(y))))
