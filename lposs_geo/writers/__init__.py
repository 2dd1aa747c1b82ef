"""The other files of a map: rasters, styles, quicklook, report, STAC item."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
