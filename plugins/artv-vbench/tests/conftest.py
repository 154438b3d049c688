"""A small package laid out as vbench 0.1.5 is, for tests of how it is called: not of what VBench says of a clip."""

import json
import sys
import textwrap

import numpy as np
import pytest
from artv_vbench import ALL, DIMENSIONS, scoring
from artv_vbench.inside import loading

from artv_eval import ClipRequest, ClipSet, GeneratedClip

PACKAGE = """
    import importlib, json, os
    from vbench.utils import init_submodules

    class VBench:
        def __init__(self, device, full_info_dir, output_path):
            self.device, self.full_info_dir, self.output_path = device, full_info_dir, output_path
            os.makedirs(output_path, exist_ok=True)

        def build_full_info_json(self, videos_path, name, dimension_list, prompt_list=[], mode="", **kwargs):
            raise AssertionError("it would look for files named by prompts")

        def evaluate(self, videos_path, name, prompt_list=[], dimension_list=None, local=False, read_frame=False,
                     mode="vbench_standard", **kwargs):
            print("VBench prints a lot")
            used = init_submodules(dimension_list, local=local, read_frame=read_frame)
            listing = self.build_full_info_json(videos_path, name, dimension_list, prompt_list, mode=mode, **kwargs)
            results = {}
            for dimension in dimension_list:
                module = importlib.import_module(f"vbench.{dimension}")
                results[dimension] = getattr(module, f"compute_{dimension}")(listing, self.device, used[dimension])
            with open(os.path.join(self.output_path, name + "_eval_results.json"), "w", encoding="utf-8") as file:
                json.dump(results, file)
"""
UTILS = """
    import json, os, subprocess
    CACHE_DIR = os.environ["VBENCH_CACHE_DIR"]
    loads = []

    def init_submodules(dimension_list, local=False, read_frame=False):
        found = {}
        for dimension in dimension_list:
            path = f"{CACHE_DIR}/nets/{dimension}.pth"
            if dimension != "temporal_flickering" and not os.path.isfile(path):
                subprocess.run(["cp", f"{CACHE_DIR}/spare://net.pth", path], check=True)
            found[dimension] = [] if dimension == "temporal_flickering" else {"path": path, "model": path}
        return found

    class MUSIQ:
        def __init__(self, path):
            loads.append(path)

    class DenseCaptioning:
        def __init__(self, device):
            self.device = device
        def initialize_model_det(self, path):
            loads.append(path)

    def videos(json_dir, dimension):
        import av
        with open(json_dir, encoding="utf-8") as file:
            listing = json.load(file)
        for item in listing:
            assert dimension in item["dimension"]
            for path in item["video_list"]:
                with av.open(path) as container:
                    frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
                yield path, item, frames
"""
MODULE = """
    from vbench.utils import DenseCaptioning, MUSIQ, videos

    def compute_{dimension}(json_dir, device, used, **kwargs):
        {load}
        found = []
        for path, item, frames in videos(json_dir, "{dimension}"):
            value = sum(float(frame.mean()) for frame in frames) / len(frames) / 255
            {score}
            found.insert(0, {{"video_path": path, "video_results": value}})
        return sum(each["video_results"] for each in found) / len(found), found
"""
NETWORK = """
    edict = dict

    class InputPadder:
        def __init__(self, size):
            pass
        def pad(self, *pictures):
            return pictures

    class DynamicDegree:
        def __init__(self, args, device):
            from vbench.utils import loads
            loads.append(args["model"])
        def model(self, one, other, iters, test_mode):
            moved = (other - one).mean(1, keepdim=True)  # a pixel for each grey level, to the right
            return None, __import__("torch").cat([moved, 0 * moved], 1)
"""
LOADS = {
    "imaging_quality": "MUSIQ(used['path'])",
    "object_class": "DenseCaptioning(device).initialize_model_det(used['path'])",
    "multiple_objects": "DenseCaptioning(device).initialize_model_det(used['path'])",
}
SCORES = {
    "imaging_quality": "value *= 100",
    "color": "if value < 0.5: continue  # the object is not found",
    "human_action": "value = path.split('/')[-1].split('-')[0].split('person is ')[-1].split('_')[0] == 'waving'",
    "object_class": "assert item['auxiliary_info']['object_class'] == {'object': 'ball'}",
}
LIST = [
    {"prompt_en": "a ball", "dimension": ["object_class", "overall_consistency", "aesthetic_quality"],
     "auxiliary_info": {"object_class": {"object": "ball"}}},
    {"prompt_en": "a red ball", "dimension": ["color"], "auxiliary_info": {"color": {"color": "red"}}},
    {"prompt_en": "A person is waving", "dimension": ["human_action"]},
    {"prompt_en": "everything else", "dimension": sorted({*ALL} - {"object_class", "color", "human_action"})},
]  # fmt: skip


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """VBench's folder of networks, one a dimension."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(folder))
    monkeypatch.setenv("TORCH_HOME", str(folder))
    files = [f"nets/{dimension}.pth" for dimension in ALL]
    files += ["aesthetic_model/emb_reader/sa_0_4_vit_l_14_linear.pth", "ViCLIP/bpe_simple_vocab_16e6.txt.gz"]
    files += ["hub/checkpoints/dino_vitbase16_pretrain.pth", "spare:/net.pth"]
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(file.encode())
    return folder


@pytest.fixture
def stand_in(tmp_path, monkeypatch, cache):
    """The package, importable; its ``utils``."""
    package = tmp_path / "site" / "vbench"
    package.mkdir(parents=True)
    texts = {"__init__": PACKAGE, "utils": UTILS}
    for dimension in ALL:
        load, score = LOADS.get(dimension, "pass"), SCORES.get(dimension, "pass")
        texts[dimension] = MODULE.format(dimension=dimension, load=load, score=score)
    texts["dynamic_degree"] += NETWORK
    for name, text in texts.items():
        (package / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    (package / "VBench_full_info.json").write_text(json.dumps(LIST), encoding="utf-8")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setattr(loading, "KEPT", {})
    scoring.known_of.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "vbench"]:
        monkeypatch.delitem(sys.modules, name)
    import vbench.utils

    yield vbench.utils
    for name in [name for name in sys.modules if name.partition(".")[0] == "vbench"]:
        del sys.modules[name]


@pytest.fixture
def clips():
    """Makes clips of such prompts and grey levels, 0 … 255, each frame of one level."""

    def make(prompts, levels, frames=4, fps=8.0):
        levels = [np.broadcast_to(level, frames) for level in levels]

        def load(i):
            grey = levels[i].astype(np.uint8)[:, None, None, None]
            return GeneratedClip(np.broadcast_to(grey, (frames, 16, 16, 3)).copy())

        requests = [
            ClipRequest(index=i, prompt=prompt, seed=i, num_frames=frames, height=16, width=16, fps=fps)
            for i, prompt in enumerate(prompts)
        ]
        return ClipSet(requests, load)

    return make


assert len(ALL) == 16 and len(DIMENSIONS) == 9
