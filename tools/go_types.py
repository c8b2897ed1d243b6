"""Read the Kubernetes API types out of a kubectl binary: JSON names, protobuf numbers, strategic-merge keys.

Run at development time when the supported Kubernetes release changes:
`python tools/go_types.py .venv/bin/kubectl openapi-folder src/stratus/sim/schema/types.json.gz`.
It relies on the run-time type layout of Go 1.22 to 1.26 in a 64-bit little-endian ELF file.
"""

from __future__ import annotations

import gzip
import json
import re
import struct
import sys
from pathlib import Path
from typing import Any

_KINDS = {1: "b", 2: "l", 3: "i", 4: "i", 5: "i", 6: "l", 8: "i", 9: "i", 10: "i", 11: "l", 13: "f", 14: "f", 24: "s"}
_ARRAY, _INTERFACE, _MAP, _POINTER, _SLICE, _STRUCT = 17, 20, 21, 22, 23, 25


class GoTypes:
    """The struct types a Go program can reach by reflection."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        offset = struct.unpack_from("<Q", self.data, 40)[0]
        count, names = struct.unpack_from("<HH", self.data, 60)
        sections = [struct.unpack_from("<IIQQQQIIQQ", self.data, offset + 64 * k) for k in range(count)]
        strings = sections[names][4]
        self.sections: dict[str, tuple[int, int, int]] = {}
        for s in sections:
            at = strings + s[0]
            self.sections[self.data[at : self.data.index(b"\0", at)].decode()] = (s[3], s[4], s[5])
        self.base = self._types_base()

    def _offset(self, address: int) -> int:
        for start, file, size in self.sections.values():
            if start and start <= address < start + size:
                return file + address - start
        raise ValueError(hex(address))

    def _word(self, address: int) -> int:
        return int(struct.unpack_from("<Q", self.data, self._offset(address))[0])

    def _types_base(self) -> int:
        """Find `moduledata.types`: the address by which most type links point at plausible pointer types."""
        _, file, size = self.sections[".go.module"]
        first = self.sections[".typelink"]
        links = struct.unpack_from(f"<{first[2] // 4}i", self.data, first[1])
        self.links = links
        low, _, length = self.sections[".rodata"]
        for k in range(size // 8):
            (word,) = struct.unpack_from("<Q", self.data, file + 8 * k)
            if low <= word < low + length:
                try:
                    good = sum(
                        self.data[self._offset(word + link) + 23] & 31 in (18, 19, 21, 22, 23, 25)
                        for link in links[:300]
                    )
                except ValueError:
                    continue
                if good > 250:
                    return int(word)
        raise ValueError("no moduledata")

    def name(self, address: int) -> tuple[str, str]:
        """Return (name, struct tag) of an abi.Name."""
        at = self._offset(address)
        flags = self.data[at]
        text, at = self._string(at + 1)
        tag = self._string(at)[0] if flags & 2 else ""
        return text, tag

    def _string(self, at: int) -> tuple[str, int]:
        length = shift = 0
        while True:
            byte = self.data[at]
            at += 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        return self.data[at : at + length].decode("utf-8", "replace"), at + length

    def describe(self, address: int) -> dict[str, Any]:
        """Return kind, name, package, element types and fields of the type at `address`."""
        at = self._offset(address)
        tflag, kind = self.data[at + 20], self.data[at + 23] & 31
        (text,) = struct.unpack_from("<i", self.data, at + 40)
        name = self.name(self.base + text)[0]
        if tflag & 2:
            name = name[1:]
        out: dict[str, Any] = {"kind": kind, "name": name, "package": ""}
        sizes = {_SLICE: 8, _STRUCT: 32}
        if tflag & 1 and kind in (_STRUCT, _SLICE):
            extra = at + 48 + sizes[kind]
            (package,) = struct.unpack_from("<i", self.data, extra)
            if package and 0 < package < 1 << 27:
                try:
                    out["package"] = self.name(self.base + package)[0]
                except ValueError:
                    pass
        if kind in (_POINTER, _SLICE, _ARRAY):
            out["elem"] = self._word(address + 48)
        elif kind == _MAP:
            out["key"], out["elem"] = self._word(address + 48), self._word(address + 56)
        elif kind == _STRUCT:
            fields, count = self._word(address + 56), self._word(address + 64)
            out["fields"] = [
                (*self.name(self._word(fields + 24 * k)), self._word(fields + 24 * k + 8)) for k in range(count)
            ]
        return out


def walk(go: GoTypes, wanted: re.Pattern[str]) -> dict[str, list[Any]]:
    """Return {package.Type: fields} for the struct types of matching packages."""
    seen: set[int] = set()
    stack = [go.base + link for link in go.links]
    cache: dict[int, dict[str, Any]] = {}
    out: dict[str, list[Any]] = {}

    def info(address: int) -> dict[str, Any]:
        if address not in cache:
            cache[address] = go.describe(address)
        return cache[address]

    def ident(t: dict[str, Any]) -> str:
        return f"{t['package']}.{t['name'].split('.', 1)[-1]}"

    def expression(address: int) -> str:
        t = info(address)
        kind = t["kind"]
        if kind == _POINTER:
            return "*" + expression(t["elem"])
        if kind == _SLICE:
            if info(t["elem"])["kind"] == 8:
                return "y"
            # ExtraValue is a list in JSON and a message holding a list in protobuf.
            return ("[m]" if t["name"].endswith(".ExtraValue") else "[]") + expression(t["elem"])
        if kind == _MAP:
            return "{}" + expression(t["elem"])
        if kind == _STRUCT:
            return ident(t)
        return _KINDS.get(kind, "any")

    while stack:
        address = stack.pop()
        if address in seen:
            continue
        seen.add(address)
        t = info(address)
        stack.extend(t[k] for k in ("elem", "key") if k in t)
        for _, _, at in t.get("fields", ()):
            stack.append(at)
        if t["kind"] == _STRUCT and wanted.match(t["package"]) and "." in t["name"]:
            rows = []
            for field, tag, at in t["fields"]:
                found = dict(re.findall(r'(\w+):"((?:[^"\\]|\\.)*)"', tag))
                rows.append((field, found, expression(at)))
            out[ident(t)] = rows
    return out


def openapi_name(ident: str) -> str:
    """Turn `k8s.io/api/core/v1.Pod` into the name OpenAPI uses: `io.k8s.api.core.v1.Pod`."""
    package, _, name = ident.rpartition(".")
    host, _, rest = package.partition("/")
    return ".".join([*reversed(host.split(".")), *rest.split("/"), name])


def _expression(schema: dict[str, Any]) -> str:
    """Write an OpenAPI property's type in the table's notation."""
    ref = schema.get("$ref") or next((s["$ref"] for s in schema.get("allOf", []) if "$ref" in s), None)
    if ref:
        return str(ref.rsplit("/", 1)[-1])
    kind = schema.get("type")
    if kind == "array":
        return "[]" + _expression(schema["items"])
    if kind == "object":
        return "{}" + _expression(schema["additionalProperties"]) if "additionalProperties" in schema else "any"
    if kind == "string":
        return "y" if schema.get("format") == "byte" else "s"
    if kind == "integer":
        return "l" if schema.get("format") == "int64" else "i"
    return {"boolean": "b", "number": "f"}.get(str(kind), "any")


def table(types: dict[str, list[Any]], schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Join the binary's types with the facts only OpenAPI has (required, list types, kinds).

    A field is [json, protobuf number, type, flags, patch strategy, merge key, list type, map keys]; flags are
    `o` omitempty, `z` omitzero, `p` pointer, `r` required. A field without a JSON name is an inlined message.
    """
    by_name = {openapi_name(ident): rows for ident, rows in types.items()}
    out: dict[str, Any] = {}
    for name, schema in sorted(schemas.items()):
        if re.search(r"\w(?<!Cluster)(?<!Volume)List$", name) and "items" in schema.get("properties", {}):
            continue
        facts, required = schema.get("properties", {}), set(schema.get("required", ()))
        fields: list[list[Any]] = []

        def add(rows: list[Any], into: list[list[Any]], facts: dict[str, Any], required: set[str]) -> None:
            for _, tags, expression in rows:
                json_tag, _, options = tags.get("json", "").partition(",")
                number = int(tags["protobuf"].split(",")[1]) if "protobuf" in tags else 0
                pointer, kind = expression.startswith("*"), expression.lstrip("*").replace("[]*", "[]")
                prefix = re.match(r"^(\[\]|\[m\]|\{\})*", kind)
                head = prefix.group(0) if prefix else ""
                tail = kind[len(head) :]
                kind = head + (openapi_name(tail) if "." in tail else tail)
                if not json_tag:
                    if kind.endswith(".TypeMeta"):
                        into += [["apiVersion", 0, "s", "o"], ["kind", 0, "s", "o"]]
                    elif number and kind in by_name:
                        into.append(["", number, kind, ""])
                        inner = by_name[kind]
                        add(
                            [(a, {k: v for k, v in t.items() if k != "protobuf"}, e) for a, t, e in inner],
                            into,
                            facts,
                            required,
                        )
                    else:
                        add(by_name.get(kind, []), into, facts, required)
                    continue
                if json_tag == "-":
                    continue
                if facts and json_tag not in facts and "x" not in facts:
                    continue  # newer than the served release
                fact = facts.get(json_tag, {})
                flags = ("o" if "omitempty" in options else "") + ("z" if "omitzero" in options else "")
                flags += ("p" if pointer else "") + ("r" if json_tag in required else "")
                row = [
                    json_tag,
                    number,
                    kind,
                    flags,
                    tags.get("patchStrategy", ""),
                    tags.get("patchMergeKey", ""),
                    fact.get("x-kubernetes-list-type") or fact.get("x-kubernetes-map-type") or "",
                    ",".join(fact.get("x-kubernetes-list-map-keys", ())),
                ]
                while not row[-1]:
                    row.pop()
                into.append(row if len(row) > 3 else [*row, *[""] * (4 - len(row))])

        if not facts and not schema.get("inlined"):
            pass
        elif name in by_name:
            add(by_name[name], fields, facts, required)
        else:
            for key, fact in facts.items():
                row = [
                    key,
                    0,
                    _expression(fact),
                    "r" if key in required else "op",
                    fact.get("x-kubernetes-patch-strategy", ""),
                    fact.get("x-kubernetes-patch-merge-key", ""),
                    fact.get("x-kubernetes-list-type", ""),
                    ",".join(fact.get("x-kubernetes-list-map-keys", ())),
                ]
                while not row[-1]:
                    row.pop()
                fields.append(row)
        entry: dict[str, Any] = {"fields": fields}
        kinds = [[k["group"], k["version"], k["kind"]] for k in schema.get("x-kubernetes-group-version-kind", ())]
        if kinds and len(kinds) < 5:
            entry["kinds"] = kinds
        if schema.get("x-kubernetes-map-type"):
            entry["map"] = schema["x-kubernetes-map-type"]
        if not facts and schema.get("type") != "object":
            entry["scalar"] = [schema.get("type", ""), schema.get("format", "")]
        out[name] = entry
    return out


def _references(result: dict[str, Any]) -> set[str]:
    kinds = {field[2].lstrip("[m]{}") for entry in result.values() for field in entry["fields"]}
    return {kind for kind in kinds if "." in kind}


def main(binary: Path, documents: Path, target: Path) -> None:
    """Write the table."""
    go = GoTypes(binary)
    types = walk(go, re.compile(r"k8s\.io/(api|apimachinery|apiextensions-apiserver|kube-aggregator|metrics)/"))
    schemas: dict[str, dict[str, Any]] = {}
    for path in sorted(documents.glob("openapi_v3_api*.json.gz")):
        document = json.loads(gzip.decompress(path.read_bytes()))
        schemas.update(document.get("components", {}).get("schemas", {}))
    names = [f"io.k8s.metrics.pkg.apis.metrics.v1beta1.{n}" for n in ("NodeMetrics", "PodMetrics", "ContainerMetrics")]
    for name in names:
        kind = name.rsplit(".", 1)[1]
        schemas[name] = {"type": "object", "properties": {"x": {}}}
        if kind != "ContainerMetrics":
            schemas[name]["x-kubernetes-group-version-kind"] = [
                {"group": "metrics.k8s.io", "version": "v1beta1", "kind": kind}
            ]
    schemas = {n: s for n, s in schemas.items() if n.startswith("io.k8s.")}
    result = table(types, schemas)
    while missing := _references(result) - set(result):
        result.update(table(types, {name: {"inlined": True, "type": "object"} for name in missing}))
    text = json.dumps(result, separators=(",", ":"), sort_keys=True)
    target.write_bytes(gzip.compress(text.encode(), mtime=0))
    sys.stdout.write(f"{target}: {len(schemas)} types, {target.stat().st_size} bytes\n")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
