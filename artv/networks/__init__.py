"""The networks of ART-V: one conditional UNet at two widths, composed."""

from artv.networks.conditional_unet import ConditionalUNet
from artv.networks.inference_model import InferenceModel
from artv.networks.model import ArtVModel, Conditions, Encoded, Prediction

__all__ = ["ArtVModel", "ConditionalUNet", "Conditions", "Encoded", "InferenceModel", "Prediction"]
