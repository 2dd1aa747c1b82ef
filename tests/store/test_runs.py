from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from lposs_geo.errors import OutputError
from lposs_geo.store import runs
from lposs_geo.store.journal import Journal, open_journal
from lposs_geo.store.runs import may_replace, open_run, run_folder, settle

FACTS: dict[str, object] = {"scene": {"name": "lake.tif", "size": 7}, "classes": ["lake", "field"], "numbers": (1, 2.5)}


@pytest.fixture
def output(tmp_path) -> Path:
    return tmp_path / "map.tif"


def _open(
    output: Path, facts: dict[str, object] = FACTS, *, resume: bool = False, overwrite: bool = False
) -> AbstractContextManager[Journal]:
    return open_run(output, facts, kind="tiles", resume=resume, overwrite=overwrite)


def _cut_off(output: Path, error: type[BaseException] = RuntimeError, **options: bool) -> BaseException:
    """Begin a run that finishes two tiles and then fails."""
    with pytest.raises(error) as caught, _open(output, **options) as journal:
        journal.append("scores/0", np.zeros(3))
        for number in range(2):
            journal.append(f"tiles/{number}", np.full(3, number))
        raise error("the power went")
    return caught.value


def _refused(output: Path, said: str, facts: dict[str, object] = FACTS, **options: bool) -> None:
    with pytest.raises(OutputError, match=said) as caught, _open(output, facts, **options):
        pytest.fail("it has begun")
    assert "\n" not in str(caught.value)


def _everything(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_success_leaves_nothing(output, tmp_path):
    with _open(output) as journal:
        assert len(journal) == 0
        journal.append("tiles/0", np.zeros(3))
        assert run_folder(output).is_dir()
        output.write_text("map")
    assert _everything(tmp_path) == ["map.tif"]
    with _open(output, resume=True) as journal:  # nothing to go on with
        assert len(journal) == 0
    assert _everything(tmp_path) == ["map.tif"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_before_anything_worth_keeping_leaves_nothing(output, tmp_path, error):
    with pytest.raises(error) as caught, _open(output) as journal:
        journal.append("scores/0", np.zeros(3))
        raise error("early")
    assert not getattr(caught.value, "__notes__", [])
    assert _everything(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_keeps_what_is_finished_and_says_so(output, error):
    caught = _cut_off(output, error)
    assert caught.__notes__ == ["<resume=True> goes on: 2 finished tiles will not be done again"]
    with _open(output, resume=True) as journal:
        assert journal.count("tiles") == 2
        assert journal.read("tiles/1").tolist() == [1, 1, 1]
        assert "scores/0" in journal
    assert not run_folder(output).exists()


def test_a_run_may_be_cut_off_again_and_again(output):
    _cut_off(output)
    with pytest.raises(RuntimeError) as caught, _open(output, resume=True) as journal:
        journal.append("tiles/2", np.zeros(3))
        raise RuntimeError("again")
    assert caught.value.__notes__ == ["<resume=True> goes on: 3 finished tiles will not be done again"]
    with _open(output, resume=True) as journal:
        assert journal.count("tiles") == 3


def test_what_was_cut_off_is_not_dropped_unasked(output):
    _cut_off(output)
    for _ in range(2):
        _refused(output, "was cut off: resume=True goes on with it, overwrite=True starts anew")
    with _open(output, resume=True) as journal:
        assert journal.count("tiles") == 2


def test_to_go_on_with_other_facts_is_refused_by_name(output):
    _cut_off(output)
    other_classes = FACTS | {"classes": ["lake"]}
    _refused(output, r"with another classes: overwrite=True starts anew", other_classes, resume=True)
    _refused(output, "another scene and another classes:", other_classes | {"scene": {"name": "b"}}, resume=True)
    _refused(output, "another area:", FACTS | {"area": [0, 0, 9, 9]}, resume=True)
    (run_folder(output) / "facts.json").rename(output.with_name("aside.json"))
    _refused(output, "another scene and another classes and another numbers:", resume=True)
    output.with_name("aside.json").rename(run_folder(output) / "facts.json")
    with _open(output, resume=True) as journal:
        assert journal.count("tiles") == 2


def test_overwriting_starts_anew(output):
    _cut_off(output)
    others = FACTS | {"classes": ["town"]}
    with pytest.raises(RuntimeError), _open(output, others, overwrite=True) as journal:
        assert len(journal) == 0
        journal.append("tiles/7", np.zeros(3))
        raise RuntimeError("this one is cut off too")
    _refused(output, "another classes:", resume=True)
    with _open(output, others, resume=True) as journal:
        assert journal.count("tiles") == 1
    assert not run_folder(output).exists()


def test_with_both_options_a_run_goes_on(output):
    _cut_off(output)
    with _open(output, resume=True, overwrite=True) as journal:
        assert journal.count("tiles") == 2


def test_with_both_options_a_run_of_other_facts_starts_anew(output):
    _cut_off(output)
    with _open(output, FACTS | {"classes": ["town"]}, resume=True, overwrite=True) as journal:
        assert len(journal) == 0


def _leave_features(output: Path) -> None:
    """What a run on FACTS leaves beside its journal when it is killed while it encodes."""
    with _open(output) as journal:
        folder = journal.folder.parent
        kept = (folder / "facts.json").read_text()
    folder.mkdir()
    (folder / "facts.json").write_text(kept)
    (folder / "scene.tif").write_text("copy")
    with open_journal(folder / "features") as features:
        features.append("vlm/0/0", np.zeros(3))


def test_nothing_of_another_scene_is_left_beside_the_journal(output):
    _leave_features(output)
    other = FACTS | {"scene": {"name": "b"}}
    for options in ({}, {"resume": True}):
        with pytest.raises(OutputError, match="overwrite=True"), _open(output, other, **options):
            pass
    with _open(output, other, overwrite=True) as journal:
        assert _everything(journal.folder.parent) == ["facts.json", "journal", "lock"]


def test_features_of_its_own_are_worth_keeping(output):
    with pytest.raises(KeyboardInterrupt) as caught, _open(output) as journal:
        with open_journal(journal.folder.parent / "features") as features:
            features.append("vlm/0/0", np.zeros(3))
        raise KeyboardInterrupt
    assert caught.value.__notes__ == ["<resume=True> goes on: what was encoded will not be done again"]
    with _open(output, resume=True) as journal:
        assert (journal.folder.parent / "features").exists()


def test_features_of_the_same_run_are_there_to_go_on_with(output):
    _leave_features(output)
    with (
        _open(output, resume=True) as journal,
        open_journal(journal.folder.parent / "features") as features,
    ):
        assert "vlm/0/0" in features


def test_overwriting_drops_all_that_lay_beside_the_journal(output):
    _cut_off(output)
    with open_journal(run_folder(output) / "features") as features:
        features.append("vlm/0/0", np.zeros(3))
    with _open(output, overwrite=True) as journal:
        assert _everything(journal.folder.parent) == ["facts.json", "journal", "lock"]


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_a_second_run_on_the_same_output_is_refused(output, options):
    with _open(output) as journal:
        journal.append("tiles/0", np.arange(3))
        _refused(output, r"another run is at work on .*map\.tif", **options)
        with _open(output.with_name("other.tif")) as other:
            assert len(other) == 0
        assert journal.read("tiles/0").tolist() == [0, 1, 2]
        journal.append("tiles/1", np.arange(3))
        assert journal.count("tiles") == 2
    assert not run_folder(output).exists()


def test_facts_that_json_has_not_are_refused_without_a_trace(output, tmp_path):
    with pytest.raises(TypeError), _open(output, {"scene": object()}):
        pass
    assert _everything(tmp_path) == []


def test_a_place_that_cannot_be_written_to_is_one_line(output, tmp_path):
    _refused(tmp_path / "none" / "map.tif", "can't write into .*none")
    run_folder(output).write_text("in the way")
    _refused(output, "can't write into")
    assert run_folder(output).read_text() == "in the way"


RUN = """
import json, sys
import numpy as np
from pathlib import Path
from lposs_geo.store.runs import open_run
facts = json.loads(sys.argv[2])
with open_run(Path(sys.argv[1]), facts, kind="tiles", resume=False, overwrite=False) as journal:
    for number in range(int(sys.argv[3])):
        journal.append(f"tiles/{number}", np.full(3, number))
    print("go", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("finished", [0, 3])
def test_a_run_that_was_killed_can_be_gone_on_with(output, finished):
    facts = {"scene": "lake.tif", "classes": ["lake"]}
    command = [sys.executable, "-c", RUN, str(output), '{"scene": "lake.tif", "classes": ["lake"]}', str(finished)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        for options in ({}, {"resume": True}, {"overwrite": True}):
            _refused(output, "another run is at work", facts, **options)
        process.kill()
    if finished:
        _refused(output, "was cut off", facts)
    with _open(output, facts, resume=True) as journal:
        assert journal.count("tiles") == finished
        for number in range(finished):
            assert journal.read(f"tiles/{number}").tolist() == [number] * 3
    assert not run_folder(output).exists()


def test_a_run_that_was_killed_before_it_finished_anything_is_in_nobodys_way(output):
    command = [sys.executable, "-c", RUN, str(output), "{}", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        process.kill()
    assert run_folder(output).exists()
    with _open(output) as journal:
        assert len(journal) == 0
    assert not run_folder(output).exists()


def test_a_link_in_the_place_of_the_runs_folder_is_not_followed(output, tmp_path):
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "thesis.odt").write_text("mine")
    run_folder(output).symlink_to(documents)
    for options in ({}, {"resume": True}, {"overwrite": True}):
        _refused(output, r"'.*\.map\.tif\.lposs-geo'.* as it is a link: move it away", **options)
    with pytest.raises(OutputError, match="it is a link"):
        settle(output)
    assert _everything(documents) == ["thesis.odt"]


@pytest.mark.parametrize("name", ["journal", "features", "staged", "before", "facts.json", "lock", "moves.json"])
def test_a_link_within_the_runs_folder_is_not_followed(output, tmp_path, name):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "thesis.odt").write_text("mine")
    run_folder(output).mkdir()
    (run_folder(output) / name).symlink_to(tmp_path / "documents")
    for options in ({}, {"resume": True}, {"overwrite": True}):
        _refused(output, f"it holds '{name}'", **options)
    assert _everything(tmp_path / "documents") == ["thesis.odt"]


def test_an_index_that_is_a_link_holds_nothing_of_a_run(output, tmp_path):
    (tmp_path / "notes.jsonl").write_text("mine")
    (run_folder(output) / "features").mkdir(parents=True)
    (run_folder(output) / "features" / "index.jsonl").symlink_to(tmp_path / "notes.jsonl")
    with _open(output):  # nothing to go on with: the run isn't refused
        pass
    assert not run_folder(output).exists()
    assert (tmp_path / "notes.jsonl").read_text() == "mine"


def test_a_folder_that_no_run_made_stays_as_it_is(output):
    run_folder(output).mkdir()
    (run_folder(output) / "thesis.odt").write_text("mine")
    for options in ({}, {"resume": True}, {"overwrite": True}):
        _refused(output, "it holds 'thesis.odt'", **options)
    assert _everything(run_folder(output)) == ["thesis.odt"]
    old = run_folder(output).with_name(f"{run_folder(output).name}.7.old")
    run_folder(output).rename(old)
    settle(output)
    assert _everything(old) == ["thesis.odt"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make it another user's")
def test_the_folder_of_another_user_is_not_ours(output):
    run_folder(output).mkdir()
    os.chown(run_folder(output), 12345, -1)
    _refused(output, "it belongs to another user")


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"facts": 3, "replaces": []}', '{"facts": {}, "replaces": 3}', "[" * 10**5]
)
def test_facts_that_are_damaged_are_none(output, text):
    _cut_off(output)
    (run_folder(output) / "facts.json").write_text(text)
    _refused(output, "another scene and another classes and another numbers:", resume=True)
    assert not may_replace(output, FACTS, [])
    with _open(output, overwrite=True) as journal:
        assert len(journal) == 0


def test_what_a_run_may_replace_it_may_replace_when_it_goes_on(output, tmp_path):
    report = tmp_path / "map.html"

    def cut_off(replaces: list[Path], **options: bool) -> None:
        with (
            pytest.raises(KeyboardInterrupt),
            open_run(output, FACTS, kind="tiles", resume=False, replaces=replaces, **options) as journal,
        ):
            journal.append("tiles/0", np.zeros(3))
            raise KeyboardInterrupt

    cut_off([], overwrite=False)
    assert may_replace(output, FACTS, [])
    assert not may_replace(output, FACTS, [output])
    cut_off([output], overwrite=True)
    assert may_replace(output, FACTS, [output])
    assert not may_replace(output, FACTS, [output, report])
    assert not may_replace(output, FACTS | {"classes": ["town"]}, [output])
    with (
        pytest.raises(KeyboardInterrupt),
        open_run(output, FACTS, kind="tiles", resume=True, overwrite=True, replaces=[output, report]) as journal,
    ):
        assert journal.count("tiles") == 1
        raise KeyboardInterrupt
    assert may_replace(output, FACTS, [output, report])


def test_what_the_end_of_a_killed_run_left_is_swept(output, tmp_path):
    _cut_off(output)
    run_folder(output).rename(run_folder(output).with_name(f"{run_folder(output).name}.4711.old"))
    settle(output)
    assert _everything(tmp_path) == []


@pytest.mark.parametrize("meanwhile", ["gone", "another's"])
def test_a_lock_that_another_run_took_away_with_its_folder_holds_nothing(output, monkeypatch, meanwhile):
    """The run before ends between the moments when this one opens the lock and when it gets it."""
    folder, acquire = run_folder(output), runs.FileLock.acquire
    aside = output.with_name("aside")

    def late(lock, **options):
        taken = acquire(lock, **options)
        if not aside.exists():
            folder.rename(aside)
            if meanwhile == "another's":
                folder.mkdir()
        return taken

    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(runs.FileLock, "acquire", late)
        with _open(output) as journal:
            assert aside.exists()
            assert journal.folder.parent.samefile(folder)
            assert (folder / "lock").exists()
            _refused(output, "another run is at work")
    assert not folder.exists()


WAITING = """
import sys, time
from pathlib import Path
from lposs_geo.errors import OutputError
from lposs_geo.store.runs import open_run
output, log = Path(sys.argv[1]), Path(sys.argv[2])
for turn in range(int(sys.argv[3])):
    try:
        with open_run(output, {}, kind="tiles", resume=False, overwrite=False):
            with log.open("x"):  # fails if another run is at work
                pass
            log.unlink()
    except OutputError as error:
        assert "another run is at work" in str(error), error
"""


def test_two_runs_never_share_an_output(output, tmp_path):
    """The end of one and the beginning of another come together often enough here to meet."""
    command = [sys.executable, "-c", WAITING, str(output), str(tmp_path / "at work"), "150"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        assert process.communicate()[1] == ""
    assert _everything(tmp_path) == []
