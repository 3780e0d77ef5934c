"""Load Hypernet and Save Hypernet: every format, from and to the host's folder."""

import os

import torch

from hypernet import HypernetSpec, Hypernetwork, Record, open_network, save_network


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def networks(folder, *names):
    place = folder / "models" / "hypernetworks"
    for number, name in enumerate(names):
        spec = HypernetSpec(widths=(16,), activation="relu", seed=number)
        save_network(Hypernetwork(spec, Record(name=name, step=7)), place / name)
    return place


def resaved(source, **inputs):
    return {
        "load": node("HypernetLoad", name=source),
        "save": node("HypernetSave", hypernet=["load", 0], **inputs),
    }


def error_of(result):
    return f"{result.error or ''} {result.node_errors or ''}"


def test_a_network_is_saved_as_pt_unless_another_format_is_chosen(host):
    folder, run = host
    place = networks(folder, "a.pt")
    for inputs, name in [({}, "copy.pt"), ({"format": ".safetensors"}, "copy.safetensors")]:
        result = run(resaved("a.pt", name="copy", **inputs))
        assert result.status == "success", error_of(result)
        first, second = open_network(place / "a.pt"), open_network(place / name)
        assert first.record == second.record and first.spec.widths == second.spec.widths
        for a, b in zip(first.parameters(), second.parameters(), strict=True):
            assert torch.equal(a, b)


def test_a_network_may_be_saved_into_folders(host):
    folder, run = host
    place = networks(folder, "a.pt")
    assert run(resaved("a.pt", name="styles\\ink")).status == "success"
    assert open_network(place / "styles" / "ink.pt").record.step == 7
    for name in ("../ink", "/ink", "styles//ink", "nul"):
        assert f'Name "{name}"' in error_of(run(resaved("a.pt", name=name)))


def test_a_file_that_is_there_is_kept(host):
    folder, run = host
    place = networks(folder, "a.pt", "b.safetensors")
    before = (place / "b.safetensors").read_bytes()
    result = run(resaved("a.pt", name="b", format=".safetensors"))
    assert 'already a hypernetwork "b.safetensors"' in error_of(result)
    assert (place / "b.safetensors").read_bytes() == before


def test_trees_are_listed_and_loaded_with_the_networks_they_name(host):
    from hypernet_pack.compat.standalone import folders
    from hypernet_pack.nodes.use.load_save import LoadHypernet, known_names

    folder, _ = host
    place = networks(folder, "a.pt", "b.safetensors")
    (place / "sub").mkdir()
    (place / "sub" / "both.hns").write_text('{"a": 3, "b": 1}')
    with folders.configured(models=folder / "models"):
        assert known_names() == ["a.pt", "b.safetensors", "sub/both.hns"]
        tree, text = LoadHypernet.execute("sub/both.hns").args
        assert tree.spec.widths == (16,) and "(0.75 × a + 0.25 × b)" in text
        before = LoadHypernet.fingerprint_inputs("sub/both.hns")
        os.utime(place / "a.pt", (1, 1))
        assert LoadHypernet.fingerprint_inputs("sub/both.hns") != before, "a named file has changed"


def test_a_tree_acts_on_a_model_as_its_networks_do(host):
    from hypernet.apply.patches import make_patches

    folder, _ = host
    place = networks(folder, "a.pt", "b.safetensors")
    (place / "both.hns").write_text('["a", "b"]')
    n = torch.randn(2, 5, 16)
    found = n
    for name in ("a.pt", "b.safetensors"):
        patch, _ = make_patches(open_network(place / name))
        found = patch(found, None, None, {})[1]
    patch, _ = make_patches(open_network(place / "both.hns"))
    assert torch.equal(patch(n, None, None, {})[1], found)


def test_a_name_that_is_nowhere_is_refused_with_the_nearest(host):
    folder, run = host
    networks(folder, "charcoal.pt")
    message = error_of(run(resaved("charcol.pt", name="copy")))
    assert 'no hypernetwork "charcol.pt"' in message and "Nearest: charcoal.pt" in message


def test_a_file_of_another_kind_is_called_what_it_is(host):
    folder, run = host
    place = folder / "models" / "hypernetworks"
    for content, kind in [(b"<!doctype html>", "a web page (HTML)"), (b"", "an empty file")]:
        (place / "page.pt").write_bytes(content)
        said = error_of(run(resaved("page.pt", name="copy")))
        assert f"cannot be read as a hypernetwork: it is {kind}. " in said
    assert [path.name for path in place.iterdir()] == ["page.pt"]


def test_a_graph_from_windows_finds_its_network_and_says_how_the_name_differs(host):
    folder, run = host
    place = networks(folder, "cafe\u0301.pt")
    (place / "styles").mkdir()
    (place / "cafe\u0301.pt").rename(place / "styles" / "cafe\u0301.pt")
    result = run(resaved("Styles\\caf\u00e9.pt", name="copy"))
    assert result.status == "success" and (place / "copy.pt").is_file(), error_of(result)


def test_two_networks_that_fit_equally_are_refused_before_the_run(host):
    folder, run = host
    networks(folder, "Ink.pt", "INK.pt")
    said = error_of(run(resaved("ink.pt", name="copy")))
    assert '"INK.pt", "Ink.pt"' in said


def test_a_name_that_windows_keeps_is_refused_wherever_something_is_saved(host):
    from hypernet_pack.nodes.data.prepare_dataset import SavePreparedFolder
    from hypernet_pack.nodes.train.train_hypernet import TrainHypernet
    from hypernet_pack.nodes.use.convert_merge import ConvertHypernet
    from hypernet_pack.nodes.use.fold import HypernetToLora
    from hypernet_pack.nodes.use.load_save import SaveHypernet

    for name in ("nul.v1", "CON", "aux.pt", "ink.", "a?"):
        for node_class in (SaveHypernet, ConvertHypernet, HypernetToLora, SavePreparedFolder):
            assert f'Name "{name}"' in node_class.validate_inputs(name=name), node_class
        assert f'Name "{name}"' in TrainHypernet.validate_inputs(name=[name])
