"""Hypothesis tries the same examples every time, without a clock, and keeps none in the tree."""

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

settings.register_profile("same every time", derandomize=True, deadline=None, database=None)
settings.load_profile("same every time")


def pytest_configure(config: pytest.Config) -> None:
    set_hypothesis_home_dir(config.cache.mkdir("hypothesis"))
