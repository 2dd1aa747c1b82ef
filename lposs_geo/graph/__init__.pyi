from .patches import PatchAffinity as PatchAffinity
from .patches import lattice_affinity as lattice_affinity
from .patches import patch_affinity as patch_affinity
from .pixels import PixelAffinity as PixelAffinity
from .pixels import pixel_affinity as pixel_affinity
from .pixels import rgb_to_lab as rgb_to_lab
