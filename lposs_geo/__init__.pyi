from . import batch as batch
from . import bench as bench
from . import encoders as encoders
from . import graph as graph
from . import legend as legend
from . import lposs as lposs
from . import mapping as mapping
from . import models as models
from . import polygons as polygons
from . import propagation as propagation
from . import pulling as pulling
from . import scene as scene
from . import stages as stages
from . import store as store
from . import writers as writers
from .batch import Outcome as Outcome
from .batch import map_batch as map_batch
from .errors import LpossGeoError as LpossGeoError
from .legend.building import from_words as from_words
from .legend.legend import Legend as Legend
from .legend.toml_files import read_legend as read_legend
from .mapping import Mapper as Mapper
from .mapping import map_scene as map_scene
from .polygons.vectorize import vectorize as vectorize
from .running import MapResult as MapResult

__version__: str
