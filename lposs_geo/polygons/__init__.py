"""Labels as a valid coverage of polygons, drawn row by row and streamed into files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
