"""The embedded servers: real PostgreSQL and Redis in a temporary folder."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis as redis_py
from kombu import Connection

from config import processes, runtime


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with both servers running."""
    folder = tmp_path_factory.mktemp("d")
    runtime.start_postgres(folder)
    runtime.start_redis(folder)
    yield folder
    runtime.stop_redis(folder)
    runtime.stop_postgres(folder)


def connect(folder: Path, *, role: str, name: str = runtime.DATABASE) -> psycopg.Connection:
    settings = runtime.database_settings(folder, role=role, name=name)
    return psycopg.connect(
        host=settings["HOST"], port=settings["PORT"], user=settings["USER"], dbname=settings["NAME"], autocommit=True
    )


class TestAddresses:
    def test_are_known_before_anything_runs(self, tmp_path):
        settings = runtime.database_settings(tmp_path, role="app")

        assert settings["USER"] == "registry_app"
        assert settings["NAME"] == "registry"
        assert Path(settings["HOST"]).is_absolute()
        assert not list(tmp_path.iterdir())

    def test_leave_a_data_folder_whose_path_is_too_long_for_a_socket(self, tmp_path):
        folder = tmp_path / ("long" * 25)

        socket = runtime.redis_socket(folder)

        assert not socket.is_relative_to(folder)
        assert socket == runtime.redis_socket(folder)
        assert socket != runtime.redis_socket(tmp_path / ("loud" * 25))
        assert len(os.fsencode(socket)) < 100

    def test_leave_a_data_folder_whose_name_a_url_would_not_carry(self, tmp_path):
        assert not runtime.redis_socket(tmp_path / "a b?c").is_relative_to(tmp_path / "a b?c")

    def test_importing_them_loads_neither_django_nor_a_driver(self):
        code = "import sys, config.runtime; print({'django', 'psycopg', 'redis'} & set(sys.modules))"

        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert done.stdout.strip() == "set()"


class TestPostgres:
    def test_is_version_18_durable_utf8_and_utc(self, home):
        with connect(home, role="app") as connection:
            asked = ("server_version_num", "fsync", "synchronous_commit", "server_encoding", "TimeZone")
            found = [connection.execute("SELECT current_setting(%s)", [name]).fetchone()[0] for name in asked]

        assert found[0].startswith("18")
        assert found[1:] == ["on", "on", "UTF8", "UTC"]

    def test_listens_on_no_address_and_lets_no_other_user_in(self, home):
        with connect(home, role="app") as connection:
            listening = connection.execute("SELECT current_setting('listen_addresses')").fetchone()[0]
        folder = Path(runtime.database_settings(home, role="app")["HOST"])

        assert listening == ""
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_gives_neither_role_more_than_it_needs(self, home):
        rows = runtime.psql(
            home,
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin "
            "FROM pg_roles WHERE rolname LIKE 'registry%' ORDER BY 1;",
        ).splitlines()

        assert rows == ["registry_app|f|f|f|f|t", "registry_owner|f|f|f|f|t"]

    def test_lets_the_owner_alone_make_tables(self, home):
        with connect(home, role="owner") as owner, connect(home, role="app") as app:
            owner.execute("CREATE TABLE owned (id int)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute("CREATE TABLE refused (id int)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute("CREATE SCHEMA refused")
            owner.execute("DROP TABLE owned")

    def test_copies_a_database_from_a_template(self, home):
        runtime.create_database("model_one", data_dir=home)
        with connect(home, role="owner", name="model_one") as owner:
            owner.execute("CREATE TABLE marks AS SELECT 7 AS mark")

        runtime.create_database("copy_one", data_dir=home, template="model_one")
        runtime.create_database("copy_one", data_dir=home)

        with connect(home, role="owner", name="copy_one") as owner:
            assert owner.execute("SELECT mark FROM marks").fetchone() == (7,)
            runtime.drop_database("copy_one", data_dir=home)  # although somebody is connected
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            connect(home, role="owner", name="copy_one")

    @pytest.mark.parametrize("name", ['x"; DROP DATABASE registry; --', "Upper", "", "1st"])
    def test_refuses_a_name_that_would_need_quotes(self, home, name):
        with pytest.raises(ValueError, match="not a plain database name"):
            runtime.create_database(name, data_dir=home)

    def test_says_what_psql_said(self, home):
        with pytest.raises(processes.CannotStart, match="nowhere"):
            runtime.psql(home, "SELECT * FROM nowhere;")


class TestRedis:
    def test_keeps_what_is_queued(self, home):
        server = redis_py.Redis.from_url(runtime.redis_url(home), decode_responses=True)

        found = {name: server.config_get(name)[name] for name in ("appendonly", "appendfsync", "maxmemory-policy")}

        assert found == {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
        assert server.config_get("port")["port"] == "0"

    def test_is_found_by_the_broker(self, home):
        with Connection(runtime.broker_url(home), connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1)

            assert connection.connected

    def test_is_the_one_on_path_where_there_is_one(self, tmp_path, monkeypatch):
        program = tmp_path / "valkey-server"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

        assert runtime.redis_program() == str(program)

    def test_says_what_to_install_where_there_is_none(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
        sys.path_importer_cache.clear()

        with pytest.raises(processes.CannotStart, match="install redis-server or valkey-server, or set REDIS_URL"):
            runtime.redis_program()


class TestLife:
    def test_a_second_start_finds_the_first_and_a_stop_is_complete(self, tmp_path):
        runtime.start_redis(tmp_path)
        first = processes.pid_of(runtime.redis(tmp_path))
        runtime.start_redis(tmp_path)

        assert processes.pid_of(runtime.redis(tmp_path)) == first
        assert runtime.is_running(tmp_path) == {"redis": True, "postgres": False}
        assert runtime.stop_redis(tmp_path)
        assert not runtime.stop_redis(tmp_path)
        assert not runtime.is_running(tmp_path)["redis"]

    def test_a_killed_server_comes_back_with_its_data(self, tmp_path):
        runtime.start_postgres(tmp_path)
        with connect(tmp_path, role="owner") as owner:
            owner.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        pid = processes.pid_of(runtime.postgres(tmp_path))

        os.kill(pid, signal.SIGKILL)
        runtime.start_postgres(tmp_path)

        with connect(tmp_path, role="owner") as owner:
            assert owner.execute("SELECT answer FROM kept").fetchone() == (42,)
        runtime.stop_postgres(tmp_path)

    def test_a_pid_file_that_names_another_program_stops_neither_it_nor_the_start(self, tmp_path):
        runtime.start_postgres(tmp_path)
        runtime.stop_postgres(tmp_path)
        pid_file = runtime.postgres(tmp_path).pid_file
        pid_file.write_text(f"{os.getpid()}\n{tmp_path}\n")

        assert not runtime.stop_postgres(tmp_path)
        runtime.start_postgres(tmp_path)

        assert runtime.is_running(tmp_path)["postgres"]
        runtime.stop_postgres(tmp_path)

    def test_a_server_that_cannot_start_shows_its_log(self, tmp_path):
        runtime.start_redis(tmp_path)
        runtime.stop_redis(tmp_path)
        (tmp_path / "redis" / "appendonly.aof").write_text("*not a log of commands\r\n")
        log = runtime.redis(tmp_path).log
        log.unlink()

        with pytest.raises(processes.CannotStart, match=r"(?s)redis does not start.*Bad file format"):
            runtime.start_redis(tmp_path)

    def test_a_socket_folder_of_somebody_else_is_refused(self):
        with tempfile.TemporaryDirectory(prefix="ir") as short:  # a long one keeps its sockets elsewhere
            folder = Path(short)
            (folder / "target").mkdir()
            (folder / "run").symlink_to(folder / "target")

            with pytest.raises(processes.CannotStart, match="belongs to somebody else"):
                runtime.start_redis(folder)


class TestEnvFile:
    def test_fills_only_what_the_environment_leaves_open(self, tmp_path, monkeypatch):
        (tmp_path / ".env").write_text("# a comment\nexport FROM_FILE='quoted value'\nALREADY_SET=file\n")
        monkeypatch.setenv("ALREADY_SET", "environment")
        monkeypatch.delenv("FROM_FILE", raising=False)

        processes.read_env_file(tmp_path / ".env")

        assert os.environ["ALREADY_SET"] == "environment"
        assert os.environ.pop("FROM_FILE") == "quoted value"
