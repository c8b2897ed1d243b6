"""`stratus cluster`: a running cluster found and commanded, one in a state file, and clear words for what cannot be."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from stratus.cli.cluster import _made
from stratus.cli.clusterclient import read_arguments
from stratus.cli.main import main
from stratus.errors import UsageError
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.commanding import Commands
from stratus.sim.remote import ControlFront, RemoteCommands

FAULT = "wrong-target-port"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("KUBECONFIG", "STRATUS_CONFIG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def base() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(warmup=60) as cluster:
        yield cluster


@pytest.fixture
def served(base: EmbeddedCluster, tmp_path: Path) -> Iterator[EmbeddedCluster]:
    """A cluster whose control endpoint is told of in this folder."""
    with base.fork() as cluster, ControlFront(Commands(cluster)) as front:
        front.write(tmp_path / "lab.kubeconfig.control.json", {"application": cluster.application})
        yield cluster


def run(*words: str) -> int:
    return main(["cluster", *words])


# a running cluster


def test_inject_status_advance_and_heal(served: EmbeddedCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inject", FAULT) == 0
    assert capsys.readouterr().out == f"injected {FAULT}\n"
    assert served.injected() == (FAULT,)
    before = served.clock.now()
    assert run("advance", "150") == 0
    assert served.clock.now() == before + 150
    capsys.readouterr()
    assert run("status", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["application"], found["nodes"]) == ("hotel-reservation", {"all": 3, "ready": 3})
    assert found["faults"][0]["state"] == "active"
    assert "HighRequestErrorRate" in found["alerts"]
    assert max(s["error_rate"] for s in found["services"]) > 0.1
    assert run("status") == 0
    out = capsys.readouterr().out
    assert f"fault {FAULT} ({FAULT}): active" in out
    assert "alerts: HighRequestErrorRate" in out
    assert run("heal", FAULT) == 0
    assert capsys.readouterr().out == f"healed {FAULT}\n"
    assert served.injected() == ()


def test_arguments_and_times_get_there(served: EmbeddedCluster, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["any-wrong-target-port", "--arg", "service=geo", "--arg", "target_port=9990", "--name", "port"]
    assert run("inject", *words, "--at", "20", "--for", "30", "--every", "60", "--times", "2", "--json") == 0
    told = json.loads(capsys.readouterr().out)["injected"]
    assert (told["name"], told["fault"], told["state"], told["rounds"]) == (
        "port", "any-wrong-target-port", "waiting", 0,
    )  # fmt: skip

    def port() -> int:
        found = served.store.get("services", served.namespace, "geo")
        assert found is not None
        return int(found["spec"]["ports"][0]["targetPort"])

    seen = []
    for _ in range(13):
        served.advance(10)
        seen.append(port())
    #       10    20    30    40    50    60    70    80    90    100   110   120   130
    want = [8083, 9990, 9990, 9990, 8083, 8083, 8083, 9990, 9990, 9990, 8083, 8083, 8083]
    assert seen == want
    assert served.injected() == ()


def test_a_ramp(served: EmbeddedCluster) -> None:
    assert run("inject", "traffic-surge", "--arg", "factor=7", "--ramp", "factor=1:60") == 0
    seen = [served.traffic.surge]
    for _ in range(6):
        served.advance(10)
        seen.append(served.traffic.surge)
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert run("heal", "--all") == 0
    assert served.traffic.surge == 1.0


def test_a_scenario_is_played(served: EmbeddedCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "night.yaml"
    path.write_text(
        "app: hotel-reservation\nnoise: 'on'\nfaults:\n"
        "  - {fault: scaled-to-zero}\n  - {fault: network-delay, arguments: {delay: 1s}, onset: 40}\n"
    )
    assert run("inject", "--scenario", str(path)) == 0
    assert capsys.readouterr().out == "injected scaled-to-zero, network-delay\n"
    assert served.faulting.noise.level == "on"
    path.write_text("app: hotel-reservation\nfaults:\n  - {fault: wrong-selector}\n  - {fault: nothing-such}\n")
    assert run("inject", "--scenario", str(path)) == 2
    assert "faults.1: no fault 'nothing-such'" in capsys.readouterr().err
    assert "wrong-selector" not in served.injected(), "a scenario is played whole or not at all"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inject", "no-such"], "no fault 'no-such'; known are: anti-affinity, any-"),
        (["inject", "any-scaled-to-zero", "--arg", "workload=ghost"], "there is no Deployment ghost"),
        (["inject", FAULT, "--arg", "x"], "an argument is `name=value`, not 'x'"),
        (["inject", FAULT, "--ramp", "x=fast"], "--ramp is `name=START:SECONDS`"),
        (["inject", FAULT, "--ramp", "port=1:10"], "only an argument that is a number can grow; these are: none"),
        (["inject", FAULT, "--every", "5"], "`every` needs a `duration`"),
        (["inject"], "say which fault to inject"),
        (["inject", "--scenario", "none.yaml"], "the scenario none.yaml cannot be read"),
        (["heal"], "say what to heal"),
        (["heal", FAULT], f"the fault {FAULT} is not injected; injected are: none"),
        (["noise", "loud"], "noise: level"),
        (["advance", "1e9"], "less than or equal to 604800"),
        (["status", "--control", "ghost.json"], "the control file ghost.json cannot be read"),
        (["status", "--state", "ghost.db"], "there is no state file ghost.db"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    served: EmbeddedCluster, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.startswith("stratus: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert served.injected() == ()


def test_no_cluster_is_found(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("status") == 2
    assert "no running cluster was found: start one with `stratus cluster up`" in capsys.readouterr().err
    for name in ("a", "b"):
        (tmp_path / f"{name}.control.json").write_text('{"control": 1, "token": "x"}')
    assert run("status") == 2
    assert "several control files are here (a.control.json, b.control.json)" in capsys.readouterr().err
    (tmp_path / "a.control.json").write_text("{}")
    assert run("status", "--control", "a.control.json") == 2
    assert "is no control file" in capsys.readouterr().err
    assert run("status", "--control", "b.control.json") == 5
    assert "does not answer" in capsys.readouterr().err


def test_the_cluster_of_the_kubeconfig_is_meant(
    base: EmbeddedCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with base.fork() as one, base.fork() as two, ControlFront(Commands(one)) as f1, ControlFront(Commands(two)) as f2:
        f1.write(tmp_path / "one.control.json", {})
        f2.write(tmp_path / "two.control.json", {})
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "two"))
        assert run("inject", FAULT) == 0
        assert (one.injected(), two.injected()) == ((), (FAULT,))


# the endpoint


def asked(port: int, path: str, token: str, body: bytes = b"{}", **headers: str) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, body, {"Authorization": f"Bearer {token}", **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_the_endpoint_wants_its_token_and_survives_nonsense(base: EmbeddedCluster, tmp_path: Path) -> None:
    with base.fork() as cluster, ControlFront(Commands(cluster)) as front:
        path = tmp_path / "x.control.json"
        front.write(path, {"application": "x"})
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        port, token = front.port, front.token
        assert asked(port, "/v1/advance", "wrong", b'{"seconds": 5}')[0] == 401
        assert asked(port, "/v1/advance", "", b'{"seconds": 5}')[0] == 401
        assert asked(port, "/v1/status", token, b"{")[0] == 400
        assert asked(port, "/v1/status", token, b"[" * 100_000)[0] == 400
        assert asked(port, "/elsewhere", token)[0] == 404
        assert asked(port, "/v1/explode", token) == (
            400, {"error": "no command 'explode'; there are " + ", ".join(
                ("advance", "down", "faults", "heal", "inject", "noise", "scenario", "status")), "kind": "usage"},
        )  # fmt: skip
        assert asked(port, "/v1/status", token, **{"Content-Length": str(1024 * 1024 + 1)})[0] == 413
        assert asked(port, "/v1/status", token, **{"Content-Length": "-5"})[0] == 413
        for body in (b"[]", b"7", b'"x"', b"null", b'{"fault": 7}', b'{"fault": "x", "bogus": 1}'):
            status, told = asked(port, "/v1/inject", token, body)
            assert (status, told["kind"]) == (400, "usage"), body
        assert asked(port, "/v1/status", token)[1]["application"] == "hotel-reservation"
        commands = RemoteCommands(path)
        assert {f["id"] for f in commands.call("faults", {})["faults"]} >= {FAULT}
        with pytest.raises(UsageError, match="nobody serves this cluster"):
            commands.call("down", {})
        cluster_now = cluster.clock.now()
        commands.call("advance", {"seconds": 7})
        assert cluster.clock.now() == cluster_now + 7


# up and down


def test_up_is_commanded_and_ended_by_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    control = tmp_path / "lab.control.json"
    seen: dict[str, Any] = {}

    def drive() -> None:
        try:
            _until(control.exists)
            remote = RemoteCommands(control)
            seen["told"] = remote.told
            seen["mode"] = stat.S_IMODE(control.stat().st_mode)
            remote.call("inject", {"fault": "any-scaled-to-zero", "arguments": {"workload": "geo"}})
            now = remote.call("advance", {"seconds": 0})["now"]
            seen["later"] = (now, remote.call("advance", {"seconds": 3600})["now"])
            seen["status"] = remote.call("status", {})
            remote.call("down", {})
        except BaseException:
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    driver = threading.Thread(target=drive)
    driver.start()
    words = ["--kubeconfig-out", "lab", "--stand-still", "--fault", FAULT, "--noise", "on", "--json"]
    code = run("up", *words)
    driver.join()
    assert code == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "url": seen["told"]["url"], "kubeconfig": str(tmp_path / "lab"), "application": "hotel-reservation",
        "control": str(control),
    }  # fmt: skip
    assert seen["mode"] == 0o600
    assert [f["name"] for f in seen["status"]["faults"]] == [FAULT, "any-scaled-to-zero"]
    assert seen["status"]["noise"]["level"] == "on"
    assert seen["later"][0][:13] != seen["later"][1][:13]
    assert not control.exists(), "the control file goes with the cluster"


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not true() and time.monotonic() < until:
        pass


def test_what_up_cannot_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for words, said in (
        (["--noise", "loud"], "no noise level 'loud'"),
        (["--app", "nothing-such"], "nothing-such"),
        (["--images", "none.yaml"], "cannot read the image rules none.yaml"),
        (["--scenario", "none.yaml"], "the scenario none.yaml cannot be read"),
        (["--app", "none", "--fault", FAULT], f"no fault '{FAULT}'"),
        (["--app", "none", "--host", "0.0.0.0"], "loopback"),
    ):
        assert run("up", *words) in (2, 4), words
        assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# a state file


def test_a_state_file_is_acted_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "lab.db"
    with EmbeddedCluster(state_file=state, warmup=60, seed=3, nodes=2, noise="on"):
        pass
    assert run("inject", FAULT, "--at", "30", "--state", "lab.db") == 0
    assert "injected wrong-target-port; it begins at 2026-01-05T09:01:30Z" in capsys.readouterr().out
    assert run("advance", "60", "--state", "lab.db") == 0
    assert capsys.readouterr().out == "it is 2026-01-05T09:02:00Z\n"
    assert run("status", "--state", "lab.db", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["seed"], found["nodes"]["all"], found["noise"]["level"]) == (3, 2, "on")
    assert found["faults"][0]["state"] == "active"
    assert run("heal", "--all", "--state", "lab.db") == 0
    assert run("heal", "--all", "--state", "lab.db") == 0
    assert "no fault is injected" in capsys.readouterr().out
    assert run("inject", FAULT, "--state", "lab.db", "--control", "x") == 2


@pytest.mark.parametrize(
    ("words", "present"),
    [(["--noise", "on"], "off"), (["--noise", "heavy"], "on"), (["--noise", "on", "--noise-budget", "3"], "on")],
)
def test_up_does_not_change_the_noise_of_an_existing_cluster_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], present: Any
) -> None:
    with EmbeddedCluster(state_file=tmp_path / "lab.db", app=None, noise=present):
        pass
    assert run("up", "--state", "lab.db", *words) == 2
    said = capsys.readouterr().err
    assert f"with noise '{present}'" in said
    assert "stratus cluster noise" in said
    with EmbeddedCluster(state_file=tmp_path / "lab.db", app=None, noise=present):
        pass  # it was let go


def test_up_with_the_noise_there_is_goes_on(tmp_path: Path) -> None:
    with EmbeddedCluster(state_file=tmp_path / "lab.db", app=None) as cluster:
        cluster.set_noise("on")
    with _made(None, None, None, tmp_path / "lab.db", "on", None, {}) as again:
        assert again.faulting.noise.level == "on"


def test_a_state_file_that_is_in_use_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedCluster(state_file=tmp_path / "lab.db", app=None):
        assert run("status", "--state", "lab.db") == 2
    assert "another process has it open" in capsys.readouterr().err


# lists


def test_lists(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("apps", "--json") == 0
    apps = {a["name"]: a for a in json.loads(capsys.readouterr().out)["apps"]}
    assert apps["hotel-reservation"]["workloads"] >= 18
    assert run("apps") == 0
    assert capsys.readouterr().out.startswith(sorted(apps)[0])
    for name in apps:
        assert run("faults", "--app", name, "--json") == 0
        assert len(json.loads(capsys.readouterr().out)["faults"]) > 5
    assert run("faults", "--app", "none", "--json") == 0
    found = json.loads(capsys.readouterr().out)["faults"]
    assert all(f["id"].startswith("any-") for f in found)
    assert all(f["mechanisms"] for f in found)
    assert run("faults") == 0
    out = capsys.readouterr().out
    assert "geo-wrong-image" in out
    assert "image=yinfangchen/geo:app3" in out
    (tmp_path / "mine.yaml").write_text(
        "faults:\n  - {id: mine, description: My own., steps: [{do: surge, factor: 2}]}\n"
    )
    assert run("faults", "--faults", "mine.yaml") == 0
    assert "My own." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("0.5", 0.5), ("007", "007"), ("30m", "30m"), ("", ""), ("a=b", "a=b"), ("[1, x]", [1, "x"]),
     ("{a: 1}", {"a": 1}), ("true", "true"), ("{", "{"), ("1e5", "1e5"), ("nan", "nan")],
)  # fmt: skip
def test_arguments_are_numbers_where_they_look_like_it(text: str, value: Any) -> None:
    found = read_arguments([f"x={text}"])["x"]
    assert found == value or (text == "nan")
    assert type(found) is type(value) or text == "nan"


def test_an_argument_is_given_once() -> None:
    with pytest.raises(UsageError, match="given twice"):
        read_arguments(["x=1", "x=2"])
