from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from lposs_geo.legend.building import from_words
from lposs_geo.writers.embedded import labels_uri


def test_labels_have_the_colours_of_the_legend_and_are_clear_without_data():
    legend = from_words("forest,grass")
    uri = labels_uri(np.array([[1, 2, 0, 255]], np.uint8), legend)
    kind, data = uri.split(",")
    assert kind == "data:image/png;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))[0]
    assert pixels[:3, :3].tolist() == [list(each.colour) for each in legend.classes] + [[0, 0, 0]]
    assert pixels[:, 3].tolist() == [255, 255, 255, 0]
