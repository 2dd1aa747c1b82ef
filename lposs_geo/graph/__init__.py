"""The affinities of the method: between patches that look alike, and between pixels of one colour."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
