from .encode import encode_image as encode_image
from .encode import encode_scene as encode_scene
from .features import LatticeFeatures as LatticeFeatures
from .features import stored_features as stored_features
from .label import label_scene as label_scene
from .propagate import patch_scores as patch_scores
from .propagate import patch_seeds as patch_seeds
from .propagate import sample_scores as sample_scores
