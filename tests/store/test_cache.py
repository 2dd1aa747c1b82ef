from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from lposs_geo.errors import DamagedError, LpossGeoError, ParameterError
from lposs_geo.store import cache


@pytest.fixture(autouse=True)
def spare(tmp_path, monkeypatch) -> Path:
    """An empty cache, no limit, and a spare folder that isn't there yet."""
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LPOSS_GEO_CACHE_LIMIT", raising=False)
    return tmp_path / "spare"


def _facts(scene: str = "lake.tif", model: str = "mini", **others: object) -> dict[str, object]:
    return {"scene": {"name": scene}, "model": {"name": model}, **others}


def _fill(scene: str, spare: Path, size: int = 10, *, used: float | None = None) -> Path:
    """Put a store of about that many bytes into the cache, last used at some time; its folder."""
    with cache.open_store(_facts(scene), spare) as journal:
        journal.append("features", np.ones(size, np.uint8))
    if used is not None:
        os.utime(journal.folder / "facts.json", (used, used))
    return journal.folder


def _scenes() -> list[str]:
    return [store.scene for store in cache.stores()]


def test_what_was_stored_is_there_for_the_same_facts_only(spare):
    with cache.open_store(_facts(zoom=1.0, bands=[1, 2]), spare) as journal:
        assert len(journal) == 0
        journal.append("features", np.arange(4))
    with cache.open_store(dict(reversed(_facts(zoom=1.0, bands=[1, 2]).items())), spare) as journal:
        assert journal.read("features").tolist() == [0, 1, 2, 3]
    for others in (_facts(zoom=2.0, bands=[1, 2]), _facts(zoom=1.0, bands=[2, 1]), _facts("b.tif"), _facts(model="b")):
        with cache.open_store(others, spare) as journal:
            assert len(journal) == 0
    assert not spare.exists()


def test_a_failed_run_leaves_what_it_stored(spare):
    with pytest.raises(ZeroDivisionError), cache.open_store(_facts(), spare) as journal:
        journal.append("features", np.arange(4))
        _ = 1 / 0
    with cache.open_store(_facts(), spare) as journal:
        assert "features" in journal


def test_a_store_in_use_is_left_alone_and_the_second_run_gets_the_spare_folder(spare):
    with cache.open_store(_facts(), spare) as first:
        first.append("features", np.arange(4))
        with cache.open_store(_facts(), spare) as second:
            assert second.folder == spare
            assert len(second) == 0
            second.append("features", np.arange(5))
        with cache.open_store(_facts("b.tif"), spare) as another:
            assert another.folder.parent == first.folder.parent
        assert first.read("features").size == 4
    with cache.open_store(_facts(), spare) as again:
        assert again.folder == first.folder
        assert again.read("features").size == 4


IN_USE = """
import sys
from pathlib import Path
from lposs_geo.store.cache import open_store
with open_store({"scene": {"name": "lake.tif"}, "model": {"name": "mini"}}, Path(sys.argv[1])) as journal:
    print(journal.folder, flush=True)
    sys.stdin.read()
"""


def test_another_process_has_the_store_until_it_ends(spare):
    command = [sys.executable, "-c", IN_USE, str(spare)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        own = Path(process.stdout.readline().strip())
        with cache.open_store(_facts(), spare) as journal:
            assert journal.folder == spare
        assert cache.clear() == []
        process.kill()
    with cache.open_store(_facts(), spare) as journal:
        assert journal.folder == own


def test_a_cache_that_cannot_be_written_to_is_done_without(spare, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    with cache.open_store(_facts(), spare) as journal:
        assert journal.folder == spare
        journal.append("features", np.arange(4))
    assert cache.stores() == cache.clear() == []
    (spare / "records").unlink()
    (spare / "index.jsonl").unlink()
    spare.rmdir()
    spare.write_text("in the way too")
    with pytest.raises(LpossGeoError, match=r"can't write into .*spare"), cache.open_store(_facts(), spare):
        pass


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_is_read_only_is_done_without(spare):
    cache.folder().mkdir(parents=True)
    cache.folder().chmod(0o500)
    with cache.open_store(_facts(), spare) as journal:
        assert journal.folder == spare


def test_beyond_the_limit_the_oldest_go_first(spare, monkeypatch):
    for scene, used in (("b", 2e8), ("a", 1e8), ("c", 3e8)):
        _fill(scene, spare, 900_000, used=used)
    assert _scenes() == ["c", "b", "a"]
    monkeypatch.setenv("LPOSS_GEO_CACHE_LIMIT", "2MB")
    _fill("d", spare, used=4e8)
    assert _scenes() == ["d", "c", "b"]
    _fill("b", spare, used=5e8)  # to be used again counts, not to be made
    _fill("e", spare, 900_000, used=6e8)
    assert _scenes() == ["e", "b", "d"]


def test_what_is_in_use_stays_beyond_the_limit(spare, monkeypatch):
    monkeypatch.setenv("LPOSS_GEO_CACHE_LIMIT", "0.1MB")
    with cache.open_store(_facts("large"), spare) as journal:
        journal.append("features", np.arange(50_000))
        _fill("small", spare)
        assert "large" in _scenes()
        assert journal.read("features")[-1] == 49_999
    assert "large" not in _scenes()


def test_a_wrong_limit_is_told_before_the_work(spare, monkeypatch):
    assert cache.limit() == 20_000_000_000
    monkeypatch.setenv("LPOSS_GEO_CACHE_LIMIT", "")
    assert cache.limit() == 20_000_000_000
    monkeypatch.setenv("LPOSS_GEO_CACHE_LIMIT", "50GB")
    assert cache.limit() == 50_000_000_000
    monkeypatch.setenv("LPOSS_GEO_CACHE_LIMIT", "much")
    with pytest.raises(ParameterError, match="LPOSS_GEO_CACHE_LIMIT: 'much' is no amount"):
        cache.limit()
    with pytest.raises(ParameterError, match="LPOSS_GEO_CACHE_LIMIT"), cache.open_store(_facts(), spare):
        pytest.fail("the work has begun")


def test_stores_are_listed_with_names_sizes_and_times(spare):
    assert cache.stores() == []
    place = _fill("lake.tif", spare, 5000, used=1e9)
    _fill("town.tif", spare, used=2e9)
    latest, first = cache.stores()
    assert (latest.scene, latest.model, latest.used) == ("town.tif", "mini", 2e9)
    assert (first.folder, first.scene, first.model, first.used) == (place, "lake.tif", "mini", 1e9)
    assert 5000 <= first.size == sum(file.stat().st_size for file in place.iterdir()) < 6000


def test_clearing_removes_all_that_is_not_in_use(spare):
    _fill("a", spare, used=1e9)
    _fill("b", spare, used=2e9)
    with cache.open_store(_facts("c"), spare) as journal:
        journal.append("features", np.arange(4))
        assert [store.scene for store in cache.clear()] == ["b", "a"]
        assert _scenes() == ["c"]
        assert journal.read("features").tolist() == [0, 1, 2, 3]
    assert list(cache.folder().iterdir()) == [journal.folder]
    assert [store.folder for store in cache.clear()] == [journal.folder]
    assert list(cache.folder().iterdir()) == []
    with cache.open_store(_facts("a"), spare) as journal:
        assert len(journal) == 0


STRANGE = [
    b"", b"no JSON", b"\xff\xfe", b"[]", b"7", b"{}", b'{"scene": "lake.tif", "model": "mini"}',
    b'{"scene": {"name": "lake.tif"}}', b'{"scene": {"name": "lake.tif"}, "model": null}',
]  # fmt: skip


def test_what_is_not_ours_is_neither_listed_nor_removed(spare, monkeypatch):
    for number, content in enumerate(STRANGE):
        (cache.folder() / f"strange{number}").mkdir(parents=True)
        (cache.folder() / f"strange{number}" / "facts.json").write_bytes(content)
    (cache.folder() / "empty").mkdir()
    (cache.folder() / "odd" / "facts.json").mkdir(parents=True)
    (cache.folder() / "facts.json").write_text(json.dumps(_facts()))
    before = set(cache.folder().rglob("*"))
    assert cache.stores() == cache.clear() == []
    monkeypatch.setenv("LPOSS_GEO_CACHE_LIMIT", "1")
    _fill("a", spare)
    assert set(cache.folder().rglob("*")) == before


@pytest.mark.parametrize(
    "content", [*STRANGE, b'{"sce', b"[" * 100_000, b'{"scene": {"name": 7}, "model": {"name": "m"}}']
)
def test_a_store_whose_facts_were_lost_is_counted_and_made_whole_again(spare, content):
    place = _fill("a", spare, 5000, used=1e9)
    (place / "facts.json").write_bytes(content)
    os.utime(place / "facts.json", (1e9, 1e9))
    (store,) = cache.stores()
    assert (store.folder, store.scene, store.model, store.used) == (place, None, None, 1e9)
    assert store.size > 5000
    with cache.open_store(_facts("a"), spare) as journal:
        assert "features" in journal
    assert _scenes() == ["a"]
    (place / "facts.json").write_bytes(content)
    assert [store.folder for store in cache.clear()] == [place]
    assert list(cache.folder().iterdir()) == []


def test_what_a_kill_has_left_of_a_store_counts_and_goes(spare, monkeypatch):
    parts = {"records": bytes(900_000), "index.jsonl": b"{", "facts.json.new": b"{", "lock": b""}

    def leave(names, ending=""):
        place = cache.folder() / f"{len(names):024x}{ending}"
        place.mkdir(parents=True)
        for name in names:
            (place / name).write_bytes(parts[name])
        return place

    left = {leave(list(parts)[:count]) for count in range(5)}
    assert {store.folder for store in cache.stores()} == left
    assert all(store.scene is None and store.size >= 900_000 for store in cache.stores() if any(store.folder.iterdir()))
    assert {store.folder for store in cache.clear()} == left
    assert list(cache.folder().iterdir()) == []
    leave(["records"])
    leave(["records", "lock"])
    half_removed = leave(["records", "index.jsonl"], ".4711.removed")
    assert half_removed in [store.folder for store in cache.stores()]
    monkeypatch.setenv("LPOSS_GEO_CACHE_LIMIT", "1MB")
    _fill("new", spare, 10)
    assert not half_removed.exists()
    assert sum(store.size for store in cache.stores()) < 1e6
    assert "new" in _scenes()


def test_facts_that_cannot_be_written_leave_those_of_before(spare, monkeypatch):
    place = _fill("a", spare)
    before = (place / "facts.json").read_text()
    (place / "facts.json").write_text("another")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with cache.open_store(_facts("a"), spare) as journal:
            assert journal.folder == spare
    assert (place / "facts.json").read_text() == "another"
    _fill("a", spare)
    assert (place / "facts.json").read_text() == before


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_in_the_cache_are_never_followed(spare, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    precious = {name: f"precious {name}" for name in ("records", "index.jsonl", "facts.json", "lock")}
    for name, text in precious.items():
        (victim / name).write_text(text)
    place = _fill("a", spare)
    assert cache.clear()
    place.symlink_to(victim)
    assert cache.stores() == cache.clear() == []
    with cache.open_store(_facts("a"), spare) as journal:
        assert journal.folder == spare
    place.unlink()
    for name in precious:
        place.mkdir()
        (place / name).symlink_to(victim / name)
        assert cache.stores()[0].size < 1000
        with cache.open_store(_facts("a"), spare) as journal:
            assert len(journal) == 0
        assert [store.folder for store in cache.clear()] == [place]
        assert not place.exists()
    assert {file.name: file.read_text() for file in victim.iterdir()} == precious


def test_what_somebody_puts_into_a_store_stays(spare):
    place = _fill("a", spare)
    (place / "notes.txt").write_text("mine")
    (place / "photos").mkdir()
    assert len(cache.clear()) == 1
    (kept,) = cache.folder().iterdir()
    assert {file.name for file in kept.iterdir()} == {"notes.txt", "photos"}
    assert cache.stores() == cache.clear() == []


def test_a_run_that_cannot_use_the_cache_says_why(spare, caplog, tmp_path):
    with cache.open_store(_facts(), spare):
        assert not caplog.records
        with cache.open_store(_facts(), spare):
            (record,) = caplog.records
            assert (
                record.getMessage() == "another run is at work on the same scene and keeps its features: this one won't"
            )
    caplog.clear()
    cache.clear()
    cache.folder().rmdir()
    cache.folder().write_text("in the way")
    with cache.open_store(_facts(), spare):
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert record.getMessage().startswith(f"can't write into '{cache.folder()}{os.sep}")
        assert record.getMessage().endswith(": this scene's features won't be kept")
        assert "\n" not in record.getMessage()


@pytest.mark.skipif(sys.platform == "win32", reason="what is open can't be removed there")
def test_a_cache_that_is_removed_during_a_run_can_be_used_to_the_end(spare, tmp_path, caplog):
    with cache.open_store(_facts(), spare) as journal:
        journal.append("features", np.arange(4))
        shutil.rmtree(tmp_path / "cache")
        journal.append("more", np.arange(5))
        assert journal.read("features").tolist() == [0, 1, 2, 3]
        assert journal.read("more").tolist() == [0, 1, 2, 3, 4]
    (record,) = caplog.records
    assert record.getMessage().endswith("this scene's features may be lost")
    assert cache.stores() == []


@pytest.mark.skipif(sys.platform == "win32", reason="no folder is synced there")
def test_a_store_is_on_the_disk_before_its_run_ends(spare, monkeypatch):
    synced, sync = [], os.fsync
    with cache.open_store(_facts(), spare) as journal:
        journal.append("features", np.arange(4))
        monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_ino), sync(file)))
    order = [journal.folder / "records", journal.folder / "index.jsonl", journal.folder, cache.folder()]
    assert synced == [place.stat().st_ino for place in (*order, cache.folder().parent)]


def test_a_torn_store_gives_back_what_was_stored_or_nothing(spare):
    arrays = [np.full(number, number) for number in range(6)]
    place, rng, left = _fill("a", spare), np.random.default_rng(0), set()
    names = ("index.jsonl", "records", "facts.json")
    for round_ in range(40):
        with cache.open_store(_facts("a"), spare) as journal:
            assert journal.folder == place
            for number, array in enumerate(arrays):
                journal.append(str(number), array)
        torn = place / names[round_ % 3]
        content = bytearray(torn.read_bytes())
        where = int(rng.integers(len(content)))
        if rng.integers(3):
            content[where] ^= 1 << int(rng.integers(8))
        else:
            content[where:] = rng.bytes(int(rng.integers(9)))
        torn.write_bytes(content)
        (store,) = cache.stores()
        assert store.size == sum((place / name).stat().st_size for name in (*names, "lock"))
        with cache.open_store(_facts("a"), spare) as journal:
            assert _scenes() == ["a"]
            assert len(journal) == sum(str(number) in journal for number in range(6)) + ("features" in journal)
            for number in range(6):
                with suppress(DamagedError):
                    assert str(number) not in journal or np.array_equal(journal.read(str(number)), arrays[number])
            left.add(len(journal))
    assert len(left) > 4
