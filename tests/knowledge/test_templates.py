"""Filling command templates: quoting, JSON patches, and values that must not break out."""

from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.errors import KnowledgeError
from stratus.knowledge.runbooks import shipped_runbooks
from stratus.knowledge.templates import fill_command, fill_text, placeholders, usable, values
from stratus.knowledge.vocabulary import vocabulary
from stratus.model.knowledge import RunbookAction
from stratus.model.refs import ObjectRef

CART = ObjectRef(api_version="apps/v1", kind="Deployment", name="cart", namespace="shop")
PORT_PATCH = (
    "kubectl -n {namespace} patch service {name} --type=json "
    """-p '[{"op":"replace","path":"/spec/ports/{port_index}/targetPort","value":{target_port}}]'"""
)


def fill(template: str, **facts: object) -> str:
    return fill_command(template, values(CART, facts))


def patch_of(line: str) -> object:
    return json.loads(shlex.split(line)[-1])


def test_object_and_facts_are_filled_and_the_kind_is_in_lower_case():
    line = fill("kubectl -n {namespace} scale {kind}/{name} --replicas={replicas}", replicas=3)
    assert line == "kubectl -n shop scale deployment/cart --replicas=3"


def test_placeholders_are_listed_once_and_json_braces_are_none():
    assert placeholders(PORT_PATCH) == ("namespace", "name", "port_index", "target_port")


@pytest.mark.parametrize(("given_port", "wanted"), [(8080, 8080), ("8080", 8080), ("http", "http"), ("0800", "0800")])
def test_bare_placeholder_is_a_number_or_a_string(given_port, wanted):
    assert patch_of(fill(PORT_PATCH, port_index=0, target_port=given_port))[0]["value"] == wanted


def test_quoted_placeholder_stays_text_and_is_escaped():
    template = """kubectl -n {namespace} patch configmap {config_map} -p '{"data":{"{key}":"{value}"}}'"""
    line = fill(template, config_map="flags", key="flags.json", value='{"on": "it\'s",\n"n": 5}')
    assert patch_of(line) == {"data": {"flags.json": '{"on": "it\'s",\n"n": 5}'}}
    assert patch_of(fill(template, config_map="c", key="k", value="5")) == {"data": {"k": "5"}}


def test_json_facts_are_put_in_as_json_whether_text_or_data():
    template = """kubectl patch service x -p '[{"value":{selector_json}}]'"""
    for selector in ('{"app":"cart"}', {"app": "cart"}):
        assert patch_of(fill(template, selector_json=selector)) == [{"value": {"app": "cart"}}]
    template = """kubectl patch deployment x -p '{"containers":[{"command":{command_json}}]}'"""
    assert patch_of(fill(template, command_json="null")) == {"containers": [{"command": None}]}


def test_part_of_a_json_key_is_filled():
    template = """kubectl patch deployment x -p '{"{probe}Probe":{"httpGet":{"port":{probe_port}}}}'"""
    assert patch_of(fill(template, probe="readiness", probe_port="http")) == {
        "readinessProbe": {"httpGet": {"port": "http"}}
    }


def test_arguments_that_need_quotes_get_single_ones():
    line = fill("kubectl set env deployment/x '{env}={env_value}'", env="A", env_value="b c")
    assert line == "kubectl set env deployment/x 'A=b c'"


def test_missing_value_is_named():
    with pytest.raises(KnowledgeError, match="needs replicas"):
        fill("kubectl scale {kind}/{name} --replicas={replicas}")
    with pytest.raises(KnowledgeError, match="needs replicas"):
        fill_text("Scale to {replicas}", {"replicas": None})


def test_value_that_is_no_json_is_refused():
    with pytest.raises(KnowledgeError, match="is not JSON"):
        fill("""kubectl patch service x -p '[{"value":{selector_json}}]'""", selector_json='{"a":')


def test_value_cannot_become_an_option():
    with pytest.raises(KnowledgeError, match="would be read as an option"):
        fill("kubectl -n {namespace} delete pod {pod}", pod="--all")


def test_value_with_a_line_break_or_of_an_odd_type_is_refused():
    with pytest.raises(KnowledgeError, match="line break"):
        fill("kubectl delete pod {pod}", pod="a\nb")
    with pytest.raises(KnowledgeError, match="type object"):
        fill("kubectl delete pod {pod}", pod=object())


@pytest.mark.parametrize("value", ['x"); db.dropDatabase(); ("', "a' b", "a;b", "a b"])
def test_value_cannot_break_out_of_code_in_another_language(value):
    template = """kubectl exec x -- mongosh --eval 'db.getUser("{db_user}")'"""
    assert fill(template, db_user="orders").endswith("""'db.getUser("orders")'""")
    with pytest.raises(KnowledgeError, match="may not be put into code"):
        fill(template, db_user=value)


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1))
def test_one_value_is_never_two_arguments(value):
    try:
        line = fill("kubectl -n {namespace} set env {kind}/{name} '{env}={env_value}'", env="A", env_value=value)
    except KnowledgeError:
        return
    assert shlex.split(line) == ["kubectl", "-n", "shop", "set", "env", "deployment/cart", f"A={value}"]


@given(st.text(), st.one_of(st.integers(), st.booleans(), st.text(min_size=1)))
def test_a_patch_is_always_valid_json_with_the_value_in_its_place(text, value):
    template = """kubectl patch x -p '{"a":{"{key}":"{value}"},"b":{target_port}}'"""
    patch = patch_of(fill(template, key="k" + text, value=text, target_port=value))
    assert patch["a"] == {"k" + text: text}
    assert str(patch["b"]) == str(value)


def test_usable_wants_a_command_and_all_facts():
    action = RunbookAction(text="t", command="kubectl scale x --replicas={replicas}", needs=("replicas", "paused"))
    assert usable(action, {"replicas": 0, "paused": True})
    assert not usable(action, {"replicas": 3})
    assert not usable(action, {"replicas": "", "paused": True})
    assert not usable(RunbookAction(text="ask somebody"), {})


def test_every_shipped_command_can_be_filled_from_the_examples_of_the_vocabulary():
    words = vocabulary()
    known = {name: word.example for name, word in {**words.always, **words.facts}.items()}
    filled = 0
    for book in shipped_runbooks():
        for action in book.actions:
            fill_text(action.text, known)
            for template in filter(None, (action.command,)):
                line = fill_command(template, known)
                assert shlex.split(line)[0] == "kubectl"
                assert "{namespace}" not in line
                assert not placeholders(line.split(" -p ")[0])
                filled += 1
    assert filled > 100
