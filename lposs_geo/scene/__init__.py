"""Any raster as a masked RGB array in 0..1: names, opening, bands, radiometry, nodata, position, area of interest."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
