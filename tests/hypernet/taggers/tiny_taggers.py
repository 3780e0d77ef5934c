"""Models of a few kilobytes that have the form of real taggers; several tests load this file."""

import numpy as np
import pytest
import torch

NAMES = ["general", "sensitive", "1girl", "blue_sky", "reimu_(touhou)"]
CATEGORIES = [9, 9, 0, 0, 4]


def write_wd(folder, tags=NAMES, batch="N", side=8, channels=3):
    """A network that gives the means of blue, green and red as scores of the first tags."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    matrix = np.zeros((channels, len(tags)), np.float32)
    matrix[:3, :3] = np.eye(3) / 255
    nodes = [
        helper.make_node("ReduceMean", ["input", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "matrix"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, side, side, channels])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, len(tags)])],
        [
            numpy_helper.from_array(matrix, "matrix"),
            numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / "model.onnx"))
    rows = [f"{n},{name},{c},1" for n, (name, c) in enumerate(zip(tags, CATEGORIES, strict=False))]
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *rows]))
    return folder / "model.onnx"


def write_blip(folder):
    """A BLIP of a few thousand random weights, with a vocabulary of forty words."""
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]"]
    words += [f"w{n}" for n in range(33)]
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(words))
    ids = dict(pad_token_id=0, bos_token_id=5, eos_token_id=3, sep_token_id=3)
    config = transformers.BlipConfig(
        text_config=dict(
            vocab_size=40, hidden_size=16, encoder_hidden_size=16, intermediate_size=16,
            projection_dim=16, num_hidden_layers=1, num_attention_heads=2,
            max_position_embeddings=64, **ids,
        ),
        vision_config=dict(
            hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            image_size=32, patch_size=16,
        ),
        projection_dim=16,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.BlipForConditionalGeneration(config).save_pretrained(folder)
    transformers.BlipProcessor(
        transformers.BlipImageProcessor(size={"height": 32, "width": 32}),
        transformers.BertTokenizer(str(folder / "vocab.txt")),
    ).save_pretrained(folder)
    return folder
