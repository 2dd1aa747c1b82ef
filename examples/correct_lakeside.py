"""A map by words, and the same map once fifteen points have said what it got wrong: three of their classes are new."""

from pathlib import Path

import lposs_geo

HERE = Path(__file__).parent
CLASSES = "water,forest,crop field,road,building"

mapper = lposs_geo.Mapper.load()
mapper.map(HERE / "lakeside.tif", CLASSES, "lakeside_words.tif", quicklook="lakeside_words.png", overwrite=True)
result = mapper.correct(
    "lakeside_words.tif",
    HERE / "lakeside_examples.geojson",
    "lakeside_corrected.tif",
    scene=HERE / "lakeside.tif",
    add_classes=True,
    quicklook="lakeside_corrected.png",
    changes="lakeside_changes.tif",
    save="lakeside.lposs",
    overwrite=True,
)
for area in result.areas:
    print(f"{area.name:12} {area.area_m2 / 1e4:7.2f} ha {area.share:6.1%}")
agreement = result.agreement
print(f"{agreement.before} of {agreement.examples} examples agreed before, {agreement.after} do after")
print(f"{agreement.left_out} of {agreement.judged} would without themselves")
