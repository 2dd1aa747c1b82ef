"""Any raster as a masked RGB array in 0..1: names, opening, bands, radiometry, nodata, position, area of interest."""
