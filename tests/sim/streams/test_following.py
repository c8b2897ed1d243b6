"""Following logs: every line once, through equal moments, rotations, restarts and ends."""

from stratus.sim.streams.following import Follower, Line, LogStream, write_line


class Container:
    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.old: list[Line] = []
        self.instance = 0
        self.alive = True

    def read(self, previous: bool, since: float | None) -> list[Line]:
        return [line for line in (self.old if previous else self.lines) if since is None or line[0] >= since]

    def follower(self) -> Follower:
        mine = self.instance
        return Follower(self.read, lambda: self.instance == mine)


def test_lines_of_one_moment_are_given_once() -> None:
    container = Container()
    follower = container.follower()
    assert follower.new() == []
    container.lines += [(1.0, "a"), (1.0, "b")]
    assert follower.new() == [(1.0, "a"), (1.0, "b")]
    container.lines += [(1.0, "c")]
    assert follower.new() == [(1.0, "c")]
    assert follower.new() == []
    container.lines += [(2.0, "d")]
    del container.lines[:3]  # what is old is dropped
    assert follower.new() == [(2.0, "d")]


def test_the_last_words_of_an_instance_are_read_after_its_restart() -> None:
    container = Container()
    container.lines = [(1.0, "a")]
    follower = container.follower()
    follower.skip()
    container.old, container.lines, container.instance = [(1.0, "a"), (2.0, "dying")], [(3.0, "new")], 1
    assert follower.new() == [(2.0, "dying")]


def test_a_stream_ends_with_the_container_and_keeps_to_its_limit() -> None:
    container = Container()
    container.lines = [(0.0, "a"), (1.0, "b")]
    follower = container.follower()
    closed = []
    stream = LogStream(follower, follower.new()[-1:], lambda: container.alive, timestamps=True)
    stream.on_close = lambda: closed.append(True)
    assert stream.take() == b"1970-01-01T00:00:01.000000000Z b\n"
    container.lines.append((2.0, "c"))
    container.alive = False
    assert stream.take().endswith(b" c\n")
    assert stream.done
    assert closed
    assert stream.take() == b""
    short = LogStream(container.follower(), [(0.0, "0123456789")], lambda: True, limit=4)
    assert short.take() == b"0123"
    assert short.done


def test_a_line() -> None:
    assert write_line((0.0, "x"), False) == "x\n"
