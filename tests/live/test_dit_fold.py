"""Folding into transformers inside ComfyUI's own process: see check_dit_fold.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_dit_apply import FAMILIES
from tried_families import try_family

SCRIPT = Path(__file__).with_name("check_dit_fold.py")


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_folded_or_in_a_lora_file_is_what_the_network_does(family: str, record_property):
    try_family(SCRIPT, family, record_property)
