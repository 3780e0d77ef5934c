"""Both sides of the door implement the contract, name by name."""

import inspect
from types import SimpleNamespace

import pytest
from hypernet_pack import compat
from hypernet_pack.compat import contract, standalone
from hypernet_pack.compat.on_demand import on_demand

FUNCTIONS = [name for name in compat.NAMES if inspect.isfunction(vars(contract).get(name))]


@pytest.mark.parametrize("name", compat.NAMES)
def test_the_stand_in_has_every_name_of_the_contract(name):
    assert getattr(compat, name) is getattr(standalone, name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_the_stand_in_is_called_as_the_contract_says(name):
    asked, given = (inspect.signature(getattr(side, name)) for side in (contract, standalone))
    assert shape(given) == shape(asked)


def shape(signature):
    return [(each.name, each.kind, each.default) for each in signature.parameters.values()]


@pytest.mark.parametrize("name", ["Progress", "ComfyExtension"])
def test_a_class_of_the_stand_in_has_the_methods_of_the_contract(name):
    asked, given = (set(vars(getattr(side, name))) for side in (contract, standalone))
    assert {method for method in asked if not method.startswith("__")} <= given


def test_a_name_outside_the_contract_is_no_name_of_the_door():
    with pytest.raises(AttributeError, match='"hypernet_pack.compat" has no "folder_paths"'):
        compat.folder_paths  # noqa: B018


def test_a_module_is_imported_when_one_of_its_names_is_asked_for(monkeypatch):
    asked = []

    def find(module, package):
        asked.append(package + module)
        return SimpleNamespace(one=1)

    monkeypatch.setattr("hypernet_pack.compat.on_demand.import_module", find)
    get = on_demand("host", {".late": ("one", "two")})
    assert asked == []
    assert get("one") == 1
    with pytest.raises(AttributeError, match='module "host" has no "three"'):
        get("three")
    assert asked == ["host.late"]
