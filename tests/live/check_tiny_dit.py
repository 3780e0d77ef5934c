"""Run by ComfyUI: what its NextDiT answers with the weights of diffusers' class.

    python check_tiny_dit.py COMFYUI HYPERNET WEIGHTS config.json NETWORK ASKED ANSWER

HYPERNET is the folder with the library. ASKED has x, sigma and context; ANSWER gets velocity, and
with_network, where the network acts. Those and WEIGHTS are .safetensors files.
"""

import json
import sys
from pathlib import Path

sys.path[:0] = sys.argv[1:3]

import torch
from safetensors.torch import load_file, save_file

RENAMED = {
    "time_caption_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_caption_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_caption_embed.caption_embedder": "cap_embedder",
    "norm_out.linear_1": "final_layer.adaLN_modulation.1",
    "norm_out.linear_2": "final_layer.linear",
    "norm1.linear": "adaLN_modulation.1",
    "norm1.norm": "attention_norm1",
    "norm1": "attention_norm1",  # of a block without modulation
    "norm2": "attention_norm2",
    "attn.to_out.0": "attention.out",
    "attn.norm_q": "attention.q_norm",
    "attn.norm_k": "attention.k_norm",
    "feed_forward.linear_1": "feed_forward.w1",
    "feed_forward.linear_2": "feed_forward.w2",
    "feed_forward.linear_3": "feed_forward.w3",
}


def renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {}
    for name, weight in weights.items():
        if "attn.to_k" in name or "attn.to_v" in name:
            continue
        if "attn.to_q" in name:
            three = [weights[name.replace("to_q", part)] for part in ("to_q", "to_k", "to_v")]
            found[name.replace("attn.to_q", "attention.qkv")] = torch.cat(three)
            continue
        for old, new in RENAMED.items():
            place = name.find(old + ".")
            if place == 0 or (place > 0 and name[place - 1] == "."):
                name = name.replace(old + ".", new + ".")
                break
        found[name] = weight
    return found


def build(config: dict) -> torch.nn.Module:
    import comfy.cli_args

    comfy.cli_args.args.cpu = True  # before the host looks for a card
    import comfy.ops
    from comfy.ldm.lumina.model import NextDiT

    return NextDiT(
        patch_size=config["patch_size"],
        in_channels=config["in_channels"],
        dim=config["hidden_size"],
        n_layers=config["num_layers"],
        n_refiner_layers=config["num_refiner_layers"],
        n_heads=config["num_attention_heads"],
        n_kv_heads=config["num_kv_heads"],
        multiple_of=config["multiple_of"],
        ffn_dim_multiplier=4 * config["ffn_dim_multiplier"],  # of the width here
        qk_norm=True,
        cap_feat_dim=config["cap_feat_dim"],
        axes_dims=config["axes_dim_rope"],
        axes_lens=config["axes_lens"],
        device="cpu",
        dtype=torch.float32,
        operations=comfy.ops.disable_weight_init,
    ).eval()


@torch.no_grad()
def main() -> None:
    _, _, weights, config, network, asked, answer = sys.argv[1:]
    sys.argv[1:] = []
    from hypernet import open_network
    from hypernet.apply.site_patches import SitePatch, applied
    from hypernet.families import take_census

    model = build(json.loads(Path(config).read_text("utf-8")))
    model.load_state_dict(renamed(load_file(weights)))
    given = load_file(asked)
    context = given["context"]

    def velocity() -> torch.Tensor:
        return model(given["x"], given["sigma"], context, context.shape[1]).contiguous()

    found = {"velocity": velocity()}
    with applied(model, take_census(model).sites, [SitePatch(open_network(network))], {}):
        found["with_network"] = velocity()
    save_file(found, answer)


main()
