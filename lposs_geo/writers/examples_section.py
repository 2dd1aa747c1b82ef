"""The part of a report that tells what examples did to the map; it never calls that accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lposs_geo.examples.agreement import Agreement, ClassAgreement
from lposs_geo.examples.changes import BECAME_UNKNOWN, UNCHANGED, Changes, changed_to
from lposs_geo.examples.effect import effect_in_words, percent_text
from lposs_geo.legend.legend import NODATA, UNKNOWN_CLASS, Legend
from lposs_geo.writers.area_units import unit_for
from lposs_geo.writers.embedded import data_uri, labels_uri
from lposs_geo.writers.quicklook import palette, scene_pixels

__all__ = ["Effect", "ExamplesSection", "changes_picture", "examples_section"]

SMALL_SIDE = 450
"""Px of a picture's longer side: it shows where to look, not the single pixel."""

MOST_ROWS = 12
"""Changes from class to class in the table."""

_FADED = 0.25
"""Of the scene's contrast behind the changes."""

_JPEG_QUALITY = 85

_NO_BREAK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Effect:
    """What examples did to a map.

    Attributes
    ----------
    agreement : Agreement or None
    changes : Changes or None
        From an earlier map.
    earlier : (rows, cols) uint8, optional
        Its labels, on the pixels of the report's picture.
    """

    agreement: Agreement | None
    changes: Changes | None = None
    earlier: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class _ClassRow:
    """The examples of one class; None where none were left out."""

    name: str
    colour: str
    examples: int
    before: int
    after: int
    left_out: str | None


@dataclass(frozen=True)
class _ChangeRow:
    """Land of one class that became another."""

    before: str
    before_colour: str
    after: str
    after_colour: str
    area: str
    share: str


@dataclass(frozen=True)
class ExamplesSection:
    """The section, ready for the page.

    Attributes
    ----------
    sentence : str
    agreements : tuple of rows
        By class; empty where there are no examples.
    total : row or None
        Of all classes.
    has_left_out, has_earlier : bool
        Whether any example was left out, and what `before` means.
    changes : tuple of rows
        The largest first, `MOST_ROWS` at most.
    more : int
        Changes beyond those.
    area, share : str
        Of all changes.
    unit : str
        Symbol of the unit of areas.
    pictures : tuple of (str, str)
        URLs of pictures and what they show.
    """

    sentence: str
    agreements: tuple[_ClassRow, ...]
    total: _ClassRow | None
    has_left_out: bool
    has_earlier: bool
    changes: tuple[_ChangeRow, ...]
    more: int
    area: str
    share: str
    unit: str
    pictures: tuple[tuple[str, str], ...]


def examples_section(
    effect: Effect, image: NDArray[np.float32], labels: NDArray[np.uint8], legend: Legend, *, has_crs: bool
) -> ExamplesSection | None:
    """Set out what examples did; None where nothing is known of it.

    Parameters
    ----------
    effect : Effect
    image : (3, rows, cols) float32
        The scene as the report shows it: RGB in 0..1.
    labels : (rows, cols) uint8
        The map on the same pixels.
    legend : Legend
    has_crs : bool
        Areas are square metres.
    """
    sentence = effect_in_words(effect.agreement, effect.changes)
    if not sentence:
        return None
    agreement, changes = effect.agreement or Agreement((), False), effect.changes or Changes((), 0.0, 0.0)
    colours = {each.name: each.hex_colour for each in (UNKNOWN_CLASS, *legend.classes)}
    unit = unit_for(changes.area_m2, has_crs)
    rows = tuple(
        _ChangeRow(
            change.before, colours.get(change.before, "#ffffff"), change.after, colours[change.after],
            unit.text(change.area_m2), _share(change.share),
        )
        for change in changes.pairs[:MOST_ROWS]
    )  # fmt: skip
    whole = ClassAgreement(
        "All", agreement.examples, agreement.before, agreement.after, agreement.judged, agreement.left_out
    )
    return ExamplesSection(
        sentence=f"{sentence[0].upper()}{sentence[1:]}.".replace(" %", _NO_BREAK + "%"),
        agreements=tuple(_row(each, colours.get(each.name, "#ffffff")) for each in agreement.classes),
        total=_row(whole, "") if agreement.examples else None,
        has_left_out=agreement.judged > 0,
        has_earlier=agreement.has_earlier,
        changes=rows,
        more=len(changes.pairs) - len(rows),
        area=unit.text(changes.area_m2),
        share=_share(changes.share),
        unit=unit.symbol,
        pictures=_pictures(effect, image, labels, legend) if rows else (),
    )


def changes_picture(
    image: NDArray[np.float32], changed: NDArray[np.uint8], legend: Legend, step: int = 1
) -> NDArray[np.uint8]:
    """What has changed, in the colours of the later classes over the faded scene, (rows, cols, 3).

    Parameters
    ----------
    image : (3, rows, cols) float32
        RGB in 0..1.
    changed : (rows, cols) uint8
        See `examples.changes.changed_to`.
    legend : Legend
    step : int
        Px of the sides of blocks that become one pixel, which shows a change wherever there is one inside.
    """
    grey = scene_pixels(image).mean(axis=2)
    shown = np.repeat(np.rint(255 - _FADED * (255 - grey)).astype(np.uint8)[::step, ::step, None], 3, axis=2)
    rows, cols = (-(-side // step) * step for side in changed.shape)
    padded = np.full((rows, cols), NODATA, dtype=np.uint8)
    padded[: changed.shape[0], : changed.shape[1]] = changed
    blocks = padded.reshape(rows // step, step, cols // step, step)
    latest = np.where(blocks == NODATA, UNCHANGED, blocks).max(axis=(1, 3))
    colours = palette(legend)
    colours[BECAME_UNKNOWN] = UNKNOWN_CLASS.colour
    shown[latest != UNCHANGED] = colours[latest[latest != UNCHANGED]]
    shown[(blocks == NODATA).all(axis=(1, 3))] = 255
    return shown


def _share(share: float) -> str:
    """As the report's other tables have it."""
    return percent_text(share).replace(" ", "")


def _row(own: ClassAgreement, colour: str) -> _ClassRow:
    left_out = f"{own.left_out} of {own.judged}" if own.judged else None
    return _ClassRow(own.name, colour, own.examples, own.before, own.after, left_out)


def _pictures(
    effect: Effect, image: NDArray[np.float32], labels: NDArray[np.uint8], legend: Legend
) -> tuple[tuple[str, str], ...]:
    if effect.earlier is None:
        return ()
    step = -(-max(labels.shape) // SMALL_SIDE)
    earlier, later = (np.ascontiguousarray(each[::step, ::step]) for each in (effect.earlier, labels))
    changed = changes_picture(image, changed_to(labels, effect.earlier), legend, step)
    return (
        (labels_uri(earlier, legend), "Earlier map"),
        (labels_uri(later, legend), "This map"),
        (
            data_uri(Image.fromarray(changed), "jpeg", quality=_JPEG_QUALITY, optimize=True),
            "Changes, in the colour of the class that is there now",
        ),
    )
