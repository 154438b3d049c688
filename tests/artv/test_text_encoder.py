"""The text encoder against open_clip and transformers, from files in exactly their formats."""

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from artv.errors import UserError
from artv.text_encoder import OpenClipTextEncoder
from artv.tokenizer import PromptTokenizer, build_vocabulary

PROMPTS = ["a red circle moves left", "", "an orange star sways while a blue ring grows, over grey cloth!"]


def tiny_clip(layers=3, **text):
    torch.manual_seed(0)
    text_cfg = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 4, "layers": layers} | text
    vision_cfg = {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    clip = open_clip.CLIP(embed_dim=16, vision_cfg=vision_cfg, text_cfg=text_cfg).eval()
    for parameter in clip.parameters():  # fresh biases and norms are 0 and 1, which would hide a mix-up
        torch.nn.init.normal_(parameter, std=0.3) if parameter.ndim < 2 else None
    return clip


@torch.no_grad()
def penultimate(clip, ids):
    """What FrozenOpenCLIPEmbedder computes: every block but the last, then the final norm."""
    x = clip.token_embedding(ids) + clip.positional_embedding
    for block in clip.transformer.resblocks[:-1]:
        x = block(x, attn_mask=clip.attn_mask)
    return clip.ln_final(x)


def as_transformers(clip, folder, prefix="text_model."):
    """The same weights as SD-2.1's folder holds them: a CLIPTextModel with one layer fewer, old key names."""
    width, layers = clip.positional_embedding.shape[1], len(clip.transformer.resblocks) - 1
    state = {
        "embeddings.token_embedding.weight": clip.token_embedding.weight,
        "embeddings.position_embedding.weight": clip.positional_embedding,
        "final_layer_norm.weight": clip.ln_final.weight,
        "final_layer_norm.bias": clip.ln_final.bias,
    }
    for i, block in enumerate(clip.transformer.resblocks[:-1]):
        at = f"encoder.layers.{i}."
        for part, w, b in zip("qkv", block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3), strict=True):
            state[f"{at}self_attn.{part}_proj.weight"], state[f"{at}self_attn.{part}_proj.bias"] = w, b
        named = {"self_attn.out_proj": block.attn.out_proj, "layer_norm1": block.ln_1, "layer_norm2": block.ln_2}
        named |= {"mlp.fc1": block.mlp.c_fc, "mlp.fc2": block.mlp.c_proj}
        for name, module in named.items():
            state[f"{at}{name}.weight"], state[f"{at}{name}.bias"] = module.weight, module.bias
    config = CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        projection_dim=16,
        hidden_act="gelu",
    )
    config.save_pretrained(folder)
    save_file({prefix + k: v.detach().contiguous().clone() for k, v in state.items()}, folder / "model.safetensors")
    reference = CLIPTextModel(config).eval()
    keys = list(reference.state_dict())
    ours = "text_model." if keys[0].startswith("text_model.") else ""
    missing, unexpected = reference.load_state_dict({ours + k: v for k, v in state.items()}, strict=False)
    assert not unexpected and all("position_ids" in key for key in missing)
    return reference


@pytest.fixture(scope="module")
def clip():
    return tiny_clip()


def test_defaults_are_the_text_tower_of_vit_h_14():
    with torch.device("meta"):
        encoder = OpenClipTextEncoder()
    assert len(encoder.transformer.transformer.resblocks) == 23
    # SD-2.1's text encoder, as published: 340,387,840 parameters
    assert sum(p.numel() for p in encoder.parameters()) == 340_387_840


def test_penultimate_layer_of_open_clip(clip):
    encoder = OpenClipTextEncoder.from_clip(clip)
    expected = penultimate(clip, open_clip.tokenize(PROMPTS))
    torch.testing.assert_close(encoder.encode(PROMPTS), expected, atol=1e-5, rtol=1e-5)


def test_products_in_half_precision_are_off_by_its_digits_and_give_float32(clip):
    """Sums along the layers stay float32, so errors do not grow with what is added up."""
    encoder = OpenClipTextEncoder.from_clip(clip)
    exact, found = encoder.encode(PROMPTS), encoder.encode(PROMPTS, torch.float16)
    assert found.dtype == torch.float32 and 2**-14 < (found - exact).std() / exact.std() < 2**-9


@pytest.mark.parametrize("prefix", ["text_model.", ""])
def test_open_clip_file_and_transformers_folder_give_the_same_embedding(clip, tmp_path, monkeypatch, prefix):
    reference = as_transformers(clip, tmp_path, prefix)
    weights = tmp_path / "clip.safetensors"
    save_file({k: v.contiguous() for k, v in clip.state_dict().items()}, weights)
    text_cfg = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 3}
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: {"embed_dim": 16, "text_cfg": text_cfg})

    from_open_clip = OpenClipTextEncoder.from_open_clip("tiny", weights).encode(PROMPTS)
    from_folder = OpenClipTextEncoder.from_clip_text_model(tmp_path).encode(PROMPTS)
    with torch.no_grad():
        theirs = reference(input_ids=open_clip.tokenize(PROMPTS)).last_hidden_state
    torch.testing.assert_close(from_open_clip, from_folder, atol=1e-4, rtol=0)
    torch.testing.assert_close(from_folder, theirs, atol=1e-4, rtol=0)


def test_save_and_load(clip, tmp_path):
    vocabulary = build_vocabulary(PROMPTS)
    encoder = OpenClipTextEncoder(width=32, heads=4, layers=3, context_length=24, vocabulary=vocabulary).eval()
    encoder.save_pretrained(tmp_path)
    again = OpenClipTextEncoder.from_pretrained(tmp_path)
    assert list(tmp_path.glob("*.safetensors")) and not list(tmp_path.glob("*.bin"))
    assert torch.equal(again.encode(PROMPTS), encoder.encode(PROMPTS))
    assert encoder.encode("grey").shape == (1, 24, 32)


def test_compact_vocabulary_trained_clip():
    vocabulary = build_vocabulary(PROMPTS)
    tokenizer = PromptTokenizer(24, vocabulary)
    clip = tiny_clip(vocab_size=tokenizer.vocab_size, context_length=24)
    ids = tokenizer(PROMPTS)
    encoder = OpenClipTextEncoder.from_clip(clip, vocabulary)
    torch.testing.assert_close(encoder.encode(PROMPTS), penultimate(clip, ids), atol=1e-5, rtol=1e-5)


def test_compact_ids_are_the_byte_pair_ids_renamed():
    vocabulary = build_vocabulary(PROMPTS)
    full, compact = PromptTokenizer(24)(PROMPTS), PromptTokenizer(24, vocabulary)(PROMPTS)
    back = {PromptTokenizer(24, vocabulary).vocab_size - 1: 49407, 2: 49406, 0: 0}
    back |= {3 + i: token for i, token in enumerate(vocabulary)}
    assert [[back[int(i)] for i in row] for row in compact] == full.tolist()
    assert (compact.argmax(1) == full.argmax(1)).all(), "CLIP pools where the highest id is"


def test_unknown_words_are_named():
    tokenizer = PromptTokenizer(24, build_vocabulary(PROMPTS))
    with pytest.warns(UserWarning, match="does not know: giraffe, dances"):
        ids = tokenizer(["a red giraffe dances left"])
    assert (ids == 1).sum() >= 2


@pytest.mark.parametrize("vocabulary", [None, "compact"])
def test_long_prompts_are_warned_of_and_cut(vocabulary):
    long = "a red circle moves left " * 30
    tokenizer = PromptTokenizer(77, vocabulary and build_vocabulary(PROMPTS))
    with pytest.warns(UserWarning, match="152 tokens and is cut to 77"):
        ids = tokenizer([long])
    if vocabulary is None:
        assert torch.equal(ids, open_clip.tokenize([long]))
    assert int(ids[0, -1]) == tokenizer.vocab_size - 1


def test_weights_that_do_not_fit_are_named(clip, tmp_path):
    as_transformers(clip, tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no safetensors weights.*pytorch_model\.bin"):
        OpenClipTextEncoder.from_clip_text_model(tmp_path)
    save_file({"conv.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="positional_embedding is missing"):
        OpenClipTextEncoder.from_clip_text_model(tmp_path)
    with pytest.raises(UserError, match="no model 'ViT-H-41'; did you mean"):
        OpenClipTextEncoder.from_open_clip("ViT-H-41")
    with pytest.raises(UserError, match="neither a file nor pretrained"):
        OpenClipTextEncoder.from_open_clip("ViT-H-14", "nowhere.safetensors")
    with pytest.raises(UserError, match="pickles can run code"):
        OpenClipTextEncoder.from_open_clip("ViT-H-14", tmp_path / "pytorch_model.bin")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_given_prompts_without_being_waited_for():
    encoder = OpenClipTextEncoder(width=32, heads=4, layers=3).eval()
    expected = encoder.encode(PROMPTS)
    encoder.cuda().encode(PROMPTS)
    torch.cuda.set_sync_debug_mode("error")
    try:
        text = encoder.encode(PROMPTS)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(text.cpu(), expected, rtol=1e-3, atol=1e-3)
