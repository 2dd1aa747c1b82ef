from __future__ import annotations

from pathlib import Path

import pyproj
import pytest
from rasterio.crs import CRS

from lposs_geo.errors import OutputError
from lposs_geo.files.outputs import POLYGON_ENDINGS
from lposs_geo.files.vectors import check_vector

UTM = CRS.from_epsg(32632)
OWN = CRS.from_wkt(pyproj.CRS("+proj=laea +lat_0=47.6 +lon_0=8.2 +ellps=GRS80 +units=m").to_wkt())
MARS = CRS.from_wkt(
    'GEOGCS["Mars 2000",DATUM["D_Mars_2000",SPHEROID["Mars_2000_IAU_IAG",3396190,169.8944472236118]],'
    'PRIMEM["Reference_Meridian",0],UNIT["Degree",0.0174532925199433]]'
)


@pytest.mark.parametrize(
    ("name", "crs", "reason"),
    [
        ("map.shp", UTM, "ten letters, ends at 2 GB"),
        ("map.SHP", None, r"take \.gpkg, \.parquet, \.fgb or \.geojson$"),
        ("map.kml", UTM, r"'map\.kml' must end in \.gpkg, \.parquet, \.fgb or \.geojson$"),
        ("map", UTM, "must end in"),
        ("map.geojson", None, "without a CRS"),
        ("map.geojson", MARS, r"'Mars 2000' can't be transformed: take \.gpkg, \.parquet or \.fgb$"),
        ("map.GeoJSON", CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]'), "'site' can't be transformed"),
    ],
)
def test_what_cannot_be_is_refused(name, crs, reason):
    with pytest.raises(OutputError, match=reason) as caught:
        check_vector(Path(name), crs)
    assert "\n" not in str(caught.value)


def test_what_can_be_is_accepted():
    for suffix in POLYGON_ENDINGS:
        check_vector(Path(f"map{suffix}"), UTM)
        check_vector(Path(f"map{suffix.upper()}"), OWN)
