"""What is asked for, as arguments of `lposs-geo`: plain values in, plain strings out."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["MapRequest", "VectorizeRequest", "as_arguments", "for_people"]


@dataclass(frozen=True)
class MapRequest:
    """A call of `lposs-geo map`; what is left as it is here isn't named on the command line.

    Attributes
    ----------
    scene, output : str
        Files, the raster to map and the map.
    classes, legend : str
        Words, or the name or file of a legend: one of both.
    like : str
        An earlier map whose settings are taken.
    vector, confidence, report : str
        More files to write.
    bands, model, aoi, aoi_layer, scale, max_memory, device : str
        As the command line spells them.
    gsd : float
        Metres per pixel to work at; 0 for what suits the model.
    min_confidence : float
        0..1.
    simplify : str
        A tolerance like "1px".
    min_area : float
        Square metres.
    refine, collar, warp, resume, overwrite : bool
    """

    scene: str
    output: str
    classes: str = ""
    legend: str = ""
    like: str = ""
    vector: str = ""
    confidence: str = ""
    report: str = ""
    bands: str = ""
    scale: str = ""
    model: str = ""
    aoi: str = ""
    aoi_layer: str = ""
    gsd: float = 0.0
    min_confidence: float = 0.0
    simplify: str = "1px"
    min_area: float = 0.0
    device: str = "auto"
    max_memory: str = "4GB"
    refine: bool = True
    collar: bool = True
    warp: bool = False
    resume: bool = False
    overwrite: bool = False

    command = "map"
    positional = ("scene",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The files that will be there."""
        return tuple(file for file in (self.output, self.vector, self.confidence, self.report) if file)

    @property
    def stages(self) -> tuple[str, ...]:
        """What the engine will report progress of."""
        return ("encode", "propagate", "refine", *(("vectorize",) if self.vector else ()))


@dataclass(frozen=True)
class VectorizeRequest:
    """A call of `lposs-geo vectorize`.

    Attributes
    ----------
    labels, output : str
        Files, the map and its polygons.
    confidence : str
        The map's confidence.
    simplify : str
        A tolerance like "1px".
    min_area : float
        Square metres.
    overwrite : bool
    """

    labels: str
    output: str
    confidence: str = ""
    simplify: str = "1px"
    min_area: float = 0.0
    overwrite: bool = False

    command = "vectorize"
    positional = ("labels", "output")
    stages = ("vectorize",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The file that will be there."""
        return (self.output,)


def as_arguments(request: MapRequest | VectorizeRequest) -> list[str]:
    """The arguments behind the executable.

    Each option and its value are one argument, and what has no option stands behind "--": whatever a word or a file
    name begins with, it can't be taken for an option.
    """
    options = []
    for field in fields(request):
        value = getattr(request, field.name)
        if field.name not in request.positional and value != field.default:
            options.append(_option(field.name.replace("_", "-"), value))
    return [request.command, "--json", *options, "--", *(getattr(request, name) for name in request.positional)]


def _option(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={value:.15g}" if isinstance(value, float) else f"--{name}={value}"


def for_people(command: Sequence[str], windows: bool) -> str:
    """A command as one would type it, to be shown: it is never run in this form."""
    return subprocess.list2cmdline(command) if windows else shlex.join(command)
