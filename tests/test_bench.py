from dataclasses import replace

import numpy as np
import rasterio

from lposs_geo.bench import EncoderSpeed, Report, invented_scene, peak_memory, table

REPORT = Report(
    machine={"processor": "A Processor", "threads": "2"},
    scene="scene.tif",
    model="mini",
    device="cpu",
    rows=1000,
    cols=2000,
    num_classes=6,
    seconds={"load": 0.5, "encode": 6.0, "propagate": 1.0, "refine": 2.0, "write": 0.25, "vectorize": 0.25},
    wall=8.0,
    peak=2_000_000_000,
    footprint=1_250_000_000,
    gpu_peak=None,
    encoder=EncoderSpeed(mpx_per_second=0.5, flops=8e11, matmul_flops=2e12),
)


def test_the_table_tells_each_stage_and_what_the_encoder_does_alone():
    lines = table(REPORT).splitlines()
    assert lines[0] == "scene.tif: 1000 x 2000 px, 6 classes, mini on cpu"
    assert [line.split()[0] for line in lines[3:10]] == [*REPORT.seconds, "wall"]
    assert lines[4].split() == ["encode", "6.00", "0.33", "60.0%"]
    assert "encoder alone 0.50 Mpx/s, 0.80 TFLOP/s, 40% of a matrix product's 2.00; mapping runs at 50% of it" in lines
    assert lines[-2:] == ["memory          2.00 GB at most", "  of the model  1.25 GB at most"]
    assert "GPU memory" in table(replace(REPORT, gpu_peak=5))
    assert REPORT.encoder_share == 0.6


def test_an_invented_scene_is_a_scene(tmp_path):
    with rasterio.open(invented_scene(tmp_path / "a.tif", 64)) as dataset:
        assert (dataset.count, dataset.shape) == (3, (64, 64))
        assert dataset.crs is not None
        assert np.ptp(dataset.read()) > 50


def test_this_process_has_held_some_memory():
    held = peak_memory()
    assert held is None or held > 1e7
