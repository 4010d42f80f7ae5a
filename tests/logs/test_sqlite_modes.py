"""Who may read and write what the SQLite log makes: whoever writes it publishes, and whoever reads it reads all."""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from landline.logs.sqlite.log import SQLiteLog

UMASKS = (0o000, 0o022, 0o027, 0o077)


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Return a function that sets this process's umask, which is as before after the test."""
    before = os.umask(0o022)
    os.umask(before)
    yield os.umask
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: mode(path) for path in folder.iterdir()}


def write(path: Path, **options: int) -> SQLiteLog:
    log = SQLiteLog(path, **options)  # type: ignore[arg-type]
    log.append("a", "1")
    return log


@pytest.mark.parametrize("mask", UMASKS)
def test_files_and_folder_are_their_users_alone(mask: int, umask: Callable[[int], int], tmp_path: Path) -> None:
    """Exhausted: usual umasks. Fixed: the mode, the default one."""
    umask(mask)
    folder = tmp_path / "data"
    log = write(folder / "log.db")
    assert modes(folder) == {"log.db": 0o600, "log.db-wal": 0o600, "log.db-shm": 0o600}
    assert mode(folder) == 0o700
    log.close()


@pytest.mark.parametrize("mask", UMASKS)
@pytest.mark.parametrize(
    ("wanted", "of_folder"), [(0o600, 0o700), (0o640, 0o2750), (0o660, 0o2770), (0o664, 0o2775), (0o666, 0o2777)]
)
def test_mode_is_as_configured_whatever_the_umask(
    wanted: int, of_folder: int, mask: int, umask: Callable[[int], int], tmp_path: Path
) -> None:
    """Exhausted: usual umasks by usual modes. Fixed: that one process makes the files."""
    umask(mask)
    folder = tmp_path / "data"
    log = write(folder / "log.db", mode=wanted)
    assert modes(folder) == dict.fromkeys(["log.db", "log.db-wal", "log.db-shm"], wanted)
    assert mode(folder) == of_folder
    log.close()


def test_file_never_has_more_than_its_mode(
    umask: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at when the file has been opened: one narrowed afterwards could be opened before, and read for ever."""
    umask(0)
    path, seen = tmp_path / "data" / "log.db", list[int]()
    open_file = os.open

    def opened(*arguments: object) -> int:
        file = open_file(*arguments)  # type: ignore[arg-type]
        seen.append(mode(path) | mode(path.parent))
        return file

    monkeypatch.setattr(os, "open", opened)
    write(path).close()
    assert seen == [0o700]


def test_file_gone_in_use_comes_again_with_its_mode(umask: Callable[[int], int], tmp_path: Path) -> None:
    umask(0)
    log = write(tmp_path / "log.db")
    for path in tmp_path.iterdir():
        path.unlink()
    log.append("a", "2")
    assert modes(tmp_path) == {"log.db": 0o600, "log.db-wal": 0o600, "log.db-shm": 0o600}
    log.close()


def test_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """The operator has made it so: for a backup's user, for instance."""
    folder, path = tmp_path / "data", tmp_path / "data" / "log.db"
    folder.mkdir()
    path.touch()
    folder.chmod(0o750)
    path.chmod(0o640)
    log = write(path)
    assert mode(folder) == 0o750
    assert set(modes(folder).values()) == {0o640}
    log.close()


def test_link_to_a_file_that_is_not_there_makes_it_there(umask: Callable[[int], int], tmp_path: Path) -> None:
    umask(0)
    (tmp_path / "disk").mkdir()
    (tmp_path / "log.db").symlink_to(tmp_path / "disk" / "real.db")
    log = write(tmp_path / "log.db")
    assert (tmp_path / "log.db").is_symlink()
    assert set(modes(tmp_path / "disk").values()) == {0o600}
    log.close()


@pytest.mark.parametrize("name", ["log?mode=memory.db", "log#1.db", "100%41.db", "grüße ☎.db"])
def test_file_has_the_name_that_it_was_given(name: str, tmp_path: Path) -> None:
    log = write(tmp_path / name)
    assert set(modes(tmp_path)) == {name, f"{name}-wal", f"{name}-shm"}
    log.close()


GROUP, OTHER_GROUP = 50_000, 50_001
USERS = [(50_002, GROUP), (50_003, OTHER_GROUP)]
"""Two users: one's own group is the shared one, the other has one of its own and is in the shared one as well."""


def as_user(user: int, group: int, action: Callable[[], object]) -> bool:
    """Do something in a child process of a user that is in the shared group; return whether it worked."""
    child = os.fork()
    if child == 0:
        worked = False
        try:
            os.setgroups([GROUP])
            os.setgid(group)
            os.setuid(user)
            os.umask(0o022)
            action()
            worked = True
        finally:
            os._exit(not worked)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def shared() -> Iterator[Path]:
    """Return a folder of the shared group, which its other users can reach."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root may be other users")
    place = Path(tempfile.mkdtemp())
    os.chown(place, 0, GROUP)
    place.chmod(0o2770)
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize("users", [USERS, USERS[::-1]], ids=["owner's group", "another's group"])
@pytest.mark.parametrize("of_mode", [0o600, 0o660])
def test_users_of_one_group_share_a_log_that_is_the_groups(
    of_mode: int, users: list[tuple[int, int]], shared: Path
) -> None:
    """Exhausted: which of two users makes the log. Each closes it, so that the next one makes -wal and -shm anew."""
    path = shared / "made" / "log.db"

    def use() -> None:
        log = SQLiteLog(path, mode=of_mode)
        log.append("a", "1")
        log.tail()
        log.close()

    assert as_user(*users[0], use)
    assert as_user(*users[1], use) is (of_mode == 0o660)
    assert as_user(*users[0], use)
