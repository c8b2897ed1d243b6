"""Validation rules: the language they are written in, and how they judge custom resources."""

from typing import Any

import pytest

from stratus.sim.api.cel import CelError, CelSyntaxError, compiled
from stratus.sim.api.custom import validate
from stratus.sim.api.status import Problems

SELF = {"a": 1, "b": 2, "s": "abc", "l": [1, 2, 3], "m": {"k": "v"}, "t": True, "n": None, "f": 1.5,
        "o": [{"n": "x", "v": 1}, {"n": "y", "v": 2}], "in": 7, "d-e": 8}  # fmt: skip


def judged(text: str, **more: Any) -> Any:
    return compiled(text)[0]({"self": SELF, **more})


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1 + 2 * 3 == 7", True), ("(1 + 2) * 3", 9), ("7 / 2", 3), ("-7 / 2", -3), ("-7 % 2", -1), ("7.0 / 2.0", 3.5),
        ("self.a < self.b && self.b <= 2", True), ("!(self.a >= self.b)", True), ("self.a == 1 ? 'x' : 'y'", "x"),
        ("self.t || self.missing", True), ("self.missing || self.t", True), ("false && self.missing", False),
        ("self.missing && false", False), ("has(self.a) && !has(self.missing)", True), ("has(self.m.k)", True),
        ("self.s.startsWith('a') && self.s.endsWith('c')", True), ("self.s.contains('b')", True),
        ("self.s.matches('^[a-c]+$')", True), ("self.s.size() == size(self.s)", True), ("self.s + 'd'", "abcd"),
        ("self.l.size()", 3), ("self.l[1]", 2), ("2 in self.l", True), ("'k' in self.m", True), ("self.m['k']", "v"),
        ("self.l.all(x, x > 0)", True), ("self.l.exists(x, x == 3)", True), ("self.l.exists_one(x, x > 1)", False),
        ("self.l.filter(x, x > 1)", [2, 3]), ("self.l.map(x, x * 2)", [2, 4, 6]),
        ("self.l.map(x, x > 1, x * 2)", [4, 6]), ("self.o.all(e, has(e.n) && e.v > 0)", True),
        ("self.o.exists(e, e.n == 'y' && self.l.exists(x, x == e.v))", True), ("self.m.all(k, k == 'k')", True),
        ("[1, 2, 3].isSorted() && !['b', 'a'].isSorted()", True), ("{'a': 1}['a']", 1), ("[1, 2].sum() == 3", True),
        ("string(self.a) + string(true)", "1true"), ("int('5') + 1", 6), ("double('1.5') == self.f", True),
        ("'it\\'s \\n'", "it's \n"), (r"r'\d'", r"\d"), ('"x" != \'y\'', True), ("self.n == null", True),
        ("self.t == true && self.t != 1", True), ("self.__in__ + self.d__dash__e", 15), ("0x10 + 1u", 17),
        ("'a,b'.split(',')", ["a", "b"]), ("'Ab'.lowerAscii() + ' x '.trim()", "abx"),
    ],
)  # fmt: skip
def test_expressions(text: str, want: Any) -> None:
    assert judged(text) == want


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("self.missing == 1", "no such key: missing"),
        ("self.l[9] == 1", "index out of bounds: 9"),
        ("self.a / 0 == 1", "division by zero"),
        ("self.a + self.s == 'x'", "no such overload"),
        ("self.a && true", "no such overload"),
        ("!self.s", "no such overload"),
        ("self.a.b", "no such overload"),
        ("self.a.all(x, true)", "no such overload"),
        ("size(self.a) == 1", "no such overload"),
        ("other.x", "no such attribute: other"),
        ("self.missing || false", "no such key: missing"),
    ],
)
def test_what_cannot_be_evaluated(text: str, why: str) -> None:
    with pytest.raises(CelError, match=why.replace("(", r"\(")):
        judged(text)


@pytest.mark.parametrize("text", ["", "1 +", "self.", "has(self)", "has(1)", "self.nope()", "nope(1)", "(1", "a b", "#",
                                  "self.l.all(1, true)", "[1 2]", "'open"])  # fmt: skip
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(CelSyntaxError):
        compiled(text)


def test_names_tell_whether_a_rule_is_about_a_change() -> None:
    assert compiled("self.a == oldSelf.a")[1] == {"self", "oldSelf"}
    assert compiled("self.l.all(x, x > 0)")[1] == {"self"}
    assert compiled("has(oldSelf.a)")[1] == {"oldSelf"}


# rules of schemas


def causes(schema: dict[str, Any], obj: Any, old: Any = None) -> list[tuple[str, str, str]]:
    problems = Problems()
    root = {"type": "object", "properties": {"spec": schema}}
    validate(root, {"spec": obj}, problems, None if old is None else {"spec": old})
    return [(c["reason"], c["field"], c["message"]) for c in problems.causes]


def ruled(rule: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "x-kubernetes-preserve-unknown-fields": True,
            "x-kubernetes-validations": [{"rule": rule, **more}]}  # fmt: skip


def test_a_broken_rule_says_its_message() -> None:
    bad = {"low": 3, "high": 1}
    assert causes(ruled("self.low <= self.high"), {"low": 1, "high": 1}) == []
    assert causes(ruled("self.low <= self.high"), bad) == [
        ("FieldValueInvalid", "spec", "Invalid value: failed rule: self.low <= self.high")
    ]
    assert causes(ruled("self.low <= self.high", message="too low"), bad) == [
        ("FieldValueInvalid", "spec", "Invalid value: too low")
    ]
    words = "'low is ' + string(self.low)"
    assert causes(ruled("self.low <= self.high", messageExpression=words), bad)[0][2] == "Invalid value: low is 3"
    assert causes(ruled("self.low <= self.high", message="m", messageExpression="self.x"), bad)[0][2].endswith(": m")


def test_a_rule_names_its_reason_and_place() -> None:
    schema = ruled("has(self.name)", message="say who", reason="FieldValueRequired", fieldPath=".name")
    assert causes(schema, {}) == [("FieldValueRequired", "spec.name", "Required value: say who")]


def test_a_rule_that_cannot_be_evaluated_is_broken() -> None:
    assert causes(ruled("self.low <= self.high", message="m"), {"low": 1}) == [
        ("FieldValueInvalid", "spec", "Invalid value: no such key: high evaluating rule: m")
    ]


def test_a_rule_in_words_not_known_here_is_taken_as_kept() -> None:
    assert causes(ruled("quantity(self.a).isGreaterThan(quantity('1'))"), {"a": "0"}) == []


def test_rules_about_changes_wait_for_one() -> None:
    schema = ruled("self.a == oldSelf.a", message="fixed")
    assert causes(schema, {"a": 1}) == []
    assert causes(schema, {"a": 1}, {"a": 1}) == []
    assert causes(schema, {"a": 2}, {"a": 1}) == [("FieldValueInvalid", "spec", "Invalid value: fixed")]


def test_items_are_judged_each_and_known_again_by_their_keys() -> None:
    item = {"type": "object", "properties": {"n": {"type": "string"}, "v": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.v > 0", "message": "v"},
                                         {"rule": "self.v >= oldSelf.v", "message": "never less"}]}  # fmt: skip
    schema = {
        "type": "object",
        "properties": {
            "l": {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"]},
            "m": {"type": "object", "additionalProperties": item},
        },
    }
    found = causes(schema, {"l": [{"n": "a", "v": 1}, {"n": "b", "v": 0}], "m": {"k": {"v": 0}}})
    assert [field for _, field, _ in found] == ["spec.l[1]", "spec.m[k]"]
    old = {"l": [{"n": "b", "v": 1}, {"n": "a", "v": 5}]}
    found = causes(schema, {"l": [{"n": "a", "v": 4}, {"n": "b", "v": 1}, {"n": "c", "v": 1}]}, old)
    assert found == [("FieldValueInvalid", "spec.l[0]", "Invalid value: never less")]


def test_rules_judge_what_clients_send(call: Any) -> None:
    spec = ruled("!has(oldSelf.a) || self.a == oldSelf.a", message="a is fixed")
    crd = {
        "metadata": {"name": "cogs.x.io"},
        "spec": {
            "group": "x.io", "names": {"plural": "cogs", "kind": "Cog"}, "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}],
        },
    }  # fmt: skip
    assert call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)[0] == 201
    base = "/apis/x.io/v1/namespaces/default/cogs"
    cog = {"apiVersion": "x.io/v1", "kind": "Cog", "metadata": {"name": "c"}, "spec": {"a": 1}}
    assert call("POST", base, cog)[0] == 201
    merge = "application/merge-patch+json"
    assert call("PATCH", f"{base}/c", {"spec": {"b": 1}}, merge)[0] == 200
    status, answer = call("PATCH", f"{base}/c", {"spec": {"a": 2}}, merge)
    assert (status, answer["message"]) == (422, 'Cog.x.io "c" is invalid: spec: Invalid value: a is fixed')
