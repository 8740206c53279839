"""The whole detector: from pixels to final boxes, scores and labels, nothing left to do for whoever runs it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightsmith_training.engine.detection.decoding import bin_distances, decode_boxes
from sightsmith_training.engine.detection.network import BINS, NanoDet
from sightsmith_training.engine.detection.score_line import NO_CHANGE, ScoreLine
from sightsmith_training.engine.detection.suppression import survivors
from sightsmith_training.engine.detection.tiling import Tile, enlarge, tiles_of

KEPT = 100
"""How many detections are given for every image; places that are not needed have a score of 0."""

_CANDIDATES = 300
_ALLOWED_OVERLAP = 0.6  # NanoDet's own.


class Detector(nn.Module):
    """A network with decoding, calibration and suppression, for inputs of one side.

    Attributes:
        side: of the input in pixels.
        enlargement: how many times larger the network sees it, see `tiles_of`.
        labels: how many labels it tells apart.
        line: calibrates the scores.
    """

    points: Tensor
    positions: Tensor
    bins: Tensor

    def __init__(self, network: NanoDet, side: int, line: ScoreLine = NO_CHANGE, enlargement: int = 1) -> None:
        super().__init__()
        self.line = line
        self.side = side
        self.enlargement = enlargement
        self._tiles = tiles_of(side, enlargement)
        self.labels = network.labels
        self.network = network
        self.register_buffer("points", torch.cat([tile.points for tile in self._tiles]), persistent=False)
        self.register_buffer("positions", torch.stack([tile.positions for tile in self._tiles]), persistent=False)
        self.register_buffer("bins", bin_distances(), persistent=False)
        self.eval()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Finds objects.

        Args:
            pixels: uint8 RGB, shape [batch, side, side, 3].

        Returns:
            Boxes, float32 [batch, KEPT, 4], left, top, right, bottom as shares of the image's sides, 0 to 1; scores,
            float32 [batch, KEPT], 0 to 1, the highest first; labels, int32 [batch, KEPT].
        """
        label_logits, distance_logits = torch.split(self._answers(pixels), [self.labels, 4 * BINS], -1)
        boxes = decode_boxes(distance_logits, self.points, self.bins) / (self.side * self.enlargement)
        boxes = boxes.clamp(0, 1)
        label_scores = (self.line.scale * label_logits + self.line.shift).sigmoid()
        candidates = min(_CANDIDATES, len(self.points) * self.labels)
        scores, places = label_scores.flatten(1).topk(candidates)
        labels = places % self.labels
        boxes = _pick(boxes, places.div(self.labels, rounding_mode="floor"))
        kept = min(KEPT, candidates)
        scores, places = (scores * survivors(boxes, labels, _ALLOWED_OVERLAP)).topk(kept)
        boxes, labels = _pick(boxes, places), labels.gather(1, places).to(torch.int32)
        missing = KEPT - kept
        return (
            functional.pad(boxes, (0, 0, 0, missing)),
            functional.pad(scores, (0, missing)),
            functional.pad(labels, (0, missing)),
        )

    def _answers(self, pixels: Tensor) -> Tensor:
        if self.enlargement == 1:
            answers: Tensor = self.network(pixels)
            return answers
        pairs = zip(self._tiles, self.positions.unbind(), strict=True)
        return torch.cat([self._seen(tile, pixels)[:, positions] for tile, positions in pairs], 1)

    def _seen(self, tile: Tile, pixels: Tensor) -> Tensor:
        shown = pixels[:, tile.top : tile.top + tile.side, tile.left : tile.left + tile.side]
        answers: Tensor = self.network(enlarge(shown, self.enlargement))
        return answers


def _pick(boxes: Tensor, places: Tensor) -> Tensor:
    return boxes.gather(1, places[:, :, None].expand(-1, -1, 4))
