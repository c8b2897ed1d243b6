"""Names of custom resources: looked at after they are written, taken only once, served when established."""

from typing import Any

from stratus.sim.api.crdnames import accepted

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def crd(plural: str, kind: str, group: str = "x.example.com", **names: Any) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"plural": plural, "kind": kind, **names},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def conditions(obj: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in obj["status"]["conditions"]}


def test_a_definition_is_answered_before_its_names_are_looked_at(call: Any) -> None:
    status, made = call("POST", CRDS, crd("cogs", "Cog", shortNames=["cg"], categories=["all"]))
    assert status == 201
    assert made["status"]["acceptedNames"] == {"plural": "", "kind": ""}
    assert made["status"]["conditions"] is None
    found = call("GET", f"{CRDS}/cogs.x.example.com")[1]
    assert conditions(found) == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    names = found["status"]["acceptedNames"]
    assert names == {"plural": "cogs", "singular": "cog", "shortNames": ["cg"], "kind": "Cog", "listKind": "CogList",
                     "categories": ["all"]}  # fmt: skip
    (owner,) = [e for e in found["metadata"]["managedFields"] if e["manager"] == "kube-apiserver"]
    assert owner["subresource"] == "status"
    assert "f:acceptedNames" in owner["fieldsV1"]["f:status"]
    assert call("GET", "/apis/x.example.com/v1/namespaces/default/cogs")[0] == 200


def test_a_dry_run_establishes_nothing(call: Any) -> None:
    assert call("POST", f"{CRDS}?dryRun=All", crd("cogs", "Cog"))[0] == 201
    assert call("GET", "/apis/x.example.com/v1/namespaces/default/cogs")[0] == 404


def test_taken_names_are_refused_until_they_are_free(call: Any) -> None:
    call("POST", CRDS, crd("cogs", "Cog", shortNames=["cg"]))
    assert call("POST", CRDS, crd("congas", "Conga", shortNames=["cg"]))[0] == 201
    second = call("GET", f"{CRDS}/congas.x.example.com")[1]
    assert conditions(second) == {
        "NamesAccepted": ("False", "ShortNamesConflict"),
        "Established": ("False", "NotAccepted"),
    }
    assert '"cg" is already in use' in str(second["status"]["conditions"])
    assert call("GET", "/apis/x.example.com/v1/namespaces/default/congas")[0] == 404
    call("DELETE", f"{CRDS}/cogs.x.example.com")
    assert conditions(call("GET", f"{CRDS}/congas.x.example.com")[1])["Established"][0] == "True"
    assert call("GET", "/apis/x.example.com/v1/namespaces/default/congas")[0] == 200


def test_other_groups_may_have_the_same_names(call: Any) -> None:
    call("POST", CRDS, crd("cogs", "Cog"))
    call("POST", CRDS, crd("cogs", "Cog", "y.example.com"))
    assert conditions(call("GET", f"{CRDS}/cogs.y.example.com")[1])["Established"] == ("True", "InitialNamesAccepted")


def test_new_short_names_are_looked_at_too(call: Any) -> None:
    call("POST", CRDS, crd("cogs", "Cog"))
    call("PATCH", f"{CRDS}/cogs.x.example.com", {"spec": {"names": {"shortNames": ["cg"]}}},
         "application/merge-patch+json")  # fmt: skip
    assert call("GET", f"{CRDS}/cogs.x.example.com")[1]["status"]["acceptedNames"]["shortNames"] == ["cg"]


def test_what_was_accepted_is_kept_where_the_new_name_is_taken() -> None:
    names, reason, message = accepted({"plural": "a", "kind": "B"}, [{"plural": "x", "kind": "B"}], {"kind": "A"})
    assert names == {"plural": "a", "kind": "A"}
    assert (reason, message) == ("KindConflict", '"B" is already in use')
