"""The built-in components, registered through the hooks that anyone's are."""

from artv_eval.plugins.components import Component
from artv_eval.plugins.hookspecs import hookimpl


@hookimpl
def register_samplers() -> list[Component]:
    return [
        Component(
            "dpmpp_2s_ancestral", "artv.samplers:sample_dpmpp_2s_ancestral", "the paper's: second order, 2n-1 calls"
        ),
        Component("dpmpp_2m", "artv.samplers:sample_dpmpp_2m", "deterministic, second order by the last call's memory"),
        Component("dpmpp_sde", "artv.samplers:sample_dpmpp_sde", "second order on the SDE"),
        Component("euler", "artv.samplers:sample_euler", "deterministic, first order"),
        Component("euler_ancestral", "artv.samplers:sample_euler_ancestral", "first order, noise put back every step"),
        Component("heun", "artv.samplers:sample_heun", "deterministic, second order by two calls a step"),
        Component("ddim", "artv.samplers:sample_ddim", "DDIM with eta from 0 to 1"),
        Component("unipc", "artv.samplers:sample_unipc", "diffusers' UniPC multistep"),
    ]


@hookimpl
def register_methods() -> list[Component]:
    where = "artv_eval.methods"
    return [
        Component("artv", f"{where}.artv:ArtV", "ART-V, frame by frame", argument="checkpoint"),
        Component("real", f"{where}.trivial:Real", "the ground truth: the floor of every metric"),
        Component("copy-first", f"{where}.trivial:CopyFirst", "a still of the first frame: no motion"),
        Component("wrong-prompt", f"{where}.trivial:WrongPrompt", "real clips under other captions: wrong text"),
        Component("folder", f"{where}.folder:Folder", "video files made elsewhere: folder:PATH", argument="path"),
        Component("command", f"{where}.command:Command", "any program that makes clips: command:FILE", argument="file"),
    ]


@hookimpl
def register_guidance() -> list[Component]:
    return [
        Component("three_term", "artv.guidance:ThreeTerm", "equation 1: ref, anchor and text, each on its own"),
        Component("joint", "artv.guidance:Joint", "one branch without any condition"),
        Component("nested", "artv.guidance:Nested", "conditions added one inside the other"),
        Component("interval", "artv.guidance:interval", "three terms, at some noise levels only"),
        Component("rescaled", "artv.guidance:rescaled", "three terms, pulled back to the prediction's deviation"),
        Component("none", "artv.guidance:none", "the plain conditional model"),
    ]


@hookimpl
def register_readers() -> list[Component]:
    return [
        Component(
            "decord", "artv.data.readers:DecordReader", "jumps where that is proven right, else as pyav; the default"
        ),
        Component("pyav", "artv.data.readers:PyAvReader", "reads everything FFmpeg reads"),
    ]


@hookimpl
def register_ablations() -> list[Component]:
    return [
        Component("mask", "artv_eval.ablations:mask", "mask on against a twin trained without it"),
        Component("anchor", "artv_eval.ablations:anchor", "anchor on against a twin trained without it"),
        Component("mask-switched", "artv_eval.ablations:mask_switched", "mask off in the model trained with it"),
        Component("sampler", "artv_eval.ablations:sampler", "all samplers, those of plugins included"),
        Component("speed", "artv_eval.ablations:speed", "approximate accelerations: quality against seconds a clip"),
        Component("steps", "artv_eval.ablations:steps", "number of sampling steps"),
        Component("guidance", "artv_eval.ablations:guidance", "equation 1 without each of its terms"),
        Component("mask-rule", "artv_eval.ablations:mask_rule", "all mask rules, plugins' included"),
        Component("guidance-rule", "artv_eval.ablations:guidance_rule", "all guidance rules, plugins' included"),
        Component("anchor-strategy", "artv_eval.ablations:anchor_strategy", "all anchor strategies, plugins' included"),
        Component("ref-noise", "artv_eval.ablations:ref_noise", "all noise levels of references, plugins' included"),
        Component("copy-noised", "artv_eval.twins.ablations:copy_noised", "trained: the mask copies noised references"),
        Component("drop-rates", "artv_eval.twins.ablations:drop_rates", "trained: how often conditions are left out"),
        Component("start-share", "artv_eval.twins.ablations:start_share", "trained: samples like the start of a clip"),
        Component("weight-cap", "artv_eval.twins.ablations:weight_cap", "trained: weight of errors at high noise"),
        Component("training-grid", "artv_eval.twins.ablations:training_grid", "trained: any fields, with --grid"),
        Component("grid", "artv_eval.ablations:grid", "one model, for --grid alone"),
        Component("cells", "artv_eval.ablations:cells", "cells that a plan file lists"),
        Component("baselines", "artv_eval.ablations:baselines", "ART-V beside ModelScope, I2VGen-XL, or yours"),
    ]


@hookimpl
def register_trainers() -> list[Component]:
    return [Component("artv-train", "artv_eval.twins.artv:ArtVTrainer", "artv train, in a process of its own")]


@hookimpl
def register_executors() -> list[Component]:
    return [
        Component("serial", "artv_eval.executors.serial:SerialExecutor", "one task after the other, here"),
        Component("gpus", "artv_eval.executors.gpus:GpuExecutor", "a process a GPU of this machine"),
        Component("ray", "artv_eval.executors.ray:RayExecutor", "Ray tasks, on one machine or many"),
    ]


@hookimpl
def register_reporters() -> list[Component]:
    where = "artv_eval.report"
    return [
        Component("table", f"{where}.terminal:table", "for a terminal: the finding, a row a cell"),
        Component("long", f"{where}.terminal:long", "for a terminal: a row a value, every difference"),
        Component("json", f"{where}.documents:as_json", "one document"),
        Component("csv", f"{where}.documents:as_csv", "the rows"),
        Component("csv-comparisons", f"{where}.documents:as_csv_comparisons", "the paired differences"),
        Component("markdown", f"{where}.markdown:markdown", "for a README"),
        Component("latex", f"{where}.latex:latex", "for a paper, with booktabs"),
    ]


@hookimpl
def register_anchors() -> list[Component]:
    return [
        Component("first", "artv.anchors:FirstFrame", "the first frame, for every frame"),
        Component("last-of-prompt", "artv.anchors:LastOfPrompt", "the paper's: the last frame of the prompt before"),
        Component("sliding", "artv.anchors:Sliding", "the newest frame, taken anew every few frames"),
        Component("blend", "artv.anchors:Blend", "a running mixture with the newest frame"),
        Component("image", "artv.anchors:UserImage", "a picture of the user's, for every frame", argument="picture"),
        Component("none", "artv.anchors:NoAnchor", "the condition is dropped"),
    ]


@hookimpl
def register_noise_levels() -> list[Component]:
    where = "artv.conditioning"
    return [
        Component("constant", f"{where}:constant", "always the same; 0 leaves references clean", argument="level"),
        Component("uniform", f"{where}:uniform", "uniform between two levels: what training uses"),
        Component("half_normal", f"{where}:half_normal", "mostly clean, now and then noisy", argument="scale"),
    ]


@hookimpl
def register_accelerations() -> list[Component]:
    where = "artv.accelerations"
    return [
        Component("reuse-guidance", f"{where}:ReuseGuidance", "all guidance branches at some evaluations only"),
        Component("reuse-evaluations", f"{where}:ReuseEvaluations", "some evaluations take the x0 of the one before"),
        Component("reuse-features", f"{where}:ReuseFeatures", "the networks' deep levels at some evaluations only"),
        Component("skip-copied", f"{where}:SkipCopied", "no dynamic noise where the mask copies anyway"),
    ]


@hookimpl
def register_first_frames() -> list[Component]:
    return [
        Component(
            "folder",
            "artv_eval.methods.first_frames:FolderOfPictures",
            "pictures of a folder, by prompt or by seed",
            argument="path",
        )
    ]


@hookimpl
def register_masks() -> list[Component]:
    return [
        Component("learned", "artv.mask_rules:Learned", "as the network predicts it"),
        Component("hard", "artv.mask_rules:Hard", "0 or 1, split at a threshold"),
        Component("constant", "artv.mask_rules:Constant", "the same share everywhere: what the prediction is worth"),
        Component("late", "artv.mask_rules:Late", "no copying while the noise is high"),
    ]


@hookimpl
def register_protocols() -> list[Component]:
    where = "artv_eval.protocols.cards"
    return [
        Component("shapes@1", f"{where}:shapes_1", "the synthetic world, first frame given"),
        Component("shapes@2", f"{where}:shapes_2", "the synthetic world for long clips: pans, occlusion, returns"),
        Component("long@rolling-forcing", f"{where}:long_rolling_forcing", "30 s at 16 fps, prompts from your file"),
        Component("long@lv-bench", f"{where}:long_lv_bench", "a minute in ten chunks, prompts from your file"),
        Component("vbench@946", f"{where}:vbench", "VBench's 946 prompts × 5, your file"),
        Component("vbench-long@946", f"{where}:vbench_long", "the same, 30 s"),
        Component("moviegen@1003", f"{where}:moviegen", "Movie Gen Video Bench's 1,003 prompts, your file"),
        Component("evalcrafter@700", f"{where}:evalcrafter", "EvalCrafter's 700 prompts, your file"),
        Component("t2v-compbench@1400", f"{where}:t2v_compbench", "T2V-CompBench's 7 × 200 prompts, your folder"),
        Component("ucf101@videopoet", f"{where}:ucf101_videopoet", "10,000 clips, class sentences, 256"),
        Component("ucf101@lavie", f"{where}:ucf101_lavie", "10,100 clips, class names, crop 270 to 224"),
        Component("ucf101@stylegan-v", f"{where}:ucf101_stylegan_v", "2,048 clips, covariance over n"),
        Component("msrvtt@lavie", f"{where}:msrvtt_lavie", "2,990 prompts, CLIPSIM"),
        Component("msrvtt@videopoet", f"{where}:msrvtt_videopoet", "all captions; FVD 2,048 × 20"),
        Component("files", "artv_eval.protocols.files:FilesProtocol", "video files as they are: score's default"),
        Component("yaml", f"{where}:from_yaml", "a card of your own: yaml:FILE", argument="path"),
    ]


@hookimpl
def register_features() -> list[Component]:
    return [
        Component("shapes", "artv_eval.features.shapes:shapes_classifier", "classifier of the synthetic world, 64-d"),
        Component("shapes-clip", "artv_eval.features.shapes:shapes_clip", "small CLIP of the synthetic world"),
        Component("i3d", "artv_eval.features.i3d:i3d", "I3D on Kinetics-400, 400 logits: most published FVD"),
        Component("i3d-torchscript", "artv_eval.features.i3d:i3d_torchscript", "I3D as StyleGAN-V uses it"),
        Component("videomae", "artv_eval.features.videomae:videomae", "VideoMAE, as in content-debiased FVD"),
        Component("clip", "artv_eval.features.clip:clip", "any model and weights of open_clip"),
        Component("vjepa2", "artv_eval.features.vjepa2:vjepa2", "V-JEPA 2, clips: for JEDi, FVD, KVD"),
        Component("dinov3", "artv_eval.features.dinov3:dinov3", "DINOv3, pictures by what is in them"),
        Component("dinov2-frames", "artv_eval.features.of_frames:dinov2_frames", "clips: mean of frames by DINOv2"),
        Component("dinov3-frames", "artv_eval.features.of_frames:dinov3_frames", "clips: mean of frames by DINOv3"),
        Component("dinov2", "artv_eval.features.dinov2:dinov2", "DINOv2, pictures by what is in them"),
        Component("dreamsim", "artv_eval.features.dreamsim:dreamsim", "DreamSim, pictures, where it is installed"),
        Component("c3d", "artv_eval.features.c3d:c3d", "C3D on UCF-101, for the Inception Score"),
    ]


def _window_metrics() -> list[Component]:
    """Set metrics on sliding windows: against real ones at the same place or anywhere, and their growth a frame."""
    where = "artv_eval.metrics.window_factories"
    made = []
    for name, what in (("window_fvd", "FVD"), ("window_kvd", "KVD"), ("window_frame_fid", "FID of frames")):
        for end, place in (("", "at the same place"), ("_anywhere", "anywhere")):
            said = f"{what} on sliding windows, real ones {place}"
            made.append(Component(f"{name}{end}", f"{where}:{name}{end}", said))
            made.append(Component(f"{name}{end}_drift", f"{where}:{name}{end}_drift", f"{said}: growth a frame"))
    return made


@hookimpl
def register_metrics() -> list[Component]:
    where = "artv_eval.metrics.factories"
    curves = "artv_eval.metrics.curve_factories"
    return [
        Component("fvd", f"{where}:fvd", "Fréchet video distance"),
        Component("fvd_infinity", f"{where}:fvd_infinity", "FVD extrapolated to infinitely many clips"),
        Component("kvd", f"{where}:kvd", "kernel video distance, unbiased"),
        Component("jedi", f"{where}:jedi", "JEDi: polynomial MMD of V-JEPA features"),
        *_window_metrics(),
        Component("inception_score", f"{where}:inception_score", "Inception Score"),
        Component("frame_fid", f"{where}:frame_fid", "FID of frames"),
        Component("psnr", f"{where}:psnr", "PSNR to the ground truth"),
        Component("ssim", f"{where}:ssim", "SSIM to the ground truth"),
        Component("lpips", f"{where}:lpips", "LPIPS to the ground truth"),
        Component("flicker", f"{where}:flicker", "change of the still background from frame to frame"),
        Component("warping_error", f"{where}:warping_error", "warping error along optical flow"),
        Component("clipsim", f"{where}:clipsim", "agreement with the caption"),
        Component("clipsim_drift", f"{where}:clipsim_drift", "loss of agreement with the caption, a frame"),
        Component("anchor_similarity", f"{where}:anchor_similarity", "similarity of every frame to the first"),
        Component("anchor_drift", f"{where}:anchor_drift", "loss of similarity to the first frame, a frame"),
        Component("drift", f"{curves}:drift", "the protocol's headline of drift: see docs/metrics.md"),
        Component(
            "still_background_drift",
            f"{where}:still_background_drift",
            "change of the still background, grey levels a frame",
        ),
        Component("sharpness_drift", f"{where}:sharpness_drift", "change of sharpness a frame"),
        Component("contrast_drift", f"{where}:contrast_drift", "change of contrast a frame"),
        Component("saturation_drift", f"{where}:saturation_drift", "change of saturation a frame"),
        Component("mask_auc", f"{where}:mask_auc", "the mask against the true motion region"),
        Component("seconds", f"{where}:seconds", "wall-clock seconds a clip"),
        Component("curve", f"{curves}:curve", "a quantity a frame and a summary: curve:sharpness/vde", argument="what"),
        Component("background_error", f"{curves}:background_error", "distance of the background from the true one"),
        Component("background_drift", f"{curves}:background_drift", "growth of that distance, grey levels a frame"),
        Component("background_psnr", f"{curves}:background_psnr", "PSNR of the background to the true one, dB"),
        Component("object_survival", f"{curves}:object_survival", "share of frames in which an object is still there"),
        Component("object_colour", f"{curves}:object_colour", "share of frames in which it has its colour"),
        Component("object_shape", f"{curves}:object_shape", "share of frames in which it has its shape"),
        Component("position_error", f"{curves}:position_error", "pixels from where it should be"),
        Component("size_error", f"{curves}:size_error", "relative error of its diameter"),
        Component("mask_contrast", f"{where}:mask_contrast", "mean mask outside the motion region minus inside"),
        Component("caption", f"{where}:caption", "share of named colours recognised moving as named"),
        Component("caption_colour", f"{where}:caption_colour", "share of named colours recognised"),
        Component("caption_motion", f"{where}:caption_motion", "share of named motions recognised"),
    ]
