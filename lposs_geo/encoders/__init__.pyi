from .dino import value_features as value_features
from .encoder import Encoder as Encoder
from .encoder import PatchFeatures as PatchFeatures
from .loading import choose_device as choose_device
from .loading import load as load
from .maskclip import maskclip_features as maskclip_features
from .maskclip import text_embeddings as text_embeddings
