"""What a starting program reads: environment before files before defaults, and what stops it."""

from __future__ import annotations

import pytest

from stratus.sim.apps.schema import Check, Login, Program, Startup, Target, Value
from stratus.sim.apps.settings import MissingSetting, look_up, read_settings, split_address

FILES = {"/c.json": '{"Mongo": "db:1", "deep": {"er": 7}, "a.b": "dotted"}', "/c.yaml": "deep:\n  er: yes-yaml\n"}
ADDRESS = Value(env="ADDR", file="/c.json", key="Mongo", default="built:2")


def program(**fields: object) -> Program:
    return Program.model_validate({"image": "x", **fields})


def test_the_environment_wins_then_the_file_then_the_default() -> None:
    assert look_up(ADDRESS, {"ADDR": "env:3"}, FILES.get) == "env:3"
    assert look_up(ADDRESS, {}, FILES.get) == "db:1"
    assert look_up(ADDRESS, {}, {}.get) == "built:2"
    assert look_up(ADDRESS, {"ADDR": ""}, FILES.get) == ""


def test_keys_go_deeper_with_dots_and_yaml_is_read_too() -> None:
    assert look_up(Value(file="/c.json", key="deep.er"), {}, FILES.get) == "7"
    assert look_up(Value(file="/c.json", key="a.b"), {}, FILES.get) == "dotted"
    assert look_up(Value(file="/c.yaml", key="deep.er"), {}, FILES.get) == "yes-yaml"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Value(env="ADDR"), "ADDR"),
        (Value(file="/none.json", key="Mongo"), "open /none.json: no such file or directory"),
        (Value(file="/c.json", key="Redis"), "Redis in /c.json"),
    ],
)
def test_a_missing_setting_is_named(value: Value, said: str) -> None:
    with pytest.raises(MissingSetting, match=said):
        look_up(value, {}, FILES.get)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("rate:8084", ("rate", 8084)),
        ("http://rate:8084/x", ("rate", 8084)),
        ("rate", ("rate", 0)),
        ("rate:many", ("rate", 0)),
        ("rate:70000", ("rate", 0)),
        ("", ("", 0)),
    ],
)
def test_addresses_are_taken_apart(text: str, wanted: tuple[str, int]) -> None:
    assert split_address(text) == wanted


def test_a_bad_value_and_a_missing_one_doom_the_start() -> None:
    check = Check(value=Value(env="N", default="1"), pattern="[0-9]+", log=("bad N: {value}",), exit_code=3)
    one = program(startup=Startup(checks=(check,)))
    assert read_settings(one, {"N": "12"}, FILES.get).doomed is None
    assert read_settings(one, {"N": "twelve"}, FILES.get).doomed == (("bad N: twelve",), 3)
    two = program(targets={"db": Target(address=Value(env="DB"))}, startup=Startup(missing=("no {setting}",)))
    assert read_settings(two, {}, FILES.get).doomed == (("no DB",), 2)


def test_addresses_and_logins_are_kept() -> None:
    login = Login(user=Value(env="U", default="admin"), password=Value(env="P"), database="d")
    one = program(targets={"db": Target(address=ADDRESS, protocol="mongodb", login=login)})
    found = read_settings(one, {"P": "secret"}, FILES.get)
    assert found.addresses == {"db": ("db", 1)}
    assert found.logins == {"db": ("admin", "secret")}
