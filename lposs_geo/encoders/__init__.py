"""Crops become VLM and VM patch features, words become text embeddings: the bundled `mini`, or a pair of models."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
