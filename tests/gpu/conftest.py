"""Prints failures when they happen where only what needs a card runs, which may be lent."""

import pytest


class AsTheyHappen:
    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.config.get_terminal_writer().line(f"\n{report.longreprtext}")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("markexpr") == "gpu":
        config.pluginmanager.register(AsTheyHappen(config))
