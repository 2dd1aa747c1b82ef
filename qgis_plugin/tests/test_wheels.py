"""Wheels from the user's disk: which are refused, and that the copies are what was checked. Needs no QGIS."""

from __future__ import annotations

import hashlib
import os
import unittest
import zipfile
from pathlib import Path
from unittest import mock

from lposs_geo_qgis.engine import wheels
from lposs_geo_qgis.engine.wheels import WheelError
from tests.little_wheel import WithFolder, little_wheel


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Wheels(WithFolder):
    def setUp(self) -> None:
        super().setUp()
        self.folder.mkdir()
        self.copies = self.work / "copies"
        self.copies.mkdir()
        self.ours = little_wheel(self.folder)
        self.sums = self.folder / "SHA256SUMS"
        self.heard: list[float | None] = []

    def copy(self, *files: Path, cancelled: bool = False) -> list[str]:
        for old in self.copies.iterdir():
            old.unlink()
        made = wheels.copies(files or [self.ours], self.copies, self.heard.append, lambda: cancelled)
        return [copy.name for copy in made]

    def refused(self, *files: Path) -> str:
        with self.assertRaises(WheelError) as caught:
            self.copy(*files)
        told = str(caught.exception)
        self.assertNotIn("\n", told)
        return told


class Copies(Wheels):
    def test_they_are_the_same_bytes(self) -> None:
        other = little_wheel(self.folder, name="other")
        self.assertEqual(self.copy(self.ours, other), [self.ours.name, other.name])
        for wheel in (self.ours, other):
            self.assertEqual((self.copies / wheel.name).read_bytes(), wheel.read_bytes())
        self.assertEqual(self.heard[-1], 100.0)

    def test_a_change_after_the_check_changes_nothing(self) -> None:
        self.sums.write_text(f"{digest(self.ours)}  {self.ours.name}\n")
        before = self.ours.read_bytes()
        self.copy()
        self.ours.write_bytes(b"another")
        self.assertEqual((self.copies / self.ours.name).read_bytes(), before)

    def test_cancelled(self) -> None:
        self.assertEqual(self.copy(cancelled=True), [])

    def test_what_is_no_file(self) -> None:
        pipe, link, folder = self.folder / "a.whl", self.folder / "b.whl", self.folder / "c.whl"
        folder.mkdir()
        if hasattr(os, "mkfifo"):
            os.mkfifo(pipe)
            self.assertIn("isn't a file", self.refused(pipe))
        link.symlink_to(self.folder / "gone")
        self.assertEqual(wheels.in_folder(self.folder), [self.ours])
        self.assertEqual(wheels.in_folder(self.folder / "gone"), [])


class Sums(Wheels):
    def test_each_way_to_write_them(self) -> None:
        name, right = self.ours.name, digest(self.ours)
        for text in (
            f"{right}  {name}\n",
            f"{right} *{name}",
            f"{right.upper()}  ./{name}\r\n",
            f"\ufeff# made by us\n\n{'0' * 64}  other.whl\n{right}  {name}\n",
            f"SHA256 ({name}) = {right}\n",
        ):
            with self.subTest(text):
                self.sums.write_bytes(text.encode())
                self.assertEqual(self.copy(), [name])
        self.sums.write_bytes(f"{right}  {name}\n".encode("utf-16"))  # as Windows's shell does
        self.assertEqual(self.copy(), [name])

    def test_each_name_of_the_list(self) -> None:
        for name in ("SHA256SUMS", "sha256sums", "SHA256SUMS.txt"):
            with self.subTest(name):
                path = self.folder / name
                path.write_text(f"{'0' * 64}  {self.ours.name}\n")
                self.assertIn("isn't the file that", self.refused())
                path.unlink()
        self.assertEqual(self.copy(), [self.ours.name])

    def test_what_is_not_listed(self) -> None:
        other = little_wheel(self.folder, "99", name="numpy")
        self.sums.write_text(f"{digest(self.ours)}  {self.ours.name}\n")
        self.assertEqual(self.copy(), [self.ours.name])
        self.assertIn("numpy-99-py3-none-any.whl' isn't listed", self.refused(self.ours, other))
        for text in (
            "",
            f"{digest(self.ours)}  sub/{self.ours.name}\n",
            f"{digest(self.ours)}  {self.ours.name}.asc\n",
        ):
            self.sums.write_text(text)
            self.assertIn("isn't listed", self.refused())

    def test_lists_that_tell_nothing_sure(self) -> None:
        name, right = self.ours.name, digest(self.ours)
        for content, says in (
            (f"{right}  {name}\n{'0' * 64}  {name}\n".encode(), "two sums"),
            (f"{right[:-1]}  {name}\n".encode(), "Line 1"),
            (f"{right}  {name}\nhello\n".encode(), "Line 2"),
            (f"{'0' * 32}  {name}\n".encode(), "Line 1"),
            (b"\xff\xff\xff", "UTF-8"),
            (b"#" * (2**20 + 1), "too large"),
        ):
            with self.subTest(says):
                self.sums.write_bytes(content)
                self.assertIn(says, self.refused())

    def test_lists_that_cannot_be_read(self) -> None:
        """They are there, so nothing is taken on trust."""
        self.sums.symlink_to(self.folder / "gone")
        self.assertIn("can't be read", self.refused())
        self.sums.unlink()
        self.sums.mkdir()
        self.assertIn("SHA256SUMS' ", self.refused())
        self.sums.rmdir()
        if hasattr(os, "mkfifo"):
            os.mkfifo(self.sums)
            self.assertIn("isn't a file", self.refused())
            self.sums.unlink()
        denied = PermissionError(13, "Permission denied")
        with mock.patch.object(os, "listdir", side_effect=denied), self.assertRaisesRegex(WheelError, denied.strerror):
            wheels.copies([self.ours], self.copies, self.heard.append, lambda: False)


class Inside(Wheels):
    def test_needs_from_an_address_of_their_own(self) -> None:
        for need in (
            "numpy @ https://example.org/numpy-99-py3-none-any.whl",
            "numpy@file:///tmp/numpy-99-py3-none-any.whl",
            'numpy[x]  @  git+https://example.org/x ; python_version > "3"',
            "numpy\n @ https://example.org/x.whl",
        ):
            with self.subTest(need):
                self.assertIn("'numpy", self.refused(little_wheel(self.folder, needs=need)))
        for need in ("numpy>=1.26", 'numpy; extra == "a@b"'):
            self.assertEqual(self.copy(little_wheel(self.folder, needs=need)), [self.ours.name])

    def test_another_name(self) -> None:
        other = little_wheel(self.folder, name="other")
        self.assertIn("isn't a wheel of lposs-geo", self.refused(other.replace(self.ours)))

    def test_damaged(self) -> None:
        whole = self.ours.read_bytes()
        for content in (
            b"",
            b"text",
            whole[: len(whole) // 2],
            whole.replace(b"Metadata-Version", b"Metadata\xffVersion"),
        ):
            self.ours.write_bytes(content)
            self.assertIn("is damaged, or no wheel", self.refused())
        with zipfile.ZipFile(self.ours, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("lposs_geo-0.1.0.dist-info/METADATA", "Name: lposs-geo\n" + "X: y\n" * 10**6)
        self.assertIn("is damaged", self.refused())


if __name__ == "__main__":
    unittest.main()
