"""Child processes: what they say, how they end, and that nothing of them stays."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
from collections.abc import Callable
from pathlib import Path

from lposs_geo_qgis.engine import child

SOON = 4.0
"""Seconds: two are promised, and this machine may be busy."""

GRANDCHILD = """
import signal, subprocess, sys, time
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE if quiet else None)
if quiet:
    other.stdout.readline()
print("grandchild", other.pid, flush=True)
"""


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended may still be listed, until its parent looks."""
    if not Path("/proc/self/stat").exists():  # not Linux
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], stdout=subprocess.PIPE, encoding="utf-8").stdout
        return bool(state.strip()) and not state.strip().startswith("Z")
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Child:
    """A child that runs some Python, and what came of it."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bool]] = []
        self.status: int | None = None

    def run(
        self,
        code: str,
        *arguments: str,
        handle: Callable[[str, bool], None] = lambda line, is_error: None,
        cancelled: Callable[[], bool] = lambda: False,
        environment: dict[str, str] | None = None,
        folder: str | None = None,
    ) -> Child:
        def hear(line: str, is_error: bool) -> None:
            self.said.append((line, is_error))
            handle(line, is_error)

        command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
        variables = {"PYTHONUTF8": "1", **(environment or {})}
        self.status = child.run(command, variables, hear, cancelled, folder)
        return self

    @property
    def out(self) -> list[str]:
        return [line for line, is_error in self.said if not is_error]

    @property
    def err(self) -> list[str]:
        return [line for line, is_error in self.said if is_error]

    def has_said(self, line: str) -> bool:
        return (line, False) in self.said

    def number(self, name: str) -> int:
        """A number that it has told, like "pid 12"."""
        return next(int(line.split()[1]) for line in self.out if line.startswith(f"{name} "))


def run(code: str, *arguments: str, **options: object) -> Child:
    return Child().run(code, *arguments, **options)


class Lines(unittest.TestCase):
    def test_both_streams_are_told_apart(self):
        ran = run("import sys; print('a'); print('b', file=sys.stderr); print('c')")
        self.assertEqual((ran.out, ran.err), (["a", "c"], ["b"]))

    def test_they_are_utf8(self):
        self.assertEqual(run("print('Wälder, 森林, água')").out, ["Wälder, 森林, água"])

    def test_bytes_that_are_not_utf8_do_no_harm(self):
        self.assertEqual(run(r"import sys; sys.stdout.buffer.write(b'a\xff\nb\n')").out, ["a\ufffd", "b"])

    def test_they_end_by_any_system_s_custom(self):
        self.assertEqual(run(r"import sys; sys.stdout.buffer.write(b'a\r\nb\rc\n\nd')").out, ["a", "b", "c", "", "d"])

    def test_they_come_while_the_child_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder, "answer")
            code = """
            import os, sys, time
            print("question", flush=True)
            while not os.path.exists(sys.argv[1]):
                time.sleep(0.01)
            print("answered")
            """
            ran = run(code, str(answer), handle=lambda line, is_error: answer.touch())
        self.assertEqual(ran.out, ["question", "answered"])

    def test_they_come_in_the_caller_s_own_thread(self):
        threads = []
        run("print('a')", handle=lambda line, is_error: threads.append(threading.current_thread()))
        self.assertEqual(threads, [threading.current_thread()])

    def test_ten_megabytes_on_both_streams_come_whole(self):
        code = """
        import sys
        for number in range(50_000):
            print(f"{number:0100}")
            print(f"{number:0100}", file=sys.stderr)
        """
        ran = run(code)
        expected = [f"{number:0100}" for number in range(50_000)]
        self.assertTrue(ran.out == expected)
        self.assertTrue(ran.err == expected)

    def test_a_line_of_ten_megabytes_comes_whole(self):
        [line] = run("print('x' * 10_000_000)").out
        self.assertEqual(len(line), 10_000_000)

    def test_a_line_without_an_end_is_cut(self):
        """It takes no more room than a long one, and the next line is read again."""
        code = "import sys\nfor _ in range(40): sys.stdout.write('x' * 1_000_000)\nprint(); print('next')"
        out = run(code).out
        self.assertEqual([len(out[0]), out[1:]], [2**24, ["next"]])

    def test_none_is_lost_where_each_takes_long_to_handle(self):
        ran = run("for number in range(3000): print(number)", handle=lambda line, is_error: time.sleep(0.0005))
        self.assertEqual(ran.out, [str(number) for number in range(3000)])


class Calls(unittest.TestCase):
    def test_arguments_arrive_as_they_are(self):
        words = ["; echo x", "$(id)", "a b", "", "*", "two\nlines", "Öl 'and' \"water\""]
        self.assertEqual(run("import sys; print(ascii(sys.argv[1:]))", *words).out, [ascii(words)])

    def test_the_child_sees_the_variables_given_and_no_others(self):
        with contextlib.ExitStack() as stack:
            os.environ["LPOSS_GEO_OF_THE_PARENT"] = "1"
            stack.callback(os.environ.pop, "LPOSS_GEO_OF_THE_PARENT")
            code = "import os; print(os.environ.get('GIVEN'), os.environ.get('LPOSS_GEO_OF_THE_PARENT'))"
            self.assertEqual(run(code, environment={"GIVEN": "ä"}).out, ["ä None"])

    def test_it_runs_in_the_folder_named(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(run("import os; print(os.getcwd())", folder=folder).out, [os.path.realpath(folder)])

    def test_it_runs_where_the_program_lies(self):
        """Not where QGIS happens to run: others may have put files there that programs read."""
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            stack.callback(os.chdir, os.getcwd())
            os.chdir(folder)
            self.assertEqual(run("import os; print(os.getcwd())").out, [os.path.dirname(sys.executable)])

    @unittest.skipIf(os.name == "nt", "modes are others there")
    def test_the_umask_is_the_one_given(self):
        code = "import os; print(oct(os.umask(0)))"
        said = []
        command = [sys.executable, "-c", code]
        for umask in (0o077, -1):
            child.run(command, {}, lambda line, is_error: said.append(line), lambda: False, None, umask)
        own = os.umask(0)
        os.umask(own)
        self.assertEqual(said, ["0o77", oct(own)])

    def test_there_is_nothing_to_read_from_stdin(self):
        code = "import os, sys; print(os.path.samestat(os.fstat(0), os.stat(os.devnull)), repr(sys.stdin.read()))"
        self.assertEqual(run(code).out, ["True ''"])

    def test_its_status_is_handed_on(self):
        for status in (0, 1, 2, 77):
            self.assertEqual(run(f"raise SystemExit({status})").status, status)

    def test_a_signal_that_ended_it_is_a_negative_status(self):
        self.assertEqual(run("import os; os.kill(os.getpid(), 9)").status, -signal.SIGKILL)


class NoStart(unittest.TestCase):
    def assert_no_start(self, program: str, folder: str | None = None) -> None:
        with self.assertRaises(child.ChildError) as caught:
            child.run([program, "--version"], {}, lambda line, is_error: None, lambda: False, folder)
        self.assertIn(repr(program), str(caught.exception))
        self.assertEqual(len(str(caught.exception).splitlines()), 1)

    def test_of_a_program_that_is_not_there(self):
        self.assert_no_start("/nonexistent/lposs-geo")

    def test_of_a_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assert_no_start(folder)

    def test_of_a_file_that_may_not_be_run(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("no program\n")
            file.flush()
            self.assert_no_start(file.name)

    def test_of_a_file_that_is_no_program(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "text")
            path.write_text("no program\n")
            path.chmod(0o755)
            self.assert_no_start(str(path))

    def test_in_a_folder_that_is_not_there(self):
        self.assert_no_start(sys.executable, "/nonexistent")

    def test_of_a_name_that_no_file_can_have(self):
        with self.assertRaises(child.ChildError):
            child.run(["a\0b"], {}, lambda line, is_error: None, lambda: False)


class Cancelled(unittest.TestCase):
    def assert_gone(self, *pids: int) -> None:
        until = time.monotonic() + SOON
        while any(lives(pid) for pid in pids) and time.monotonic() < until:
            time.sleep(0.05)
        self.assertEqual([pid for pid in pids if lives(pid)], [])

    def cancel(self, code: str, word: str = "ready", pause: float = 0.0) -> Child:
        """Run some Python, cancel it once it has said a word, and see that it returns soon after.

        `pause` is how long each line takes to handle, seconds.
        """
        ran = Child()
        asked = []

        def cancelled() -> bool:
            if ran.has_said(word) and not asked:
                asked.append(time.monotonic())
            return bool(asked)

        code = "import os, signal, time\nprint('pid', os.getpid())\n" + textwrap.dedent(code)
        ran.run(code, handle=lambda line, is_error: time.sleep(pause), cancelled=cancelled)
        self.assertLess(time.monotonic() - asked[0], SOON)
        self.assert_gone(ran.number("pid"))
        return ran

    def test_a_child_that_knows_nothing_of_it_ends(self):
        self.assertEqual(self.cancel("print('ready', flush=True); time.sleep(60)").status, -signal.SIGTERM)

    def test_a_polite_child_ends_by_itself_and_is_heard_to_the_end(self):
        code = """
        def end(*_):
            os.write(1, b"putting away\\n")  # it may have been at a print
            time.sleep(0.3)
            os.write(1, b"done\\n")
            raise SystemExit(143)
        signal.signal(signal.SIGTERM, end)
        print("ready", flush=True)
        time.sleep(60)
        """
        ran = self.cancel(code)
        self.assertEqual(ran.status, 143, ran.err)
        self.assertEqual(ran.out[1:], ["ready", "putting away", "done"])

    def test_a_child_that_does_not_want_to_is_killed(self):
        code = """
        signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"no\\n"))
        print("ready", flush=True)
        while True:
            time.sleep(60)
        """
        ran = self.cancel(code)
        self.assertEqual(ran.status, -signal.SIGKILL, ran.err)
        self.assertEqual(ran.out[1:], ["ready", "no"])

    def test_a_child_that_never_stops_talking_ends(self):
        self.assertEqual(self.cancel("while True: print('ready')", pause=0.0005).status, -signal.SIGTERM)

    def test_a_child_that_says_nothing_ends(self):
        began = time.monotonic()
        ran = run("import time; time.sleep(60)", cancelled=lambda: time.monotonic() - began > 0.5)
        self.assertEqual((ran.status, ran.said), (-signal.SIGTERM, []))

    def test_a_child_that_has_hardly_begun_ends(self):
        self.assertLess(run("import time; time.sleep(60)", cancelled=lambda: True).status, 0)

    def test_a_grandchild_that_keeps_the_pipe_open_ends_too(self):
        ran = self.cancel("quiet = False" + GRANDCHILD + "time.sleep(60)", "up")
        self.assertEqual(ran.status, -signal.SIGTERM)
        self.assert_gone(ran.number("grandchild"))

    def test_a_grandchild_that_keeps_no_pipe_ends_too(self):
        ran = self.cancel("quiet = True" + GRANDCHILD + "print('ready', flush=True); time.sleep(60)")
        self.assert_gone(ran.number("grandchild"))

    def test_a_grandchild_of_one_that_does_not_want_to_is_killed_with_it(self):
        ran = self.cancel(
            "quiet = False\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)" + GRANDCHILD + "time.sleep(60)", "up"
        )
        self.assertEqual(ran.status, -signal.SIGKILL)
        self.assert_gone(ran.number("grandchild"))

    def test_a_handle_that_fails_ends_the_child_and_its_children(self):
        class Failure(Exception):  # noqa: N818, no real error
            pass

        def fail(line: str, is_error: bool) -> None:
            if line == "ready":
                raise Failure(line)

        ran = Child()
        code = "import os, time\nprint('pid', os.getpid())\nquiet = True" + GRANDCHILD
        with self.assertRaisesRegex(Failure, "ready"):
            ran.run(code + "print('ready', flush=True); time.sleep(60)", handle=fail)
        self.assert_gone(ran.number("pid"), ran.number("grandchild"))

    def test_a_handle_that_fails_ends_a_child_that_never_stops_talking(self):
        before = threading.active_count()

        def fail(line: str, is_error: bool) -> None:
            time.sleep(0.3)  # until no more lines can wait
            raise KeyboardInterrupt

        ran = Child()
        with self.assertRaises(KeyboardInterrupt):
            ran.run("import os\nwhile True: print('pid', os.getpid())", handle=fail)
        self.assert_gone(ran.number("pid"))
        until = time.monotonic() + SOON
        while threading.active_count() > before and time.monotonic() < until:
            time.sleep(0.05)
        self.assertEqual(threading.active_count(), before)


class Outlived(unittest.TestCase):
    def test_a_grandchild_that_goes_on_does_not_keep_us(self):
        ran = run("quiet = False" + GRANDCHILD + "raise SystemExit(3)")
        pid = ran.number("grandchild")
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        self.assertTrue(lives(pid))
        self.assertEqual(ran.status, 3)
