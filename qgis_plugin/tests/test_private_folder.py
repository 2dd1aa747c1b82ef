"""Folders and files of the user alone. Needs no QGIS."""

from __future__ import annotations

import os
import stat
import unittest
from pathlib import Path
from unittest import mock

from lposs_geo_qgis.engine import private_folder
from lposs_geo_qgis.engine.private_folder import FolderError
from tests.little_wheel import WithFolder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class Folders(WithFolder):
    def refused(self) -> str:
        with self.assertRaises(FolderError) as caught:
            private_folder.own_folder(self.folder)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    @unittest.skipIf(os.name == "nt", "modes are others there")
    def test_whatever_the_umask(self) -> None:
        for umask in (0o000, 0o002, 0o022, 0o077):
            folder = self.work / f"{umask:o}" / "above" / "folder"
            self.addCleanup(os.umask, os.umask(umask))
            private_folder.own_folder(folder)
            self.assertEqual([mode(folder), mode(folder.parent), mode(folder.parent.parent)], [0o700] * 3)
            with private_folder.new_file(folder / "file") as file:
                file.write("ä\n")
            private_folder.own_file(folder / "lock", "a").close()
            self.assertEqual([mode(folder / name) & 0o077 for name in ("file", "lock")], [0, 0])

    @unittest.skipIf(os.name == "nt", "modes are others there")
    def test_one_that_is_there_is_closed(self) -> None:
        self.folder.mkdir()
        self.folder.chmod(0o777)
        above = mode(self.work)
        private_folder.own_folder(self.folder)
        self.assertEqual((mode(self.folder), mode(self.work)), (0o700, above))
        private_folder.own_folder(self.folder)

    def test_what_is_no_folder_of_ours(self) -> None:
        other = self.work / "other"
        other.mkdir()
        for make in (lambda: self.folder.symlink_to(other), lambda: self.folder.symlink_to("gone"), self.folder.touch):
            make()
            self.assertIn("is a link or a file", self.refused())
            self.folder.unlink()
        self.assertTrue(private_folder.is_real_folder(other))

    @unittest.skipIf(os.name == "nt", "modes are others there")
    def test_one_that_cannot_be_closed(self) -> None:
        self.folder.mkdir()
        self.folder.chmod(0o777)
        with mock.patch.object(os, "chmod"):  # as on a disk without modes
            self.assertIn("Others may write into", self.refused())
        with mock.patch.object(os, "geteuid", return_value=os.geteuid() + 1):
            self.assertIn("belongs to somebody else", self.refused())


class Files(WithFolder):
    def test_links_lead_nowhere(self) -> None:
        self.folder.mkdir()
        other, link = self.work / "other", self.folder / "link"
        other.write_text("theirs")
        link.symlink_to(other)
        with private_folder.new_file(link) as file:
            file.write("ours")
        self.assertEqual((link.read_text(), other.read_text(), link.is_symlink()), ("ours", "theirs", False))
        os.link(other, self.folder / "hard")
        private_folder.new_file(self.folder / "hard").close()
        self.assertEqual(other.read_text(), "theirs")
        if hasattr(os, "O_NOFOLLOW"):
            (self.folder / "lock").symlink_to(other)
            for how in ("a", "r+"):
                with self.assertRaises(OSError):
                    private_folder.own_file(self.folder / "lock", how)


if __name__ == "__main__":
    unittest.main()
