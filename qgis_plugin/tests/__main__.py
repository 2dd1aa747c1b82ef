"""Run the tests of this folder: `python3 -m tests [-v] [-k PART] [MODULE ...]`, in qgis_plugin/."""

from __future__ import annotations

import argparse
import faulthandler
import importlib.abc
import importlib.util
import os
import shutil
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent


class WithoutQgis(importlib.abc.MetaPathFinder):
    """Asked for what no other finder knows: a test that imports QGIS, or what comes with it, is skipped."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Raise SkipTest for modules of QGIS."""
        if fullname.partition(".")[0] in ("qgis", "processing", "osgeo", "PyQt5", "PyQt6"):
            raise unittest.SkipTest("QGIS isn't installed")


def main() -> int:
    """Run what the command line names, or all; 0 if all went well, 1 if not, 2 if there is no such test."""
    parser = argparse.ArgumentParser(prog="python3 -m tests", description="Run the plugin's tests.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="like test_child; all if none is named")
    parser.add_argument("-v", "--verbose", action="store_true", help="name each test")
    parser.add_argument("-k", dest="parts", action="append", metavar="PART", help="only tests with this in their name")
    asked = parser.parse_args()
    if importlib.util.find_spec("qgis") is None:
        sys.meta_path.append(WithoutQgis())
    loader = unittest.TestLoader()
    if asked.parts:
        loader.testNamePatterns = [f"*{part}*" for part in asked.parts]
    tests = unittest.TestSuite()
    for module in asked.modules or ["test_*"]:
        pattern = Path(module.removeprefix("tests.")).name.removesuffix(".py") + ".py"
        if not list(HERE.glob(pattern)):
            parser.error(f"there is no module '{module}' in {HERE}")
        # discovery takes a module that can't be imported for a skip or an error of its own, as loading by name doesn't
        tests.addTests(loader.discover(str(HERE), pattern, str(HERE.parent)))
    result = unittest.TextTestRunner(verbosity=2 if asked.verbose else 1).run(tests)
    for reason, count in Counter(reason for _, reason in result.skipped).items():
        names = ", ".join(test.id().split(".")[-1] for test, why in result.skipped if why == reason)
        print(f"Skipped {count}: {reason} ({names})", file=sys.stderr)
    if not result.testsRun and not result.skipped:
        print("No test has such a name", file=sys.stderr)
        return 2
    return 0 if result.wasSuccessful() else 1


def run_and_leave() -> None:
    """Leave without taking QGIS down, which is known to crash then; what the tests left behind goes all the same."""
    folder = tempfile.mkdtemp(prefix="lposs-geo-tests-")
    os.environ["TMPDIR"] = tempfile.tempdir = folder  # also for the children
    faulthandler.enable()  # tells where QGIS crashed, if it does
    code = 1
    try:
        code = main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run_and_leave()
