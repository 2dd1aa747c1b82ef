"""The other files of a map: rasters, styles, quicklook, report, STAC item."""
