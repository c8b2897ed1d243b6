"""Refused values as the server's own types print them."""

import pytest

from stratus.sim.api.internals import difference, dump, go_field

CORE = "io.k8s.api.core.v1."


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("dnsPolicy", "DNSPolicy"), ("tty", "TTY"), ("hostIP", "HostIP"), ("image", "Image"), ("httpGet", "HTTPGet"),
        ("seLinuxOptions", "SELinuxOptions"), ("setHostnameAsFQDN", "SetHostnameAsFQDN"), ("clusterIPs", "ClusterIPs"),
        ("apiVersion", "APIVersion"), ("os", "OS"), ("fsGroup", "FSGroup"),
    ],
)  # fmt: skip
def test_names_are_capitalised_as_go_has_them(name: str, want: str) -> None:
    assert go_field(name) == want


def test_every_field_shows_even_when_empty() -> None:
    shown = dump(CORE + "ServicePort", {"port": 80})
    assert shown == {"Name": "", "Protocol": "", "AppProtocol": None, "Port": 80, "TargetPort": 0, "NodePort": 0}


def test_a_pods_network_is_part_of_its_security_context() -> None:
    shown = dump(CORE + "PodSpec", {"containers": [{"name": "c"}], "hostNetwork": True, "securityContext": {}})
    assert list(shown)[:4] == ["Volumes", "InitContainers", "Containers", "EphemeralContainers"]
    assert shown["SecurityContext"]["HostNetwork"] is True
    assert "HostNetwork" not in shown
    assert shown["Containers"][0]["Resources"] == {"Limits": None, "Requests": None, "Claims": None}
    assert dump(CORE + "PodSpec", {"containers": []})["SecurityContext"] is None


def test_a_templates_metadata_is_told_without_a_name() -> None:
    shown = dump(CORE + "PodTemplateSpec", {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}})
    assert shown["labels"] == {"a": "b"}
    assert "metadata" not in shown
    assert shown["Spec"]["Containers"] == []


def test_references_keep_their_kind() -> None:
    claim = {"dataSource": {"kind": "PersistentVolumeClaim", "name": "a"}}
    shown = dump(CORE + "PersistentVolumeClaimSpec", claim)
    assert shown["DataSource"] == {"APIGroup": None, "Kind": "PersistentVolumeClaim", "Name": "a"}


def test_differences_show_three_lines_around() -> None:
    text = difference(CORE + "Toleration", {"key": "a", "effect": "NoExecute"}, {"key": "a", "effect": "NoSchedule"})
    assert text.splitlines() == [
        "@@ -2,6 +2,6 @@",
        '  "Key": "a",',
        '  "Operator": "",',
        '  "Value": "",',
        '- "Effect": "NoSchedule",',
        '+ "Effect": "NoExecute",',
        '  "TolerationSeconds": null',
        " }",
    ]
    assert difference(CORE + "Toleration", {"key": "a"}, {"key": "a"}) == ""


def test_differences_of_some_fields_only() -> None:
    old, new = {"key": "a", "value": "x"}, {"key": "b", "value": "y"}
    text = difference(CORE + "Toleration", new, old, only=["value"])
    assert '"Value": "y"' in text
    assert "Key" not in text
