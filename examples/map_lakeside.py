"""Map the bundled scene from Python: a GeoTIFF, polygons, a picture, a report, and how much there is of each class."""

from pathlib import Path

import lposs_geo

SCENE = Path(__file__).parent / "lakeside.tif"

result = lposs_geo.map_scene(
    SCENE,
    "water,forest,crop field,road,building",
    "lakeside_map.tif",
    vector="lakeside_map.gpkg",
    quicklook="lakeside_map.png",
    report="lakeside_map.html",
    overwrite=True,
    progress=lambda stage, done, total: print(f"\r{stage} {done}/{total}", end="" if done < total else "\n"),
)

for area in result.areas:
    print(f"{area.name:<12} {area.area_m2 / 1e4:6.2f} ha  {area.share:6.1%}")
print(", ".join(map(str, result.outputs.paths.values())))
