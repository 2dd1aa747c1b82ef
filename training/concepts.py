"""What the training images show: concepts, the words for them, and what a label of each image set says about a patch.

A patch of a mixed scene (a river with its banks, a street of houses) may show any of several concepts. So a label says
three things: the concepts that its patches may show (`allowed`), the one that the scene as a whole is named after
(`name`), and those it says nothing about (`unsure`: neither right nor wrong).
"""

from __future__ import annotations

from dataclasses import dataclass

WORDS: dict[str, tuple[str, ...]] = {
    "water": ("water", "river", "lake", "pond", "sea", "stream", "canal", "reservoir", "open water", "water body"),
    "forest": ("forest", "trees", "woodland", "tree canopy", "wood", "tree", "trees and woods"),
    "grass": ("grass", "meadow", "grassland", "lawn", "pasture", "low vegetation"),
    "shrubs": ("shrubland", "chaparral", "bushes", "scrub", "shrubs"),
    "crops": (
        "cropland",
        "crop field",
        "farmland",
        "agricultural field",
        "crops",
        "field",
        "agriculture",
        "arable land",
    ),
    "soil": ("bare soil", "bare land", "bare ground", "barren land", "soil", "barren"),
    "sand": ("sand", "beach", "sandy ground", "desert"),
    "road": ("road", "street", "highway", "motorway", "roads", "freeway", "paved road"),
    "pavement": ("pavement", "impervious surface", "concrete", "asphalt", "paved surface"),
    "parking": ("parking lot", "car park", "parked cars"),
    "building": ("building", "house", "roof", "buildings", "rooftop", "houses"),
    "residential": ("residential area", "housing area", "neighbourhood", "town", "village"),
    "vegetation": ("vegetation", "plants", "greenery", "green vegetation"),
    "railway": ("railway", "rail track", "railway tracks"),
    "airplane": ("airplane", "aircraft"),
    "baseball": ("baseball diamond", "sports field", "baseball field"),
    "golf": ("golf course",),
    "harbor": ("harbor", "boats", "marina", "port"),
    "intersection": ("intersection", "crossroads"),
    "mobile homes": ("mobile home park", "trailer park"),
    "overpass": ("overpass", "flyover"),
    "runway": ("runway", "airport runway"),
    "tank": ("storage tank", "storage tanks"),
    "tennis": ("tennis court",),
}
CONCEPTS = tuple(WORDS)
COARSE = "vegetation"
"""The concept that stands for all of `FINE`; a training step knows either the one or the others."""
FINE = ("forest", "grass", "shrubs", "crops")


@dataclass(frozen=True)
class Label:
    """What a label says of its patches (see the module's text)."""

    allowed: tuple[str, ...]
    unsure: tuple[str, ...] = ()
    name: str = ""


_TOWN = ("building", "road", "pavement", "forest", "grass", "vegetation", "soil")

LABELS: dict[str, Label] = {
    # pixel labels
    "water": Label(("water",), ("harbor",)),
    "forest": Label(("forest", "vegetation")),
    "crops": Label(("crops", "vegetation"), ("soil", "grass", "shrubs")),
    "bare field": Label(("crops",), ("soil", "sand")),
    "grass": Label(("grass", "vegetation"), ("crops", "golf", "baseball")),
    "soil": Label(("soil",), ("sand", "crops")),
    "road": Label(("road",), ("pavement", "parking", "runway", "overpass", "intersection")),
    "railway": Label(("railway",), ("road", "pavement")),
    "building": Label(("building",), ("residential", "mobile homes", "tank")),
    "residential": Label(("building", "residential"), (*_TOWN, "mobile homes"), "residential"),
    "pavement": Label(("pavement",), ("road", "parking", "runway")),
    "parking": Label(("parking",), ("pavement", "road")),
    "shrubs": Label(("shrubs", "vegetation"), ("forest", "grass")),
    "sand": Label(("sand",), ("soil",)),
    "impervious": Label(("pavement",), ("road", "parking", "building", "runway", "residential")),
    "dubai bare": Label(("soil", "sand")),
    "dubai vegetation": Label(("vegetation", "forest", "grass", "shrubs"), ("crops", "golf")),
    "low vegetation": Label(("grass", "crops", "vegetation"), ("shrubs", "soil", "golf")),
    # scenes of UC Merced
    "agricultural": Label(("crops", "vegetation"), ("soil", "grass"), "crops"),
    "airplane": Label(
        ("airplane", "runway", "pavement", "grass", "vegetation"), ("road", "parking", "building"), "airplane"
    ),
    "baseballdiamond": Label(("baseball", "grass", "soil", "sand", *_TOWN), ("parking",), "baseball"),
    "beach": Label(("sand", "water"), ("soil",), "sand"),
    "buildings": Label(("building", "road", "pavement", "parking"), ("residential", *_TOWN), "building"),
    "chaparral": Label(("shrubs", "vegetation"), ("soil", "sand", "grass", "forest"), "shrubs"),
    "denseresidential": Label(("residential", *_TOWN), ("mobile homes", "parking"), "residential"),
    "mediumresidential": Label(("residential", *_TOWN), ("mobile homes", "parking"), "residential"),
    "sparseresidential": Label(("residential", *_TOWN), ("mobile homes", "shrubs"), "residential"),
    "forest scene": Label(("forest", "vegetation"), (), "forest"),
    "freeway": Label(
        ("road", "grass", "forest", "soil", "vegetation", "shrubs"), ("pavement", "overpass", "runway"), "road"
    ),
    "golfcourse": Label(("golf", "grass", "forest", "sand", "vegetation"), ("water",), "golf"),
    "harbor": Label(("harbor", "water"), ("pavement",), "harbor"),
    "intersection": Label(("intersection", "road", *_TOWN), ("residential", "parking"), "intersection"),
    "mobilehomepark": Label(("mobile homes", *_TOWN), ("residential", "parking"), "mobile homes"),
    "overpass": Label(
        ("overpass", "road", "grass", "soil", "vegetation"), ("pavement", "shrubs", "railway"), "overpass"
    ),
    "parkinglot": Label(("parking",), ("pavement", "road", "building"), "parking"),
    "river": Label(("water", "forest", "vegetation", "grass", "shrubs", "soil", "sand"), (), "water"),
    "runway": Label(("runway", "grass", "soil", "vegetation"), ("pavement", "road"), "runway"),
    "storagetanks": Label(("tank", "soil", "pavement", "road"), ("building", "grass", "parking"), "tank"),
    "tenniscourt": Label(("tennis", *_TOWN), ("parking", "residential"), "tennis"),
}
LABEL_NAMES = tuple(LABELS)

DUBAI = {1: "building", 2: "dubai bare", 3: "road", 4: "dubai vegetation", 5: "water"}
CHESAPEAKE = {1: "water", 2: "forest", 3: "low vegetation", 4: "soil", 5: "impervious", 6: "road"}

UC_MERCED_WORDS = {
    "agricultural": "cropland",
    "airplane": "airplane",
    "baseballdiamond": "baseball diamond",
    "beach": "beach",
    "buildings": "buildings",
    "chaparral": "chaparral",
    "denseresidential": "dense residential area",
    "forest": "forest",
    "freeway": "freeway",
    "golfcourse": "golf course",
    "harbor": "harbor",
    "intersection": "intersection",
    "mediumresidential": "medium residential area",
    "mobilehomepark": "mobile home park",
    "overpass": "overpass",
    "parkinglot": "parking lot",
    "river": "river",
    "runway": "runway",
    "sparseresidential": "sparse residential area",
    "storagetanks": "storage tanks",
    "tenniscourt": "tennis court",
}
