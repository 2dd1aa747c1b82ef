"""Outputs that appear only when all are complete: written under a temporary name beside their place, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lposs_geo.errors import OutputError

__all__ = ["check_outputs", "companions", "room_left", "sidecar", "staged"]

RASTER_SUFFIXES = (".tif", ".tiff")

LONGEST_NAME = 240
"""Bytes of a file name that leave room for a sidecar's ending; file systems allow 255."""


def room_left(folder: Path) -> str:
    """What to add to the line about a failed write: how little room the disk has, or nothing where it has enough."""
    free = shutil.disk_usage(folder).free if folder.is_dir() else 0
    return f" (only {free / 1e6:.0f} MB are left on the disk)" if free < 100e6 else ""


def sidecar(output: Path) -> Path:
    """Where GDAL keeps what has no place in the file itself."""
    return output.with_name(output.name + ".aux.xml")


def companions(output: Path) -> list[Path]:
    """What belongs beside an output: GDAL's sidecar, and the styles of a raster, as QGIS and others look for them."""
    styles = [".qml", ".sld"] if output.suffix.lower() in RASTER_SUFFIXES else []
    return [sidecar(output), *(output.with_suffix(ending) for ending in styles)]


def check_outputs(outputs: Sequence[tuple[Path, str]], *, sources: Sequence[str | Path], overwrite: bool) -> None:
    """Refuse outputs that can't or mustn't be written, before any work is done.

    Parameters
    ----------
    outputs : sequence of (Path, str)
        Each output and the endings it may have, separated by spaces.
    sources : sequence of str or Path
        The files that are read, which are never overwritten.
    overwrite : bool
        Whether existing outputs may be replaced.

    Raises
    ------
    OutputError
        With one line for the first output that is wrong.
    """
    places = [place.resolve() for output, _ in outputs for place in (output, *companions(output))]
    for output, endings in outputs:
        if output.suffix.lower() not in endings.split():
            raise OutputError(f"output '{output}' must end in {' or '.join(endings.split())}")
        if len(os.fsencode(output.name)) > LONGEST_NAME:
            raise OutputError(f"the name of output '{output.name[:40]}...' is too long: give a shorter one")
        if any(places.count(place.resolve()) > 1 for place in (output, *companions(output))):
            raise OutputError(f"output '{output}' is named twice: two outputs need two names")
        for place in (output, *companions(output)):
            if any(_is_same(place, Path(source)) for source in sources):
                raise OutputError(f"output '{place}' is the input itself or a part of it: give another name")
            if place.is_dir():
                raise OutputError(f"output '{place}' is a folder: give a file name")
            if os.path.lexists(place) and not overwrite:
                raise OutputError(f"output '{place}' exists: add --overwrite to replace it, or give another name")
        folder = output.parent
        if not folder.is_dir():
            raise OutputError(f"folder '{folder}' of output '{output.name}' doesn't exist: create it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"can't write into '{folder}': choose a folder that is yours")


def _is_same(place: Path, source: Path) -> bool:
    try:
        return place.samefile(source)
    except OSError:  # one of them doesn't exist, or isn't a file of this machine
        return place.resolve() == source.resolve()


@contextmanager
def staged(*outputs: Path) -> Iterator[list[Path]]:
    """Give paths to write to; on success all that was written moves to its place, on failure it all vanishes.

    What belongs beside an output (see `companions`) moves with it; an earlier one that wasn't written anew goes: it
    told of another file. Where an output is a symbolic link, the link is replaced and what it points to stays as it is.

    Parameters
    ----------
    *outputs : Path
        The final places.

    Yields
    ------
    list of Path
        Paths of the same names in hidden temporary folders on the same file systems.

    Raises
    ------
    OutputError
        If a folder can't be written to; then every output is as it was before.
    """
    with ExitStack() as stack:
        folders = [stack.enter_context(_hidden_folder(output.parent)) for output in outputs]
        yield [folder / output.name for folder, output in zip(folders, outputs, strict=True)]
        moves = [
            (folder / place.name, place, folder / f"{place.name}.before")
            for folder, output in zip(folders, outputs, strict=True)
            for place in (*companions(output), output)
            if (folder / place.name).exists() or os.path.lexists(place)
        ]
        _move_all(moves)


@contextmanager
def _hidden_folder(parent: Path) -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=".lposs-geo-"))
    except OSError as error:
        raise OutputError(f"can't write into '{parent}': {error.strerror or error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_all(moves: Sequence[tuple[Path, Path, Path]]) -> None:
    """Rename (written, place, before) triples, keeping what was at a place; undo all of them if one fails."""
    done: list[tuple[Path, Path]] = []
    try:
        for written, place, before in moves:
            if place.is_dir():  # made since the outputs were checked
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
            if os.path.lexists(place):
                place.replace(before)
            done.append((place, before))
            if written.exists():
                written.replace(place)
    except OSError as error:
        for place, before in reversed(done):
            if os.path.lexists(before):
                before.replace(place)
            elif place.is_file():
                place.unlink()
        raise OutputError(f"can't write '{error.filename2 or error.filename}': {error.strerror or error}") from error
