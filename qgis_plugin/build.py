"""Make the zip that QGIS installs and plugins.qgis.org takes: `python qgis_plugin/build.py [--output dist/]`.

Needs Python 3.10 or newer, and nothing beside it. What is wrong with the plugin is said in one line, and no zip is
written.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import io
import os
import re
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

PLUGIN = Path(__file__).resolve().parent / "lposs_geo_qgis"
OUTPUT = PLUGIN.parents[1] / "dist"

# __init__ and LICENSE are asked for by the repository's check of uploads, the icon by its guidelines
NEEDED = ("LICENSE", "__init__.py", "icon.svg", "metadata.txt")

# the first nine by the check of uploads, homepage and license by the guidelines, the rest so that QGIS shows it right
FIELDS = (
    *("name", "description", "version", "qgisMinimumVersion", "author", "email", "about", "tracker", "repository"),
    *("homepage", "license", "icon", "category", "hasProcessingProvider"),
)
ADDRESSES = ("email", "homepage", "repository", "tracker")
PLACEHOLDER = re.compile(r"\bexample\.(org|com|net)\b|\.(example|invalid|test)\b")  # RFC 2606

OLDEST_PYTHON = (3, 9)  # of QGIS 3.22 on Windows
NEWER_MODULES = {"tomllib", "annotationlib", "compression"}  # standard, but not in OLDEST_PYTHON
OF_QGIS = {"qgis", "processing"}


def source_files(plugin: Path) -> list[str]:
    """The files to pack, relative to the plugin and sorted; compiled Python is passed over, all else refused."""
    found = []
    for path in plugin.rglob("*"):
        name = path.relative_to(plugin).as_posix()
        if "__pycache__" in path.parts or (path.is_dir() and not path.is_symlink()):
            continue
        hidden = any(part.startswith(".") for part in name.split("/"))
        if hidden or path.is_symlink() or (path.suffix != ".py" and name not in NEEDED):
            raise SystemExit(f"{path}: only modules and {', '.join(NEEDED)} belong into the plugin; move it elsewhere")
        found.append(name)
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise SystemExit(f"{plugin}: {', '.join(missing)} missing")
    return sorted(found)


def read_metadata(path: Path) -> dict[str, str]:
    """The fields of metadata.txt, read and checked as QGIS and the repository do."""
    parser = configparser.ConfigParser()  # with interpolation, as QGIS has it: a lone % is an error there too
    parser.optionxform = str  # names as they are written
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        fields = dict(parser["general"])
    except (configparser.Error, KeyError, UnicodeDecodeError) as error:
        raise SystemExit(f"{path}: can't be read: {' '.join(str(error).split())}") from error
    missing = [name for name in FIELDS if not fields.get(name, "").strip()]
    if missing:
        raise SystemExit(f"{path}: fields missing or empty: {', '.join(missing)}")
    for name in ("version", "qgisMinimumVersion"):
        if not re.fullmatch(r"\d+(\.\d+)+", fields[name]):
            raise SystemExit(f"{path}: {name}={fields[name]} isn't a version such as 1.2.0")
    if not (path.parent / fields["icon"]).is_file():
        raise SystemExit(f"{path}: there is no file icon={fields['icon']}")
    return fields


def placeholders(fields: Mapping[str, str]) -> list[str]:
    """The addresses that still have to be filled in."""
    return [name for name in ADDRESSES if PLACEHOLDER.search(fields[name])]


def check_module(path: Path, package: str) -> None:
    """Refuse what the oldest Python can't parse, and imports of what isn't in every QGIS."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=OLDEST_PYTHON)
    except (SyntaxError, ValueError) as error:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        raise SystemExit(f"{path}: not for Python {oldest}, the oldest of QGIS: {error}") from error
    allowed = (sys.stdlib_module_names - NEWER_MODULES) | OF_QGIS | {package}
    for node in ast.walk(tree):
        for module in _imported(node):
            if module.split(".")[0] not in allowed:
                raise SystemExit(
                    f"{path}:{node.lineno}: imports {module}, which isn't in every QGIS; leave it to the engine"
                )


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module]
    return []


def packed(plugin: Path, names: Iterable[str]) -> bytes:
    """The zip: the same bytes for the same files, on any machine."""
    buffer = io.BytesIO()
    # not compressed: builds of zlib differ in what they write, and source files are small anyway
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(f"{plugin.name}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, whose permissions follow
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, (plugin / name).read_bytes())
    return buffer.getvalue()


def build(plugin: Path, output: Path) -> Path:
    """Check the plugin and write its zip into a folder; return the zip's path."""
    names = source_files(plugin)
    fields = read_metadata(plugin / "metadata.txt")
    for name in names:
        if name.endswith(".py"):
            check_module(plugin / name, plugin.name)
    output.mkdir(parents=True, exist_ok=True)
    target = output / f"{plugin.name}-{fields['version']}.zip"
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_bytes(packed(plugin, names))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    if unfilled := placeholders(fields):
        print(
            f"WARNING: placeholders in metadata.txt, fill in before uploading: {', '.join(unfilled)}", file=sys.stderr
        )
    return target


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Make the zip of the QGIS plugin.")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the folder it is written into (dist/)")
    target = build(PLUGIN, parser.parse_args().output)
    print(f"{target}: {target.stat().st_size / 1000:.1f} kB")


if __name__ == "__main__":
    main()
