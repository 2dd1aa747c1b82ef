"""Map the bundled scene with a legend of one's own: synonyms, names and colours come from lakeside.toml."""

from pathlib import Path

import lposs_geo

HERE = Path(__file__).parent

legend = lposs_geo.read_legend(HERE / "lakeside.toml")
result = lposs_geo.map_scene(
    HERE / "lakeside.tif", legend, "lakeside_legend.tif", quicklook="lakeside_legend.png", overwrite=True
)

for land_class, area in zip(legend.classes, result.areas, strict=True):
    print(
        f"{land_class.name:<10} {land_class.hex_colour}  asked for as {', '.join(land_class.prompts)}: {area.share:.1%}"
    )
