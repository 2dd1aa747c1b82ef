"""The zip of the QGIS plugin; none of it needs QGIS."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "qgis_plugin" / "build.py"
if not SCRIPT.exists():
    pytest.skip("the plugin is only in the repository", allow_module_level=True)

spec = importlib.util.spec_from_file_location("plugin_build", SCRIPT)
assert spec is not None and spec.loader is not None
plugin_build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plugin_build)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A copy of the plugin's folder, without compiled Python."""
    return Path(
        shutil.copytree(
            plugin_build.PLUGIN, tmp_path / plugin_build.PLUGIN.name, ignore=shutil.ignore_patterns("__pycache__")
        )
    )


def edit(plugin: Path, old: str, new: str) -> None:
    path = plugin / "metadata.txt"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def set_field(plugin: Path, name: str, value: str) -> None:
    edit(plugin, f"\n{name}=", f"\n{name}={value}\n; once ")  # what stood there becomes a comment


def refusal(plugin: Path) -> str:
    """The one line that the build ends with; nothing may have been written."""
    output = plugin.parent / "out"
    with pytest.raises(SystemExit) as caught:
        plugin_build.build(plugin, output)
    assert not output.exists()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_zip_holds_one_folder_of_sources(tmp_path):
    target = plugin_build.build(plugin_build.PLUGIN, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]  # no half files
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert {name.split("/")[0] for name in names} == {"lposs_geo_qgis"}
    others = {name for name in names if not name.endswith(".py")}
    assert others == {f"lposs_geo_qgis/{name}" for name in ("LICENSE", "icon.svg", "metadata.txt")}
    modules = {path for path in plugin_build.PLUGIN.rglob("*.py") if "__pycache__" not in path.parts}
    assert len(names) == len(modules) + 3
    assert not any(part.startswith((".", "__pycache__")) for name in names for part in name.split("/"))
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert target.stat().st_size < 25_000_000  # the repository's limit


def test_the_same_files_make_the_same_bytes(plugin, tmp_path):
    first = plugin_build.build(plugin, tmp_path / "a").read_bytes()
    for path in plugin.rglob("*.py"):  # a later checkout, with other permissions, that has been run
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o755)
    (plugin / "__pycache__").mkdir()
    (plugin / "__pycache__" / "engine.cpython-39.pyc").write_bytes(b"\0")
    assert plugin_build.build(plugin, tmp_path / "b").read_bytes() == first


def test_its_version_is_that_of_the_engine():
    with (ROOT / "pyproject.toml").open("rb") as file:
        engine = tomllib.load(file)["project"]["version"]
    fields = plugin_build.read_metadata(plugin_build.PLUGIN / "metadata.txt")
    assert fields["version"] == engine
    assert f"{engine} - " in fields["changelog"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import numpy\n", "x.py:1: imports numpy"),
        ("def late():\n    from osgeo import gdal\n", "x.py:2: imports osgeo"),
        ("import lposs_geo.stages.ahead\n", "x.py:1: imports lposs_geo.stages.ahead"),
        ("import tomllib\n", "x.py:1: imports tomllib"),  # standard, but later than Python 3.9
        ("match 1:\n    case 1:\n        pass\n", "x.py: not for Python 3.9"),
        ("def broken(:\n", "x.py: not for Python 3.9"),
    ],
)
def test_modules_that_some_qgis_could_not_load_are_refused(plugin, source, said):
    (plugin / "algorithms" / "x.py").write_text(source, encoding="utf-8")
    assert said in refusal(plugin)


def test_modules_of_python_qgis_and_its_own_are_taken(plugin, tmp_path):
    lines = (
        "import os.path",
        "import processing",
        "from qgis.PyQt import QtCore",
        "from . import y",
        "import lposs_geo_qgis",
    )
    (plugin / "algorithms" / "x.py").write_text("\n".join(lines), encoding="utf-8")
    assert plugin_build.build(plugin, tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name", ["fast.so", "model.safetensors", ".env", "algorithms/metadata.txt", "notes", ".git/x.py"]
)
def test_other_files_are_refused(plugin, name):
    (plugin / name).parent.mkdir(exist_ok=True)
    (plugin / name).write_bytes(b"\0")
    assert name in refusal(plugin)


@pytest.mark.parametrize("name", ["LICENSE", "__init__.py", "icon.svg", "metadata.txt"])
def test_a_missing_file_is_refused(plugin, name):
    (plugin / name).unlink()
    assert f"{name} missing" in refusal(plugin)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("tracker", "", "fields missing or empty: tracker"),
        ("version", "next", "version=next isn't a version"),
        ("qgisMinimumVersion", "3", "qgisMinimumVersion=3 isn't a version"),
        ("icon", "icon.png", "no file icon=icon.png"),
        ("description", "all 100 % of it", "can't be read"),  # as in QGIS
    ],
)
def test_metadata_that_would_be_turned_down_is_refused(plugin, name, value, said):
    set_field(plugin, name, value)
    assert said in refusal(plugin)


@pytest.mark.parametrize("old", ["\nauthor=", "[general]"])
def test_a_missing_field_or_section_is_refused(plugin, old):
    edit(plugin, old, old.replace("author", "writer").replace("general", "special"))
    assert old.strip("\n=[]") in refusal(plugin)


def test_placeholders_are_warned_of_until_they_are_filled_in(plugin, tmp_path, capsys):
    for name in plugin_build.ADDRESSES:
        set_field(plugin, name, "gis@example.org" if name == "email" else "https://lposs.invalid/")
    plugin_build.build(plugin, tmp_path)
    assert "before uploading: email, homepage, repository, tracker" in capsys.readouterr().err
    for name in plugin_build.ADDRESSES[1:]:
        set_field(plugin, name, "https://gis.ch/lposs")
    plugin_build.build(plugin, tmp_path)
    assert capsys.readouterr().err.endswith("before uploading: email\n")
    set_field(plugin, "email", "someone@gis.ch")
    plugin_build.build(plugin, tmp_path)
    assert not capsys.readouterr().err


def test_the_command_says_where_and_how_large(tmp_path):
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--output", str(tmp_path / "new" / "dist")],
        capture_output=True,
        text=True,
        check=True,
    )
    (target,) = (tmp_path / "new" / "dist").iterdir()
    assert run.stdout == f"{target}: {target.stat().st_size / 1000:.1f} kB\n"
