"""From classes as people give them to a legend: checked against each other, with colours for those without."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lposs_geo.errors import LegendError
from lposs_geo.hints import Notice
from lposs_geo.legend.colours import next_colour
from lposs_geo.legend.legend import MAX_CLASSES, LandClass, Legend
from lposs_geo.legend.oklab import Colour
from lposs_geo.legend.words import SIGNS, key, quoted, shown, split_list, tidy, unfit

__all__ = ["Entry", "build", "from_words"]

RESERVED = frozenset({"unknown", "nodata"})
"""Names that no class may have: pixels without a class, and without data, are called so."""

log = logging.getLogger("lposs_geo")


@dataclass(frozen=True)
class Entry:
    """A class as it is given: `LandClass`, whose colour may still be missing."""

    name: str
    prompts: tuple[str, ...]
    colour: Colour | None = None
    negatives: tuple[str, ...] = ()
    code: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        return self.name, *self.prompts


def from_words(classes: str | Sequence[str]) -> Legend:
    """Make a legend of words.

    Parameters
    ----------
    classes : str or sequence of str
        "forest,water,road", or the same as a list. A class may have synonyms: "forest=trees|woodland" asks for both
        and is called forest; "river|lake" is called river. A text may also part its classes as `words.split_list`
        tells: by semicolons or line breaks, as a numbered list or as JSON; a comma in quotes is a part of the class.
        A warning says how such a text was read.

    Raises
    ------
    LegendError
        If there is no class, an empty or repeated one, or more than 200.
    """
    items = split_list(classes) if isinstance(classes, str) else list(classes)
    if not all(isinstance(item, str) for item in items):
        raise LegendError(f"classes must be words, not {shown(classes)}")
    if not any(item.strip() for item in items):
        raise LegendError("no class is named", hint='write <classes="forest,water,road">')
    legend = Legend(build([_written(item, f"class {k} of {len(items)}") for k, item in enumerate(items, start=1)]))
    if isinstance(classes, str) and items != [part.strip() for part in classes.split(",") if part.strip()]:
        names = ", ".join(map(quoted, legend.names))
        log.warning("%s", Notice(f"the list of classes was read as {len(legend)}", names))
    return legend


def _written(item: str, where: str) -> Entry:
    """A class as it is written: name=word|word, word|word, or word."""
    where = f"{where} ({quoted(item.strip())})"
    name, equals, rest = item.translate(SIGNS).partition("=")
    prompts = [tidy(word) for word in (rest if equals else name).split("|")]
    name = tidy(name) if equals else prompts[0]
    if "=" in rest:
        raise LegendError(f"{where} has two equals signs", hint="write name=word|word")
    if not name or not all(prompts):
        raise LegendError(f"{where} has an empty word", hint="fill it or remove it")
    return Entry(name, tuple(prompts))


def build(entries: Sequence[Entry], where: str = "") -> tuple[LandClass, ...]:
    """Check the classes against each other and give colours to those without; `where` ends the lines about faults."""
    if len(entries) > MAX_CLASSES:
        raise LegendError(f"{len(entries)} classes{where} are more than the {MAX_CLASSES} that one map can hold")
    for entry in entries:
        for word in (*entry.words, *entry.negatives):
            fault = unfit(word)
            if fault is not None:
                at = "" if word == entry.name else f" (at {quoted(word)})"
                raise LegendError(f"class {quoted(entry.name)}{where} {fault}{at}")
        if re.sub(r"[\W_]", "", key(entry.name)) in RESERVED:
            raise LegendError(
                f"no class{where} may be called {quoted(entry.name)}, as pixels without a class or without data are",
                hint="give it another name, like other",
            )
    _check_words(entries, where)
    _check_codes(entries, where)
    return tuple(_coloured(entries))


def _check_words(entries: Sequence[Entry], where: str) -> None:
    owner: dict[str, str] = {}
    for entry in entries:
        prompts = [key(prompt) for prompt in entry.prompts]
        # a class may be asked for by its own name
        for word in prompts if key(entry.name) in prompts else (key(entry.name), *prompts):
            if word in owner:
                first, second = quoted(owner[word]), quoted(entry.name)
                raise LegendError(
                    f"{quoted(word)} is named twice (in {first} and {second}){where}", hint="name each word once"
                )
            owner[word] = entry.name
        own, seen, of = set(prompts), set[str](), f"of class {quoted(entry.name)}{where}"
        for word in map(key, entry.negatives):
            if word in own:
                raise LegendError(f"{quoted(word)} is a prompt and a negative {of}", hint="it can't be both")
            if word in seen:
                raise LegendError(f"{quoted(word)} is named twice in the negatives {of}", hint="once will do")
            seen.add(word)


def _check_codes(entries: Sequence[Entry], where: str) -> None:
    owner: dict[int, str] = {}
    for entry in entries:
        if entry.code in owner:
            raise LegendError(
                f"code {entry.code} is given to both {quoted(owner[entry.code])} and {quoted(entry.name)}{where}",
                hint="each has its own",
            )
        if entry.code is not None:
            owner[entry.code] = entry.name


def _coloured(entries: Sequence[Entry]) -> Iterator[LandClass]:
    # colours that are given stand, wherever in the legend they are; the others keep away from them
    taken = [entry.colour for entry in entries if entry.colour is not None]
    for number, entry in enumerate(entries, start=1):
        colour = entry.colour
        if colour is None:
            colour = next_colour(entry.words, taken)
            taken.append(colour)
        yield LandClass(number, entry.name, entry.prompts, colour, entry.negatives, entry.code)
