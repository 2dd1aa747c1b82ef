"""Draw polygons of `labels/` back over their picture, to draw new ones and to check them.

    python training/draw.py picture.png --labels training/labels/quickbird.json --box 0 0 200 200 --zoom 5 -o check.png

The grid's numbers are px of the picture, x to the right and y downwards, as the corners of the polygons are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from polygons import Polygon, read_polygons

COLOURS = {
    "water": "#2f7bff",
    "forest": "#00a000",
    "shrubs": "#7fbf00",
    "grass": "#00ff80",
    "low vegetation": "#00e0e0",
    "crops": "#c8ff00",
    "bare field": "#ffb000",
    "soil": "#a06030",
    "sand": "#ffe090",
    "road": "#ffffff",
    "pavement": "#b0b0b0",
    "parking": "#ff80c0",
    "railway": "#a040ff",
    "building": "#ff2020",
    "residential": "#ff00ff",
}


def draw(picture: Path, polygons: Sequence[Polygon], box: Sequence[int], zoom: float, grid: int) -> Image.Image:
    """The part `box` (left, top, right, bottom, px) of a picture, enlarged, with a grid and the polygons' outlines."""
    left, top, right, bottom = box
    part = Image.open(picture).convert("RGB").crop((left, top, right, bottom))
    image = part.resize((round(part.width * zoom), round(part.height * zoom)), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image, "RGBA")
    for x in range(-(-left // grid) * grid, right, grid):
        pen.line([((x - left) * zoom, 0), ((x - left) * zoom, image.height)], fill=(255, 255, 0, 70))
        pen.text(((x - left) * zoom + 2, 0), str(x), fill="yellow")
    for y in range(-(-top // grid) * grid, bottom, grid):
        pen.line([(0, (y - top) * zoom), (image.width, (y - top) * zoom)], fill=(255, 255, 0, 70))
        pen.text((2, (y - top) * zoom), str(y), fill="yellow")
    for number, (name, corners) in enumerate(polygons):
        outline = [((x - left) * zoom, (y - top) * zoom) for x, y in corners]
        pen.line([*outline, outline[0]], fill=COLOURS[name], width=2)
        centre = [sum(values) / len(outline) for values in zip(*outline, strict=True)]
        pen.text((centre[0], centre[1]), f"{number} {name}", fill=COLOURS[name], stroke_width=1, stroke_fill="black")
    return image


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--labels", type=Path, help="a file of `labels/`; without one, only the grid is drawn")
    parser.add_argument("--box", type=int, nargs=4, metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"))
    parser.add_argument("--zoom", type=float, default=3)
    parser.add_argument("--grid", type=int, default=20, help="px between lines")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    drawn = read_polygons(args.labels) if args.labels else {}
    polygons = next((p for name, p in drawn.items() if Path(name).stem == args.picture.stem), [])
    box = args.box or [0, 0, *Image.open(args.picture).size]
    draw(args.picture, polygons, box, args.zoom, args.grid).save(args.output)


if __name__ == "__main__":
    main()
