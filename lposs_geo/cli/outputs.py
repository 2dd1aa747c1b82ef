"""Options for the files that a map consists of, made from the table of products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lposs_geo.cli.grouped import GroupedCommand
from lposs_geo.cli.options import FILE
from lposs_geo.errors import OutputError
from lposs_geo.products import BESIDE_LABELS, PRODUCTS, Product

__all__ = ["OF_CORRECTION", "OF_EXAMPLES", "OutputsCommand", "files_of", "keep", "named_files", "outputs"]

OF_EXAMPLES = frozenset({"suggest", "save"})
"""Files that are about examples, and stand with them in the help."""

OF_CORRECTION = frozenset({"changes"})
"""Likewise, and only of a map that is corrected."""

BESIDE = "beside the map"
"""What --confidence, --probabilities and --stac mean without a file name."""

_ENDINGS = {product.name: product.default_ending for product in PRODUCTS if product.default_ending is not None}


def outputs(names: frozenset[str] | None = None) -> list[Callable[[Any], Any]]:
    """The options for kinds of files, in the table's order: those of such names, or those that every map may have."""
    others = OF_EXAMPLES | OF_CORRECTION | {"labels"}
    return [
        _output(product)
        for product in PRODUCTS
        if (product.name not in others if names is None else product.name in names)
    ]


def _output(product: Product) -> Callable[[Any], Any]:
    """The option for a kind of file; some need no name, and then lie beside the map."""
    endings = [ending.removeprefix(".").upper() for ending in product.endings.split()]
    metavar = endings[0] if len(endings) < 3 else "FILE"
    if product.default_ending is None:
        return click.option(f"--{product.name}", type=FILE, metavar=metavar, help=product.summary)
    text = f"{product.summary}  [without a name: MAP{product.default_ending}]"
    return click.option(f"--{product.name}", metavar=f"[={metavar}]", help=text)


class OutputsCommand(GroupedCommand):
    """Names of outputs that may be left out follow an equals sign: what stands behind a blank is an argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        bare = {f"--{name}" for name in _ENDINGS}
        options = args.index("--") if "--" in args else len(args)
        filled = [f"{arg}={BESIDE}" if arg in bare else arg for arg in args[:options]]
        return super().parse_args(ctx, filled + args[options:])


def named_files(settings: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """The settings with a path for each file that was asked for without a name, beside the map."""
    named = dict(settings)
    for name, ending in _ENDINGS.items():
        if settings.get(name) is not None:
            beside = settings[name] == BESIDE
            named[name] = output.with_name(output.stem + ending) if beside else Path(settings[name])
    return named


def files_of(settings: Mapping[str, Any], output: Path) -> list[Path]:
    """All files that are to be written."""
    return [output, *(settings[name] for name in BESIDE_LABELS if settings.get(name) is not None)]


def keep(file: Path, what: str, outputs: Sequence[Path]) -> None:
    """Refuse to write over a file that only tells how to map."""
    for path in outputs:
        if path.exists() and file.exists() and path.samefile(file):
            raise OutputError(f"output '{path}' is {what} itself", hint="give another name")
