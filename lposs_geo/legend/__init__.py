"""The classes: names, words, colours, codes; read from words, files and presets, and from other programs' rasters."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
