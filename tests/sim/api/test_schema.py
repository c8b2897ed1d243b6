"""The type table decodes JSON and protobuf as the Go types do."""

import base64
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.sim.schema import protobuf, types
from stratus.sim.schema.decode import DecodeError, Decoder, parse_json
from stratus.sim.schema.quantity import QuantityError, canonical, parse

POD = types.of_kind("", "v1", "Pod")
CONFIG_MAP = types.of_kind("", "v1", "ConfigMap")
DEPLOYMENT = types.of_kind("apps", "v1", "Deployment")

#: The body kubectl 1.37 sends for `create configmap cm1 --from-literal=a=1 --from-literal=b=2 -n shop6`.
CREATE_CONFIG_MAP = base64.b64decode(
    "azhzAAoPCgJ2MRIJQ29uZmlnTWFwEioKGAoDY20xEgAaBXNob3A2IgAqADIAOABCABIGCgFhEgExEgYKAWISATIaACIA"
)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("0.5", "500m"), ("1024Mi", "1Gi"), ("1000m", "1"), ("1e3", "1e3"), ("0", "0"), ("100k", "100k"), ("1.5Gi", "1536Mi"),  # noqa: E501
        ("0.1n", "1n"), ("-2", "-2"), ("+3", "3"), ("2000", "2k"), ("512", "512"), ("0.5Gi", "512Mi"), ("1E", "1E"),
    ],
)  # fmt: skip
def test_quantities_have_one_form(text: str, want: str) -> None:
    assert canonical(text) == want


@pytest.mark.parametrize("text", ["", "x", "1..2", "1Kb", "--1", "1 Gi", "."])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        canonical(text)


@given(st.fractions(min_value=-(10**15), max_value=10**15, max_denominator=1000))
def test_the_canonical_form_keeps_the_value_to_a_nano(value: Fraction) -> None:
    text = f"{float(value):.3f}"
    again = canonical(text)
    assert abs(parse(again) - parse(text)) < Fraction(1, 10**9)
    assert canonical(again) == again


def test_zero_values_are_dropped_or_filled_in_as_go_does() -> None:
    assert DEPLOYMENT is not None
    out = Decoder().decode(
        DEPLOYMENT, {"metadata": {"name": "d", "labels": {}}, "spec": {"paused": False, "replicas": 0}}
    )
    assert out["metadata"] == {"name": "d"}
    assert out["spec"] == {
        "replicas": 0, "selector": None, "template": {"metadata": {}, "spec": {"containers": None}}, "strategy": {},
    }  # fmt: skip
    assert out["status"] == {}


def test_unknown_and_duplicate_fields_are_told_with_their_path() -> None:
    assert POD is not None
    text = '{"metadata":{"name":"a","name":"b"},"spec":{"containers":[{"name":"c"},{"nam":"x"}],"nodeSelector":{"k":"1","k":"2"}},"x":1}'  # noqa: E501
    parsed = parse_json(text)
    decoder = Decoder(parsed.duplicates)
    out = decoder.decode(POD, parsed.value)
    assert decoder.problems == [
        'duplicate field "metadata.name"',
        'unknown field "spec.containers[1].nam"',
        'duplicate field "spec.nodeSelector.k"',
        'unknown field "x"',
    ]
    assert out["metadata"]["name"] == "b"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"spec": {"replicas": 1.5}}, "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),  # noqa: E501
        ({"spec": {"replicas": "3"}}, "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),  # noqa: E501
        ({"spec": {"template": {"spec": {"containers": {}}}}},
         "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"),  # noqa: E501
        ({"metadata": []}, "json: cannot unmarshal array into Go struct field Deployment.metadata of type v1.ObjectMeta"),  # noqa: E501
    ],
)  # fmt: skip
def test_wrong_types_are_named_as_go_names_them(value: dict, text: str) -> None:
    assert DEPLOYMENT is not None
    with pytest.raises(DecodeError) as caught:
        Decoder().decode(DEPLOYMENT, value)
    assert str(caught.value) == text


def test_values_are_checked_and_normalised() -> None:
    assert POD is not None
    assert CONFIG_MAP is not None
    container = {
        "name": "c",
        "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
        "env": [{"name": "A", "value": ""}],
    }
    out = Decoder().decode(
        POD, {"spec": {"containers": [container]}, "metadata": {"deletionTimestamp": "2026-01-05T10:00:00+01:00"}}
    )
    assert out["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}
    assert out["spec"]["containers"][0]["env"] == [{"name": "A"}]
    assert out["metadata"]["deletionTimestamp"] == "2026-01-05T09:00:00Z"
    with pytest.raises(DecodeError, match="illegal base64 data at input byte 0"):
        Decoder().decode(CONFIG_MAP, {"binaryData": {"a": "%%%"}})
    with pytest.raises(DecodeError, match="of type string"):
        Decoder().decode(CONFIG_MAP, {"data": {"a": 1}})
    with pytest.raises(DecodeError, match="parsing time"):
        Decoder().decode(CONFIG_MAP, {"metadata": {"creationTimestamp": "yesterday"}})


def test_the_input_is_not_changed() -> None:
    assert POD is not None
    given_ = {"spec": {"containers": [{"name": "c"}]}}
    Decoder().decode(POD, given_)
    assert given_ == {"spec": {"containers": [{"name": "c"}]}}


def test_a_protobuf_body_of_kubectl_is_read() -> None:
    version, kind, raw = protobuf.envelope(CREATE_CONFIG_MAP)
    assert (version, kind) == ("v1", "ConfigMap")
    assert CONFIG_MAP is not None
    out = Decoder().decode(CONFIG_MAP, protobuf.decode(CONFIG_MAP, raw))
    assert out["metadata"] == {"name": "cm1", "namespace": "shop6"}
    assert out["data"] == {"a": "1", "b": "2"}


def encode(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def test_protobuf_special_types() -> None:
    assert POD is not None
    quantity = encode(1, b"2Gi")
    limits = encode(1, encode(1, b"memory") + encode(2, quantity))
    container = encode(1, b"c") + encode(8, limits)
    time = b"\x08" + b"\x90\xbf\xed\xca\x06"
    raw = encode(1, encode(1, b"p") + encode(9, time)) + encode(2, encode(2, container) + b"\x20\x1e")
    out = protobuf.decode(POD, raw)
    assert out["spec"]["containers"] == [{"name": "c", "resources": {"limits": {"memory": "2Gi"}}}]
    assert out["spec"]["terminationGracePeriodSeconds"] == 30
    assert out["metadata"]["deletionTimestamp"].endswith("Z")


@pytest.mark.parametrize("body", [b"", b"{}", b"k8s\x00\xff", b"k8s\x00\x0a\x7fx"])
def test_what_is_no_protobuf_is_refused(body: bytes) -> None:
    with pytest.raises(protobuf.ProtobufError):
        protobuf.envelope(body)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert POD is not None
    try:
        protobuf.decode(POD, data)
    except (protobuf.ProtobufError, UnicodeDecodeError, AttributeError, TypeError, ValueError):
        pass


def test_inlined_messages_are_flattened() -> None:
    volume = types.named("io.k8s.api.core.v1.Volume")
    source = encode(2, b"")
    out = protobuf.decode(volume, encode(1, b"v") + encode(2, source))
    assert out == {"name": "v", "emptyDir": {}}


def test_base64_is_kept() -> None:
    secret = types.of_kind("", "v1", "Secret")
    assert secret is not None
    text = base64.b64encode(b"hello").decode()
    assert Decoder().decode(secret, {"data": {"a": text}})["data"] == {"a": text}


def test_every_field_of_the_table_leads_somewhere() -> None:
    for name in types.names():
        for field in types.named(name).rows:
            if "." in field.base:
                types.named(field.base)
            assert field.base
