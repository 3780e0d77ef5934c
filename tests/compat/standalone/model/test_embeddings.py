"""`embedding:name` inserts a file's vectors in place of words, or is left out and reported."""

import logging

import pytest
import safetensors.torch
import torch
from hypernet_pack.compat.standalone import folders
from hypernet_pack.compat.standalone.model.embeddings import Mention, mentions, read_embedding
from hypernet_pack.compat.standalone.model.text import Clip, TextEncoder, weigh

WIDTH = 24


@pytest.fixture
def clip(tiny):
    """A Clip of its own, which has said nothing yet."""
    return Clip(tiny[1].tokenizer, tiny[1].encoders, tiny[1].load_device)


@pytest.fixture
def keep(tmp_path):
    """keep(name, content): writes a file below models/embeddings."""
    with folders.configured(models=tmp_path):

        def keep(name, content):
            path = tmp_path / "embeddings" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".safetensors"):
                safetensors.torch.save_file(content, path)
            else:
                torch.save(content, path)
            return path

        yield keep


def vectors(clip, text):
    """The text model's vectors for the words of the text."""
    numbers = clip.tokenizer(text, add_special_tokens=False).input_ids
    return clip.encoders[0].module.get_input_embeddings().weight[numbers].detach().clone()


def a1111(tensor):
    return {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": torch.nn.Parameter(tensor)},
        "name": "x", "step": 100, "sd_checkpoint": None, "sd_checkpoint_name": None,
    }  # fmt: skip


FORMS = {
    "x.pt": a1111,
    "y.safetensors": lambda tensor: {"emb_params": tensor},
    "clip_l.safetensors": lambda tensor: {"clip_g": torch.ones(2, 7), "clip_l": tensor},
    "half.safetensors": lambda tensor: {"emb_params": tensor.half()},
    "z.bin": lambda tensor: {"<z>": tensor},
    "bare.pt": lambda tensor: tensor,
    "list.pt": lambda tensor: [{"*": tensor}],
    "below/deep/x2.pt": a1111,
    "with(brackets).pt": a1111,
    "Ünï.pt": a1111,
    "v1.5.pt": a1111,
    "12.pt": a1111,
}


@pytest.mark.parametrize("name", FORMS)
def test_an_embedding_in_any_file_format_acts_like_the_words_it_was_made_from(clip, keep, name):
    words = vectors(clip, "red cat")
    keep(name, FORMS[name](words))
    escaped = name.replace("(", "\\(").replace(")", "\\)")
    plain = clip.encode("a red cat dog")
    for mentioned in (escaped, escaped.rpartition(".")[0]):
        found = clip.encode(f"a embedding:{mentioned} dog")
        torch.testing.assert_close(found, plain, rtol=1e-2, atol=1e-2)  # one of them is float16


PROMPTS = [  # with the embedding for "red", and the same in words
    ("embedding:x", "red"),
    ("a embedding:x, dog", "a red , dog"),
    ("a embedding:x,dog", "a red ,dog"),
    ("a, (embedding:x:1.3) dog", "a, (red:1.3) dog"),
    ("(embedding:x)", "(red)"),
    ("((embedding:x))", "((red))"),
    ("a,embedding:x", "a, red"),
    ("embedding:x embedding:x", "red red"),
    ("embedding:x\ndog", "red dog"),
    ("embedding: x dog", "red dog"),
    ("embedding:X dog", "red dog"),
    ("embedding:x.pt dog", "red dog"),
    ("embedding:x. dog", "red . dog"),
    ("embedding:x<lora", "red <lora"),
    ("(a embedding:x dog:0.5)", "(a red dog:0.5)"),
    ("(embedding:12:1.2)", "(red:1.2)"),
    ("(embedding:12)", "(red)"),
]


@pytest.mark.parametrize(("text", "words"), PROMPTS)
def test_a_mention_is_recognised_anywhere_in_the_prompt(clip, keep, text, words):
    for name in ("x.pt", "12.pt"):
        keep(name, a1111(vectors(clip, "red")))
    torch.testing.assert_close(clip.encode(text)[0], clip.encode(words)[0])


def test_words_that_only_look_alike_stay_words(clip, keep):
    keep("x.pt", a1111(vectors(clip, "red")))
    for text in ("myembedding:x", "embedding x", "an embedding"):
        assert list(mentions(text)) == [text]


def test_a_missing_embedding_is_left_out_and_named_once_with_the_nearest(clip, keep, caplog):
    keep("cartoon.pt", a1111(vectors(clip, "red")))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            hidden, _ = clip.encode("a embedding:catroon, dog")
    torch.testing.assert_close(hidden, clip.encode("a , dog")[0])
    (record,) = caplog.records
    said = record.getMessage()
    assert '"embedding:catroon" is left out: no such file in ' in said
    assert said.endswith("Near: cartoon.")


BROKEN = {
    "wide.pt": (lambda: a1111(torch.ones(2, 768)), "its vectors have the width 768"),
    "none.pt": (lambda: {"string_to_param": {}}, "holds no vectors"),
    "words.pt": (lambda: {"name": "x"}, "holds no vectors"),
    "code.pt": (lambda: Clip, "cannot be read as an embedding"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_unusable_file_is_left_out_with_the_reason(clip, keep, caplog, name):
    make, reason = BROKEN[name]
    keep(name, make())
    with caplog.at_level(logging.WARNING):
        hidden, _ = clip.encode(f"a embedding:{name} dog")
    torch.testing.assert_close(hidden, clip.encode("a dog")[0])
    (record,) = caplog.records
    assert f'"embedding:{name}" is left out' in record.getMessage()
    assert reason in record.getMessage()


def test_two_text_models_take_the_vectors_of_their_width(clip, keep, caplog):
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(1)
    config = clip.encoders[0].module.config.to_dict() | {"hidden_size": 16, "projection_dim": 16}
    second = TextEncoder(module=CLIPTextModel(CLIPTextConfig(**config)).eval(), padding=0)
    both = Clip(clip.tokenizer, [*clip.encoders, second], clip.load_device)
    words = vectors(both, "red cat")
    table = second.module.get_input_embeddings().weight.detach()
    other = table[both.tokenizer("red cat", add_special_tokens=False).input_ids].clone()
    keep("xl.safetensors", {"clip_g": other, "clip_l": words})
    torch.testing.assert_close(both.encode("a embedding:xl")[0], both.encode("a red cat")[0])

    keep("one.safetensors", {"emb_params": words})
    with caplog.at_level(logging.WARNING):
        hidden, _ = both.encode("a embedding:one dog")
    torch.testing.assert_close(hidden[..., :WIDTH], both.encode("a red cat dog")[0][..., :WIDTH])
    torch.testing.assert_close(hidden[..., WIDTH:], both.encode("a dog")[0][..., WIDTH:])
    assert "left out of the text model of width 16" in caplog.text


def test_a_long_embedding_continues_in_a_second_chunk(clip, keep):
    keep("long.pt", a1111(vectors(clip, "cat " * 12)))
    torch.testing.assert_close(clip.encode("embedding:long")[0], clip.encode("cat " * 12)[0])


def test_the_text_model_is_not_changed(clip, keep):
    keep("x.pt", a1111(vectors(clip, "red")))
    before = clip.encode("a dog")[0]
    clip.encode("embedding:x")
    assert clip.encode("a dog")[0].equal(before)
    assert not clip.encoders[0].module.get_input_embeddings()._forward_hooks


def test_mentions_and_weights_are_told_apart(keep):
    path = keep("x.pt", {})
    assert list(mentions("a embedding:x b")) == ["a ", Mention("x", path), " b"]
    assert weigh("(embedding:7)") == [("embedding:7", 1.1)]
    with pytest.raises(ValueError, match="holds no vectors"):
        read_embedding(path)
