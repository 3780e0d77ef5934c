"""Words on sheets are legible in the scripts that the system has fonts for."""

import pytest
from PIL import ImageFont

from hypernet.dataset.contact_sheet import in_lines
from hypernet.pictures.fonts import font_for, fonts, has


def test_latin_words_keep_pillows_own_font():
    own = ImageFont.load_default(size=13)
    assert font_for(["a fox, 2 of 3"], 13).getname() == own.getname()
    assert font_for([], 13).getname() == own.getname()


@pytest.mark.parametrize("text", ["Füchse", "一只狐狸", "лиса", "キツネ"])
def test_other_letters_get_a_font_that_has_them(text):
    able = [font for font in fonts(13) if all(has(font, letter) for letter in text)]
    if not able:
        pytest.skip("no font of this system has these letters")
    chosen = font_for(["fox", text], 13)
    assert all(has(chosen, letter) for letter in text)
    assert len({bytes(chosen.getmask(letter)) for letter in text}) == len(set(text))


def test_every_line_of_a_sheet_has_its_own_font():
    texts = ["一只狐狸", "ثعلب", "fox"]
    lines = in_lines(texts)
    assert [text for text, _ in lines] == texts
    for text, font in lines:
        able = [each for each in fonts(13) if all(has(each, letter) for letter in text)]
        assert not able or all(has(font, letter) for letter in text)


def test_a_letter_that_no_font_has_does_no_harm():
    assert font_for(["fox \U000fffff"], 13).getlength("fox") > 0
