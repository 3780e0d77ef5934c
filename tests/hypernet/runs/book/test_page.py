"""The page of a run: one file with everything in it, whatever names and captions say."""

import shutil
from html.parser import HTMLParser

import pytest
from tiny_models.runs import make_run

from hypernet.runs.book.drawing import ticks, value_range
from hypernet.runs.book.page import page_of
from hypernet.runs.preview_files import preview_file

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)>&amp;'"


class Page(HTMLParser):
    def __init__(self, content):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(content.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.text += data

    def all(self, kind):
        return [attributes for tag, attributes in self.tags if tag == kind]


def test_it_shows_settings_curves_previews_and_notices(tmp_path):
    folder = make_run(tmp_path, "ink", notes=("The rate was halved.",), learning_rate="2e-3")
    shutil.copy(preview_file(folder, "ink", 2), preview_file(folder, "ink", 0))
    page = Page(page_of(folder, [], "styles/ink"))
    told = ("styles/ink", "2e-3", "The rate was halved.", "Finished, step 4 of 4", "without: a fox")
    for words in told:
        assert words in page.text
    assert len(page.all("img")) == 3
    kinds = {attributes["class"] for attributes in page.all("path")}
    assert kinds == {"loss", "probe", "rate"}


def test_nothing_is_loaded_and_nothing_can_run(tmp_path):
    content = page_of(make_run(tmp_path, "ink"), [])
    page = Page(content)
    policy = page.all("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"].startswith("default-src 'none'")
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert not page.all("script") and not page.all("link")
    assert b"http:" not in content and b"https:" not in content and b"url(" not in content


def test_hostile_names_and_captions_stay_text(tmp_path):
    folder = make_run(tmp_path, "ink", prompt=HOSTILE, notes=(HOSTILE,))
    with open(folder / "seen.jsonl", "a") as file:
        file.write('{"step": 4, "ended": "<b>failed", "why": "<script>"}\n')
    page = Page(page_of(folder, [], HOSTILE))
    plain = Page(page_of(make_run(tmp_path, "plain", notes=("a note",)), []))
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags}
    assert page.text.count(HOSTILE) >= 4  # in the title, the heading, a notice and a caption
    assert not [name for _, attributes in page.tags for name in attributes if name[:2] == "on"]


def test_a_run_without_anything_has_a_page(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "manifest.json").write_text("{")
    assert "Damaged, step 0" in Page(page_of(folder, [])).text
    (folder / "previews").mkdir()
    (folder / "previews" / "empty-3.png").write_bytes(b"no picture")
    assert not Page(page_of(folder, [])).all("img")


def test_a_surrogate_in_a_name_spoils_nothing(tmp_path):
    assert b"ink" in page_of(make_run(tmp_path, "ink"), [], "ink\udcff")


@pytest.mark.parametrize(
    "low, high, found", [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (3, 3, []), (-1e-5, 1e-5, None)]
)
def test_ticks_are_round_and_inside(low, high, found):
    marks = ticks(low, high, 5)
    assert all(low - 1e-9 <= mark <= high + 1e-9 for mark in marks) and len(marks) <= 12
    if found:
        assert marks == pytest.approx(found)


def test_single_outliers_do_not_flatten_the_curve():
    low, high = value_range([[100.0, *[0.1 + n / 1000 for n in range(99)]]])
    assert 0 < low < 0.1 and high < 0.3
