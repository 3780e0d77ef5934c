"""A pipeline of Stable Diffusion 1's shape, small and random, and pictures to train on."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

CHECKPOINTS = Path(__file__).parents[2] / "compat" / "conftest.py"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("checkpoints", CHECKPOINTS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def pipeline(checkpoint):
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(checkpoint, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def pairs():
    """Five pictures of different shapes and their captions."""
    words = ["red dog", "blue cat", "dog", "cat", "green dog"]
    return [
        (Image.linear_gradient("L").resize((50 + 9 * place, 40)), word)
        for place, word in enumerate(words)
    ]
