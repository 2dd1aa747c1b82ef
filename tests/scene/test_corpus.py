"""Rasters of all kinds: each is mapped, or refused in one line.

The rows below are built here. They are of the kinds of a collection of real rasters from public test suites; where the
environment variable LPOSS_GEO_CORPUS names a folder that holds it, those are mapped too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.mapping import Mapper
from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import open_scene
from lposs_geo.testing.encoders import ColourEncoder
from lposs_geo.testing.rasters import write_geotiff

CORPUS = os.environ.get("LPOSS_GEO_CORPUS")

ROWS, COLS = 48, 80
NOWHERE: dict[str, Any] = {"crs": None, "transform": Affine.identity()}
SOUTH_UP = {"crs": "EPSG:4326", "transform": Affine(0.5, 0, -20, 0, 0.5, 30)}
DATELINE = {"crs": "EPSG:4326", "transform": Affine(0.01, 0, 179.6, 0, -0.01, 52)}
UTM_17 = {"crs": "EPSG:32617", "transform": Affine(1, 0, 400000, 0, -1, 3285000)}
MARS = CRS.from_wkt(
    'PROJCS["Equirectangular MARS",GEOGCS["GCS_MARS",DATUM["D_MARS",SPHEROID["MARS_localRadius",3396190,0]],'
    'PRIMEM["Reference_Meridian",0],UNIT["Degree",0.0174532925199433]],PROJECTION["Equirectangular"],'
    'PARAMETER["standard_parallel_1",0],UNIT["metre",1]]'
)
ALBERS = CRS.from_proj4("+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-96 +ellps=WGS84 +units=m")

GREY = "'{path}' is seen as grey, by its band 1: models are trained on colours, so don't rely on the map"
NO_CRS = "'{path}' has no coordinate reference system: neither will the map; areas are in its own units"
FRAME = "N% of '{path}' is a black frame without declared nodata, taken as nodata: collar=False keeps it"
INFRARED = "band 4 of '{path}' is tagged alpha, but varies as infrared does: it masks nothing"
GUESS = (
    "'{path}' doesn't tell which of its N bands are red, green and blue, and 3, 2, 1 is a guess: name others with bands"
)
CONTRAST = (
    "'{path}' doesn't tell which of its bands are red, green and blue, and 1, 2, 3 is a guess, since band 1 has more "
    "contrast than band 3: name others with bands"
)
HEIGHT = "'{path}' is placed by RPCs at one height, N m: where the ground is higher or lower, the map is off"
EMPTY = "'{path}' has no valid pixel: all is nodata, transparent or not a number"
POINTS = "'{path}' is located only by ground control points: warp=True maps it on a north-up grid"
MODEL = "'{path}' is located only by RPCs: warp=True maps it on a north-up grid"


def _picture(
    dtype: str = "uint8", low: float = 20, high: float = 220, rows: int = ROWS, cols: int = COLS
) -> np.ndarray:
    """A red half and a blue half, with some noise: (3, rows, cols)."""
    shares = np.random.default_rng(0).uniform(0, 0.15, (3, rows, cols))
    shares[0, :, : cols // 2] += 0.8
    shares[2, :, cols // 2 :] += 0.8
    return (low + shares * (high - low)).astype(dtype)


def _with(picture: np.ndarray, *bands: np.ndarray | float) -> np.ndarray:
    """A picture and more bands."""
    more = [np.broadcast_to(np.asarray(band), picture.shape[1:])[None].astype(picture.dtype) for band in bands]
    return np.concatenate([picture, *more])


def _noise(low: float = 20, high: float = 220) -> np.ndarray:
    return np.random.default_rng(1).uniform(low, high, (ROWS, COLS))


def _corner(value: float, other: float = 0) -> np.ndarray:
    """One value in the corner that is missing, another one elsewhere."""
    return np.where(MISSING, value, other)


MISSING = np.zeros((ROWS, COLS), bool)
MISSING[:12, :16] = True


def _holed(picture: np.ndarray, value: float) -> np.ndarray:
    return np.where(MISSING, np.asarray(value, picture.dtype), picture)


_Build = Callable[[Path], Path]


def _file(array: np.ndarray, name: str = "scene.tif", **options: Any) -> _Build:
    """A raster in a file; GDAL's options, and what is written after the pixels."""
    options = dict(options)
    after = {key: options.pop(key) for key in ("gcps", "rpcs", "scales", "offsets") if key in options}
    palette, mask = options.pop("palette", None), options.pop("mask", None)
    colours = [ColorInterp[colour] for colour in options.pop("colours", "").split()]

    def build(folder: Path) -> Path:
        path = folder / name
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            write_geotiff(path, array, colorinterp=colours, **options)
            if after or palette or mask is not None:
                with rasterio.open(path, "r+") as dataset:
                    for key, value in after.items():
                        setattr(dataset, key, value)
                    if palette:
                        dataset.write_colormap(1, palette)
                    if mask is not None:
                        dataset.write_mask(mask)
        return path

    return build


def _then(change: Callable[[Path], Path], build: _Build) -> _Build:
    return lambda folder: change(build(folder))


def _cut_off(path: Path) -> Path:
    """The same file without its second half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def _vrt_of(path: Path) -> Path:
    """A VRT beside a file, located by its RPCs only."""
    wrapper = path.with_suffix(".vrt")
    with rasterio.open(path) as dataset:
        tags = "".join(f'<MDI key="{key}">{value}</MDI>' for key, value in dataset.tags(ns="RPC").items())
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{colour}</ColorInterp><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{path.name}</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for band, colour in enumerate(("Red", "Green", "Blue"), 1)
    )
    wrapper.write_text(
        f'<VRTDataset rasterXSize="{COLS}" rasterYSize="{ROWS}"><Metadata domain="RPC">{tags}</Metadata>{bands}'
        "</VRTDataset>"
    )
    return wrapper


def _gcps() -> tuple[list[GroundControlPoint], str]:
    """South up and in degrees: 0.001 a pixel."""
    points = [(row, col) for row in range(0, ROWS + 1, 8) for col in range(0, COLS + 1, 8)]
    return [GroundControlPoint(row, col, 76 + col / 1e3, 10 + row / 1e3) for row, col in points], "EPSG:4326"


def _rpcs() -> RPC:
    line, sample, one = [0.0] * 20, [0.0] * 20, [1.0] + [0.0] * 19
    line[2], sample[1] = -1.0, 1.0  # lines run south, samples east
    return RPC(
        height_off=89, height_scale=700, lat_off=49.2, lat_scale=0.0024, line_off=ROWS / 2, line_scale=ROWS / 2,
        line_num_coeff=line, line_den_coeff=one, long_off=-123.1, long_scale=0.004, samp_off=COLS / 2,
        samp_scale=COLS / 2, samp_num_coeff=sample, samp_den_coeff=one, err_bias=0, err_rand=0,
    )  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One row: what is awkward, how to build it, which real file has it too, and what comes of it.

    A refusal and a notice are whole lines; N stands for a number.
    """

    what: str
    build: _Build
    real: str = ""
    bands: tuple[int, ...] = (1, 2, 3)
    notices: tuple[str, ...] = ()
    refused: str = ""
    missing: bool = False  # the corner is no data
    options: dict[str, Any] = field(default_factory=dict)
    real_notices: tuple[str, ...] = ()  # of the real file alone

    @property
    def is_grey(self) -> bool:
        return len(set(self.bands)) == 1 and "palette" not in self.what


_GREY = _picture()[:1]
_PALETTE = {0: (0, 0, 0, 255), 1: (230, 20, 20, 255), 2: (20, 20, 230, 255)}
_LARGE_PALETTE = {300 * index: colour for index, colour in _PALETTE.items()}
_HALVES = np.where(np.arange(COLS) < COLS // 2, 1, 2)[None, None].repeat(ROWS, 1).astype("uint8")
_FOUR_BANDS = _with(_picture("uint16", 200, 2000), _noise(300, 5000))
_FOUR_BANDS[2] //= 3  # there is less contrast in blue
_WITH_RPCS = _file(_picture(), rpcs=_rpcs(), **NOWHERE)
_JPEG = {"compress": "jpeg", "photometric": "ycbcr", "tiled": True, "blockxsize": 16, "blockysize": 16}

KINDS = [
    # --- where it lies
    Kind(
        "rotated, no CRS",
        _file(_GREY, crs=None, transform=Affine.rotation(30) @ Affine.scale(10, -10)),
        "rotated.tif",
        (1, 1, 1),
        (GREY, NO_CRS),
    ),
    Kind(
        "rotated, with CRS",
        _file(_GREY, crs="EPSG:32611", transform=Affine(1.5, -5, 1841001.75, -5, -1.5, 1144003.25)),
        "geomatrix.tif",
        (1, 1, 1),
        (GREY,),
    ),
    Kind("rotated RGB", _file(_picture(), transform=Affine.translation(4e5, 5e6) @ Affine.rotation(200))),
    Kind("south up, degrees", _file(_picture(), **SOUTH_UP)),
    Kind(
        "south up, all nodata",
        _file(np.full((1, ROWS, COLS), -9999, "float32"), nodata=-9999, **SOUTH_UP),
        "south_up.tif",
        refused=EMPTY,
    ),
    Kind("GCPs only", _file(_GREY.astype("uint16"), gcps=_gcps(), **NOWHERE), "gcps.tif", refused=POINTS),
    Kind(
        "GCPs only, grey, warped",
        _file(_holed(_GREY.astype("uint16"), 0), gcps=_gcps(), **NOWHERE),
        "gcps.tif",
        (1, 1, 1),
        (GREY, FRAME),
        options={"warp": True},
    ),
    Kind("GCPs only, warped", _file(_picture(), gcps=_gcps(), **NOWHERE), options={"warp": True}),
    Kind("RPCs only", _then(_vrt_of, _WITH_RPCS), "rpc.vrt", refused=MODEL),
    Kind("RPCs only, warped", _then(_vrt_of, _WITH_RPCS), "rpc.vrt", notices=(HEIGHT,), options={"warp": True}),
    Kind("a CRS of its own", _file(_picture("int16", 300, 2500), nodata=-9999, crs=ALBERS), "custom_wkt.tif"),
    Kind(
        "another planet, black frame",
        _file(_holed(_picture(), 0), crs=MARS, transform=Affine(5, 0, 7376380, 0, -5, -860015)),
        "mars.tif",
        notices=(FRAME,),
        missing=True,
    ),
    Kind(
        "across the antimeridian, UTM",
        _file(_picture("uint16", 1, 9000)[:1], crs="EPSG:32660", transform=Affine(100, 0, 830000, 0, -100, 5800000)),
        "dateline.tif",
        (1, 1, 1),
        (GREY,),
    ),
    Kind("across the antimeridian, degrees", _file(_picture(), **DATELINE)),
    Kind("US feet", _file(_picture(), crs="EPSG:2263", transform=Affine(2, 0, 981000, 0, -2, 199000))),
    Kind("pixels that are not square", _file(_picture(), transform=Affine(23.6, 0, 671664, 0, -29.5, 4374596))),
    Kind("a photo", _file(_picture(), "photo.jpg", driver="JPEG", **NOWHERE), "no_crs_photo.jpg", notices=(NO_CRS,)),
    Kind(
        "3 x 2 px",
        _file(_GREY[:, :2, 39:42].astype("float64"), crs=None, transform=Affine(100, 0, 0, 0, 100, 0)),
        "tiny.tif",
        (1, 1, 1),
        (GREY, NO_CRS),
    ),
    Kind(
        "pixels without size",
        _file(_picture(), transform=Affine(2, 4, 9, 1, 2, 9)),
        refused="'{path}' has a geotransform that gives its pixels no size, (2.0, 4.0, 9.0, 1.0, 2.0, 9.0): correct it "
        "first, e.g. with rio edit-info --transform",
    ),
    # --- which bands
    Kind("RGB, nodata 0", _file(_holed(_picture(), 0), nodata=0, photometric="rgb"), "RGB.byte.tif", missing=True),
    Kind(
        "BGR by colour interpretation, alpha of 16 bits",
        _file(_with(_picture("uint16", 800, 9000)[::-1], _corner(0, 255)), colours="blue green red alpha", alpha="yes"),
        "rgba_uint16.tif",
        (3, 2, 1),
        missing=True,
        real_notices=("'{path}' holds one value everywhere: there is nothing to see on it",),
    ),
    Kind(
        "RGBA", _file(_with(_picture(), _corner(0, 255)), photometric="rgb", alpha="yes"), "rgba_byte.tif", missing=True
    ),
    Kind(
        "infrared tagged alpha",
        _file(_with(_picture(), _noise()), colours="red green blue alpha", alpha="yes"),
        "nir_tagged_alpha.tif",
        notices=(INFRARED,),
    ),
    Kind(
        "RGB and infrared",
        _file(_with(_picture(), _noise()), colours="red green blue undefined", photometric="rgb", alpha="no", **UTM_17),
        "naip_rgbn.tif",
    ),
    Kind(
        "infrared as red",
        _file(_picture()[[1, 2, 1, 0]], photometric="rgb", alpha="no"),
        bands=(4, 1, 2),
        options={"bands": "nrg"},
    ),
    Kind(
        "two dates of four bands, red first",
        _file(np.concatenate([_FOUR_BANDS, _FOUR_BANDS // 2])),
        "s2_8band.tif",
        notices=(CONTRAST,),
    ),
    Kind(
        "ten bands of reflectance, negative values, nodata -9999",
        _file(_with(_holed(_picture("float32", -400, 2600)[::-1], -9999), *([_noise(0, 3000)] * 7)), nodata=-9999),
        "float_reflectance.tif",
        (3, 2, 1),
        (GUESS,),
        missing=True,
    ),
    Kind(
        "bands by name",
        _file(_FOUR_BANDS[[2, 1, 0, 3]], descriptions=("B02", "B03", "B04", "B08")),
        bands=(3, 2, 1),
    ),
    Kind(
        "all nodata",
        _file(np.zeros((4, ROWS, COLS), "uint16"), nodata=0, descriptions=("blue", "green", "red", "nir")),
        "all_nodata.tif",
        refused=EMPTY,
    ),
    Kind(
        "a palette, black frame",
        _file(_holed(_HALVES, 0), palette=_PALETTE),
        "paletted.tif",
        (1, 1, 1),
        (FRAME,),
        missing=True,
    ),
    Kind("a palette of 16 bits", _file(_HALVES.astype("uint16") * 300, palette=_LARGE_PALETTE), bands=(1, 1, 1)),
    Kind(
        "one band of JPEG 2000",
        _file(_GREY.astype("uint16") * 20, "band.jp2", driver="JP2OpenJPEG"),
        "s2_band.jp2",
        (1, 1, 1),
        (GREY,),
    ),
    Kind(
        "complex numbers",
        _file(_picture().astype("complex64")),
        refused="'{path}' holds complex numbers, not brightness: map a detected image instead",
    ),
    # --- values, and what is missing
    Kind("nodata 255", _file(_holed(_picture(), 255), nodata=255, photometric="rgb"), "osbs_029.tif", missing=True),
    Kind("an internal mask", _file(_picture(), mask=~MISSING, photometric="rgb"), "internal_mask.tif", missing=True),
    Kind(
        "NaN as nodata",
        _file(_holed(_picture("float32", 0.05, 0.4), np.nan)[:1], nodata=np.nan),
        bands=(1, 1, 1),
        notices=(GREY,),
        missing=True,
    ),
    Kind(
        "radar, nodata 0",
        _file(_holed(_picture("float32", 0.05, 0.4), 0)[:1], nodata=0, descriptions=("Gamma0_VV",)),
        "nan_nodata.tif",
        (1, 1, 1),
        (GREY,),
        missing=True,
    ),
    Kind(
        "scale and offset, two bands",
        _file(_picture("int16", 100, 9000)[:2], nodata=0, scales=(0.0001, 0.001), offsets=(1000, 2000)),
        "scaled_int.tif",
        (1, 1, 1),
        (GREY,),
    ),
    Kind(
        "scale and offset, stretched as asked",
        _file(_picture("int16", 100, 9000), scales=(0.0001,) * 3, offsets=(-0.1,) * 3),
        options={"scale": (0.0, 0.8)},
    ),
    Kind("JPEG in YCbCr with a mask", _file(_picture(), mask=np.ones((ROWS, COLS), bool), **_JPEG), "ycbcr_jpeg.tif"),
    Kind("WebP", _file(_picture(), compress="webp", photometric="rgb"), "webp.tif"),
    Kind(
        "damaged",
        _then(_cut_off, _file(_picture(), **_JPEG)),
        "corrupt.tif",
        refused="'{path}' is damaged near row 0, column 0 (*): get another copy of it",
    ),
    Kind("8 bits with a sign", _file((_picture().astype(int) - 128).astype("int8"))),
    Kind("12 of 16 bits", _file(_picture("uint16", 0, 4000), nbits=12)),
    Kind("64 bits", _file(_picture("int64", 0, 4000) + 2**52)),
    Kind("ENVI, big-endian", _file(_picture("uint16", 0, 4000), "scene.bsq", driver="ENVI")),
    Kind("ERDAS Imagine", _file(_picture("uint16", 0, 4000), "scene.img", driver="HFA")),
]


def _line(template: str, path: Path) -> re.Pattern[str]:
    """What a line of the table stands for."""
    escaped = re.escape(template).replace(re.escape("{path}"), re.escape(str(path))).replace(r"\*", ".+")
    return re.compile(re.sub(r"\bN\b", r"\\d+", escaped))


def _check(kind: Kind, path: Path, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Map a raster as its row says: its labels and what is valid of it."""
    if kind.refused:
        with pytest.raises(SceneError) as caught:
            describe(path, **kind.options)
        assert _line(kind.refused, path).fullmatch(str(caught.value)), str(caught.value)
        return np.zeros((0, 0)), np.zeros((0, 0))
    scene = describe(path, **kind.options)
    assert scene.bands == kind.bands
    assert len(scene.notices) == len(kind.notices), scene.notices
    for notice, template in zip(map(str, scene.notices), kind.notices, strict=True):
        assert _line(template, path).fullmatch(notice), notice
    grid = scene.grid
    rows, cols = min(grid.height, 96), min(grid.width, 96)
    window = Window((grid.width - cols) // 2, (grid.height - rows) // 2, cols, rows)
    with open_scene(scene) as reader:
        image, valid = reader.read(window)
    assert np.isfinite(image).all()
    assert 0 <= image.min() <= image.max() <= 1
    mapper = Mapper.of(ColourEncoder(), "colours")
    mapper.map(path, "red,green,blue", folder / "map.tif", window=window, **kind.options)
    with rasterio.open(folder / "map.tif") as made:
        labels = made.read(1)
        expected = grid.part(window).transform
        if grid.crs is None and not expected.is_identity and grid.transform.is_identity:
            expected = Affine(1, 0, window.col_off, 0, -1, -window.row_off)  # where a GIS shows a part of a picture
        assert (made.crs, made.shape) == (grid.crs, (rows, cols))
        assert made.transform.almost_equals(expected, 1e-6 * abs(expected.a))
    assert np.array_equal(labels != 255, valid)
    if "warp" in kind.options:
        assert grid.transform.a > 0 > grid.transform.e
        assert grid.transform.b == grid.transform.d == 0
    else:
        with rasterio.open(path) as dataset:
            assert (grid.crs, grid.transform) == (dataset.crs, dataset.transform)
    return labels, valid


@pytest.mark.parametrize("kind", KINDS, ids=[kind.what for kind in KINDS])
def test_a_raster_of_each_kind(kind, tmp_path):
    labels, valid = _check(kind, kind.build(tmp_path), tmp_path)
    if kind.refused or "warp" in kind.options:
        assert valid.any() != bool(kind.refused)
        return
    if valid.shape == (ROWS, COLS):
        assert np.array_equal(valid, ~MISSING if kind.missing else np.ones_like(valid))
    if not kind.is_grey:
        assert (labels[16:, : COLS // 2 - 8] == 1).mean() > 0.9
        assert (labels[16:, COLS // 2 + 8 :] == 3).mean() > 0.9


@pytest.mark.skipif(CORPUS is None, reason="LPOSS_GEO_CORPUS names no folder of real rasters")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.real], ids=lambda kind: f"{kind.real}: {kind.what}")
def test_the_real_raster(kind, tmp_path):
    _check(replace(kind, notices=kind.notices + kind.real_notices), Path(CORPUS or "") / kind.real, tmp_path)


@pytest.mark.skipif(CORPUS is None, reason="LPOSS_GEO_CORPUS names no folder of real rasters")
def test_no_real_raster_is_left_out():
    rasters = {path.name for path in Path(CORPUS or "").iterdir() if path.suffix in (".tif", ".vrt", ".jp2", ".jpg")}
    assert rasters == {kind.real for kind in KINDS if kind.real}
