"""The table of the plugin's README: python plugins/artv-diffusers/tests/table.py"""

from artv_diffusers.classes import table

RUN = dict.fromkeys(
    (
        "AnimateDiffPipeline", "CogVideoXImageToVideoPipeline", "CogVideoXPipeline", "I2VGenXLPipeline",
        "LTXConditionPipeline", "LTXImageToVideoPipeline", "LTXPipeline", "LattePipeline",
        "SkyReelsV2ImageToVideoPipeline", "SkyReelsV2Pipeline", "StableVideoDiffusionPipeline", "TextToVideoSDPipeline",
        "WanImageToVideoPipeline", "WanPipeline",
    ),
    "yes",
) | dict.fromkeys(
    ("SkyReelsV2DiffusionForcingImageToVideoPipeline", "SkyReelsV2DiffusionForcingPipeline"),
    "yes; with `overlap_history` in chunks",
)  # fmt: skip

if __name__ == "__main__":
    print(table(RUN))
