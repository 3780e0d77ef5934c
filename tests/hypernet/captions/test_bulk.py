"""What an editor of many captions makes of one."""

import pytest

from hypernet.captions.bulk import retagged


@pytest.mark.parametrize(
    ("way", "tags", "by", "found"),
    [
        ("add first", "my style", "", "my style, red, (long_hair:1.2), fox"),
        ("add first", "fox", "", "fox, red, (long_hair:1.2)"),
        ("add last", "snow, red", "", "red, (long_hair:1.2), fox, snow"),
        ("add last", "Fox", "", "red, (long_hair:1.2), fox"),
        ("remove", "long hair, wolf", "", "red, fox"),
        ("replace", "long hair", "short hair, blond", "red, short hair, blond, fox"),
        ("replace", "red", "", "(long_hair:1.2), fox"),
        ("replace", "red", "fox", "fox, (long_hair:1.2)"),
        ("sort", "", "", "fox, (long_hair:1.2), red"),
    ],
)
def test_tags_are_added_removed_replaced_and_sorted(way, tags, by, found):
    assert retagged("red, (long_hair:1.2), fox", way, tags, by) == found
    assert retagged(found, way, tags, by) == found or (tags, by) == ("red", "fox")


@pytest.mark.parametrize("way", ["add last", "remove", "replace"])
def test_what_needs_no_change_stays_as_it_is_written(way):
    odd = "red,fox , wolf"
    assert retagged(odd, way, "fox" if way == "add last" else "snow", "ice") == odd


def test_prose_is_not_sorted():
    prose = "A red fox with long hair stands in the snow, and behind it a wolf looks at the moon."
    assert retagged(prose, "sort") == prose


def test_what_is_missing_is_said():
    with pytest.raises(ValueError, match="Name one tag at least"):
        retagged("fox", "remove", " ")
    with pytest.raises(ValueError, match='Change "shuffle": give one of add first'):
        retagged("fox", "shuffle")
