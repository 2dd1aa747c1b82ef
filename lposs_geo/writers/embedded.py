"""Pictures inside a page of HTML."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lposs_geo.legend.legend import NODATA, Legend
from lposs_geo.writers.quicklook import palette

__all__ = ["data_uri", "labels_uri"]


def labels_uri(labels: NDArray[np.uint8], legend: Legend) -> str:
    """Labels (rows, cols) in the legend's colours, transparent where there is no data."""
    rows, cols = labels.shape
    picture = Image.frombytes("P", (cols, rows), labels.tobytes())
    picture.putpalette(palette(legend).tobytes())
    return data_uri(picture, "png", transparency=NODATA, optimize=True)


def data_uri(picture: Image.Image, kind: str, **options: Any) -> str:
    """A picture as a URL that holds it; `options` are Pillow's for that kind of file."""
    buffer = io.BytesIO()
    picture.save(buffer, format=kind.upper(), **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
