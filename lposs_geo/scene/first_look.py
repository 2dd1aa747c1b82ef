"""What a first look at a scene tells: its layers, a frame round the picture, and its radiometry.

All is decided on the whole scene, reduced; where it is damaged, on the parts that can be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.files.odd_text import descriptions_of
from lposs_geo.scene.bands import BandFacts, Choice, by_contrast, choose, is_opacity
from lposs_geo.scene.frames import (
    BLUR,
    CORE,
    SPECKS,
    Region,
    alike,
    along_edge,
    frame_in,
    frame_values,
    grown,
    has_specks,
    hole_in,
    is_hole,
    stands_out,
    with_edge,
)
from lposs_geo.scene.opening import Source, is_remote
from lposs_geo.scene.overviews import show_pixels
from lposs_geo.scene.pixels import Handle, Layers, colours_of, is_written, may_be_colour, shrunk, tells_nodata
from lposs_geo.scene.radiometry import Radiometry, as_stored, contrasts, eight_bit, stretched, turned_round
from lposs_geo.tiling import tiles

__all__ = ["Part", "choose_layers", "fix_radiometry", "sample_layers", "turn_by_contrast", "with_blurred_edge"]

SAMPLE_SIZE = 1024
"""Longer side, px, of the decimated read that the percentiles are taken from."""

TWO_VALUES = 0.98
"""Share of an alpha band's pixels that hold one of two values; an overview mixes them along edges."""

EDGE_PLACES, EDGE_SIDE = 24, 64
"""Where the edge of a frame is looked at in full: at how many places, and how many px around each."""

SAMPLE_PARTS, LEAST_PART = 8, 256
"""Into how many parts a side a damaged scene is cut for the reduced read, and how many px one has at least."""


MOST_WALKED = 1 << 12
"""Windows of `SAMPLE_SIZE` px that are all searched for valid pixels, where a reduced read shows none; some 4 Gpx."""

SEARCHED, MOST_ASKED = 64, 1 << 14
"""Of more windows so many are read, and so many asked whether anything was ever written there."""

Part = Callable[[], Window | None]
"""The part of a scene, px, that is wanted; None where that can't be said before it is warped."""


def choose_layers(handle: Handle, asked: str | Sequence[int | str] | None) -> tuple[Layers, Choice, tuple[str, ...]]:
    """Choose what is to be read.

    Parameters
    ----------
    handle : Handle
    asked : str or sequence of int or str, optional
        Bands or a preset, as `describe` takes them.

    Returns
    -------
    layers : Layers
    choice : Choice
        Which bands, and why these.
    notices : tuple of str
        What is to be known about alpha bands, palettes and overviews.

    Raises
    ------
    SceneError
        If a band isn't there, or holds complex numbers.
    """
    dataset, source = handle.dataset, handle.source
    colours = colours_of(dataset)
    tagged = [band for band, colour in enumerate(colours, 1) if colour == "alpha"]
    alphas = [band for band in tagged if _is_opacity(handle, band)]
    untagged, alpha_notices = ([], ()) if tagged else _untagged_alpha(handle, colours)
    alphas += untagged
    facts = BandFacts(
        source.path,
        dataset.dtypes,
        colours,
        tuple(text or "" for text in descriptions_of(dataset)),
        tuple(_wavelength(dataset, band) for band in dataset.indexes),
        tuple(alphas),
    )
    asked = asked.strip() if isinstance(asked, str) else asked
    strange: tuple[str, ...] = ()
    if (asked is None or (isinstance(asked, str) and asked.casefold() == "rgb")) and [
        colours[band - 1] for band in facts.usable
    ] == ["palette"]:
        bands = (facts.usable[0],) * 3
        palette = _palette(dataset, bands[0], source)
        if palette is not None:
            layers, lies = _checked(handle, Layers(bands, tuple(alphas), palette))
            return layers, Choice(bands, "through the colour table"), lies
        strange = (f"'{source.path}' is said to hold indices, but has no colour table",)
    choice = choose(facts, asked)
    if any(dataset.dtypes[band - 1].startswith("complex") for band in choice.bands):
        raise SceneError(f"'{source.path}' holds complex numbers, not brightness: map a detected image instead")
    # A band that is asked for as a colour is no mask, whatever its tag says.
    layers, lies = _checked(handle, Layers(choice.bands, tuple(band for band in alphas if band not in choice.bands)))
    mistaken = tuple(
        f"band {band} of '{source.path}' is tagged alpha, but varies as infrared does: it masks nothing"
        for band in tagged
        if band not in alphas
    )
    return layers, choice, strange + mistaken + alpha_notices + lies


def _checked(handle: Handle, layers: Layers) -> tuple[Layers, tuple[str, ...]]:
    """Layers that leave overviews out which don't show the pixels, and what is to be said of these."""
    if show_pixels(handle, layers):
        return layers, ()
    said = (
        f"the overviews of '{handle.source.path}' don't show its pixels: they are left out; rebuild them with gdaladdo"
    )
    return replace(layers, overviews=False), (said,)


def _untagged_alpha(handle: Handle, colours: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
    """The band after grey or after three colours where it can only be alpha: nothing but 0 and the most there is."""
    dataset, last = handle.dataset, len(colours)
    if last not in (2, 4) or colours[-1] != "undefined" or len(set(dataset.dtypes)) != 1 or dataset.descriptions[-1]:
        return [], ()
    layers = Layers((last, last, last))
    try:
        values, _ = handle.load_reduced(layers, SAMPLE_SIZE)
        if (values == values.flat[0]).all() and not show_pixels(handle, layers):
            values, _ = handle.load_reduced(replace(layers, overviews=False), SAMPLE_SIZE)
    except SceneError:  # damage that is said when the picture is read
        return [], ()
    for most in {"uint8": (255,), "uint16": (255, 65535)}.get(dataset.dtypes[0], ()):
        shares = [(values[0] == value).mean() for value in (0, most)]
        if min(shares) > 0 and sum(shares) >= TWO_VALUES:
            said = f"band {last} of '{handle.source.path}' holds nothing but 0 and {most}: it is taken for alpha"
            return [last], (said,)
    return [], ()


def _is_opacity(handle: Handle, band: int) -> bool:
    """Whether a band tagged alpha is one; infrared is often tagged so."""
    try:
        layers = Layers((band, band, band))
        values, _ = handle.load_reduced(replace(layers, overviews=show_pixels(handle, layers)), SAMPLE_SIZE)
    except SceneError:  # damage that is said when the picture is read
        return True
    return is_opacity(values[0])


def _wavelength(dataset: rasterio.DatasetReader, band: int) -> float | None:
    """The centre of a band in nm, as GDAL 3.10 and ENVI write it."""
    micrometres = dataset.tags(band, ns="IMAGERY").get("CENTRAL_WAVELENGTH_UM")
    tags = {name.casefold(): value for name, value in dataset.tags(band).items()}
    try:
        if micrometres is not None:
            return 1000 * float(micrometres)
        length = float(tags.get("wavelength", "nan"))
    except ValueError:
        return None
    if not length > 0:
        return None
    is_micro = tags.get("wavelength_units", "").casefold().startswith(("mi", "um", "µ", "μ"))
    return 1000 * length if is_micro or length <= 100 else length


def _palette(dataset: rasterio.DatasetReader, band: int, source: Source) -> bytes | None:
    """A colour table as bytes: red, green, blue and alpha of each index from 0 on; None where there is none.

    Raises SceneError where its numbers are no colours of 8 bits.
    """
    try:
        entries = dataset.colormap(band)
    except ValueError:
        return None
    if not entries:
        return None
    for index, entry in entries.items():
        if not all(0 <= part <= 255 for part in entry):
            raise SceneError(
                f"'{source.path}' has a colour table whose entry {index} is {entry}, not four numbers from 0 to 255: "
                f"correct it, or map the indices as grey (--bands {band})"
            )
    table = np.zeros((max(entries) + 1, 4), dtype=np.uint8)
    table[list(entries)] = list(entries.values())
    if not table[:, 3].any():  # some programs leave alpha out
        table[:, 3] = 255
    return table.tobytes()


@dataclass(frozen=True)
class _Sight:
    """A scene reduced: stored values (3, rows, cols), which are valid, and which couldn't be read.

    `notices` says where; `damage` is the first error of all.
    """

    values: NDArray[Any]
    valid: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    notices: tuple[str, ...] = ()
    damage: SceneError | None = None


def _see(handle: Handle, layers: Layers) -> _Sight:
    """Look at the whole scene; where that fails, at one part after the other.

    Raises SceneError if nothing can be read.
    """
    try:
        whole, there = handle.load_reduced(layers, SAMPLE_SIZE)
        return _Sight(whole, there, np.zeros_like(there))
    except SceneError as error:
        damage = error
    height, width = handle.dataset.shape
    if max(height, width) <= SAMPLE_SIZE:  # so small that a part of it isn't worth a map
        raise damage
    shrink = min(1.0, SAMPLE_SIZE / max(height, width))
    # from each place in the scene to the next, and from each in the reduced one
    rows, cols = _places(height), _places(width)
    small_rows, small_cols = (
        [0, *accumulate(shrunk(stop - first, shrink) for first, stop in pairwise(places))] for places in (rows, cols)
    )
    valid = np.zeros((small_rows[-1], small_cols[-1]), dtype=bool)
    lost, notices = ~valid, list[str]()
    values: NDArray[Any] | None = None
    for (top, bottom), (first, stop) in zip(pairwise(rows), pairwise(small_rows), strict=True):
        for (left, right), (begin, end) in zip(pairwise(cols), pairwise(small_cols), strict=True):
            try:
                window = Window(left, top, right - left, bottom - top)
                part, part_valid = handle.load(layers, window, (stop - first, end - begin))
            except SceneError:
                notices.append(_lost_near(handle.source, top, left))
                continue
            values = np.zeros((3, *valid.shape), part.dtype) if values is None else values
            values[:, first:stop, begin:end] = part
            valid[first:stop, begin:end] = part_valid
            lost[first:stop, begin:end] = False
    if values is None:
        raise damage
    return _Sight(values, valid, lost, tuple(notices[:1]), damage)


def _places(size: int) -> list[int]:
    """Where the parts of a side of `size` px begin, and where the last one ends."""
    count = min(SAMPLE_PARTS, max(1, size // LEAST_PART))
    return [size * part // count for part in range(count + 1)]


def _lost_near(source: Source, row: int, col: int) -> str:
    what = "can't be read" if is_remote(source.opened) else "is damaged"
    return f"'{source.path}' {what} near row {row}, column {col}: what can't be read becomes nodata"


def sample_layers(
    handle: Handle, layers: Layers, collar: bool, part: Part = lambda: None
) -> tuple[Layers, NDArray[Any], tuple[str, ...]]:
    """Look at valid pixels all over, and for a frame round them.

    Parameters
    ----------
    handle : Handle
    layers : Layers
    collar : bool
        Whether a frame is nodata where the file declares none.
    part : callable, optional
        Gives the part that is wanted: where a reduced read shows nothing valid, and the whole is too large to be
        searched, only that is.

    Returns
    -------
    layers : Layers
        With the value of the frame, where there is one.
    sample : (3, n) array
        Stored values.
    notices : tuple of str

    Raises
    ------
    SceneError
        If there is no valid pixel.
    """
    try:
        sight = _see(handle, layers)
    except SceneError as error:
        return layers, _sample_anywhere(handle, layers, error, part), (f"{error}",)
    valid, notices = sight.valid, sight.notices
    if collar:
        layers, found, said = _missing(handle, layers, sight)
        valid, notices = valid & ~found, notices + said
    if collar and layers.frame_value is None:
        layers = with_blurred_edge(handle, layers, (sight.values, sight.valid))
    sample = sight.values[:, valid]
    return layers, sample if sample.size else _sample_anywhere(handle, layers, sight.damage, part), notices


def _missing(handle: Handle, layers: Layers, sight: _Sight) -> tuple[Layers, NDArray[np.bool_], tuple[str, ...]]:
    """What is no data though the file doesn't say so: layers that leave it out, where it is, and what is to be said."""
    path, keep = handle.source.path, "taken as nodata (--no-collar keeps it)"
    found, notices = np.zeros_like(sight.valid), tuple[str, ...]()
    hole = None
    if layers.palette is None and sight.values.dtype != np.uint8:
        hole, _ = hole_in(sight.values[:, sight.valid], _is_heights(handle.dataset, layers, sight.values.dtype))
    if hole is not None:
        layers, found = replace(layers, hole_value=hole), is_hole(sight.values, hole) & sight.valid
    value, frame, blur = None, np.zeros_like(found), 0.0
    if not tells_nodata(handle.dataset, handle.source, layers):
        value, frame, blur = _frame(handle, layers, sight)
    if hole is not None and hole != value:
        notices = (f"{_percent(found.mean())} of '{path}' holds {hole:.10g} without declared nodata: {keep}",)
    if value is None:
        return layers, found, notices
    region = None if value == hole else Region.of(with_edge(frame))
    layers = replace(layers, frame_value=value, frame=region, blur=blur)
    if region is not None:
        found = found | (with_edge(frame) & alike(sight.values, value, blur))
    what = _named_frame(value, sight.values.dtype, _is_turned(handle.dataset, layers))
    said = f"{frame.mean():.0%} of '{path}' is {what} without declared nodata: {keep}"
    return layers, found | frame, (*notices, said)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else f"{share:.2%}"


def _named_frame(value: float, dtype: np.dtype[Any], is_turned: bool) -> str:
    if value == 0 or (value == 255 and dtype == np.uint8):
        return "a black frame" if (value == 0) != is_turned else "a white frame"
    return f"a frame of {value:.0f}"


def _frame(handle: Handle, layers: Layers, sight: _Sight) -> tuple[float | None, NDArray[np.bool_], float]:
    """The value of a frame round the picture that all bands hold, where it is, and how far it is blurred; or None."""
    nothing = np.zeros_like(sight.valid)
    best: tuple[float | None, NDArray[np.bool_], float] = None, nothing, 0.0
    # what couldn't be read isn't known to be invalid: a frame doesn't begin there
    valid = sight.valid | sight.lost
    for value in _frame_values(handle.dataset, layers, sight.values.dtype):
        if best[0] in (0, 255) and value in (1, 254):  # which are near these
            continue
        blur = 0.0
        frame = frame_in(alike(sight.values, value) & ~sight.lost, valid)
        if layers.palette is None and sight.values.dtype == np.uint8:
            blur = BLUR if _is_lossy(handle.dataset) or _has_specks(handle, layers, frame, value) else 0.0
        tolerance = CORE if blur else 0.0
        if blur:
            frame = frame_in(alike(sight.values, value, tolerance) & ~sight.lost, valid)
        if frame.mean() <= best[1].mean():
            continue
        others = _others_hold(handle, layers, value, tolerance, frame.shape)
        frame = frame_in(alike(sight.values, value, tolerance) & ~sight.lost & others, valid)
        may_be_seen = sight.values.dtype == np.uint8 and value != 0
        if may_be_seen and not stands_out(sight.values, frame, valid, value):
            continue
        best = max(best, (value, frame, blur), key=lambda found: found[1].mean())
    return best


def _is_lossy(dataset: rasterio.DatasetReader) -> bool:
    """Whether a file is compressed with loss, as far as it says so."""
    told = dataset.tags(ns="IMAGE_STRUCTURE")
    return "JPEG" in told.get("COMPRESSION", "") or told.get("COMPRESSION_REVERSIBILITY", "").startswith("LOSSY")


def _has_specks(handle: Handle, layers: Layers, frame: NDArray[np.bool_], value: float) -> bool:
    """Whether the edge of a frame, seen on the reduced scene, looks as lossy compression leaves it."""
    edge = np.argwhere(frame & grown(~frame))
    if not len(edge):
        return False
    height, width = handle.dataset.shape
    specks = borders = 0
    for row, col in edge[np.random.default_rng(0).integers(0, len(edge), EDGE_PLACES)]:
        corner = row * height // frame.shape[0] - EDGE_SIDE // 2, col * width // frame.shape[1] - EDGE_SIDE // 2
        top, left = (max(0, min(at, size - EDGE_SIDE)) for at, size in zip(corner, (height, width), strict=True))
        size = min(EDGE_SIDE, height), min(EDGE_SIDE, width)
        try:
            values, _ = handle.load(layers, Window(left, top, size[1], size[0]), size)
        except SceneError:
            continue
        more = has_specks(values, value)
        specks, borders = specks + more[0], borders + more[1]
    return specks > SPECKS * borders


def with_blurred_edge(
    handle: Handle, layers: Layers, seen: tuple[NDArray[Any], NDArray[np.bool_]] | None = None
) -> Layers:
    """Layers that know of the blurred edge of a declared frame.

    Parameters
    ----------
    handle : Handle
    layers : Layers
    seen : (3, rows, cols) array and (rows, cols) bool, optional
        Stored values of the scene reduced, and which are valid, where that is known.

    Returns
    -------
    Layers
        The same where the scene has no frame of declared nodata, or a sharp one.
    """
    dataset = handle.dataset
    declared = {dataset.nodatavals[band - 1] for band in layers.bands}
    value = declared.pop()
    if layers.palette is not None or declared or value is None or not may_be_colour(dataset, layers.bands):
        return layers
    if any(dataset.dtypes[band - 1] != "uint8" for band in layers.bands):
        return layers
    try:
        values, valid = seen or handle.load_reduced(layers, SAMPLE_SIZE)
    except SceneError:  # damage that is said when the picture is read
        return layers
    frame = along_edge(~valid)
    if not frame.any() or not (_is_lossy(dataset) or layers.blur or _has_specks(handle, layers, frame, float(value))):
        return layers
    frame = along_edge(~valid | alike(values, float(value), CORE))
    return replace(layers, frame_value=float(value), frame=Region.of(with_edge(frame)), blur=BLUR)


def _is_heights(dataset: rasterio.DatasetReader, layers: Layers, dtype: np.dtype[Any]) -> bool:
    """Whether 0 may be a sea's height: in one band with a sign."""
    return int(dataset.count) - len(layers.alphas) == 1 and not np.issubdtype(dtype, np.unsignedinteger)


def _frame_values(dataset: rasterio.DatasetReader, layers: Layers, dtype: np.dtype[Any]) -> list[float]:
    """What a frame may be filled with in this scene; 0 isn't where it may be a common value of the picture."""
    bits = dataset.tags(layers.bands[0], ns="IMAGE_STRUCTURE").get("NBITS")
    if layers.palette is not None:
        return [0.0] if len(layers.palette) > 4 * 2 and bits != "1" else []
    if bits == "1":  # half of a drawing
        return []
    values = frame_values(dtype)
    return values[1:] if _is_heights(dataset, layers, dtype) else values


def _others_hold(
    handle: Handle, layers: Layers, value: float, tolerance: float, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Where the bands that aren't mapped hold a value too, alpha left out; three at a time, since they may be many."""
    others = [band for band in handle.dataset.indexes if band not in (*layers.bands, *layers.alphas)]
    held = np.ones(shape, dtype=bool)
    for first in range(0, len(others), 3):
        three = (others[first : first + 3] * 3)[:3]
        try:
            seen = Layers((three[0], three[1], three[2]), overviews=layers.overviews)
            values, _ = handle.load_reduced(seen, SAMPLE_SIZE)
        except SceneError:  # damaged: the mapped bands decide
            return held
        held &= alike(values, value, tolerance)
    return held


def turn_by_contrast(
    handle: Handle, choice: Choice, layers: Layers, sample: NDArray[Any]
) -> tuple[Choice, Layers, NDArray[Any]]:
    """Turn a guess of bands round where their contrasts say so.

    Parameters
    ----------
    handle : Handle
    choice : Choice
        The guess.
    layers : Layers
    sample : (3, n) array
        Stored values of `layers` that are valid.

    Returns
    -------
    choice : Choice
    layers : Layers
        With the bands of the choice.
    sample : (3, n) array
        Stored values of these layers.

    Raises
    ------
    SceneError
        If nothing can be read.
    """
    guessed = replace(layers, bands=choice.guessed)
    seen = sample if guessed == layers else _valid_values(handle, guessed)
    if not seen.size:
        return choice, layers, sample
    red, _, blue = contrasts(seen[:, ::16], _physical(handle.dataset, guessed)[0])
    turned = by_contrast(choice, handle.source.path, red, blue)
    if turned.bands == layers.bands:
        return turned, layers, sample
    layers = replace(layers, bands=turned.bands)
    return turned, layers, seen[::-1] if turned.bands == choice.guessed[::-1] else _valid_values(handle, layers)


def _valid_values(handle: Handle, layers: Layers) -> NDArray[Any]:
    """Stored values (3, n) of valid pixels all over."""
    sight = _see(handle, layers)
    return sight.values[:, sight.valid]


def _sample_anywhere(handle: Handle, layers: Layers, damage: SceneError | None, part: Part) -> NDArray[Any]:
    """Stored values (3, n) of the first valid pixels; islands in a sea of nodata may slip through a reduced read.

    Of a scene too large to be searched whole, the wanted part is searched, or windows drawn by lot.
    """
    dataset, source = handle.dataset, handle.source
    searched, where = tiles(dataset.height, dataset.width, SAMPLE_SIZE, 0), ""
    if len(searched) > MOST_WALKED and (wanted := part()) is not None:
        searched, where = tiles(dataset.height, dataset.width, SAMPLE_SIZE, 0, wanted), " in the area to map"
    is_walked = len(searched) <= MOST_WALKED
    looked = 0
    for number in range(len(searched)) if is_walked else _drawn(len(searched)):
        rows, cols = searched[number].core.toslices()
        if not is_written(dataset, layers, (rows.start, cols.start), (rows.stop, cols.stop)):
            continue
        looked += 1
        try:
            window = searched[number].core
            values, valid = handle.load(layers, window, (window.height, window.width))
        except SceneError as error:
            damage = damage or error
        else:
            if valid.any():
                return values[:, valid]
        if looked == SEARCHED and not is_walked:
            break
    if damage is not None:
        raise damage
    value = layers.frame_value
    frame = "" if value is None else "black, " if value == 0 else f"{value:.0f}, "
    why = f"all is nodata, {frame}transparent or not a number"
    if is_walked:
        raise SceneError(f"'{source.path}' has no valid pixel{where}: {why}")
    raise SceneError(
        f"'{source.path}' of {dataset.height} rows and {dataset.width} cols is too large to be searched for valid "
        f"pixels, and where it was looked at {why}: name an area that holds some (--aoi)"
    )


def _drawn(count: int) -> Iterator[int]:
    """Numbers below `count` drawn by lot, always the same."""
    yield from np.random.default_rng(0).integers(count, size=MOST_ASKED).tolist()


def _physical(
    dataset: rasterio.DatasetReader, layers: Layers
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """What the stored values of red, green and blue are multiplied by, and what is added; no numbers are none."""
    if layers.palette is not None:
        return (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    scales = [float(dataset.scales[band - 1]) for band in layers.bands]
    offsets = [float(dataset.offsets[band - 1]) for band in layers.bands]
    red, green, blue = (scale if math.isfinite(scale) and scale else 1.0 for scale in scales)
    more_red, more_green, more_blue = (offset if math.isfinite(offset) else 0.0 for offset in offsets)
    return (red, green, blue), (more_red, more_green, more_blue)


def fix_radiometry(
    dataset: rasterio.DatasetReader, layers: Layers, sample: NDArray[Any], scale: tuple[float, float] | None
) -> Radiometry:
    """Decide which stored values become black and white.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
    layers : Layers
    sample : (3, n) array
        Stored values that are valid.
    scale : (float, float), optional
        Physical values that become black and white, where the user gave them.

    Returns
    -------
    Radiometry

    Raises
    ------
    ParameterError
        If `scale` isn't two finite numbers, the lower one first.
    """
    scales, offsets = _physical(dataset, layers)
    if scale is not None:
        return as_stored(scale, scales, offsets)
    if sample.dtype != np.uint8:
        found = stretched(sample, scales, offsets)
    else:
        bits = 8
        if layers.palette is None:
            bits = int(dataset.tags(layers.bands[0], ns="IMAGE_STRUCTURE").get("NBITS", 8))
        found = eight_bit(2.0**bits - 1, scales, offsets)
    return turned_round(found) if _is_turned(dataset, layers) else found


def _is_turned(dataset: rasterio.DatasetReader, layers: Layers) -> bool:
    """Whether 0 is white: a colour table tells that itself."""
    return layers.palette is None and dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
