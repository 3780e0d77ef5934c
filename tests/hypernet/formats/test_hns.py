"""Trees: `.hns` files against the same networks called by hand."""

import copy

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork, Record, open_network, save_network
from hypernet.formats.hns import formula, parse_tree


def network(name, seed, widths=(8,)):
    made = Hypernetwork(HypernetSpec(widths=widths, activation="relu"), Record(name=name))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(seed))
    return made


@pytest.fixture
def folder(tmp_path):
    save_network(network("a", 1), tmp_path / "a.pt")
    save_network(network("b", 2, (8, 16)), tmp_path / "b.safetensors")
    (tmp_path / "deep").mkdir()
    save_network(network("c", 3), tmp_path / "deep" / "c net.pt")
    return tmp_path


def tree(folder, text, name="t"):
    (folder / f"{name}.hns").write_text(text, "utf-8")
    return open_network(folder / f"{name}.hns", [folder])


def by_hand(folder, side):
    a, b, c = (open_network(folder / file) for file in ("a.pt", "b.safetensors", "deep/c net.pt"))
    a, b, c = (getattr(each, side) for each in (a, b, c))
    return {
        "a": lambda x: a(x),
        '["a"]': lambda x: a(x),
        '["a", "b"]': lambda x: b(a(x)),
        '["a", "b", "c net"]': lambda x: c(b(a(x))),
        '{"a", "b"}': lambda x: 0.5 * a(x) + 0.5 * b(x),
        '{"a": 0.6, "b": 0.2}': lambda x: 0.75 * a(x) + 0.25 * b(x),
        '("a", 0.25)': lambda x: a(x, 0.25),
        '{"a": 0.25}': lambda x: a(x, 0.25),
        '("a", -1.5)': lambda x: a(x, -1.5),
        '[("a", 0.2), ("b", 0.4)]': lambda x: b(a(x, 0.2), 0.4),
        '[{"a": 0.6}, "b", ["c net"]]': lambda x: c(b(a(x, 0.6))),
        '{"{\'a\', \'b\'}": 3, "c net": 1}': (
            lambda x: 0.75 * (0.5 * a(x) + 0.5 * b(x)) + 0.25 * c(x)
        ),
        '{"[\'a\', \'b\']", "c net"}': lambda x: 0.5 * b(a(x)) + 0.5 * c(x),
        "b(1)": lambda x: b(x),
        "a.pt": lambda x: a(x),
    }  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("side", ["keys", "values"])
def test_a_tree_gives_the_result_of_combining_its_networks_by_hand(folder, side):
    x = torch.randn(2, 3, 8)
    for text, wanted in by_hand(folder, side).items():
        found = getattr(tree(folder, text), side)(x)
        assert torch.equal(found, wanted(x)), text


@torch.no_grad()
def test_trees_may_name_other_trees(folder):
    x = torch.randn(2, 3, 8)
    tree(folder, '["a", "b"]', "inner")
    found = tree(folder, '{"inner": 1, "c net": 3}')
    a, b, c = (open_network(folder / file) for file in ("a.pt", "b.safetensors", "deep/c net.pt"))
    assert torch.equal(found.keys(x), 0.25 * b.keys(a.keys(x)) + 0.75 * c.keys(x))
    assert formula(found.part) == "(0.25 × a → b + 0.75 × c net)"


@torch.no_grad()
def test_the_strength_of_a_call_multiplies_every_networks_own(folder):
    x = torch.randn(2, 3, 8)
    a, b = (open_network(folder / file) for file in ("a.pt", "b.safetensors"))
    found = tree(folder, '[("a", 0.5), "b"]')
    assert torch.equal(found.keys(x, 2.0), b.keys(a.keys(x, 1.0), 2.0))
    assert torch.equal(found.keys(x, 0.0), x)
    assert torch.equal(found.keys(x, torch.tensor(2.0)), found.keys(x, 2.0))


@torch.no_grad()
def test_a_tree_can_be_used_wherever_a_network_can(folder):
    found = tree(folder, '[{"a", "b"}, "a"]')
    assert found.spec.widths == (8, 16) and found.record.name == "t"
    assert len(found.networks) == 2, "a file that is named twice is opened once"
    x = torch.randn(1, 2, 8)
    for twin in (found.copy(), copy.deepcopy(found)):
        assert torch.equal(twin.keys(x), found.keys(x)) and twin.device == found.device
    assert not found.training
    half = x.half()
    assert found.keys(half).dtype == torch.float16
    narrow, other = torch.randn(1, 2, 16), torch.randn(1, 2, 24)
    assert not torch.equal(found.keys(narrow), narrow) and found.keys(other) is other
    with pytest.raises(ValueError, match="is no single network"):
        save_network(found, folder / "new.pt")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither a name nor a tree"),
        ("[]", "is empty"),
        ("{}", "is empty"),
        ('["a", 3]', '"3" is no part of a tree'),
        ('["a"', "is no Python literal"),
        ('[__import__("os").system("id")]', "is no part of a tree"),
        ('[x for x in "ab"]', "is no part of a tree"),
        ('["a" + "b"]', "is no part of a tree"),
        ('("a", "b")', "is no part of a tree"),
        ('("a", 11)', "beyond ±10"),
        ('("a", 1e999)', "too large"),
        ('("a", True)', "is no part of a tree"),
        ('{"a": -1, "b": 2}', "should be 0 or more"),
        ('{"a": 0, "b": 0}', "should be 0 or more"),
        ('{"a": "x", "b": 1}', "should be a number"),
        ('{"a": 1, "a": 2}', "gives one name two weights"),
        ('{"{\'a\', \'b\'}": 0.5}', "cannot have strength 0.5"),
        ("[" * 40 + '"a"' + "]" * 40, "levels deep"),
        ("[" * 5000 + "]" * 5000, "is no Python literal"),
        (str(["a"] * 65), "more than 64 networks"),
        ("[" + " " * 2**16 + "]", "is too large for a tree"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_tree_is_refused_with_the_reason(folder, text, words):
    with pytest.raises(ValueError) as fault:
        tree(folder, text)
    assert words in str(fault.value) and '"t.hns"' in str(fault.value)


def test_a_missing_network_is_refused_with_the_folders_searched(folder):
    for text in ('["a", "nobody"]', '"../secret"', "/etc/passwd"):
        with pytest.raises(FileNotFoundError, match='"t.hns" names a hypernetwork'):
            tree(folder, f"[{text}]" if text[0] == '"' else text)


def test_a_tree_that_contains_itself_is_refused(folder):
    with pytest.raises(ValueError, match='"one.hns" contains itself'):
        (folder / "two.hns").write_text('["a", "one"]')
        tree(folder, '["b", "two"]', "one")
    with pytest.raises(ValueError, match="contains itself"):
        tree(folder, "me", "me")


def test_trees_of_trees_do_not_grow_without_end(folder):
    (folder / "t0.hns").write_text('["a", "b"]')
    for n in range(1, 12):
        (folder / f"t{n}.hns").write_text(f'["t{n - 1}", "t{n - 1}"]')
    with pytest.raises(ValueError, match="more than 64 networks"):
        open_network(folder / "t11.hns")


def test_a_tree_is_parsed_in_the_order_of_its_text():
    text = '{"z", "a", "m"}'
    assert formula(parse_tree(text)) == "(0.333 × z + 0.333 × a + 0.333 × m)"


@pytest.mark.parametrize(
    ("written", "found", "differs"),
    [
        ("c net", "c net", None),
        ("C NET", "c net", "capital"),
        ("A.PT", "a", "capital"),
        ("c\u00a0net", "c net", "blanks"),
        ("linked", "linked", None),
        ("caf\u00e9", "cafe\u0301", "accents"),
        ("CAF\u00c9(1)", "cafe\u0301", "capital"),
    ],
)
def test_names_in_a_tree_are_matched_by_the_common_rule_and_through_links(
    folder, tmp_path_factory, written, found, differs
):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    save_network(network("x", 5), elsewhere / "linked.pt")
    save_network(network("y", 6), folder / "cafe\u0301.pt")
    (folder / "styles").symlink_to(elsewhere, target_is_directory=True)
    opened = tree(folder, f'["b", "{written}"]')
    assert opened.names == ("b", found)
    assert differs in opened.record.optional_info if differs else not opened.record.optional_info


def test_a_name_in_a_tree_that_fits_two_networks_is_refused(folder):
    save_network(network("A", 4), folder / "\uff21.pt")
    save_network(network("A", 4), folder / "a .pt")
    with pytest.raises(ValueError, match='"a\u00a0" may be any of'):
        tree(folder, '["b", "a\u00a0"]')
