"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lposs_geo import network
from lposs_geo.cli.failing import Misuse
from lposs_geo.errors import ParameterError
from lposs_geo.memory import DEFAULT, parse_size

__all__ = [
    "ADD_CLASSES",
    "BANDS",
    "CACHE",
    "COLLAR",
    "DEVICE",
    "EXAMPLES_LAYER",
    "FILE",
    "JSON",
    "MAX_MEMORY",
    "MIN_AREA",
    "MODEL",
    "NO_NETWORK",
    "OVERWRITE",
    "QUIET",
    "RESUME",
    "SCALE",
    "SIMPLIFY",
    "VERBOSE",
    "VLM",
    "VM",
    "WARP",
]


class _Size(click.ParamType[int]):
    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else parse_size(value)
        except ParameterError as error:
            raise Misuse(error.problem, ctx, param, hint=error.hint) from error


class _Range(click.ParamType[tuple[float, float]]):
    name = "LOW,HIGH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        try:
            low, high = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"'{value}' must be two numbers, like 0,3000", param, ctx)
        return low, high


def _keep_local(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        network.forbid()


FILE = click.Path(path_type=Path)
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
SIMPLIFY = click.option(
    "--simplify", metavar="1px|M", default="1px", show_default=True,
    help="Tolerance of the polygons' borders, in pixels (1px) or metres (2.5m); 0 keeps every pixel's edge.",
)  # fmt: skip
MIN_AREA = click.option(
    "--min-area", type=click.FloatRange(min=0), default=0.0, metavar="M2",
    help="Merge smaller polygons into the neighbour with the longest common border, square metres.",
)  # fmt: skip
MAX_MEMORY = click.option(
    "--max-memory",
    type=_Size(),
    default=DEFAULT,
    help="Memory that the work may take beside the model.  [default: 4GB]",
)
MODEL = click.option("--model", "model_name", metavar="NAME", help="Model to use.  [default: the best installed]")
VLM = click.option("--vlm", metavar="SOURCE", help="Vision-and-language model of your own: open_clip:ARCH/TAG[@FILE].")
VM = click.option("--vm", metavar="SOURCE", help="Vision model of your own: timm:NAME[@FILE].")
DEVICE = click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Device to compute on."
)
BANDS = click.option(
    "--bands", metavar="R,G,B",
    help="Bands read as red, green and blue: numbers (4,3,2), names (B4,B3,B2), one for grey, or rgb, nrg, s2, naip, "
    "landsat, planet.  [default: what the scene tells]",
)  # fmt: skip
SCALE = click.option(
    "--scale", type=_Range(), help="Values that become black and white.  [default: percentiles; 8 bits as they are]"
)
COLLAR = click.option(
    "--collar/--no-collar",
    default=True,
    show_default=True,
    help="Treat a black or white frame, and holes, as nodata where none is declared.",
)
WARP = click.option(
    "--warp", is_flag=True, help="Map a scene that only has ground control points or RPCs on a north-up grid."
)
EXAMPLES_LAYER = click.option("--examples-layer", metavar="NAME", help="Layer of the file of examples.")
ADD_CLASSES = click.option(
    "--add-classes", is_flag=True, help="Add a class for each name in the examples that the legend lacks."
)
NO_NETWORK = click.option(
    "--no-network", is_flag=True, is_eager=True, expose_value=False, callback=_keep_local,
    help="Read nothing from the network, whatever a file names.  [also: LPOSS_GEO_LOCAL_ONLY=1]",
)  # fmt: skip
CACHE = click.option(
    "--cache/--no-cache", "use_cache", default=True, show_default=True, help="Keep features for new words and examples."
)
RESUME = click.option("--resume", is_flag=True, help="Go on with a run that was cut off.")
VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Print more; show where an unexpected error arose.")
QUIET = click.option("-q", "--quiet", is_flag=True, help="Print only the result and errors.")
JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print the result on stdout and progress on stderr, as JSON lines."
)
