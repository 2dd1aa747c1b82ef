"""lposs-geo: words in, a finished land-cover map out.

    >>> import lposs_geo
    >>> lposs_geo.map_scene("scene.tif", "forest,water,road", "map.tif")  # doctest: +SKIP

Importing this package loads neither torch nor GDAL: each name, here and in the wings, brings in what it needs when it
is first used. They are listed in the ``__init__.pyi`` beside this file.
"""

import lazy_loader

from lposs_geo import network

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

if network.is_forbidden():  # before GDAL is loaded
    network.forbid()
