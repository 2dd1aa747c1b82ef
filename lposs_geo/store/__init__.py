"""What is finished, on the disk: journals, arrays in them, the folder of a run, the cache of features."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
