from .coverage import PolygonBatch as PolygonBatch
from .coverage import polygon_batches as polygon_batches
from .files import write_polygons as write_polygons
