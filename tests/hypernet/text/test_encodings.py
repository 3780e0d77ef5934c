"""Captions of a few words in the world's encodings: recognised or refused, never garbled."""

import random

import pytest

from hypernet.text.encodings import decode, recognise

SIMPLIFIED = """\
红色的狐狸
雪中的狐狸，站着
一个女孩站在森林里
1girl, 长发, 微笑, 蓝色眼睛
白色连衣裙
油画风格，夕阳下的海边
一只小狗在草地上奔跑
水墨画，山水
黑白照片，老人
动漫少女，樱花树下
赛博朋克城市夜景
古风美女，手拿扇子
近景，侧面，看着镜头
夕阳
猫咪
""".splitlines()
TRADITIONAL = """\
紅色的狐狸
雪中的狐狸，站著
一個女孩站在森林裡
1girl, 長髮, 微笑, 藍色眼睛
白色連身裙
油畫風格，夕陽下的海邊
一隻小狗在草地上奔跑
水墨畫，山水
黑白照片，老人
動漫少女，櫻花樹下
夜晚的城市
古裝美女，手拿扇子
近景，側面，看著鏡頭
""".splitlines()
JAPANESE = """\
赤い狐
雪の中に立っている狐
森の中の女の子
1girl, 長い髪, 笑顔, 青い目
白いワンピース
油絵風、夕日の海辺
草原を走る子犬
水墨画、山水
白黒写真、老人
アニメの少女、桜の木の下
サイバーパンクの夜景
着物を着た女性、扇子を持つ
カメラ目線、横顔
夕焼け
ネコ
""".splitlines()
KOREAN = """\
빨간 여우
눈 속에 서 있는 여우
숲 속의 소녀
1girl, 긴 머리, 미소, 파란 눈
하얀 원피스
유화 스타일, 해질녘 바닷가
풀밭에서 뛰는 강아지
수묵화, 산수
흑백 사진, 노인
애니메이션 소녀, 벚꽃 나무 아래
밤의 도시
한복을 입은 여자
고양이
여우
""".splitlines()
RUSSIAN = """\
рыжая лиса
лиса стоит в снегу
Девочка в лесу
1girl, длинные волосы, улыбка, голубые глаза
белое платье
масло, закат на берегу моря
щенок бежит по траве
чёрно-белая фотография, старик
аниме девушка под сакурой
ночной город
кошка
Портрет женщины в красном
""".splitlines()
WESTERN = """\
une renarde à l'été
a naïve fox, “red”
ein Fuchs steht im Schnee, grün
Mädchen mit langen Haaren
una niña en el bosque
vestido blanco, señora mayor
fille aux cheveux longs, robe d’été
pôr do sol à beira-mar, pintura a óleo
en räv står i snön
café
Über den Dächern
«portrait» d'une fée
it’s a fox’s den – red
a fox, 50°, 1½ m
""".splitlines()
TABLE = {
    "gbk": SIMPLIFIED,
    "gb18030": SIMPLIFIED,
    "big5": TRADITIONAL,
    "shift_jis": JAPANESE,
    "euc_jp": JAPANESE,
    "euc_kr": KOREAN,
    "cp1251": RUSSIAN,
    "cp1252": WESTERN,
}
REFUSED = {"赤い狐", "숲 속의 소녀", "빨간 여우", "밤의 도시", "여우"}  # too short to be sure
ROWS = [(encoding, words) for encoding, rows in TABLE.items() for words in rows]


@pytest.mark.parametrize(("encoding", "words"), ROWS)
def test_a_short_caption_is_recognised_or_refused(encoding, words):
    text = recognise(words.encode(encoding))
    if text is None:
        assert words in REFUSED and encoding.startswith("euc")
    else:
        assert text.words == words and text.encoding


def test_case_03_captions_in_gbk_and_shift_jis():
    gbk = recognise("红色的狐狸".encode("gbk"))
    assert (gbk.words, gbk.encoding) == ("红色的狐狸", "GBK")
    sjis = recognise("雪の中に立っている狐".encode("shift_jis"))
    assert (sjis.words, sjis.encoding) == ("雪の中に立っている狐", "Shift-JIS")


@pytest.mark.parametrize("words", [*SIMPLIFIED, *TRADITIONAL, *JAPANESE, *KOREAN, *RUSSIAN])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_unicode_is_recognised_without_guessing(words, encoding):
    assert recognise(words.encode(encoding)) == recognise(words.encode())


@pytest.mark.parametrize("words", [*SIMPLIFIED, *JAPANESE, *KOREAN, *RUSSIAN, *WESTERN])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_recognised_or_refused(words, encoding):
    assert decode(words.encode(encoding)) in (words, "")
    assert decode(f"{words}\n".encode(encoding)) == f"{words}\n", "an end of line proves it"


@pytest.mark.parametrize(
    "words",
    "Åland école œuvre garçon señor Übung Öl für là où forêt cœur Straße niño São fjäll øya "
    "smørrebrød l’été don’t “red” façade Ñandú ¿qué? ¡hola! 50° 1½ £5 €20 Zoë’s così".split(),
)
def test_a_western_word_is_read_unchanged(words):
    assert decode(words.encode("cp1252")) == words


@pytest.mark.parametrize(
    "words",
    ["la volpe è rossa", "été", "50° heat", "un renard à la mer", "фото", "я и ты", "קסם",
     "e\u0301te\u0301", "«été»", "naïve", "Ürün ışık", "café à Nîmes"],
)  # fmt: skip
def test_a_few_letters_beyond_ascii_count_as_utf_8_where_words_have_them(words):
    assert decode(words.encode()) == words


@pytest.mark.parametrize("words", ["女", "1girl, 猫", "学", "联通", "鹿", "小猫", "花, 露", "水墨"])
def test_gbk_that_is_valid_utf_8_by_chance_is_never_misread(words):
    assert decode(words.encode("gbk")) in (words, "")
    assert recognise(words.encode("gbk"), neighbours="GBK").words == words


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("红色的狐狸，雪".encode()[:-1], "红色的狐狸，"),
        (b"a fox; \xff" + "赤い狐が立つ".encode(), "a fox;  赤い狐が立つ"),
        ("рыжая лиса в снегу".encode()[:-1], "рыжая лиса в снег"),
    ],
)
def test_utf_8_with_a_broken_byte_is_read_without_it(written, words):
    text = recognise(written)
    assert text.words.strip() == words and text.encoding == "UTF-8 with broken bytes"


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1250", "żółty lis"),
        ("cp1250", "křížová cesta"),
        ("cp1253", "αλεπού στο χιόνι"),
        ("cp1256", "ثعلب أحمر"),
        ("cp874", "จิ้งจอกแดง"),
        ("cp866", "лиса"),
        ("johab", "빨간 여우"),
    ],
)
def test_other_encodings_are_refused(encoding, words):
    assert recognise(words.encode(encoding)) is None


@pytest.mark.parametrize("junk", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", bytes(range(256)), b"\0" * 9])
def test_bytes_that_are_no_text_give_no_words(junk):
    assert recognise(junk) is None


@pytest.mark.parametrize("encoding", ["gbk", "big5", "shift_jis", "euc_jp", "euc_kr"])
def test_a_part_of_a_caption_is_never_misread(encoding):
    chance, known = random.Random(0), 0
    for _ in range(300):
        words = chance.choice(TABLE[encoding])
        start = chance.randrange(len(words))
        part = words[start : start + chance.randint(1, 6)].strip()
        found = decode(part.encode(encoding))
        assert found in (part, ""), part
        known += found == part
    assert known > 30
