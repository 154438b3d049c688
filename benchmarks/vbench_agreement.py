"""The scores of artv-vbench beside those of VBench's own ``evaluate`` on the same clips, for all sixteen dimensions.

    python benchmarks/vbench_agreement.py --python VBENCH_ENVIRONMENT/bin/python --folder vbench --out results
    python benchmarks/vbench_agreement.py … --only color,scene

The networks have random weights, in the files and formats that VBench reads (CLIP, MUSIQ and DINO's stand-in small, the
others of their size): it shows that VBench is called as it calls itself, and nothing of what trained networks say.
GRiT is made sure that it sees something, a ball, and that it is red. VBench's side runs in its own environment, in
another process, over files that ffmpeg wrote. Needs ffmpeg and 8 GB; minutes of a processor.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

T, H, W, FPS = 9, 144, 160, 8
CUSTOM = (
    "subject_consistency", "background_consistency", "temporal_flickering", "motion_smoothness", "dynamic_degree",
    "aesthetic_quality", "imaging_quality", "overall_consistency", "temporal_style", "human_action",
)  # fmt: skip
LISTED = ("object_class", "multiple_objects", "color", "spatial_relationship", "scene", "appearance_style")
AUXILIARY = {
    "object_class": {"object": "ball"},
    "multiple_objects": {"object": "ball and ball"},
    "color": {"color": "red"},
    "spatial_relationship": {
        "spatial_relationship": {"object_a": "ball", "object_b": "ball", "relationship": "on the left of"}
    },
    "scene": {"scene": {"scene": "word11 word2"}},
    "appearance_style": {"appearance_style": "in a style of its own"},
}


def clips() -> list[np.ndarray]:
    """(T, H, W, 3), uint8: blocks that stand still, move, and move fast."""
    rng = np.random.default_rng(0)
    found = []
    for step in (0, 2, 9):
        blocks = rng.integers(0, 255, (H // 8, W // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        found.append(np.stack([np.roll(blocks, step * t, 1) for t in range(T)]))
    return found


def prompts() -> list[str]:
    """One a clip; human_action reads the action from it, and color the object."""
    return ["A person is abseiling", "a red ball", "a person is waving"]


def listing() -> list[dict[str, object]]:
    """A list in the form of VBench's own, for the dimensions that need one."""
    return [{"prompt_en": text, "dimension": list(LISTED), "auxiliary_info": AUXILIARY} for text in prompts()]


def write_clips(folder: Path, which: list[int]) -> None:
    """Lossless files, named as VBench's own command looks for them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = clips()
    for text, frames in ((prompts()[i], made[i]) for i in which):
        line = f"ffmpeg -loglevel error -y -f rawvideo -pix_fmt rgb24 -s {W}x{H} -r {FPS} -i - -c:v libx264 -crf 0"
        command = [*line.split(), "-pix_fmt", "yuv444p", str(folder / f"{text}-0.mp4")]
        subprocess.run(command, input=frames.tobytes(), check=True)


# VBench's side: runs in its environment, which has no artv


def made(name: str, folder: Path) -> None:
    """The files of a dimension's networks, with random weights."""
    import torch

    torch.manual_seed(0)
    cache = folder / "cache"
    if name in ("background_consistency", "appearance_style", "aesthetic_quality"):
        wide = name == "aesthetic_quality"
        _clip(cache / f"clip_model/ViT-{'L-14' if wide else 'B-32'}.pt", 768 if wide else 512)
        if wide:
            _save(torch.nn.Linear(768, 1).state_dict(), cache / "aesthetic_model/emb_reader/sa_0_4_vit_l_14_linear.pth")
    elif name == "subject_consistency":
        _dino(cache)
    elif name == "imaging_quality":
        from pyiqa.archs.musiq_arch import MUSIQ

        _save(MUSIQ(pretrained=False).state_dict(), cache / "pyiqa_model/musiq_spaq_ckpt-358bb6af.pth")
    elif name in ("overall_consistency", "temporal_style"):
        _viclip(cache / "ViCLIP")
    elif name == "dynamic_degree":
        from easydict import EasyDict
        from vbench.third_party.RAFT.core.raft import RAFT

        raft = RAFT(EasyDict(small=False, mixed_precision=False, alternate_corr=False))
        _save(torch.nn.DataParallel(raft).state_dict(), cache / "raft_model/models/raft-things.pth")
    elif name == "motion_smoothness":
        import vbench
        from omegaconf import OmegaConf
        from vbench.third_party.amt.utils.build_utils import build_from_cfg

        config = OmegaConf.load(Path(vbench.__file__).parent / "third_party/amt/cfgs/AMT-S.yaml")
        _save({"state_dict": build_from_cfg(config.network).state_dict()}, cache / "amt_model/amt-s.pth")
    elif name == "human_action":
        from vbench.third_party.umt.models.modeling_finetune import vit_large_patch16_224

        net = vit_large_patch16_224(num_classes=400, all_frames=16, tubelet_size=1, use_mean_pooling=True)
        with torch.no_grad():
            net.head.bias[341] = 100.0  # so that it is sure of Kinetics' abseiling
        _save(net.half().state_dict(), cache / "umt_model/l16_ptk710_ftk710_ftk400_f16_res224.pth")
    elif name == "scene":
        _tag2text(folder)
    elif name != "temporal_flickering":
        _grit(folder)


def _save(state: object, file: Path) -> None:
    import torch

    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, file)


def _clip(file: Path, width: int) -> None:
    import torch
    from clip.model import CLIP

    net = CLIP(width, 224, 2, 64, 32, 77, 49408, 64, 1, 2).eval()
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.trace(net, (torch.zeros(1, 3, 224, 224), torch.zeros(1, 77, dtype=torch.long))).save(str(file))


def _dino(cache: Path) -> None:
    """A repository of torch.hub with DINO's entry, and a small network behind it."""
    import torch

    repository = cache / "dino_model/facebookresearch_dino_main"
    repository.mkdir(parents=True, exist_ok=True)
    text = """
        import torch
        def dino_vitb16(pretrained=True, **kwargs):
            net = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 16, 16), torch.nn.GELU(), torch.nn.Flatten())
            file = f"{torch.hub.get_dir()}/checkpoints/dino_vitbase16_pretrain.pth"
            net.load_state_dict(torch.load(file))
            return net.eval()
    """
    (repository / "hubconf.py").write_text("\n".join(line[8:] for line in text.splitlines()), encoding="utf-8")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 16, 16), torch.nn.GELU(), torch.nn.Flatten())
    for file in ("dino_model/dino_vitbase16_pretrain.pth", "hub/checkpoints/dino_vitbase16_pretrain.pth"):
        _save(net.state_dict(), cache / file)


def _viclip(folder: Path) -> None:
    import clip
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    words = folder / "bpe_simple_vocab_16e6.txt.gz"  # CLIP's package has it
    shutil.copy(Path(clip.__file__).with_name(words.name), words)
    from vbench.third_party.ViCLIP.simple_tokenizer import SimpleTokenizer
    from vbench.third_party.ViCLIP.viclip import ViCLIP

    net = ViCLIP(tokenizer=SimpleTokenizer(str(words)), pretrain=None)
    for weights in net.parameters():  # some are not begun with anything
        torch.nn.init.normal_(weights, std=0.02)
    _save({"model": net.half().state_dict()}, folder / "ViClip-InternVid-10M-FLT.pth")


def _words(folder: Path) -> None:
    """What transformers finds as ``bert-base-uncased`` in the working folder: as many words, none of BERT's."""
    words = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "picture", "of"]
    words += ["ball", "red"]
    words += [f"word{i}" for i in range(30522 - len(words))]
    place = folder / "bert-base-uncased"
    place.mkdir(parents=True, exist_ok=True)
    (place / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")


def _tag2text(folder: Path) -> None:
    import vbench.third_party.tag2Text as package
    from vbench.third_party.tag2Text.med import BertConfig, BertModel
    from vbench.third_party.tag2Text.tag2text import Tag2Text_Caption

    _words(folder)
    config = BertConfig.from_json_file(Path(package.__file__).with_name("q2l_config.json"))
    config.encoder_width = 1024
    BertModel(config, add_pooling_layer=False).save_pretrained(folder / "bert-base-uncased", safe_serialization=False)
    net = Tag2Text_Caption(image_size=384, vit="swin_b")
    _save({"model": net.state_dict()}, folder / "cache/caption_model/tag2text_swin_14m.pth")


def _grit(folder: Path) -> None:
    import torch
    from detectron2.modeling import build_model
    from vbench.third_party.grit_src.image_dense_captions import get_parser, setup_cfg

    _words(folder)
    net = build_model(setup_cfg(get_parser(torch.device("cpu"), "none")))
    with torch.no_grad():
        head = net.proposal_generator.centernet_head
        head.agn_hm.bias.fill_(3.0)
        head.bbox_pred.bias.fill_(40.0)  # boxes as large as the picture, so that one is left
        for stage in net.roi_heads.box_predictor:
            stage.cls_score.bias.copy_(torch.tensor([5.0, -5.0]))
        _speaks(net.roi_heads.text_decoder.textual)
    _save({"model": net.state_dict()}, folder / "cache/grit_model/grit_b_densecap_objectdet.pth")


def _speaks(text: Any) -> None:
    """A decoder that looks at the last word alone: an object is a "ball" ([CLS] begins), its description "red"."""
    import torch

    cls, end, describe, ball, red = 101, 102, 104, 107, 108
    one, two, three = torch.eye(3).repeat_interleave(256, 1) * torch.tensor([1.0, -1.0]).repeat(384)
    words, weights = text.embedding.words.weight, dict(text.transformer.named_parameters())  # of the output, too
    for name in [name for name in weights if "output.dense" in name]:
        weights[name].zero_()
    text.embedding.positions.weight.zero_()
    words[cls], words[describe], words[end] = one, two, 3 * three
    words[ball], words[red] = 0.3 * one + three, 0.3 * two + three
    text.output.bias[[cls, describe]] = -1e4  # neither follows itself


def theirs(names: list[str], folder: Path) -> None:
    """Makes networks and lets VBench score the files, a dimension at a time, as its command does."""
    import torch
    import vbench

    os.chdir(folder)
    device, own = torch.device("cpu"), Path(vbench.__file__).parent / "VBench_full_info.json"
    for name in names:
        try:
            made(name, folder)
            listed = name in LISTED
            bench = vbench.VBench(device, str(folder / "list.json" if listed else own), str(folder / "theirs"))
            mode = "vbench_standard" if listed else "custom_input"
            with torch.no_grad():  # scene keeps 20 GB for gradients otherwise
                bench.evaluate(videos_path="clips", name=name, dimension_list=[name], local=True, mode=mode)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            (folder / "theirs" / f"{name}.txt").write_text(text, encoding="utf-8")


# our side


def ours(name: str, python: str, folder: Path, which: list[int]) -> np.ndarray:
    """(n,): by the metric of artv-eval, over the same frames."""
    from artv_vbench.scoring import Scorer
    from artv_vbench.suite import Suite, list_digest

    from artv_eval import ClipRequest, ClipSet, GeneratedClip

    requests = [
        ClipRequest(index=k, prompt=prompts()[i], seed=k, num_frames=T, height=H, width=W, fps=float(FPS))
        for k, i in enumerate(which)
    ]
    suite = Suite.read(folder / "list.json", list_digest(listing())) if name in LISTED else None
    frames = clips()
    return Scorer("cpu", [name], python).scores(ClipSet(requests, lambda i: GeneratedClip(frames[which[i]])), suite)[
        :, 0
    ]


def row_of(name: str, python: str, folder: Path, which: list[int]) -> dict[str, object]:
    """Both sides of a dimension and how far they are apart."""
    file = folder / "theirs" / f"{name}_eval_results.json"
    row: dict[str, object] = {"dimension": name}
    if file.is_file():
        each = json.loads(file.read_text(encoding="utf-8"))[name][1]
        found = {Path(item["video_path"]).name: float(item["video_results"]) for item in each}
        row["vbench"] = [found.get(f"{prompts()[i]}-0.mp4") for i in which]
    else:
        row["vbench"] = (folder / "theirs" / f"{name}.txt").read_text(encoding="utf-8")
    try:
        scores = ours(name, python, folder, which)
    except Exception as error:
        return row | {"artv_eval": f"{type(error).__name__}: {error}"}
    row["artv_eval"] = [None if np.isnan(score) else float(score) for score in scores]
    if isinstance(row["vbench"], list):
        pairs = [(a, b) for a, b in zip(row["vbench"], row["artv_eval"], strict=True) if (a, b) != (None, None)]
        row["apart"] = float("nan") if any(None in pair for pair in pairs) else max(abs(a - b) for a, b in pairs)
    return row


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="of the environment that has VBench")
    parser.add_argument("--folder", type=Path, required=True, help="for networks and clips")
    parser.add_argument("--only", help="dimensions, with commas")
    parser.add_argument("--clips", default="0,1,2", help="which of the three")
    parser.add_argument("--out", type=Path, help="folder for vbench_agreement.json")
    parser.add_argument("--theirs", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    folder, names = args.folder.absolute(), args.only.split(",") if args.only else [*CUSTOM, *LISTED]
    os.environ |= {"VBENCH_CACHE_DIR": str(folder / "cache"), "TORCH_HOME": str(folder / "cache")}
    os.environ["HF_HUB_OFFLINE"] = "1"
    if args.theirs:
        return theirs(names, folder)
    which = [int(number) for number in args.clips.split(",")]
    write_clips(folder / "clips", which)
    (folder / "list.json").write_text(json.dumps(listing()), encoding="utf-8")
    (folder / "theirs").mkdir(exist_ok=True)
    began = time.monotonic()
    command = [
        args.python,
        str(Path(__file__).resolve()),
        "--theirs",
        "--folder",
        str(folder),
        "--only",
        ",".join(names),
    ]
    with (folder / "theirs.log").open("w", encoding="utf-8") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)
    print(f"VBench: {time.monotonic() - began:.0f} s", file=sys.stderr)
    os.chdir(folder)
    rows = []
    for name in names:
        rows.append(row_of(name, args.python, folder, which))
        print(json.dumps(rows[-1]), flush=True)
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)
            (args.out / "vbench_agreement.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
