"""Prompts of different lengths in one batch."""

import torch

from hypernet.training.batches import own_length, stack


def prompt(tokens, seed, **others):
    chance = torch.Generator().manual_seed(seed)
    return {"context": torch.randn(tokens, 4, generator=chance), **others}


def test_each_prompt_of_a_batch_is_found_again_in_its_own_length():
    prompts = [
        prompt(
            3, 0, attention_mask=torch.tensor([1, 1, 0]), conditioning_llama3=torch.ones(2, 5, 4)
        ),
        prompt(
            90, 1, attention_mask=torch.ones(90).long(), conditioning_llama3=torch.ones(2, 1, 4)
        ),
    ]
    stacked = stack(prompts)
    assert {key: tuple(each.shape) for key, each in stacked.items()} == {
        "context": (2, 90, 4), "context tokens": (2,),
        "attention_mask": (2, 90), "attention_mask tokens": (2,),
        "conditioning_llama3": (2, 2, 5, 4), "conditioning_llama3 tokens": (2,),
    }  # fmt: skip
    for row, expected in enumerate(prompts):
        found = own_length(stacked, row)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key][0], expected[key]) for key in expected)


def test_prompts_of_one_length_are_only_stacked():
    stacked = stack([prompt(3, 0), prompt(3, 1)])
    assert stacked.keys() == {"context"}
    assert torch.equal(own_length(stacked, 1)["context"][0], prompt(3, 1)["context"])


def test_a_mask_that_an_encoder_leaves_out_hides_nothing():
    masked = prompt(3, 0, attention_mask=torch.tensor([1, 0, 0]))
    for prompts in ([masked, prompt(2, 1)], [prompt(2, 1), masked]):
        stacked = stack(prompts)
        rows = [own_length(stacked, row)["attention_mask"].tolist() for row in (0, 1)]
        assert sorted(rows) == [[[1, 0, 0]], [[1, 1]]]
