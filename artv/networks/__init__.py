"""The networks of ART-V: one conditional UNet at two widths, composed."""

from artv.networks.conditional_unet import ConditionalUNet
from artv.networks.crops import Crops
from artv.networks.deep_features import DeepFeatures, deep_features
from artv.networks.fast.model import InferenceModel
from artv.networks.model import ArtVModel, Conditions, Encoded, Prediction
from artv.renamed import renamed

__all__ = [
    "ArtVModel",
    "ConditionalUNet",
    "Conditions",
    "Crops",
    "DeepFeatures",
    "Encoded",
    "InferenceModel",
    "Prediction",
    "deep_features",
]

__getattr__ = renamed(__name__, {"Windows": "Crops"})
