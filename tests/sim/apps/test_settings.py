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


@pytest.mark.parametrize(
    ("text", "pattern", "wanted"),
    [
        ("postgres://u:p@db/shop?sslmode=off", "^postgres://(?:[^@/]*@)?([^/?]+)", "db"),
        ("Host=db;Username=u;Password=p", "(?i)host=([^;]+)", "db"),
        ("host=db user=u dbname=shop", r"\buser=(\S+)", "u"),
    ],
)
def test_a_setting_is_cut_out_of_a_connection_string(text: str, pattern: str, wanted: str) -> None:
    assert look_up(Value(env="DSN", pattern=pattern), {"DSN": text}, {}.get) == wanted
    assert (
        look_up(Value(file="/d.json", key="dsn", pattern=pattern), {}, {"/d.json": f'{{"dsn": "{text}"}}'}.get)
        == wanted
    )


def test_a_text_without_the_setting_holds_none() -> None:
    with pytest.raises(MissingSetting, match="DSN"):
        look_up(Value(env="DSN", pattern="host=(.+)"), {"DSN": "nothing"}, {}.get)
    assert look_up(Value(env="DSN", pattern="port=(.+)", default="5432"), {"DSN": "nothing"}, {}.get) == "5432"


@pytest.mark.parametrize(("pattern", "said"), [("host=.+", "parentheses"), ("(", "no regular expression")])
def test_a_pattern_has_one_part_that_is_the_setting(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Value(env="DSN", pattern=pattern)


def test_a_user_and_a_scheme_are_no_part_of_an_address() -> None:
    assert split_address("amqp://user:secret@queue:5672/vhost") == ("queue", 5672)


def test_a_program_listens_where_it_is_told() -> None:
    told = program(ports=[8080, 9000], listens={"env": "PORT"}, startup={"missing": ["no {setting}"], "exit_code": 3})
    assert read_settings(told, {"PORT": "9090"}, {}.get).ports == {9090, 9000}
    assert read_settings(program(ports=[1]), {}, {}.get).ports == {1}
    assert read_settings(told, {}, {}.get).doomed == (("no PORT",), 3)
    # What Kubernetes itself puts there for a Service of that name is the address of a Service.
    assert read_settings(told, {"PORT": "tcp://10.96.0.7:8080"}, {}.get).doomed == (
        ("no PORT ('tcp://10.96.0.7:8080' is no port)",),
        3,
    )


@pytest.mark.parametrize(("text", "wanted"), [("12", 12), ("2.5", 2.5), ("many", 0), ("-3", 0)])
def test_the_number_of_users_is_read_like_any_setting(text: str, wanted: float) -> None:
    assert read_settings(program(), {"USERS": text}, {}.get, Value(env="USERS")).users == wanted
    assert read_settings(program(), {"USERS": text}, {}.get).users == 1
