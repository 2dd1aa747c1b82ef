from __future__ import annotations

import itertools
import operator
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lposs_geo.errors import DamagedError, OutputError
from lposs_geo.store.journal import Journal, open_journal

any_array = arrays.arrays(
    st.one_of(
        arrays.boolean_dtypes(),
        arrays.integer_dtypes(),
        arrays.unsigned_integer_dtypes(),
        arrays.floating_dtypes(),
        arrays.complex_number_dtypes(),
        arrays.byte_string_dtypes(),
    ),
    arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
sizes = st.lists(st.integers(0, 150), min_size=1, max_size=6)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for each of hypothesis' examples."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "journal"


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def _content(number: int, size: int) -> np.ndarray:
    return np.full(size, number + 1, np.uint8)


def _write(folder: Path, sizes: list[int]) -> list[tuple[int, int, int]]:
    """Append a record for each size: where each ends in the data and the index, and where it begins in the data."""
    places = []
    with open_journal(folder) as journal:
        for number, size in enumerate(sizes):
            journal.append(f"part/{number}", _content(number, size))
            data, index = ((folder / name).stat().st_size for name in ("records", "index.jsonl"))
            places.append((data, index, data - size))
    return places


def _check_found(folder: Path, sizes: list[int], found: list[bool]) -> None:
    """Exactly these records are found; what is missing can be appended once more, and then all is there."""
    with open_journal(folder) as journal:
        assert [f"part/{number}" in journal for number in range(len(sizes))] == found
        assert len(journal) == journal.count("part") == sum(found)
        journal.append("other/0", np.full(70, 255, np.uint8))
    with open_journal(folder) as journal:
        assert [f"part/{number}" in journal for number in range(len(sizes))] == found
        assert _same(journal.read("other/0"), np.full(70, 255, np.uint8))
        for number, size in enumerate(sizes):
            if not found[number]:
                journal.append(f"part/{number}", _content(number, size))
    with open_journal(folder) as journal:
        assert len(journal) == len(sizes) + 1
        for number, size in enumerate(sizes):
            assert _same(journal.read(f"part/{number}"), _content(number, size))


@given(st.lists(any_array, max_size=5))
def test_arrays_of_any_kind_come_back_even_after_reopening(written):
    with _folder() as folder:
        with open_journal(folder) as journal:
            for number, array in enumerate(written):
                journal.append(f"part/{number}", array)
                assert _same(journal.read(f"part/{number}"), array)
        with open_journal(folder) as journal:
            assert len(journal) == len(written)
            for number, array in enumerate(written):
                assert _same(journal.read(f"part/{number}"), array)


def test_arrays_that_do_not_lie_in_one_piece_come_back(tmp_path):
    array = np.arange(24).reshape(4, 6)
    with open_journal(tmp_path) as journal:
        for key, view in (
            ("turned", array.T),
            ("sparse", array[::2, ::-3]),
            ("wide", np.broadcast_to(array[0], (3, 6))),
        ):
            journal.append(key, view)
            assert _same(journal.read(key), view)


def test_records_are_counted_by_kind(tmp_path):
    with open_journal(tmp_path / "not" / "yet" / "there") as journal:
        assert len(journal) == journal.count("tiles") == 0
        for key in ("tiles/0/0", "tiles/0/1", "scores/0", "tilesets/0", "tiles"):
            assert key not in journal
            journal.append(key, np.zeros(2))
            assert key in journal
        assert journal.count("tiles") == 2
        assert journal.count("none") == 0
        with pytest.raises(KeyError):
            journal.read("none/0")


def test_the_last_of_two_records_of_one_key_wins(tmp_path):
    with open_journal(tmp_path) as journal:
        journal.append("a", np.arange(5))
        before = journal.read("a")
        journal.append("a", np.ones((2, 2), bool))
        assert before.tolist() == [0, 1, 2, 3, 4]
        assert len(journal) == 1
        assert _same(journal.read("a"), np.ones((2, 2), bool))
    with open_journal(tmp_path) as journal:
        assert _same(journal.read("a"), np.ones((2, 2), bool))


def test_threads_may_append_at_the_same_time(tmp_path, request):
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)  # between any two steps

    def work(journal: Journal, thread: int) -> None:
        for number in range(200):
            journal.append(f"{thread}/{number}", np.full(100 * thread + number, thread * number))
            assert journal.count(f"{thread}") == number + 1
            assert journal.read(f"{thread}/{number}").size == 100 * thread + number

    def check(journal: Journal) -> None:
        assert len(journal) == 4 * 200
        for thread, number in itertools.product(range(4), range(200)):
            expected = np.full(100 * thread + number, thread * number)
            assert _same(journal.read(f"{thread}/{number}"), expected)

    with open_journal(tmp_path) as journal:
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(work, journal, thread) for thread in range(4)]:
                done.result()
        check(journal)
    with open_journal(tmp_path) as journal:
        check(journal)


def test_what_is_read_cannot_be_written_to(tmp_path):
    with open_journal(tmp_path) as journal:
        journal.append("a", np.arange(5))
        with pytest.raises(ValueError, match="read-only"):
            journal.read("a")[0] = 7
        assert journal.read("a")[0] == 0


@given(sizes=sizes, data=st.data())
def test_a_cut_in_the_data_loses_only_what_lay_behind_it(sizes, data):
    with _folder() as folder:
        places = _write(folder, sizes)
        cut = data.draw(st.integers(0, places[-1][0]))
        with (folder / "records").open("r+b") as file:
            file.truncate(cut)
        sound = [not size or end <= cut for size, (end, _, _) in zip(sizes, places, strict=True)]
        _check_found(folder, sizes, list(itertools.accumulate(sound, operator.and_)))


@given(sizes=sizes, data=st.data())
def test_a_cut_in_the_index_loses_only_what_lay_behind_it(sizes, data):
    with _folder() as folder:
        places = _write(folder, sizes)
        cut = data.draw(st.integers(0, places[-1][1]))
        with (folder / "index.jsonl").open("r+b") as file:
            file.truncate(cut)
        _check_found(folder, sizes, [end <= cut for _, end, _ in places])


def _damage(folder: Path, place: int, change: int = 1) -> None:
    """Change a byte of the data."""
    with (folder / "records").open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0] ^ change
        file.seek(place)
        file.write(bytes([byte]))


@given(sizes=sizes.filter(any), change=st.integers(1, 255), check=st.booleans(), data=st.data())
def test_a_wrong_byte_in_the_data_loses_just_its_record(sizes, change, check, data):
    with _folder() as folder:
        places = _write(folder, sizes)
        number = data.draw(st.sampled_from([number for number, size in enumerate(sizes) if size]))
        end = places[number][0]
        _damage(folder, data.draw(st.integers(end - sizes[number], end - 1)), change)
        lost = f"part/{number}"
        with open_journal(folder, check=check) as journal:
            if not check:
                assert len(journal) == len(sizes)
                with pytest.raises(DamagedError, match=r"a part of .* is damaged: run it again"):
                    journal.read(lost, slice(0, 1))
            assert lost not in journal
            assert lost in journal.damaged
            for other, size in enumerate(sizes):
                key = f"part/{other}"
                if size and other != number:
                    assert _same(journal.read(key), _content(other, size))
                elif other != number and key not in journal:  # a row of nothing behind what is damaged
                    journal.append(key, _content(other, size))
            journal.append(lost, _content(number, sizes[number]))
            assert not journal.damaged
        _check_found(folder, sizes, [True] * len(sizes))


def test_damage_at_the_end_is_cut_off(tmp_path):
    places = _write(tmp_path, [10, 0, 20, 30, 0])
    for place in (places[2][0] - 1, places[3][0] - 1):
        _damage(tmp_path, place)
    with open_journal(tmp_path) as journal:
        with pytest.raises(DamagedError):
            journal.read("part/3")
        assert [f"part/{number}" in journal for number in range(5)] == [True, True, False, False, False]
        assert journal.damaged == {"part/2", "part/3"}
        assert (tmp_path / "records").stat().st_size == places[0][0]
        assert (tmp_path / "index.jsonl").stat().st_size == places[1][1]
        journal.append("part/2", _content(2, 20))
        journal.undo()
    assert (tmp_path / "records").stat().st_size == places[0][0]
    _check_found(tmp_path, [10, 0, 20, 30, 0], [True, True, False, False, False])


def test_a_damaged_record_that_was_replaced_does_no_harm(tmp_path):
    with open_journal(tmp_path) as journal:
        journal.append("a", np.arange(5))
        journal.append("a", np.arange(6))
    _damage(tmp_path, 0)
    with open_journal(tmp_path, check=True) as journal:
        assert journal.damaged == set()
        assert journal.read("a").size == 6
    _damage(tmp_path, 0)
    _damage(tmp_path, 64)
    with open_journal(tmp_path, check=True) as journal:
        assert "a" not in journal  # the one before it was written for something else


def test_nothing_behind_a_line_that_is_no_record_counts(tmp_path):
    _write(tmp_path, [10, 20])
    first, second = (tmp_path / "index.jsonl").read_bytes().splitlines(keepends=True)
    strange = b'\n\0\0\0\n[1, 2]\n"key"\n{"key": "part/7"}\n{"key": \xff}\n'
    (tmp_path / "index.jsonl").write_bytes(first + strange + second + b"\0" * 100)
    _check_found(tmp_path, [10, 20], [True, False])


def test_the_same_array_again_takes_no_room(tmp_path):
    with open_journal(tmp_path) as journal:
        journal.append("a", np.arange(50))
        size = (tmp_path / "records").stat().st_size
        journal.append("a", np.arange(50))
        assert (tmp_path / "records").stat().st_size == size
        journal.append("a", np.arange(50).astype("int32"))
        assert journal.read("a").dtype == np.int32


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="can't write into") as caught, open_journal(tmp_path / "file" / "journal"):
        pass
    assert "\n" not in str(caught.value)


def _tear(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a bit, cut the end off, or put something else in: one of what happens to files."""
    place, kind = int(rng.integers(len(content))), rng.integers(6)
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + bytes(int(rng.integers(1, 100))) + content[place:]
    if kind == 2:
        return content[:place] + rng.bytes(int(rng.integers(1, 100)))
    torn = bytearray(content)
    torn[place] ^= 1 << int(rng.integers(8))
    return bytes(torn)


def _read_or_lost(journal: Journal, key: str) -> np.ndarray | None:
    try:
        return journal.read(key) if key in journal else None
    except DamagedError:
        return None


def test_of_a_torn_journal_only_what_is_sound_is_left(tmp_path):
    rng, folder = np.random.default_rng(0), tmp_path / "journal"
    kinds = ("<f2", ">f4", "|b1", "|u1", "<i8", "|S3")
    written = [rng.integers(0, 2, rng.integers(0, 9, rng.integers(0, 4))).astype(kinds[n % 6]) for n in range(12)]
    with open_journal(folder) as journal:
        for number, array in enumerate(written):
            journal.append(f"part/{number}", array)
    sound = {name: (folder / name).read_bytes() for name in ("records", "index.jsonl")}
    lost = []
    for round_ in range(400):
        torn = ("index.jsonl", "index.jsonl", "records")[round_ % 3]
        for name, content in sound.items():
            (folder / name).write_bytes(_tear(content, rng) if name == torn else content)
        with open_journal(folder, check=round_ % 2 == 0) as journal:
            found = [_read_or_lost(journal, f"part/{number}") for number in range(12)]
            for one, array in zip(found, written, strict=True):
                assert one is None or _same(one, array)
            is_there = [one is not None for one in found]
            if torn == "index.jsonl":
                assert is_there == sorted(is_there, reverse=True)
            for number, array in enumerate(written):
                journal.append(f"part/{number}", array)
            assert all(_same(journal.read(f"part/{number}"), array) for number, array in enumerate(written))
        with open_journal(folder, check=True) as journal:
            assert all(_same(journal.read(f"part/{number}"), array) for number, array in enumerate(written))
        if torn == "index.jsonl":
            assert (folder / "index.jsonl").read_bytes() == sound["index.jsonl"]
            assert (folder / "records").stat().st_size == len(sound["records"])
        lost.append(12 - sum(is_there))
    assert set(lost) >= {0, 1, 6, 12}


def _crafted(folder: Path, text: bytes) -> None:
    """A journal of one line with a right checksum, over as much data as it may want."""
    _write(folder, [1000])
    chain = zlib.crc32(text, zlib.crc32(b"lposs-geo journal 2"))
    (folder / "index.jsonl").write_bytes(b"%08x %s\n" % (chain, text))


@pytest.mark.parametrize(
    ("text", "is_sound"),
    [
        (b'{"key": "a", "offset": 0, "dtype": "|u1", "shape": [0], "crc32": 0}', True),
        (b'{"key": "a", "offset": 0, "dtype": "<g2", "shape": [0], "crc32": 0}', False),
        (b'{"key": "a", "offset": 0, "dtype": "|O", "shape": [0], "crc32": 0}', False),
        (b'{"key": "a", "offset": 0, "dtype": "<f3", "shape": [0], "crc32": 0}', False),
        (b'{"key": "a", "offset": 0, "dtype": "u1,u1", "shape": [0], "crc32": 0}', False),
        (b'{"key": "a", "offset": 64, "dtype": "|u1", "shape": [0], "crc32": 0}', False),
        (b'{"key": "a", "offset": -64, "dtype": "|u1", "shape": [0], "crc32": 0}', False),
        (b'{"key": "a", "offset": false, "dtype": "|u1", "shape": [0], "crc32": 0}', False),
        (b'{"key": "a", "offset": 0, "dtype": "|u1", "shape": [0, 1e999], "crc32": 0}', False),
        (b'{"key": "a", "offset": 0, "dtype": "|u1", "shape": [-1, -1], "crc32": 0}', False),
        (b'{"key": "a", "offset": 0, "dtype": "|u1", "shape": [0, 9223372036854775808], "crc32": 0}', False),
        (b'{"key": "a", "offset": 0, "dtype": "|u1", "shape": [0, 4294967296, 4294967296], "crc32": 0}', False),
        (b'{"key": "a", "offset": 0, "dtype": "|u1", "shape": [4294967296, 4294967296], "crc32": 0}', False),
        (b'{"key": "a", "offset": 0, "dtype": "|u1", "shape": 0, "crc32": 0}', False),
        (b'{"key": "a", "offset": 0, "dtype": "|u1", "shape": [%s0], "crc32": 0}' % (b"0, " * 99), False),
        (b'{"key": ["a"], "offset": 0, "dtype": "|u1", "shape": [0], "crc32": 0}', False),
        (b'{"key": "a", "offset": 0, "dtype": "|u1", "shape": [0], "crc32": 0, "more": 1}', False),
        (b'{"key": "a", "offset": 0, "dtype": "|u1", "shape": [0], "crc32": %s}' % (b"9" * 4000), False),
        (b"[" * 3000, False),
        (b"[" * 100_000, False),
        (b"\xff\xfe", False),
        (b"null", False),
        (b"", False),
    ],
)
def test_a_line_that_no_journal_writes_is_no_record_though_its_checksum_is_right(tmp_path, text, is_sound):
    _crafted(tmp_path, text)
    with open_journal(tmp_path) as journal:
        assert len(journal) == is_sound
        journal.append("b", np.arange(4))
    with open_journal(tmp_path) as journal:
        assert len(journal) == is_sound + 1
        assert journal.read("b").tolist() == [0, 1, 2, 3]


def test_lines_in_another_order_or_of_another_journal_do_not_count(tmp_path):
    _write(tmp_path / "one", [0, 0, 0])
    _write(tmp_path / "other", [0, 0, 64])
    lines, others = ((tmp_path / n / "index.jsonl").read_bytes().splitlines(True) for n in ("one", "other"))
    for order, sound in (([1, 0, 2], 0), ([0, 2, 1], 1), ([0, 2], 1), ([0, 0, 1, 2], 1), ([0, 1, 2], 3)):
        (tmp_path / "one" / "index.jsonl").write_bytes(b"".join(lines[place] for place in order))
        with open_journal(tmp_path / "one") as journal:
            assert len(journal) == sound
    (tmp_path / "one" / "index.jsonl").write_bytes(b"".join([*lines[:2], others[2]]))
    with open_journal(tmp_path / "one") as journal:
        assert len(journal) == 2


def test_a_journal_of_an_earlier_format_is_made_again(tmp_path):
    (tmp_path / "records").write_bytes(bytes(range(4)))
    crc = zlib.crc32(bytes(range(4)))
    line = f'{{"key": "a", "offset": 0, "dtype": "|u1", "shape": [4], "crc32": {crc}}}\n'
    (tmp_path / "index.jsonl").write_text(line)
    with open_journal(tmp_path) as journal:
        assert len(journal) == 0
    assert [file.stat().st_size for file in tmp_path.iterdir()] == [0, 0]


def test_what_no_journal_can_hold_is_refused_when_it_is_written(tmp_path):
    with open_journal(tmp_path) as journal:
        for key, array in (("k" * 5000, np.zeros(3)), ("a", np.zeros(3, "M8[s]")), ("a", np.zeros(3, "<U4"))):
            with pytest.raises(ValueError, match="a journal holds no array"):
                journal.append(key, array)
        assert len(journal) == 0
    assert [file.stat().st_size for file in tmp_path.iterdir()] == [0, 0]


def test_rows_of_an_array_are_read_by_themselves(tmp_path):
    array = np.arange(60, dtype="<f4").reshape(5, 4, 3)
    with open_journal(tmp_path) as journal:
        journal.append("a", array)
        for rows in (slice(1, 3), slice(None), slice(4, 99), slice(2, 2), slice(-2, None)):
            assert _same(journal.read("a", rows), array[rows])


@pytest.mark.skipif(sys.platform == "win32", reason="what is open can't be removed there")
def test_a_journal_that_is_removed_while_it_is_open_can_be_used_to_the_end(tmp_path):
    with open_journal(tmp_path / "journal") as journal:
        journal.append("a", np.arange(5))
        shutil.rmtree(tmp_path / "journal")
        journal.append("b", np.arange(6))
        assert journal.read("a").tolist() == [0, 1, 2, 3, 4]
        assert journal.read("b").tolist() == [0, 1, 2, 3, 4, 5]
        with pytest.raises(OutputError, match="can't write into"):
            journal.sync()


@pytest.mark.parametrize("name", ["records", "index.jsonl"])
def test_a_journal_that_another_program_cuts_is_one_line_and_never_zeros(tmp_path, name):
    with open_journal(tmp_path) as journal:
        for key in ("a", "b"):
            journal.append(key, np.ones(1000))
        os.truncate(tmp_path / name, 50)
        with pytest.raises(OutputError, match="another program changed") as caught:
            journal.append("c", np.ones(1000))
        assert "\n" not in str(caught.value)
        if name == "records":
            with pytest.raises(OutputError, match="another program changed"):
                journal.read("b")
    with open_journal(tmp_path) as journal:
        assert len(journal) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("name", ["records", "index.jsonl", "."])
def test_links_are_not_followed(tmp_path, name):
    victim, folder = tmp_path / "victim", tmp_path / "journal"
    if name == ".":
        victim.mkdir()
        folder.symlink_to(victim)
    else:
        victim.write_text("precious")
        folder.mkdir()
        (folder / name).symlink_to(victim)
    with pytest.raises(OutputError, match="remove it") as caught, open_journal(folder):
        pass
    assert "\n" not in str(caught.value)
    assert (list(victim.iterdir()) == []) if name == "." else (victim.read_text() == "precious")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name there")
@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", None)])
def test_what_is_no_file_is_one_line(tmp_path, make):
    make(tmp_path / "records")
    with pytest.raises(OutputError, match=r"records' is no file: remove it"), open_journal(tmp_path):
        pass


def test_what_was_appended_can_be_undone_and_all_be_dropped(tmp_path):
    _write(tmp_path, [10, 20])
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with open_journal(tmp_path) as journal:
        journal.append("part/1", np.zeros(3))
        journal.append("part/2", np.zeros(3))
        journal.undo()
        with pytest.raises(OutputError, match="given up"):
            journal.append("part/3", np.zeros(3))
        assert _same(journal.read("part/1"), _content(1, 20))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    with open_journal(tmp_path) as journal:
        journal.drop()
        assert len(journal) == 0
        with pytest.raises(OutputError, match="given up"):
            journal.append("part/3", np.zeros(3))
    assert [file.stat().st_size for file in tmp_path.iterdir()] == [0, 0]
    _check_found(tmp_path, [10, 20], [False, False])


def test_contents_are_synced_before_what_leads_to_them(tmp_path, monkeypatch):
    with open_journal(tmp_path) as journal:
        journal.append("a", np.arange(5))
        synced = []
        monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
        journal.sync()
    names = [tmp_path / "records", tmp_path / "index.jsonl", *([tmp_path] if os.name != "nt" else [])]
    assert synced == [name.stat().st_ino for name in names]


FULL_DISK = """
import resource, sys
import numpy as np
from pathlib import Path
from lposs_geo.errors import DamagedError, OutputError
from lposs_geo.store.journal import open_journal
room, size = map(int, sys.argv[2:])
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
try:
    with open_journal(Path(sys.argv[1])) as journal:
        for number in range(1000):
            journal.append(f"part/{number}", np.full(size, number + 1, np.uint8))
except OutputError as error:
    print(error)
with open_journal(Path(sys.argv[1])) as journal:
    print(number, len(journal))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes there")
@pytest.mark.parametrize(("room", "size"), [(10_000, 1500), (1000, 1)])
def test_a_full_disk_is_one_line_and_leaves_the_earlier_records(tmp_path, room, size):
    # of the two files, the data is the first to reach the limit with large records, and the index with small ones
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), str(room), str(size)]
    done = subprocess.run(command, capture_output=True, text=True)
    said, counts = done.stdout.splitlines() or [done.stderr, ""]
    assert said.startswith(f"can't write into '{tmp_path}'")
    appended, found = map(int, counts.split())
    assert appended == found > 0  # even while the disk is still full
    _check_found(tmp_path, [size] * (found + 2), [True] * found + [False] * 2)


KILLED = """
import itertools, sys
import numpy as np
from pathlib import Path
from lposs_geo.store.journal import open_journal
with open_journal(Path(sys.argv[1])) as journal:
    for number in itertools.count():
        journal.append(f"part/{number}", np.arange(number, number + number * 7919 % 5000))
        if number == int(sys.argv[2]):
            print("go", flush=True)
"""


@pytest.mark.parametrize("enough", [0, 17, 100])
def test_a_kill_in_the_midst_of_writing_costs_one_record_at_most(tmp_path, enough):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), str(enough)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        process.kill()
    lines = (tmp_path / "index.jsonl").read_bytes().count(b"\n")
    with open_journal(tmp_path) as journal:
        assert len(journal) == lines > enough
        for number in range(lines):
            assert _same(journal.read(f"part/{number}"), np.arange(number, number + number * 7919 % 5000))
        journal.append("other/0", np.ones(3))
    with open_journal(tmp_path) as journal:
        assert len(journal) == lines + 1


@given(array=any_array)
def test_the_checksum_of_what_was_written_is_known_without_reading_it(array):
    with _folder() as folder:
        with open_journal(folder) as journal:
            journal.append("one", array)
        with open_journal(folder) as journal:
            assert journal.checksum("one") == zlib.crc32(np.ascontiguousarray(array).tobytes())
