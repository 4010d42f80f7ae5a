"""Configuration keys: read once, checked, each mistake told with its key."""

import sqlite3
import stat
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_landline import Landline, UsageError
from landline.config import Config
from landline.logs.memory import MemoryLog
from landline.logs.registry import open_log
from landline.logs.sqlite.log import SQLiteLog

from tests.apps import App


def test_defaults_are_those_of_an_app_that_says_nothing() -> None:
    assert Config.read({"SECRET_KEY": "x", "OTHER_LANDLINE_X": 1}) == Config()


def test_every_key_has_a_docstring_and_is_read() -> None:
    given = {f"LANDLINE_{item.name.upper()}": getattr(Config(), item.name) for item in fields(Config)}
    assert Config.read(given) == Config()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("interval", 0.05),
        ("interval", 60),
        ("hold", 0),
        ("hold", 25.5),
        ("interval", 86_400),
        ("max_held_per_address", 0),
        ("max_polls_per_address", 0.5),
        ("trusted_hops", None),
        ("trusted_hops", 0),
        ("poll_capacity", None),
        ("poll_capacity", 50),
        ("held_threads", 0),
        ("max_event", 1),
        ("window_events", 1),
        ("window_bytes", 1),
        ("shared_cache", None),
        ("shared_cache", 1),
        ("prefix", "/a/b"),
        ("credentials", ["Cookie"]),
        ("credentials", ("X-Forwarded-User", "Authorization")),
        ("log_mode", "0600"),
        ("log_mode", "660"),
        ("listen_mode", None),
        ("listen_mode", "0777"),
    ],
)
def test_value_is_taken(key: str, value: object) -> None:
    assert getattr(Config.read({f"LANDLINE_{key.upper()}": value}), key) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("INTERVAL", 0),
        ("INTERVAL", -1),
        ("INTERVAL", "2"),
        ("INTERVAL", True),
        ("INTERVAL", None),
        ("INTERVAL", float("nan")),
        ("INTERVAL", float("inf")),
        ("INTERVAL", 86_400.5),
        ("INTERVAL", 10**400),
        ("HOLD", -0.1),
        ("HOLD", 1e308),
        ("KEEPALIVE", 1e308),
        ("GRANT_AGE", 10**400),
        ("MAX_HELD", 1.5),
        ("MAX_HELD_PER_ADDRESS", -1),
        ("MAX_HELD_PER_ADDRESS", 2.0),
        ("MAX_POLLS_PER_ADDRESS", -0.1),
        ("MAX_POLLS_PER_ADDRESS", None),
        ("MAX_POLLS_PER_ADDRESS", "5/s"),
        ("TRUSTED_HOPS", -1),
        ("TRUSTED_HOPS", 1.5),
        ("TRUSTED_HOPS", True),
        ("POLL_CAPACITY", 49),
        ("POLL_CAPACITY", float("inf")),
        ("POLL_CAPACITY", "1000"),
        ("MAX_PENDING", 0),
        ("MAX_PENDING_TOTAL", 0),
        ("HELD_THREADS", 1.5),
        ("HELD_THREADS", -1),
        ("HELD_THREADS", True),
        ("MAX_EVENT", 0),
        ("WINDOW_EVENTS", 0),
        ("WINDOW_BYTES", "16M"),
        ("SHARED_CACHE", 0),
        ("SHARED_CACHE", False),
        ("PREFIX", ""),
        ("PREFIX", "landline"),
        ("PREFIX", "/landline/"),
        ("PREFIX", "/"),
        ("PREFIX", None),
        ("PREFIX", b"/landline"),
        ("LOG_MODE", 0o660),
        ("LOG_MODE", 660),
        ("LOG_MODE", None),
        ("LOG_MODE", "0440"),
        ("LOG_MODE", "rw-rw----"),
        ("LOG_MODE", "0o660"),
        ("LOG_MODE", "2770"),
        ("LISTEN_MODE", 0o666),
        ("LISTEN_MODE", "0688"),
        ("LISTEN_MODE", "0660\n"),
    ],
)
def test_wrong_value_is_refused_with_its_key(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^LANDLINE_{key} is .*must") as caught:
        Config.read({f"LANDLINE_{key}": value})
    assert repr(value) in str(caught.value)


class Odd:
    """Neither a number nor a string nor anything that can be compared or looked up."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<odd>"


@pytest.mark.parametrize("value", [None, True, -1, 10**400, 1e308, b"x", (), [[]], {"a": 1}, (None,), Odd(), int, 1j])
@pytest.mark.parametrize("key", [item.name for item in fields(Config)])
def test_whatever_a_key_is_given_is_refused_in_words_or_works(key: str, value: object, tmp_path: Path) -> None:
    app = None
    told = f"LANDLINE_{key.upper()}"
    try:
        given: dict[str, Any] = {key: value}
        app = App(tmp_path, **given)
    except UsageError as error:
        told = str(error)
    assert told.startswith(f"LANDLINE_{key.upper()}")
    if app is not None:
        app.live.channel("orders")
        assert app.poll("orders").json["data"] is None
        app.runtime.close()


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("LANDLINE_INTERVALL", "Did you mean LANDLINE_INTERVAL?"),
        ("LANDLINE_HOLD_THREADS", "Did you mean LANDLINE_HELD_THREADS?"),
        ("LANDLINE_XYZZY", "The keys are LANDLINE_PREFIX, LANDLINE_LOG,"),
        ("LANDLINE_", "The keys are"),
    ],
)
def test_unknown_key_is_refused_with_a_hint(key: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config.read({key: 1})
    assert key in str(caught.value)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:", "/instance/landline.db"),
        ("sqlite:///other.db", "/instance/other.db"),
        ("sqlite:///some/other.db", "/instance/some/other.db"),
        ("sqlite:////var/lib/app/log.db", "/var/lib/app/log.db"),
    ],
)
def test_url_names_the_file(url: str, path: str) -> None:
    log = open_log(url, folder=Path("/instance"))
    assert isinstance(log, SQLiteLog)
    assert log._path == Path(path)


def test_memory_is_a_log() -> None:
    assert isinstance(open_log("memory:", folder=Path("/instance")), MemoryLog)


def test_log_of_ones_own_is_used_as_it_is() -> None:
    log = MemoryLog()
    assert open_log(log, folder=Path("/instance")) is log


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:x.db",
        "sqlite://host/x.db",
        "memory:x",
        "redis://x",
        None,
        7,
        Path("x"),
    ],
)
def test_url_that_names_no_log_is_refused(url: object) -> None:
    with pytest.raises(UsageError, match=r"LANDLINE_LOG is .*names no log\. Use 'sqlite:'"):
        open_log(url, folder=Path("/instance"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite:///:memory:",
        "sqlite:////:memory:",
        "sqlite:///sub/:memory:/",
        "sqlite:///:memory:?cache=shared",
        "sqlite:///file::memory:",
        "sqlite:///file::memory:?cache=shared",
        "sqlite:///file:name?mode=memory&cache=shared",
        "sqlite:///name?mode=memory",
    ],
)
def test_sqlite_url_of_a_database_in_memory_is_refused_and_names_memory(url: str, tmp_path: Path) -> None:
    """A file of that name would outlive the process: the next run of a test would read the events of this one."""
    with pytest.raises(UsageError, match=r"^LANDLINE_LOG is '.*', an SQLite database in memory\. Use 'memory:'"):
        App(tmp_path, log=url)
    assert list(tmp_path.iterdir()) == []


def test_sqlite_url_with_a_scheme_of_sqlites_own_is_refused() -> None:
    with pytest.raises(UsageError, match="by a path, without 'file:'"):
        open_log("sqlite:///file:name.db", folder=Path("/instance"))


@pytest.mark.parametrize(
    ("url", "path", "synchronous", "mode"),
    [
        ("sqlite:?synchronous=FULL", "landline.db", "FULL", 0o664),
        ("sqlite:///some/other.db?synchronous=FULL&mode=0660", "some/other.db", "FULL", 0o660),
        ("sqlite:///other.db?mode=640", "other.db", "NORMAL", 0o640),
        ("sqlite:///other.db", "other.db", "NORMAL", 0o664),
    ],
)
def test_options_in_the_url_count_before_the_keys(
    url: str, path: str, synchronous: str, mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    connect = sqlite3.connect

    def spy(*args: Any, **how: Any) -> sqlite3.Connection:
        db = connect(*args, **how)
        db.set_trace_callback(statements.append)
        return db

    monkeypatch.setattr(sqlite3, "connect", spy)
    app = App(tmp_path, log=url, synchronous="NORMAL", log_mode="0664")
    app.live.channel("news")
    with app.flask.app_context():
        app.live.publish("news", 1)
    file = tmp_path / path
    assert stat.S_IMODE(file.stat().st_mode) == mode
    asked_for = {f"PRAGMA synchronous = {level}" for level in ("FULL", "NORMAL")}
    assert asked_for & set(statements) == {f"PRAGMA synchronous = {synchronous}"}
    app.runtime.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite:?synchronus=NORMAL", "no option 'synchronus'. Did you mean 'synchronous'?"),
        ("sqlite:///name.db?timeout=5", "no option 'timeout'. Its options are 'synchronous' and 'mode'."),
        ("sqlite:////srv/name.db?", "no option ''. Its options are"),
        ("sqlite:?synchronous=OFF", "'synchronous' must be FULL or NORMAL"),
        ("sqlite:?synchronous", "'synchronous' must be FULL or NORMAL"),
        ("sqlite:?mode=0440", "'mode' must be octal digits"),
        ("sqlite:?mode=0660&mode=0600", "has the option 'mode' twice"),
        ("sqlite:?mode=0660&", "no option ''"),
        ("memory:?", "a log in memory has no options. Use 'memory:'."),
        ("memory:?mode=0660", "a log in memory has no options. Use 'memory:'."),
    ],
)
def test_option_that_its_log_does_not_have_is_refused(url: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_log(url, folder=Path("/instance"))
    assert str(caught.value).startswith(f"LANDLINE_LOG is {url!r}")
    assert why in str(caught.value)


@pytest.mark.parametrize("path", [":memory:", ""])
def test_sqlite_log_refuses_a_path_that_is_no_file(path: str) -> None:
    with pytest.raises(UsageError, match="database in memory"):
        SQLiteLog(path)


def test_wrong_synchronous_is_refused() -> None:
    with pytest.raises(UsageError, match="LANDLINE_SYNCHRONOUS is 'OFF'; use 'FULL' or 'NORMAL'"):
        open_log("sqlite:", folder=Path("/instance"), synchronous="OFF")


def test_configuration_is_read_when_the_app_is_initialised(tmp_path: Path) -> None:
    """A wrong key stops the app at its start; a change that comes later does nothing."""
    app = Flask(__name__, instance_path=str(tmp_path))
    app.config["LANDLINE_INTREVAL"] = 1
    with pytest.raises(UsageError):
        Landline(app)
    app = Flask(__name__, instance_path=str(tmp_path))
    Landline(app)
    app.config["LANDLINE_INTERVAL"] = 7
    assert app.extensions["landline"].config.interval == 2.0


def test_nothing_is_opened_before_first_use(tmp_path: Path) -> None:
    """A command that only lists routes makes no files."""
    app = Flask(__name__, instance_path=str(tmp_path / "instance"))
    live = Landline(app)
    live.channel("orders")
    assert list(tmp_path.iterdir()) == []
    live.publish("orders", 1)
    assert (tmp_path / "instance" / "landline.db").is_file()
    app.extensions["landline"].close()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "one header or more"),
        ((), "one header or more"),
        ("Cookie", "one header or more"),
        (["X_Forwarded_User"], "'X_Forwarded_User'.*'X-Forwarded-User'"),
        (["Cookie", "HTTP_X_FORWARDED_USER"], "'HTTP_X_FORWARDED_USER'.*'X-Forwarded-User'"),
        (["Cookie "], "'Cookie '.*'Cookie'"),
        ([" "], "' '"),
        ([""], "''"),
        (["Cookie, Authorization"], "'Cookie, Authorization'"),
        (["Cookie:"], "'Cookie:'"),
        (["X-Nöme"], "'X-Nöme'"),
        ([b"Cookie"], "b'Cookie'"),
        ([None], "None"),
        (["Content-Type"], "'Content-Type'"),
        (["content-length"], "'content-length'"),
    ],
)
def test_credentials_that_no_request_has_are_refused(names: object, words: str) -> None:
    """A grant would be bound to nothing: each request is without such a header."""
    with pytest.raises(UsageError, match=f"^LANDLINE_CREDENTIALS .*{words}"):
        Config.read({"LANDLINE_CREDENTIALS": names})
