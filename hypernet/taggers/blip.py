"""BLIP captions a picture with a sentence. The model is a folder in transformers' format.

The settings are A1111's: one beam and 24 to 48 tokens, without sampling, so the same picture always
gives the same sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from ..captions.tags import Tag

SHORTEST, LONGEST = 24, 48  # tokens


class BlipCaptioner:
    """Gives one sentence for each picture.

    Raises ValueError naming the folder and the reason if the model cannot be opened.
    """

    def __init__(self, folder: Path, device: torch.device):
        try:
            from transformers import BlipForConditionalGeneration, BlipProcessor
        except ImportError:
            raise ValueError(
                "BLIP needs the package transformers, which is not installed. Install it into the "
                "Python that runs this: pip install transformers."
            ) from None
        try:
            self.processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
            model = BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True)
        except Exception as fault:  # transformers raises whatever its parts raise
            lines = str(fault).splitlines() or [type(fault).__name__]
            raise ValueError(
                f'"{folder}" cannot be opened as a BLIP model: {lines[0][:300]}. Put all files of '
                "a BLIP captioning model there, such as Salesforce's blip-image-captioning-base."
            ) from fault
        self.device = device
        model = model.float().eval().requires_grad_(False)
        # transformers decorates `to`, and its types lose `self` there
        self.model = model.to(device)  # pyright: ignore[reportArgumentType]

    @torch.no_grad()
    def __call__(self, pictures: Sequence[Image.Image]) -> list[tuple[Tag, ...]]:
        inputs = self.processor(images=list(pictures), return_tensors="pt").to(self.device)
        tokens = self.model.generate(
            **inputs, num_beams=1, do_sample=False, min_length=SHORTEST, max_length=LONGEST
        )
        told = tokens[:, 1:]  # skips the start token, which isn't special in every tokenizer
        sentences = self.processor.batch_decode(told, skip_special_tokens=True)
        return [(Tag(" ".join(text.split()), 1.0, "sentence"),) for text in sentences]
