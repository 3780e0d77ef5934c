"""Malicious files are refused with the name and the reason, before they can take any memory."""

import io
import json
import pickle
import struct
import sys
import warnings
import zipfile

import numpy
import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork, open_network, save_network
from hypernet.formats.pickle_check import Claims, check_pt

KEY = "hypernetwork"


def good(folder, suffix=".pt"):
    network = Hypernetwork(HypernetSpec(widths=(8,), activation="relu"))
    return save_network(network, folder / f"good{suffix}")


def refusal(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError) as fault:
            open_network(path)
    assert path.name in str(fault.value) and len(str(fault.value)) < 800
    return str(fault.value)


class Hostile:
    def __reduce__(self):
        return (print, ("code ran",))


class Allocation:
    def __reduce__(self):
        return (bytearray, (10**12,))


@pytest.mark.parametrize("thing", [Hostile(), Allocation()])
def test_code_in_a_file_is_not_run(tmp_path, capsys, thing):
    path = tmp_path / "evil.pt"
    for protocol in (0, 2, 4):
        for legacy in (True, False):
            torch.save(
                {8: thing}, path, pickle_protocol=protocol,
                _use_new_zipfile_serialization=not legacy,
            )  # fmt: skip
            refusal(path)
        path.write_bytes(pickle.dumps({8: thing}, protocol))
        refusal(path)
    assert "code ran" not in capsys.readouterr().out


def test_numpy_numbers_are_refused_with_words(tmp_path):
    path = tmp_path / "numpy.pt"
    torch.save({"step": numpy.float64(3)}, path)
    assert "holds numpy numbers" in refusal(path)
    assert "Save it again with plain Python numbers" in refusal(path)


def test_files_from_before_torch_1_6_are_read(tmp_path):
    path = good(tmp_path)
    payload = torch.load(path, weights_only=True)
    torch.save(payload, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    old, new = open_network(tmp_path / "old.pt"), open_network(path)
    for a, b in zip(old.parameters(), new.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", "old"])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, suffix):
    path = good(tmp_path, ".pt" if suffix == "old" else suffix)
    if suffix == "old":
        payload = torch.load(path, weights_only=True)
        torch.save(payload, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for length in (0, 1, 4, 7, 8, 9, 30, 100, len(whole) // 2, len(whole) - 200, len(whole) - 1):
        path.write_bytes(whole[:length])
        refusal(path)


def test_random_bytes_are_refused(tmp_path):
    generator = torch.Generator().manual_seed(0)
    noise = bytes(torch.randint(256, (5000,), generator=generator).tolist())
    for start in (b"", b"PK\x03\x04", b"\x80\x02", b"{}", b"Rar!"):
        for suffix in (".pt", ".safetensors"):
            path = tmp_path / f"noise{suffix}"
            path.write_bytes(start + noise)
            refusal(path)


def rewritten(path, change=lambda name, content: content, compression=zipfile.ZIP_STORED):
    """The same zip with each entry changed."""
    with zipfile.ZipFile(path) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(name, change(name, content))
    return path


def test_a_compressed_zip_is_refused(tmp_path):
    path = rewritten(good(tmp_path), compression=zipfile.ZIP_DEFLATED)
    assert "is compressed" in refusal(path)


def test_a_zip_with_fewer_numbers_than_it_claims_is_refused(tmp_path):
    def cut(name, content):
        return content[:8] if "/data/0" in name else content

    assert "claims 512 bytes of numbers where 8 are" in refusal(rewritten(good(tmp_path), cut))


def test_a_zip_whose_entries_share_their_bytes_is_refused(tmp_path):
    path = good(tmp_path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"archive/data/0") - 46  # its entry in the zip's directory
    struct.pack_into("<II", content, entry + 20, 10**6, 10**6)
    path.write_bytes(content)
    assert "more bytes than the file has" in refusal(path)


def test_a_zip_with_a_huge_table_of_contents_is_refused(tmp_path):
    path = tmp_path / "many.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(12_000):
            archive.writestr(f"archive/{n:040}", b"")
    assert "zip directory alone takes" in refusal(path)


def tensor_pickle(numbers, size, stride, storage="torch\nFloatStorage", times=1):
    """{8: tensor, …} as torch pickles it, with claims of our choice."""
    out = io.BytesIO()

    def whole(value):
        out.write(pickle.dumps(value, 2)[2:-1])

    out.write(b"\x80\x02}(")
    for n in range(times):
        whole(n)
        out.write(b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagec")
        out.write(storage.encode() + b"\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu")
        whole(numbers)
        out.write(b"tQ")
        for value in (0, size, stride):
            whole(value)
        out.write(b"\x89ccollections\nOrderedDict\n)RtR")
    out.write(b"u.")
    return out.getvalue()


def archive_of(path, content, held=4096):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/data/0", bytes(held))
        archive.writestr("archive/version", b"3\n")
    return path


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        (dict(numbers=16, size=(2**20, 2**20), stride=(0, 0)), "claims a tensor of shape"),
        (dict(numbers=16, size=(4, 8), stride=(8, 1)), "claims a tensor of shape"),
        (dict(numbers=16, size=(2, 2), stride=(2**40, 1)), "claims a tensor of shape"),
        (dict(numbers=2**40, size=(4, 4), stride=(4, 1)), "bytes of numbers where 4096 are"),
        (dict(numbers=16, size=(4, -4), stride=(4, 1)), "strange shape"),
        (dict(numbers=16, size=(4, 4), stride=(1,)), "strange shape"),
        (dict(numbers=16, size=(4, 4.5), stride=(4, 1)), "strange shape"),
        (dict(numbers=16, size=(1,) * 9, stride=(1,) * 9), "strange shape"),
        (dict(numbers=-16, size=(4,), stride=(1,)), "unknown kind"),
        (dict(numbers=2**70, size=(4,), stride=(1,)), "more than 64 bits"),
        (dict(numbers=1024, size=(1024,), stride=(1,), times=60), "would take 245760 bytes"),
        (dict(numbers=16, size=(4,), stride=(1,), storage="builtins\nlist"), "builtins list"),
        (dict(numbers=16, size=(4,), stride=(1,), storage="torch\nSize"), "unknown kind"),
    ],
)
def test_claims_are_checked_before_memory_is_allocated(tmp_path, claims, words):
    assert words in refusal(archive_of(tmp_path / "a.pt", tensor_pickle(**claims)))


def test_the_pickle_used_in_these_tests_can_be_read_by_torch(tmp_path):
    path = archive_of(tmp_path / "a.pt", tensor_pickle(16, (4, 4), (4, 1)), held=64)
    with open(path, "rb") as file:
        check_pt(file)
        assert torch.load(file, weights_only=True)[0].shape == (4, 4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x80\x02", "before seeing STOP"),
        (b"\x80\x02}.", "no attention width"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", "holds a list"),  # a memo of two billion entries
        (b"\x80\x02(" * 1000, "data.pkl"),
        (b"cos\nsystem\n(X\x02\x00\x00\x00lstR.", '"os system"'),
        (b"\x80\x02c__builtin__\neval\n.", "__builtin__ eval"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "uses SHORT_BINUNICODE"),
        (b"\x80\x02]q\x00h\x00a" + b"h\x00a" * 10 + b".", "holds a list"),  # a list in itself
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "cannot be read"),
        (b"\x80\x02ctorch\nSize\n(K\x01tRb.", "cannot be read"),
        (b"\x80\x02}" + b"0" * 5000 + b".", "uses POP"),
        (b"\x80\x02}" + b"N" * (2**21) + b".", "over 2097152 bytes"),
    ],
)
def test_strange_pickles_are_refused(tmp_path, content, words):
    message = refusal(archive_of(tmp_path / "data.pkl.pt", content))
    assert words in message


def test_lists_in_lists_in_lists_do_not_grow(tmp_path):
    value = "boom"
    for _ in range(60):
        value = [value] * 10  # 10**60 words, a few hundred bytes
    payload = torch.load(good(tmp_path), weights_only=True)
    torch.save(payload | {"note": value}, tmp_path / "laughs.pt")
    assert open_network(tmp_path / "laughs.pt").record.extra == {}
    torch.save(payload | {"name": value}, tmp_path / "laughs.pt")
    assert '"name" should be text' in refusal(tmp_path / "laughs.pt")


def test_claims_of_files_in_the_old_format_are_checked_too(tmp_path):
    path = tmp_path / "old.pt"
    torch.save({8: torch.zeros(1000)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<H", 1000), struct.pack("<H", 65000)))
    assert "claims 260000 bytes of numbers" in refusal(path)


def test_the_check_allocates_no_memory_for_claimed_sizes():
    claims = Claims()
    with pytest.raises(ValueError, match="claims a tensor"):
        claims.check_tensor(claims.storage(("storage", name("FloatStorage"), "0", "cpu", 4)),
                            0, (2**40,), (1,))  # fmt: skip
    assert sys.getsizeof(claims.storages) < 1000


def name(kind):
    from hypernet.formats.pickle_check import Name

    return Name(f"torch {kind}")


def header(path, change):
    """The safetensors file with its header changed."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    head = change(json.loads(content[8 : 8 + length]))
    text = (head if isinstance(head, str) else json.dumps(head)).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return path


TENSOR = "8.k.linear.0.weight"


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (lambda h: h[TENSOR].update(shape=[2**20, 2**20]), "is damaged"),
        (lambda h: h[TENSOR].update(data_offsets=[0, 2**40]), "is damaged"),
        (lambda h: h[TENSOR].update(data_offsets=[8, 4]), "is damaged"),
        (lambda h: h[TENSOR].update(shape=[-16, -8]), "is damaged"),
        (lambda h: h[TENSOR].update(dtype="F64"), "is damaged"),
        (lambda h: h[TENSOR].update(dtype="I32"), "holds I32, which is no weight"),
        (lambda h: h[TENSOR].update(shape=[8, 16]), "which do not fit"),
        (lambda h: h.update({"lora_unet_x": h.pop(TENSOR)}), 'a tensor "lora_unet_x"'),
        (lambda h: h.update({"9.k.linear.0.weight": h.pop(TENSOR)}), "has a bias and no weight"),
        (lambda h: h["__metadata__"].update({KEY: "[" * 10_000}), "should be the network's"),
        (lambda h: h["__metadata__"].update({KEY: "[1]"}), "should be the network's"),
        (lambda h: h["__metadata__"].update({KEY: "{"}), "should be the network's"),
        (lambda h: h["__metadata__"].update({KEY: '{"step": "x"}'}), '"step" should be'),
        (lambda h: h["__metadata__"].update({KEY: '{"step": NaN}'}), '"step" should be'),
        (lambda h: h["__metadata__"].update({KEY: '{"step": 1e400}'}), '"step" should be'),
        (lambda h: h["__metadata__"].update({KEY: '{"768": 3}'}), "pair of state dicts"),
    ],
)
def test_a_safetensors_header_that_lies_is_refused(tmp_path, lie, words):
    path = good(tmp_path, ".safetensors")
    assert words in refusal(header(path, lambda h: [lie(h), h][1]))


def test_a_safetensors_file_without_metadata_is_read_like_a_pt_without_settings(tmp_path):
    path = good(tmp_path, ".safetensors")
    header(path, lambda h: {k: v for k, v in h.items() if k != "__metadata__"})
    network = open_network(path)
    assert network.spec.activation == "linear" and network.record.name == "good"


def test_a_safetensors_header_of_absurd_length_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    for length in (0, 1, 2**63, 2**64 - 1, 10**6):
        path.write_bytes(struct.pack("<Q", length) + b"{}")
        assert "no safetensors file" in refusal(path)
    path.write_bytes(struct.pack("<Q", 5 * 2**20) + b" " * 5 * 2**20)
    assert "is no hypernetwork's" in refusal(path)


def test_a_folder_and_a_missing_file_are_path_errors(tmp_path):
    for path in (tmp_path, tmp_path / "none.pt", tmp_path / "none.safetensors"):
        with pytest.raises(FileNotFoundError, match="There is no hypernetwork file"):
            open_network(path)
