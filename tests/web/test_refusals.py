"""What the editor shows of a refused graph: the sentence, once, on the widget it is about."""

from __future__ import annotations

import pytest

pytest.importorskip("editing", reason="conftest.py of the browser tests is not here")

RUN = "queue-button"
MARKED = """
const [node] = app.graph.nodes.filter((each) => each.type === given);
return node.inputs.filter((input) => input.hasErrors).map((input) => input.name);
"""
ERRORS = "app.extensionManager.lastNodeErrors"


def test_only_the_widget_that_is_wrong_is_marked_and_its_sentence_is_shown_once(editor):
    editor.load("first_network_demo")
    editor.set("HypernetTrain", learning_rate="fast")
    editor.page.get_by_test_id(RUN).click()
    editor.until(ERRORS)
    editor.settle()
    (errors,) = editor.run(f"return Object.values({ERRORS}).map((node) => node.errors)")
    assert [error["extra_info"]["input_name"] for error in errors] == ["learning_rate"]
    assert editor.run(MARKED, "HypernetTrain") == ["learning_rate"]
    editor.shot("refused")


def test_each_of_two_wrong_widgets_has_its_own_sentence(editor):
    editor.load("first_network_demo")
    editor.set("HypernetTrain", learning_rate="fast", name="../ink")
    editor.page.get_by_test_id(RUN).click()
    editor.until(ERRORS)
    editor.settle()
    assert editor.run(MARKED, "HypernetTrain") == ["name", "learning_rate"]
    (errors,) = editor.run(f"return Object.values({ERRORS}).map((node) => node.errors)")
    for error, words in zip(errors, ["../ink", "fast"], strict=True):
        assert words in error["details"] and "\n" not in error["details"]
