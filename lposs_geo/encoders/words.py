"""The text side of `mini`: any English words -> unit vectors, by a three-layer transformer of 9 MB.

It imitates a MiniLM sentence encoder (training/distil.py). Its words are cut by WordPiece, as BERT's are; the tokenizer
is written out here because thirty lines are less than a dependency.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

from lposs_geo.errors import ModelError, one_line

__all__ = ["TextTransformer", "WordEncoder", "WordPiece", "dequantise", "quantise", "read_tensors"]

MAX_TOKENS = 64
"""Tokens of one phrase, [CLS] and [SEP] included; what is beyond is dropped."""

SCALE_SUFFIX = ".scale"


@dataclass(frozen=True)
class WordPiece:
    """BERT's uncased tokenizer.

    Attributes
    ----------
    vocabulary : Mapping[str, int]
        Piece -> index; pieces that continue a word begin with ``##``.
    """

    vocabulary: Mapping[str, int]

    @classmethod
    def load(cls, path: Path) -> WordPiece:
        """Read a vocabulary file: one piece a line, the line number is the index."""
        return cls({piece: i for i, piece in enumerate(path.read_text(encoding="utf-8").split("\n")) if piece})

    def words(self, text: str) -> list[str]:
        """Lower-case words of `text` without accents; punctuation and CJK characters are words of their own."""
        spaced = []
        for char in unicodedata.normalize("NFD", text.lower()):
            category = unicodedata.category(char)
            if category == "Mn" or char == "\ufffd" or (category[0] == "C" and not char.isspace()):
                continue
            ascii_symbol = 33 <= ord(char) < 127 and not char.isalnum()
            alone = ascii_symbol or category[0] == "P" or "CJK" in unicodedata.name(char, "")
            spaced.append(f" {char} " if alone else char)
        return "".join(spaced).split()

    def pieces(self, word: str) -> list[int]:
        """Indices of the longest pieces, from left to right, that make up `word`; [UNK] where there are none."""
        indices, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                index = self.vocabulary.get(prefix + word[start:end])
                if index is not None:
                    break
            else:
                return [self.vocabulary["[UNK]"]]
            indices.append(index)
            start = end
        return indices

    def encode(self, text: str) -> list[int]:
        """Token indices of `text`, from [CLS] to [SEP], `MAX_TOKENS` at most."""
        inner = [index for word in self.words(text) for index in self.pieces(word[:100])]
        return [self.vocabulary["[CLS]"], *inner[: MAX_TOKENS - 2], self.vocabulary["[SEP]"]]


class TextTransformer(nn.Module):
    """BERT with a low-rank token embedding, mean pooling and a unit-length output.

    Parameters
    ----------
    num_layers : int
        Transformer layers.
    rank : int
        Width of the token table; a linear map widens it to `width`.
    vocabulary_size, width, num_heads : int
        As in MiniLM by default.
    """

    def __init__(
        self, num_layers: int, rank: int, vocabulary_size: int = 30522, width: int = 384, num_heads: int = 12
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary_size, rank)
        self.widen = nn.Linear(rank, width, bias=False)
        self.positions = nn.Parameter(torch.zeros(MAX_TOKENS, width))
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, num_heads, 4 * width, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
            )
            for _ in range(num_layers)
        )

    def forward(self, indices: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Embed token indices (n, t), of which the first `lengths` (n,) count: (n, width), L2-normalised."""
        padding = torch.arange(indices.shape[1], device=indices.device) >= lengths[:, None]
        hidden = self.norm(self.widen(self.tokens(indices)) + self.positions[: indices.shape[1]])
        # without padding the mask is left out: the attention kernels are faster and give the same
        mask = padding if bool(padding.any()) else None
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=mask)
        total = hidden.masked_fill(padding[..., None], 0.0).sum(dim=1)
        return F.normalize(total.float(), dim=-1)


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and tensors of a safetensors file, as they are stored."""
    with safe_open(path, framework="pt") as file:
        return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def quantise(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Matrices as int8 with one float16 scale a row, everything else as float16."""
    stored: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim == 2:
            scale = (tensor.abs().amax(dim=1, keepdim=True) / 127).clamp(min=1e-6).half()
            stored[name] = (tensor / scale.float()).round().clamp(-127, 127).to(torch.int8)
            stored[name + SCALE_SUFFIX] = scale
        else:
            stored[name] = tensor.half().contiguous()
    return stored


def dequantise(stored: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Undo `quantise`: everything as float32."""
    return {
        name: tensor.float() * stored[name + SCALE_SUFFIX].float() if tensor.dtype == torch.int8 else tensor.float()
        for name, tensor in stored.items()
        if not name.endswith(SCALE_SUFFIX)
    }


@dataclass(frozen=True)
class WordEncoder:
    """Words -> unit vectors, on one device.

    Attributes
    ----------
    tokenizer : WordPiece
    transformer : TextTransformer
        In evaluation mode, float32.
    device : torch.device
    """

    tokenizer: WordPiece
    transformer: TextTransformer
    device: torch.device

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> WordEncoder:
        """Read ``words.safetensors`` and ``vocab.txt`` from `folder`.

        Raises
        ------
        ModelError
            A file is missing or isn't what it should be.
        """
        try:
            config, stored = read_tensors(folder / "words.safetensors")
            transformer = TextTransformer(int(config["layers"]), int(config["rank"]))
            transformer.load_state_dict(dequantise(stored))
            tokenizer = WordPiece.load(folder / "vocab.txt")
        except Exception as error:
            raise ModelError(
                f"the text encoder in '{folder}' can't be read ({one_line(error)})", hint="reinstall lposs-geo"
            ) from error
        return cls(tokenizer, transformer.to(device).eval().requires_grad_(False), device)

    @torch.inference_mode()
    def embed(self, phrases: Sequence[str]) -> torch.Tensor:
        """Embed any phrases, (n, 384) float32, L2-normalised; the empty phrase has a vector too."""
        tokens = [self.tokenizer.encode(phrase) for phrase in phrases]
        # one phrase at a time: its vector mustn't depend, not even in its last bit, on what is embedded beside it
        rows = [
            self.transformer(torch.tensor([row], device=self.device), torch.tensor([len(row)], device=self.device))
            for row in tokens
        ]
        return torch.cat(rows) if rows else torch.zeros(0, self.transformer.widen.out_features, device=self.device)
