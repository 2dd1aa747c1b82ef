"""Map the bundled scene with a legend of one's own: words, names, colours and codes are in lakeside.toml."""

from pathlib import Path

import lposs_geo

HERE = Path(__file__).parent

legend = lposs_geo.read_legend(HERE / "lakeside.toml")
result = lposs_geo.map_scene(
    HERE / "lakeside.tif", legend, "lakeside_legend.tif", quicklook="lakeside_legend.png", overwrite=True
)

print(legend.title)
for land_class, area in zip(legend.classes, result.areas, strict=True):
    wanted = ", ".join(land_class.prompts)
    unwanted = ", ".join(land_class.negatives) or "nothing"
    print(
        f"{land_class.code} {land_class.name:<10} {land_class.hex_colour}  "
        f"asked for as {wanted}, told from {unwanted}: {area.share:.1%}"
    )
