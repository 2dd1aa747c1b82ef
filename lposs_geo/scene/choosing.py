"""The choice of what is read of a file: bands, alpha, a palette, and overviews if they can be relied on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lposs_geo.errors import SceneError
from lposs_geo.files.odd_text import descriptions_of
from lposs_geo.hints import Notice
from lposs_geo.scene.band_facts import BandFacts, Choice
from lposs_geo.scene.bands import choose, is_opacity
from lposs_geo.scene.file_facts import check_real, colours_of, palette_of, wavelength_of
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.overviews import show_pixels
from lposs_geo.scene.pixels import Handle
from lposs_geo.scene.reduced import SAMPLE_SIZE

__all__ = ["choose_layers"]

TWO_VALUES = 0.98
"""Share of an alpha band's pixels that hold one of two values; an overview mixes them along edges."""


def choose_layers(handle: Handle, asked: str | Sequence[int | str] | None) -> tuple[Layers, Choice, tuple[Notice, ...]]:
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
        The bands, and the reason.
    notices : tuple of Notice
        Doubts about alpha bands, palettes and overviews.

    Raises
    ------
    SceneError
        If a band isn't there, or holds complex numbers.
    """
    dataset, raster = handle.dataset, handle.raster
    colours = colours_of(dataset)
    tagged = [band for band, colour in enumerate(colours, 1) if colour == "alpha"]
    alphas = [band for band in tagged if _is_opacity(handle, band)]
    untagged, alpha_notices = ([], ()) if tagged else _untagged_alpha(handle, colours)
    alphas += untagged
    facts = BandFacts(
        raster.path,
        dataset.dtypes,
        colours,
        tuple(text or "" for text in descriptions_of(dataset)),
        tuple(wavelength_of(dataset, band) for band in dataset.indexes),
        tuple(alphas),
    )
    asked = asked.strip() if isinstance(asked, str) else asked
    strange: tuple[Notice, ...] = ()
    if (asked is None or (isinstance(asked, str) and asked.casefold() == "rgb")) and [
        colours[band - 1] for band in facts.usable
    ] == ["palette"]:
        bands = (facts.usable[0],) * 3
        palette = palette_of(dataset, bands[0], raster)
        if palette is not None:
            layers, lies = _checked(handle, Layers(bands, tuple(alphas), palette))
            return layers, Choice(bands, Notice("through the colour table")), lies
        strange = (Notice(f"'{raster.path}' is said to hold indices, but has no colour table"),)
    choice = choose(facts, asked)
    check_real((dataset.dtypes[band - 1] for band in choice.bands), raster.path)
    # A band that is asked for as a colour is no mask, whatever its tag says.
    layers, lies = _checked(handle, Layers(choice.bands, tuple(band for band in alphas if band not in choice.bands)))
    mistaken = tuple(
        Notice(f"band {band} of '{raster.path}' is tagged alpha, but varies as infrared does: it masks nothing")
        for band in tagged
        if band not in alphas
    )
    return layers, choice, strange + mistaken + alpha_notices + lies


def _checked(handle: Handle, layers: Layers) -> tuple[Layers, tuple[Notice, ...]]:
    """Layers that leave overviews out which don't show the pixels, and a notice of these."""
    if show_pixels(handle, layers):
        return layers, ()
    notice = f"the overviews of '{handle.raster.path}' don't show its pixels, and are left out"
    return replace(layers, overviews=False), (Notice(notice, "rebuild them with gdaladdo"),)


def _untagged_alpha(handle: Handle, colours: Sequence[str]) -> tuple[list[int], tuple[Notice, ...]]:
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
            notice = f"band {last} of '{handle.raster.path}' holds nothing but 0 and {most}: it is taken for alpha"
            return [last], (Notice(notice),)
    return [], ()


def _is_opacity(handle: Handle, band: int) -> bool:
    """True if a band tagged alpha is one; infrared is often tagged so."""
    try:
        layers = Layers((band, band, band))
        values, _ = handle.load_reduced(replace(layers, overviews=show_pixels(handle, layers)), SAMPLE_SIZE)
    except SceneError:  # damage that is said when the picture is read
        return True
    return is_opacity(values[0])
