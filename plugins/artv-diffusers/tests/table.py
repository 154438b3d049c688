"""The tables of the plugin's README: python plugins/artv-diffusers/tests/table.py"""

from artv_diffusers.classes import table, table_of_left_out

RUN = dict.fromkeys(
    (
        "AnimateDiffPAGPipeline", "AnimateDiffPipeline", "CogVideoXImageToVideoPipeline", "CogVideoXPipeline",
        "I2VGenXLPipeline", "LTXConditionPipeline", "LTXI2VLongMultiPromptPipeline", "LTXImageToVideoPipeline",
        "LTXPipeline", "LattePipeline", "SkyReelsV2ImageToVideoPipeline", "SkyReelsV2Pipeline",
        "StableVideoDiffusionPipeline", "TextToVideoSDPipeline", "WanImageToVideoPipeline", "WanPipeline",
    ),
    "yes",
) | dict.fromkeys(
    ("SkyReelsV2DiffusionForcingImageToVideoPipeline", "SkyReelsV2DiffusionForcingPipeline"),
    "yes; with `overlap_history` in chunks",
) | {
    "AnyFlowFARPipeline": "yes; in chunks, of as many frames as `chunk_partition` makes",
    "HeliosPipeline": "yes; in chunks of `num_latent_frames_per_chunk`",
    "HeliosPyramidPipeline": "yes; in chunks of `num_latent_frames_per_chunk`",
}  # fmt: skip

REASONS = {
    "ConsisIDPipeline": "it needs OpenCV, and tensors made of a face",
    "PIAPipeline": "no tiny UNet of nine input channels",
    "TextToVideoZeroPipeline": "it does not load without a safety checker",
    "TextToVideoZeroSDXLPipeline": "it counts back from the last of at least 48 steps (`t0`, `t1`)",
}
"""Why a class was not run whose parts are all here."""

if __name__ == "__main__":
    print(table(RUN, REASONS), table_of_left_out(), sep="\n\n")
