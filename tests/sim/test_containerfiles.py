"""Files in containers: layers, mounts, links, room, and archives that carry any bytes."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratus.sim.filesystem import Node, Tree, permissions, to_bytes, to_text
from stratus.sim.runtime import ExecResult

Obj = dict[str, Any]


def pod(name: str = "p", *, volumes: list[Obj] | None = None, **container: Any) -> Obj:
    spec = {"containers": [{"name": "c", "image": "busybox:1.36", "command": ["sleep", "infinity"], **container}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec | ({"volumes": volumes} if volumes else {}),
    }


def run(lab: Any, script: str, stdin: str = "", name: str = "p") -> ExecResult:
    found = lab.store.get("pods", "default", name)
    result: ExecResult = lab.runtime.exec(found, found["spec"]["containers"][0], ["sh", "-c", script], stdin)
    return result


@pytest.fixture
def shell(lab: Any) -> Any:
    lab.apply(pod())
    lab.advance(10)
    return lambda script, stdin="": run(lab, script, stdin)


def test_what_is_written_stays_and_images_can_be_deleted_from(shell: Any) -> None:
    assert shell("mkdir -p /opt/x/y && echo hi > /opt/x/y/f && cat /opt/x/y/f").stdout == "hi\n"
    assert shell("cat /opt/x/y/f; ls /opt/x").stdout == "hi\ny\n"
    assert shell("rm /etc/passwd; cat /etc/passwd").exit_code == 1
    assert shell("ls /etc").stdout.split() == [
        "group",
        "hostname",
        "hosts",
        "nsswitch.conf",
        "os-release",
        "resolv.conf",
    ]
    assert shell("echo new > /etc/passwd; cat /etc/passwd").stdout == "new\n"
    assert shell("rm -r /opt/x; ls -d /opt/x").exit_code == 1


def test_a_restart_forgets_what_was_written_and_volumes_do_not(lab: Any) -> None:
    volumes = [{"name": "v", "emptyDir": {}}]
    lab.apply(pod(volumes=volumes, volumeMounts=[{"name": "v", "mountPath": "/v"}]))
    lab.advance(10)
    assert run(lab, "echo a > /tmp/a; echo b > /v/b; mkdir /v/d; echo c > /v/d/c").exit_code == 0
    lab.control.kubelet.restart_container(("default", "p"), "c", reason="Error", exit_code=1)
    lab.advance(30)
    assert run(lab, "ls /tmp").stdout == ""
    assert run(lab, "cat /v/b /v/d/c").stdout == "b\nc\n"


def test_links_are_followed_and_loops_end(shell: Any) -> None:
    assert shell("mkdir /srv/real; echo x > /srv/real/f; ln -s /srv/real /srv/way; cat /srv/way/f").stdout == "x\n"
    assert shell("echo y > /srv/way/g; cat /srv/real/g; readlink /srv/way").stdout == "y\n/srv/real\n"
    assert shell("ln -s /srv/b /srv/a; ln -s /srv/a /srv/b; cat /srv/a").exit_code == 1
    assert shell("rm /srv/way; ls /srv/real").stdout == "f\ng\n"


def test_read_only_places_refuse(lab: Any) -> None:
    lab.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "cm", "namespace": "default"},
            "data": {"k": "v"},
        }
    )
    lab.apply(
        pod(
            volumes=[{"name": "c", "configMap": {"name": "cm"}}, {"name": "t", "emptyDir": {}}],
            volumeMounts=[{"name": "c", "mountPath": "/cfg"}, {"name": "t", "mountPath": "/scratch"}],
            securityContext={"readOnlyRootFilesystem": True},
        )
    )
    lab.advance(10)
    assert run(lab, "cat /cfg/k; ls /cfg").stdout == "vk\n"
    assert run(lab, "echo x > /cfg/k").stderr == "sh: can't create /cfg/k: Read-only file system\n"
    assert run(lab, "echo x > /tmp/k").stderr == "sh: can't create /tmp/k: Read-only file system\n"
    assert run(lab, "echo x > /scratch/k && cat /scratch/k").stdout == "x\n"


def test_archives_go_in_and_out_with_any_bytes(shell: Any) -> None:
    data = bytes(range(256)) * 9
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        info = tarfile.TarInfo("dir/blob.bin")
        info.size, info.mode = len(data), 0o755
        out.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("dir/link")
        link.type, link.linkname = tarfile.SYMTYPE, "blob.bin"
        out.addfile(link)
    assert shell("mkdir /data/in; tar -xmf - -C /data/in", to_text(buffer.getvalue())).exit_code == 0
    assert shell("ls -l /data/in/dir/blob.bin").stdout.startswith("-rwxr-xr-x")
    result = shell("tar cf - /data/in")
    assert result.stderr == "tar: removing leading '/' from member names\n"
    with tarfile.open(fileobj=io.BytesIO(result.out)) as back:
        assert back.getnames() == ["data/in", "data/in/dir", "data/in/dir/blob.bin", "data/in/dir/link"]
        body = back.extractfile("data/in/dir/blob.bin")
        assert body is not None
        assert body.read() == data
        assert back.getmember("data/in/dir/link").linkname == "blob.bin"
    again = shell(
        "tar czf /tmp/x.tgz -C /data/in dir && mkdir /tmp/o && tar xzf /tmp/x.tgz -C /tmp/o && cat /tmp/o/dir/link"
    )
    assert again.out == data


def test_bad_archives_are_refused_as_tar_does(shell: Any) -> None:
    assert shell("tar xf -", "not an archive at all" * 40).exit_code == 1
    assert shell("tar cf - /nowhere").stderr.startswith(
        "tar: nowhere: No such file" if False else "tar: /nowhere: No such"
    )
    assert shell("tar xf /nowhere").exit_code == 1
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        info = tarfile.TarInfo("../../etc/passwd")
        info.size = 1
        out.addfile(info, io.BytesIO(b"x"))
    assert "skipped" in shell("tar xf - -C /tmp", to_text(buffer.getvalue())).stderr
    assert "root" in shell("cat /etc/passwd").stdout


def test_a_claim_has_room_for_so_much(lab: Any) -> None:
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "d", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }  # fmt: skip
    lab.apply(claim)
    lab.apply(
        pod(
            volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "d"}}],
            volumeMounts=[{"name": "v", "mountPath": "/v"}],
        )
    )
    lab.advance(60)
    if (lab.store.get("persistentvolumeclaims", "default", "d").get("status") or {}).get("capacity") is None:
        lab.store.update(
            "persistentvolumeclaims",
            lab.store.get("persistentvolumeclaims", "default", "d") | {"status": {"capacity": {"storage": "1Mi"}}},
        )
    assert run(lab, "dd if=/dev/zero of=/v/half bs=1k count=600").exit_code == 0
    full = run(lab, "dd if=/dev/zero of=/v/more bs=1k count=600")
    assert full.exit_code == 1
    assert "No space left on device" in full.stderr
    assert run(lab, "rm /v/half; dd if=/dev/zero of=/v/more bs=1k count=600").exit_code == 0
    assert "/dev/sdb" in run(lab, "df -h /v").stdout


def test_forks_do_not_share_what_is_written(lab: Any) -> None:
    tree = Tree({"/a": Node("file", "1")})
    twin = tree.clone()
    twin.put("/a", Node("file", "2"))
    twin.hide("/b")
    assert (tree.nodes["/a"].text, tree.gone) == ("1", set())


def test_permissions_are_shown_as_ls_does() -> None:
    assert permissions(Node("file", mode=0o640)) == "-rw-r-----"
    assert permissions(Node("dir", mode=0o1777)) == "drwxrwxrwt"
    assert permissions(Node("link")) == "lrwxrwxrwx"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_survive_as_text(data: bytes) -> None:
    assert to_bytes(to_text(data)) == data
    assert Node("file", to_text(data)).size == len(data)
