"""What there is on this machine, on one screen that fits into a bug report."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lposs_geo import models
from lposs_geo.errors import OutOfMemoryError, one_line
from lposs_geo.files.drivers import VECTORS, missing_rasters, missing_vector
from lposs_geo.limits import address_space, check_address_space, open_files

__all__ = ["Check", "examine"]

PACKAGES = (
    "torch",
    "torchvision",
    "open_clip_torch",
    "timm",
    "numba",
    "numpy",
    "rasterio",
    "geopandas",
    "shapely",
    "pyproj",
)

FEWEST_FILES = 64
"""Open files that a run may need."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    topic, finding : str
    fit : bool
        True if it is as the work needs it.
    """

    topic: str
    finding: str
    fit: bool = True


def examine() -> Iterator[Check]:
    """Look at the installation, the device, the models, the cache and GDAL, one after the other."""
    yield Check("lposs-geo", _version("lposs-geo"))
    yield Check("Python", f"{platform.python_version()} at {sys.executable}")
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield Check("system", f"{system}, {os.cpu_count()} processors")
    for package in PACKAGES:
        installed = _version(package)
        yield Check(package, installed, installed != _MISSING)
    yield from _device()
    yield from _gdal()
    yield from _limits()
    yield from _models()
    folder = models.cache_folder()
    usable = _is_writable(folder)
    yield Check("cache", f"{folder}{'' if usable else ' (not writable: set LPOSS_GEO_CACHE)'}", usable)


def _models() -> Iterator[Check]:
    preferred = models.preferred()
    for model in models.MODELS.values():
        installed = models.is_installed(model)
        state = "installed" if installed else f"not installed: lposs-geo models pull {model.name}"
        default = ", used where no other is named" if model == preferred else ""
        yield Check(f"model {model.name}", state + default, installed or not model.is_bundled)


_MISSING = "missing: reinstall lposs-geo"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return _MISSING


def _device() -> Iterator[Check]:
    try:
        import torch
        import torchvision.ops  # noqa: F401  a torchvision of another torch fails here
    except (ImportError, OSError, RuntimeError) as error:
        yield Check("device", f"torch doesn't load: {one_line(error)}", False)
        return
    yield Check("threads", str(torch.get_num_threads()))
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            yield Check(f"device cuda:{index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    else:
        yield Check("device", "cpu (torch sees no GPU)")


def _gdal() -> Iterator[Check]:
    try:
        import rasterio
        from rasterio.crs import CRS

        CRS.from_epsg(32632).to_wkt()  # fails where another program's PROJ_DATA is in the way
    except Exception as error:  # a broken GDAL or PROJ fails in many ways, and each of them is the finding
        yield Check("GDAL", f"doesn't work: {one_line(error)}; unset PROJ_LIB, PROJ_DATA and GDAL_DATA", False)
        return
    yield Check("GDAL", f"{rasterio.__gdal_version__}, PROJ {rasterio.__proj_version__}")
    missing = [*missing_rasters(), *(name for ending, name in VECTORS.items() if missing_vector(ending))]
    yield Check("formats", f"can't write {', '.join(missing)}: reinstall lposs-geo" if missing else "all", not missing)
    disturbing = [
        name for name in ("PROJ_LIB", "PROJ_DATA", "GDAL_DATA", "GDAL_SKIP", "PYTHONPATH") if name in os.environ
    ]
    yield Check("environment", f"sets {', '.join(disturbing)}" if disturbing else "sets nothing that could disturb")


def _limits() -> Iterator[Check]:
    files, space = open_files(), address_space()
    yield Check("open files", "no limit" if files is None else f"up to {files}", files is None or files >= FEWEST_FILES)
    if space is not None:
        try:
            check_address_space()
        except OutOfMemoryError as error:
            yield Check("address space", str(error), False)
        else:
            yield Check("address space", f"up to {space / 1e9:.1f} GB")


def _is_writable(folder: Path) -> bool:
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    return os.access(existing, os.W_OK)
