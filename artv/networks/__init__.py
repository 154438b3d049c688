"""The networks of ART-V: one conditional UNet at two widths, composed."""

from artv.networks.conditional_unet import ConditionalUNet
from artv.networks.deep_features import DeepFeatures, deep_features
from artv.networks.fast.model import InferenceModel
from artv.networks.model import ArtVModel, Conditions, Encoded, Prediction
from artv.networks.windows import Windows

__all__ = [
    "ArtVModel",
    "ConditionalUNet",
    "Conditions",
    "DeepFeatures",
    "Encoded",
    "InferenceModel",
    "Prediction",
    "Windows",
    "deep_features",
]
