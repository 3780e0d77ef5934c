"""Real-world folders: what is used, and that everything else is named in the report."""

import io
import json

import pytest
from PIL import Image, features

from hypernet.dataset.folder_repeats import MOST_REPEATS, repeats_of
from hypernet.dataset.in_words import report
from hypernet.dataset.listing import list_folder
from hypernet.dataset.reading import read_dataset
from hypernet.pictures.file_kinds import is_hidden
from hypernet.training.batches import items_at


def content(kind="JPEG", size=(64, 64)):
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, kind)
    return buffer.getvalue()


JPEG, PNG = content(), content("PNG")


@pytest.fixture
def folder(tmp_path):
    """A function: writes files, by name with bytes or text, or names of pictures alone."""

    def fill(files):
        for name in files:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            written = files[name] if isinstance(files, dict) else JPEG
            path.write_bytes(written.encode() if isinstance(written, str) else written)
        return tmp_path

    return fill


def read(folder, **options):
    """The names of the pictures with their words, and the report."""
    dataset = read_dataset(folder, 64, 64, **options)
    named = {item.path.relative_to(folder).as_posix(): item.caption for item in dataset.items}
    return named, report(dataset)


# --- kinds ---------------------------------------------------------------------------------------


def test_case_02_every_picture_is_read_or_named(folder):
    files = dict.fromkeys(("a.jpg", "b.jfif", "c.jpe", "e.pjpeg"), JPEG)
    files |= {"g.heic": b"\0\0\0\x18ftypheic", "h.jxl": b"\xff\x0a" + bytes(9)}
    files |= {"i.tga": content("TGA"), "k.jp2": content("JPEG2000") if has_jp2() else b"?"}
    named, text = read(folder(files))
    assert {"a.jpg", "b.jfif", "c.jpe", "e.pjpeg", "i.tga"} <= set(named)
    assert ("k.jp2" in named) == has_jp2()
    for name in ("g.heic", "h.jxl"):
        assert name in named or f'"{name}"' in text


def has_jp2():
    return features.check("jpg_2000")


def test_a_folder_with_only_jfif_files_is_a_picture_folder(folder):
    assert list(read(folder({"b.jfif": JPEG}))[0]) == ["b.jfif"]


def test_a_folder_without_pictures_is_refused_with_what_it_has(folder):
    with pytest.raises(ValueError, match=r'holds no pictures.*1 videos are not read: "a\.mp4"'):
        read_dataset(folder({"a.mp4": b"?"}), 64, 64)


@pytest.mark.parametrize(
    "name",
    ["a.jpg_large", "a.jpg-orig", "a.pjp", "a.JFIF", "a.jif", "a.jpeg_small", "a", "photo.1",
     "a.img", "a.jpg!large", "a.mpo", "a.unknown"],
)  # fmt: skip
def test_a_jpeg_is_read_by_its_content_whatever_its_name(folder, name):
    assert list(read(folder({name: JPEG}))[0]) == [name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raw.CR2", "1 pictures of kinds that are not read"),
        ("b.psd", "1 pictures of kinds that are not read"),
        ("b.svg", "1 pictures of kinds that are not read"),
        ("b.ico", "1 pictures of kinds that are not read"),
        ("b.MP4", "1 videos are not read"),
        ("b.webm", "1 videos are not read"),
        ("b.zip", "1 archives are not unpacked"),
        ("b.7z", "1 archives are not unpacked"),
        ("a.json", "1 JSON files of pictures are not read"),
        ("b.json", "1 other files are not used"),
        ("a.png.bak", "1 other files are not used"),
        ("a.png~", "1 other files are not used"),
        ("a.npz", "1 other files are not used"),
        ("b.safetensors", "1 other files are not used"),
        ("no suffix", "1 other files are not used"),
    ],
)
def test_a_file_that_is_not_used_is_named(folder, name, words):
    named, text = read(folder({"a.png": PNG, name: JPEG if "png" in name else b"{}"}))
    assert list(named) == ["a.png"]
    assert f'{words}: "{name}"' in text


def test_at_most_ten_names_are_listed_and_the_rest_counted(folder):
    files = {"a.png": PNG} | {f"{n}.mp4": b"?" for n in range(13)}
    assert '13 videos are not read: "0.mp4", "1.mp4"' in read(folder(files))[1]
    assert '"9.mp4" and 3 more.' in read(folder(files))[1]


def test_an_ordinary_folder_has_nothing_more_to_report(folder):
    files = {"a.png": PNG, "a.txt": "fox", "in/b.jpg": JPEG, "in/b.caption": "fox", "c.webp": PNG}
    assert len(read(folder(files))[1].splitlines()) == 2


def test_folders_that_are_not_entered_are_named(folder):
    text = read(folder(["a.jpg", "in/b.jpg", "@eaDir/a.jpg"]), recursive=False)[1]
    assert '1 folders inside are not looked into, because subfolders is off: "in".' in text


# --- what systems put there ----------------------------------------------------------------------


def test_case_23_thumbnails_of_a_nas_are_not_trained_on(folder):
    files = {"a.png": PNG, "a.txt": "a heart", "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg": JPEG}
    named, text = read(folder(files))
    assert named == {"a.png": "a heart"} and "SYNO" not in text


@pytest.mark.parametrize(
    "name",
    ["#recycle", "$RECYCLE.BIN", "System Volume Information", "__MACOSX", "lost+found", "@Recycle",
     ".thumbnails", "#snapshot", "@tmp", "Network Trash Folder", "FOUND.000", "RECYCLER",
     ".Trashes", "@Recently-Snapshot"],
)  # fmt: skip
def test_system_folders_are_hidden(folder, name):
    named, text = read(folder(["a.jpg", f"{name}/b.jpg", f"in/{name}/c.jpg"]))
    assert list(named) == ["a.jpg"] and name not in text


@pytest.mark.parametrize(
    "name",
    ["Thumbs.db", "THUMBS.DB", "desktop.ini", "._a.jpg", ".DS_Store", "~$list.docx", "Icon\r"],
)
def test_system_files_are_hidden(folder, name):
    assert is_hidden(name)
    named, text = read(folder({"a.jpg": JPEG, name: JPEG}))
    assert list(named) == ["a.jpg"] and len(text.splitlines()) == 2


# --- masks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["fox-masklabel.png", "fox_mask.png", "fox_MASK.PNG", "fox-mask.webp", "fox.mask.png",
     "mask_fox.png", "mask-fox.png", "fox_masklabel.png", "fox_loss_mask.png", "mask/fox.png",
     "masks/fox.png", "Masks/FOX.png", "_masks/fox.png", "loss_masks/fox.jpg",
     "masks/fox_mask.png", "masklabels/fox.png"],
)  # fmt: skip
def test_masks_of_other_trainers_are_masks(folder, name):
    folder({"fox.jpg": JPEG, "cat.jpg": JPEG, name: PNG})
    listing = list_folder(folder({}))
    assert listing.pictures == ["cat.jpg", "fox.jpg"] and listing.masks == {"fox.jpg": name}
    assert "1 pictures have a mask" in read(listing.folder)[1]


@pytest.mark.parametrize(
    ("mask", "picture"),
    [
        ("in/masks/fox.png", "in/fox.jpg"),
        ("masks/in/fox.png", "in/fox.jpg"),
        ("masks/fox.png", "images/fox.jpg"),
        ("data/mask/10_red/fox.png", "data/img/10_red/fox.jpg"),
    ],
)
def test_a_folder_of_masks_mirrors_one_of_pictures(folder, mask, picture):
    listing = list_folder(folder([mask, picture]))
    assert listing.pictures == [picture] and listing.masks == {picture: mask}


@pytest.mark.parametrize(
    ("files", "pictures", "words"),
    [
        (["fox.jpg", "fox-condlabel.png"], ["fox.jpg"], "1 pictures of conditions"),
        (["fox.jpg", "conditioning_data_dir/fox.png"], ["fox.jpg"], "1 pictures of conditions"),
        (["fox.jpg", "conditioning/fox.png"], ["fox.jpg"], "1 pictures of conditions"),
        (["fox.jpg", "control/fox.png", "control/cat.png"], ["fox.jpg"], "2 pictures of cond"),
        (["fox.jpg", "masks/fox.png", "masks/cat.png"], ["fox.jpg"], "1 masks belong to no"),
        (["fox.jpg", "fox_mask.png", "masks/fox.png"], ["fox.jpg"], "1 masks are left out, bec"),
        (["fox.jpg", "fox_mask.png", "fox_mask.webp"], ["fox.jpg"], "1 masks are left out, bec"),
        (["carnival_mask.png"], ["carnival_mask.png"], "1 pictures are trained on that are named"),
        (["masks/venice.png"], ["masks/venice.png"], "1 pictures are trained on that are named"),
        (["control/room.png"], ["control/room.png"], ""),
        (["unmasked.png", "masked_fox.png"], ["masked_fox.png", "unmasked.png"], ""),
    ],
)
def test_a_picture_named_like_a_mask_is_never_trained_on_silently(folder, files, pictures, words):
    named, text = read(folder(files))
    assert list(named) == pictures and words in text
    assert words or len(text.splitlines()) == 2


# --- captions ------------------------------------------------------------------------------------


def test_case_04_a_sidecar_in_capitals_is_read(folder):
    assert read(folder({"IMG_1.JPG": JPEG, "IMG_1.TXT": "a red fox"}))[0] == {
        "IMG_1.JPG": "a red fox"
    }


def test_case_03_old_encodings_are_named(folder):
    files = {"gbk.png": PNG, "gbk.txt": "红色的狐狸".encode("gbk")}
    files |= {"sjis.png": PNG, "sjis.txt": "赤い狐".encode("shift_jis")}
    named, text = read(folder(files))
    assert named == {"gbk.png": "红色的狐狸", "sjis.png": "赤い狐"}
    assert '1 caption files are read as GBK: "gbk.txt".' in text
    assert '1 caption files are read as Shift-JIS: "sjis.txt".' in text


def test_a_caption_in_an_unknown_encoding_gives_no_words_and_is_named(folder):
    named, text = read(folder({"fox.png": PNG, "fox.txt": "żółty lis".encode("cp1250")}))
    assert named == {"fox.png": "fox"}
    assert "1 caption files are in no encoding that is known for sure" in text
    assert '"fox.txt". Save them as UTF-8.' in text


@pytest.mark.parametrize(
    ("encoding", "all_words"),
    [
        ("gbk", ["女", "1girl, 猫", "红色的狐狸在雪中", "鹿"]),
        ("euc_kr", ["여우", "고양이", "눈", "빨간 여우"]),
        ("euc_jp", ["狐", "赤い狐", "猫", "ネコ"]),
    ],
)
def test_short_captions_of_one_encoding_help_each_other(folder, encoding, all_words):
    files = {f"{n}.png": PNG for n in range(4)}
    files |= {f"{n}.txt": words.encode(encoding) for n, words in enumerate(all_words)}
    named, text = read(folder(files))
    assert list(named.values()) == all_words and "4 caption files are read as" in text


@pytest.mark.parametrize(
    ("files", "words", "said"),
    [
        ({"fox.TXT": "a"}, "a", ""),
        ({"fox.Caption": "a"}, "a", ""),
        ({"Fox.txt": "a"}, "a", "1 caption files are used whose names differ in case"),
        ({"fox.png.txt": "a"}, "a", ""),
        ({"fox.txt": " \n", "fox.caption": "a"}, "a", "1 caption files are empty, and others"),
        ({"fox.txt": "a", "fox.caption": ""}, "a", "1 caption files are empty, and others"),
        ({"fox.txt": "a", "fox.caption": "b"}, "a", '1 caption files are not used, because'),
        ({"fox.txt": "a", "fox.caption": "a\n"}, "a", ""),
        ({"fox.txt": "a", "fox.TXT": "b"}, "a", '1 caption files are not used, because'),
        ({"fox.txt": ""}, "fox", ""),
        ({"wolf.TXT": "a"}, "fox", '1 caption files without a picture: "wolf.TXT"'),
        ({"fox.png.caption": "a", "in/fox.txt": "b"}, "a", "1 caption files without a picture"),
    ],
)  # fmt: skip
def test_the_right_caption_file_counts_and_the_others_are_named(folder, files, words, said):
    named, text = read(folder({"fox.png": PNG} | files))
    assert named == {"fox.png": words} and said in text
    assert said or len(text.splitlines()) == 2


def test_names_whose_accents_are_stored_differently_match(folder):
    named, _ = read(folder({"e\u0301te\u0301.png": PNG, "été.txt": "summer"}))
    assert list(named.values()) == ["summer"]


def lines(*rows):
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def test_case_31_captions_in_one_file_for_all_pictures_are_read(folder):
    table = lines({"file_name": "1.png", "text": "a fox"}, {"file_name": "2.png", "text": "a cat"})
    named, text = read(folder({"1.png": PNG, "2.png": PNG, "metadata.jsonl": table}))
    assert named == {"1.png": "a fox", "2.png": "a cat"}
    assert '"metadata.jsonl" gives the words of 2 pictures.' in text


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("metadata.jsonl", lines({"file_name": "in/fox.png", "prompt": "a fox"})),
        ("metadata.csv", "file_name,text\nin/fox.png,a fox\n"),
        ("metadata.csv", '\ufefffile_name,caption\r\n"in/fox.png","a fox"\r\n'),
        ("metadata.csv", "image;prompt\nin\\fox.png;a fox\n"),
        ("captions.tsv", "image\ttext\nfox.png\ta fox\n"),
        ("in/metadata.jsonl", lines({"file_name": "fox.png", "text": ["a fox", "a red fox"]})),
        ("meta_cap.json", json.dumps({"in/fox": {"caption": "a fox"}})),
        ("meta_cap.json", json.dumps({"D:\\data\\fox.png": {"caption": "a fox", "tags": ""}})),
        ("meta.json", json.dumps({"/home/me/in/fox.png": {"tags": "a fox"}})),
        ("all.json", json.dumps({"fox.png": "a fox"})),
        ("list.json", json.dumps([{"file_name": "in/fox.png", "text": "a fox"}])),
        ("metadata.csv", "file_name,text\nfox.png,a fox\n".encode("utf-16")),
    ],
)  # fmt: skip
def test_tables_of_other_tools_are_read(folder, name, table):
    named, text = read(folder({"in/fox.png": PNG, name: table}))
    assert named == {"in/fox.png": "a fox"}
    assert f'"{name}" gives the words of 1 pictures.' in text and "other files" not in text


def test_kohyas_caption_and_tags_are_joined(folder):
    table = json.dumps({"fox": {"caption": "a fox", "tags": "red, snow"}})
    assert read(folder({"fox.png": PNG, "m.json": table}))[0] == {"fox.png": "a fox, red, snow"}


def test_a_pictures_own_caption_file_wins_over_the_table(folder):
    table = lines({"file_name": "1.png", "text": "table"}, {"file_name": "2.png", "text": "table"},
                  {"file_name": "gone.png", "text": "table"})  # fmt: skip
    files = {"1.png": PNG, "2.png": PNG, "1.txt": "by hand", "metadata.jsonl": table}
    named, text = read(folder(files))
    assert named == {"1.png": "by hand", "2.png": "table"}
    assert (
        '1 pictures have other words than those in "metadata.jsonl", which do not count: "1.png"'
        in text
    )
    assert '1 entries of "metadata.jsonl" name no picture here: "gone.png".' in text


@pytest.mark.parametrize(
    ("table", "said"),
    [("no json", "line 1 is no JSON"), ("żółty".encode("cp1250"), "no encoding that is known")],
)
def test_a_table_that_cannot_be_read_is_named(folder, table, said):
    text = read(folder({"fox.png": PNG, "metadata.jsonl": table}))[1]
    assert '"metadata.jsonl" is not read: ' in text and said in text


def test_a_table_entry_that_fits_two_pictures_is_not_used(folder):
    table = lines({"file_name": "/elsewhere/fox.png", "text": "which?"})
    named, text = read(folder({"a/fox.png": PNG, "b/fox.png": PNG, "metadata.jsonl": table}))
    assert set(named.values()) == {"fox"} and "1 other files are not used" in text


# --- repeats -------------------------------------------------------------------------------------


def test_case_30_a_date_is_not_a_number_of_repeats(folder):
    root = folder(["20230512_trip/a.png", "portraits/b.png", "0_off/c.png"])
    named, text = read(root)
    assert list(named) == ["20230512_trip/a.png", "portraits/b.png"]
    assert 'taken for a part of the name: "20230512_trip".' in text
    assert '1 pictures are never shown, because their folders begin with 0_: "0_off/c.png".' in text
    dataset = read_dataset(root, 64, 64)
    assert len(dataset.shown) == 2
    assert {place for first in range(8) for place in items_at(dataset, 0, first, 1)} == {0, 1}


@pytest.mark.parametrize(
    ("name", "repeats"),
    [
        ("10_style/a.png", 10),
        ("10_/a.png", 10),
        ("1_a/2_b/c.png", 2),
        (f"{MOST_REPEATS}_a/a.png", MOST_REPEATS),
        (f"{MOST_REPEATS + 1}_a/a.png", 1),
        ("2023_trip/a.png", 1),
        ("512_faces/a.png", 1),
        ("2023-05-12_trip/a.png", 1),
        ("5_a/20230512_b/c.png", 5),
        ("0_off/a.png", 0),
        ("0_off/3_a/a.png", 0),
        ("3_a/0_off/a.png", 0),
        ("00_first/a.png", 1),
        ("10fox/a.png", 1),
        ("10_fox.png", 1),
        ("1" * 200 + "_a/a.png", 1),
    ],
)
def test_a_number_in_a_folder_name_counts_only_if_it_can_mean_repeats(name, repeats):
    assert repeats_of(name) == repeats


def test_repeats_are_listed_by_folder(folder):
    text = read(folder(["10_style/a.png", "3_fox/b.png", "plain/c.png", "00_first/d.png"]))[1]
    assert """Shown in a pass, by folders' names: "3_fox" 3 times, "10_style" 10 times.""" in text
    assert 'taken for a part of the name: "00_first".' in text
    assert "a pass shows 15" in text


def test_a_folder_whose_subfolders_are_all_off_has_no_pictures(folder):
    with pytest.raises(ValueError, match=r'holds no pictures.*0_: "0_off/a\.png"'):
        read_dataset(folder(["0_off/a.png"]), 64, 64)
