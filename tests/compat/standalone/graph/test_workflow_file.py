"""A workflow is read from any file that contains one; other files are named for what they are."""

import json

import pytest
from hypernet_pack.compat.standalone.graph.workflow import WorkflowError, read_workflow
from PIL import Image
from PIL.PngImagePlugin import PngInfo

API = {"1": {"class_type": "Text", "inputs": {"text": "Rüsche, 红狐, café"}}}
EDITOR = {"nodes": [{"id": 7, "type": "Text", "widgets_values": ["é"]}], "links": []}


@pytest.fixture
def read(tmp_path):
    def read(content, name="w.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_workflow(path, {})

    return read


ENCODINGS = {
    "UTF-8": "utf-8",
    "UTF-8 with a mark": "utf-8-sig",
    "UTF-16 with a mark": "utf-16",
    "UTF-16 LE": "utf-16-le",
    "UTF-16 BE": "utf-16-be",
    "UTF-32 with a mark": "utf-32",
}


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_every_encoding_of_unicode_is_read(read, encoding, ascii_only):
    assert read(json.dumps(API, ensure_ascii=ascii_only).encode(encoding)).prompt == API


def test_byte_order_marks_and_western_letters_are_read(read):
    text = json.dumps(API, ensure_ascii=False)
    assert read(b"\xfe\xff" + text.encode("utf-16-be")).prompt == API
    western = text.replace("红狐", "€ “fox”")
    workflow = read(western.encode("cp1252"))
    assert workflow.prompt == json.loads(western)
    assert 'is not in UTF-8. Its letters beyond ASCII were read as "ü€“”é"' in workflow.notices[0]
    assert read(b"\xef\xbb\xbf" * 2 + text.encode()).prompt == API, "some tools add a second mark"


WRAPPED = [
    {"prompt": API},
    {"prompt": API, "client_id": "a", "extra_data": {}},
    {"output": API, "workflow": API},
    {"workflow": API},
]


@pytest.mark.parametrize("content", WRAPPED)
def test_a_workflow_is_found_in_a_request_to_a_server(read, content):
    assert read(json.dumps(content)).prompt == API


def in_png(path, **texts):
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    Image.new("RGB", (2, 2)).save(path, "PNG", pnginfo=info)


def in_webp(path, **texts):
    exif = Image.Exif()
    for place, (name, text) in enumerate(texts.items()):
        exif[0x010F + place] = f"{name}:{text}"
    Image.new("RGB", (2, 2)).save(path, "WEBP", exif=exif)


@pytest.mark.parametrize("write", [in_png, in_webp])
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.json"])
def test_a_picture_gives_its_workflow_else_its_prompt(tmp_path, write, name):
    path = tmp_path / name
    write(path, prompt=json.dumps(API), workflow=json.dumps(EDITOR))
    assert set(read_workflow(path, {}).prompt) == {"7"}
    write(path, prompt=json.dumps(API))
    assert read_workflow(path, {}).prompt == API
    write(path, workflow="null", prompt=json.dumps(API))
    assert read_workflow(path, {}).prompt == API


def test_nan_and_infinity_are_null_as_in_the_editor(read):
    text = '{"1": {"class_type": "Text", "inputs": {"a": NaN, "b": -Infinity}}}'
    assert read(text).prompt["1"]["inputs"] == {"a": None, "b": None}


NOT_JSON = [
    ("", "the file is empty"),
    ("  \n", "the file is empty"),
    ('{"1": {"class_type": "A",}}', "line 1, column 25: a comma too many"),
    ('[1, 2,]', "a comma too many"),
    ('[1,, 2]', "a comma too many"),
    ('{\n // my notes\n "1": 2}', 'JSON has no comments. Take out "// my notes"'),
    ('{"1": /* x */ 2}', "JSON has no comments"),
    ('{\n# settings\n"1": 2}', "JSON has no comments"),
    ('{"1": {"class_type": "A", "inp', "it ends in the middle|Unterminated string"),
    ('{"1": {"class_type": "A", "inputs": {', "it ends in the middle"),
    ("{'1': 2}", "' stands where \" belongs"),
    ("{“1”: 2}", "“ stands where \" belongs"),
    ("<!DOCTYPE html><html>", "a web page"),
    ("\n<html>", "a web page"),
    ("\x00\x01\x02\x03", "not JSON"),
    ("PK\x03\x04\x00\x00", "it is no text, but perhaps an archive"),
    ("\x00\x00\x00\x20ftypisom", "it is no text"),
    ('{"1": 2} {"3": 4}', "Extra data at line 1, column 10"),
    ("masterpiece, 1girl", "not JSON"),
    ("[" * 100_000, "brackets nest too deep"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), NOT_JSON)
def test_invalid_json_is_reported_with_its_place_and_a_remedy(read, text, words):
    with pytest.raises(WorkflowError, match=words) as caught:
        read(text)
    assert str(caught.value).startswith('workflow "') and " is not JSON: " in str(caught.value)
    assert str(caught.value).count("\n") == 0


NO_WORKFLOW = [
    ([], "a list of 0 entries"),
    ([1, 2, 3], "a list of 3 entries"),
    ("a prompt", 'only "a prompt"'),
    (None, 'only "null"'),
    (12, 'only "12"'),
    ({}, "it is empty"),
    ({"error": {"type": "a", "message": "Prompt has no outputs"}, "node_errors": []},
     'an error that an API sent: "Prompt has no outputs"'),
    ({"error": "Unauthorized"}, 'an error that an API sent: "Unauthorized"'),
    ({"node_errors": {"3": 1}}, "an error that an API sent"),
    ({"samples_save": True, "sd_model_checkpoint": "a.ckpt"}, "A1111's settings file"),
    ({"txt2img/Prompt/visible": True}, "A1111's ui-config.json"),
    ({"prompt": "a cat", "steps": 20}, "a request to A1111's API"),
    ({"images": ["iVBO"], "parameters": {}, "info": ""}, "an answer of A1111's API"),
    ({"Comfy.ColorPalette": "dark"}, "settings file of ComfyUI's editor"),
    ({"_class_name": "UNet2DConditionModel"}, "description of a diffusers model"),
    ({"architectures": ["CLIPTextModel"]}, "description of a transformers model"),
    ({"queue_running": [], "queue_pending": []}, "ComfyUI's queue"),
    ({"prompt_id": "1", "number": 3}, "answer to a prompt that was queued"),
    ({"name": "x", "version": 3}, 'it has "name", "version", and no nodes'),
]  # fmt: skip


@pytest.mark.parametrize(("content", "words"), NO_WORKFLOW)
def test_a_file_that_is_no_workflow_is_named_for_what_it_is(read, content, words):
    with pytest.raises(
        WorkflowError, match="neither in API format nor saved by the editor"
    ) as told:
        read(json.dumps(content))
    assert words in str(told.value)


def test_pictures_without_a_workflow_are_reported_by_their_content(tmp_path):
    in_png(tmp_path / "bare.png")
    in_png(tmp_path / "a1111.png", parameters="a cat\nSteps: 20, Sampler: Euler a")
    in_png(tmp_path / "broken.png", workflow='{"nodes": [')
    (tmp_path / "cut.png").write_bytes((tmp_path / "a1111.png").read_bytes()[:40])
    for name, words in (
        ("bare.png", 'picture ".*bare.png" holds no workflow'),
        ("a1111.png", "holds A1111's settings, which are no workflow"),
        ("broken.png", "the workflow in picture .* is not JSON: it ends in the middle"),
        ("cut.png", "cannot be read"),
    ):
        with pytest.raises(WorkflowError, match=words):
            read_workflow(tmp_path / name, {})
