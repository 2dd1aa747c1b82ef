"""Styles of a map for a GIS: a legend's names and colours in the style languages of QGIS (QML) and of GeoServer (SLD).

QML is what QGIS 3.22 and later load. SLD is of version 1.0; QGIS reads that of polygons, but of no raster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from lposs_geo.legend.colours import to_hex
from lposs_geo.legend.legend import LandClass, Legend
from lposs_geo.legend.oklab import Colour

__all__ = ["changes_qml", "confidence_qml", "labels_qml", "labels_sld", "polygons_qml", "polygons_sld"]

CLASS_FIELD = "class_id"
"""The field of the polygons that decides their colour."""

OUTLINE_MM = 0.1
"""Width of an outline, the thinnest that prints."""

_OUTLINE_SHADE = 0.75
"""Outlines are a class's colour, this much as bright: they part neighbours and cover the hairline between them."""

# Viridis at every tenth: even in lightness, and to the eyes of the colour-blind too.
_CONFIDENCE_RAMP = (
    *((68, 1, 84), (72, 36, 117), (65, 68, 135), (53, 95, 141), (42, 120, 142), (33, 145, 140)),
    *((34, 168, 132), (68, 191, 112), (122, 209, 81), (189, 223, 38), (253, 231, 37)),
)


def labels_qml(legend: Legend) -> str:
    """QGIS's style for a raster of labels: one colour and name for each class, and for "unknown".

    Nodata is none of them, and so not shown.

    Parameters
    ----------
    legend : Legend

    Returns
    -------
    str
        The text of a ``.qml`` file.
    """
    return _paletted(_shown(legend), frozenset())


def changes_qml(classes: Sequence[LandClass], clear: int) -> str:
    """QGIS's style for a raster of changes: one colour and name for each value.

    Parameters
    ----------
    classes : sequence of LandClass
        What the values mean.
    clear : int
        The value that lets layers below show through.

    Returns
    -------
    str
        The text of a ``.qml`` file.
    """
    return _paletted(classes, frozenset({clear}))


def confidence_qml() -> str:
    """QGIS's style for a raster of confidence in percent: dark violet at 0, by way of green, to yellow at 100.

    Returns
    -------
    str
        The text of a ``.qml`` file.
    """
    root, renderer = _raster_qml("singlebandpseudocolor", classificationMin="0", classificationMax="100")
    shader = SubElement(
        SubElement(renderer, "rastershader"),
        "colorrampshader",
        colorRampType="INTERPOLATED",
        classificationMode="1",
        clip="0",
        minimumValue="0",
        maximumValue="100",
        labelPrecision="0",
    )
    ramp = SubElement(shader, "colorramp", type="gradient", name="[source]")
    last = len(_CONFIDENCE_RAMP) - 1
    stops = [f"{index / last:g};{_rgba(colour)}" for index, colour in enumerate(_CONFIDENCE_RAMP)]
    _options(
        ramp,
        {
            "color1": _rgba(_CONFIDENCE_RAMP[0]),
            "color2": _rgba(_CONFIDENCE_RAMP[-1]),
            "discrete": "0",
            "rampType": "gradient",
            "stops": ":".join(stops[1:-1]),
        },
    )
    for index, colour in enumerate(_CONFIDENCE_RAMP):
        value = f"{100 * index / last:g}"
        SubElement(shader, "item", value=value, color=to_hex(colour), alpha="255", label=f"{value} %")
    bar = {"prefix": "", "suffix": " %", "minimumLabel": "", "maximumLabel": ""}
    SubElement(shader, "rampLegendSettings", bar | {"orientation": "2", "direction": "0", "useContinuousLegend": "1"})
    return _qml(root)


def polygons_qml(legend: Legend) -> str:
    """QGIS's style for the polygons of a map: one colour and name for each value of class_id.

    Parameters
    ----------
    legend : Legend

    Returns
    -------
    str
        The text of a ``.qml`` file.
    """
    root = _qgis_root()
    renderer = SubElement(root, "renderer-v2", type="categorizedSymbol", attr=CLASS_FIELD, enableorderby="0")
    renderer.attrib |= {"forceraster": "0", "symbollevels": "0", "referencescale": "-1"}
    categories, symbols = SubElement(renderer, "categories"), SubElement(renderer, "symbols")
    for index, land_class in enumerate(_shown(legend)):
        category = {"value": str(land_class.id), "type": "long", "symbol": str(index), "label": land_class.name}
        SubElement(categories, "category", category | {"render": "true"})
        symbol = SubElement(symbols, "symbol", type="fill", name=str(index), alpha="1", clip_to_extent="1")
        layer = SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        _options(
            layer,
            {
                "color": _rgba(land_class.colour),
                "style": "solid",
                "outline_color": _rgba(_outline(land_class)),
                "outline_style": "solid",
                "outline_width": f"{OUTLINE_MM:g}",
                "outline_width_unit": "MM",
                "joinstyle": "round",
            },
        )
    SubElement(root, "previewExpression").text = '"class_name"'
    return _qml(root)


def labels_sld(legend: Legend) -> str:
    """The style of a raster of labels as SLD.

    Nodata is no entry, and so not shown.

    Parameters
    ----------
    legend : Legend

    Returns
    -------
    str
        The text of an ``.sld`` file.
    """
    root, style = _sld_root()
    rule = SubElement(style, "Rule")
    symbolizer = SubElement(rule, "RasterSymbolizer")
    channel = SubElement(SubElement(symbolizer, "ChannelSelection"), "GrayChannel")
    SubElement(channel, "SourceChannelName").text = "1"
    colours = SubElement(symbolizer, "ColorMap", type="values")
    for land_class in sorted(_shown(legend), key=lambda land_class: land_class.id):  # GeoServer wants them to rise
        entry = {"color": land_class.hex_colour, "quantity": str(land_class.id), "label": land_class.name}
        SubElement(colours, "ColorMapEntry", entry | {"opacity": "1"})
    return _text(root)


def polygons_sld(legend: Legend) -> str:
    """The style of the polygons of a map as SLD: a rule for each value of class_id.

    Parameters
    ----------
    legend : Legend

    Returns
    -------
    str
        The text of an ``.sld`` file.
    """
    root, style = _sld_root()
    for land_class in _shown(legend):
        rule = SubElement(style, "Rule")
        SubElement(rule, "Name").text = land_class.name
        SubElement(rule, "Title").text = land_class.name
        equal = SubElement(SubElement(rule, "ogc:Filter"), "ogc:PropertyIsEqualTo")
        SubElement(equal, "ogc:PropertyName").text = CLASS_FIELD
        SubElement(equal, "ogc:Literal").text = str(land_class.id)
        symbolizer = SubElement(rule, "PolygonSymbolizer")
        _css(SubElement(symbolizer, "Fill"), {"fill": land_class.hex_colour})
        outline = {"stroke": to_hex(_outline(land_class)), "stroke-width": "0.4", "stroke-linejoin": "round"}
        _css(SubElement(symbolizer, "Stroke"), outline)
    return _text(root)


def _paletted(classes: Iterable[LandClass], clear: frozenset[int]) -> str:
    root, renderer = _raster_qml("paletted")
    palette = SubElement(renderer, "colorPalette")
    for land_class in classes:
        alpha = "0" if land_class.id in clear else "255"
        entry = {"value": str(land_class.id), "color": land_class.hex_colour, "alpha": alpha, "label": land_class.name}
        SubElement(palette, "paletteEntry", entry)
    return _qml(root)


def _shown(legend: Legend) -> tuple[LandClass, ...]:
    """Classes in a reader's order: "unknown" comes last."""
    return legend.with_unknown


def _outline(land_class: LandClass) -> Colour:
    red, green, blue = (round(_OUTLINE_SHADE * channel) for channel in land_class.colour)
    return red, green, blue


def _rgba(colour: Colour) -> str:
    return ",".join(map(str, (*colour, 255)))


def _qgis_root() -> Element:
    return Element("qgis", version="3.22.0", styleCategories="Symbology")


def _raster_qml(kind: str, **options: str) -> tuple[Element, Element]:
    """The document, and in it the renderer that shows the raster's only band."""
    root = _qgis_root()
    renderer = SubElement(SubElement(root, "pipe"), "rasterrenderer", type=kind, band="1", opacity="1", alphaBand="-1")
    renderer.attrib |= {"nodataColor": "", **options}
    SubElement(renderer, "rasterTransparency")
    # The limits are given: QGIS needn't look at the pixels.
    SubElement(SubElement(renderer, "minMaxOrigin"), "limits").text = "None"
    return root, renderer


def _options(parent: Element, options: Mapping[str, str]) -> None:
    """A map of strings, as QGIS stores its properties."""
    entries = SubElement(parent, "Option", type="Map")
    for name, value in options.items():
        SubElement(entries, "Option", type="QString", name=name, value=value)


def _qml(root: Element) -> str:
    indent(root)
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{tostring(root, encoding='unicode')}\n"


def _sld_root() -> tuple[Element, Element]:
    """The document, and in it the one style, which takes rules."""
    root = Element("StyledLayerDescriptor", {"version": "1.0.0", "xmlns": "http://www.opengis.net/sld"})
    root.set("xmlns:ogc", "http://www.opengis.net/ogc")
    layer = SubElement(root, "NamedLayer")
    SubElement(layer, "Name").text = "landcover"
    style = SubElement(layer, "UserStyle")
    SubElement(style, "Name").text = "landcover"
    return root, SubElement(style, "FeatureTypeStyle")


def _text(root: Element) -> str:
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _css(parent: Element, parameters: Mapping[str, str]) -> None:
    for name, value in parameters.items():
        SubElement(parent, "CssParameter", name=name).text = value
