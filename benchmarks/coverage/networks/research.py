"""Networks of papers, each in a few lines."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

__all__ = [
    "deformed",
    "dlrm",
    "forecaster",
    "gan_generator",
    "graph_attention",
    "graph_convolutions",
    "monai_volume",
    "normalizing_flow",
    "pix2pix",
    "point_net",
    "radiance_field",
    "segnet",
    "siamese_tracker",
    "spatial_transformer",
    "spline_network",
    "style_gan",
    "style_transfer",
    "super_resolution",
    "unet",
    "wide_and_deep",
]

Example = tuple[Any, tuple[Any, ...]]


class _Function(nn.Module):
    """Layers, and the function that is computed with them."""

    def __init__(self, function: Any, **layers: Any) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *values: Any) -> Any:
        return self.function(self, *values)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def unet() -> Example:
    """Down, up by bilinear resizing, and across."""

    def forward(self: Any, x: Any) -> Any:
        first = self.one(x)
        second = self.two(functional.max_pool2d(first, 2))
        up = functional.interpolate(second, scale_factor=2.0, mode="bilinear", align_corners=True)
        return self.head(torch.cat([first, up], 1))

    layers = {"one": _block(3, 8), "two": _block(8, 16), "head": nn.Conv2d(24, 2, 1)}
    return _Function(forward, **layers), (torch.randn(1, 3, 32, 32),)


def super_resolution() -> Example:
    """ESPCN: pixels out of channels."""
    layers = nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.Tanh(), nn.Conv2d(16, 9, 3, padding=1), nn.PixelShuffle(3)
    )
    return layers, (torch.randn(1, 1, 24, 24),)


def style_transfer() -> Example:
    """Reflected edges, instance normalization, nearest neighbours."""

    def forward(self: Any, x: Any) -> Any:
        y = torch.relu(self.norm(self.first(functional.pad(x, (4, 4, 4, 4), mode="reflect"))))
        y = y + self.norm2(self.second(functional.pad(y, (1, 1, 1, 1), mode="reflect")))
        return self.last(functional.interpolate(y, scale_factor=2.0, mode="nearest"))

    layers = {
        "first": nn.Conv2d(3, 8, 9),
        "norm": nn.InstanceNorm2d(8, affine=True),
        "second": nn.Conv2d(8, 8, 3),
        "norm2": nn.InstanceNorm2d(8, affine=True),
        "last": nn.Conv2d(8, 3, 3, padding=1),
    }
    return _Function(forward, **layers), (torch.randn(1, 3, 24, 24),)


def gan_generator() -> Example:
    """DCGAN's."""
    layers = nn.Sequential(
        nn.ConvTranspose2d(32, 32, 4, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 3, 4, 2, 1),
        nn.Tanh(),
    )
    return layers, (torch.randn(1, 32, 1, 1),)


def style_gan() -> Example:
    """A convolution whose weights the style modulates and demodulates."""

    def forward(self: Any, x: Any, style: Any) -> Any:
        scale = self.affine(self.map(style)).reshape(1, 1, -1, 1, 1) + 1
        weights = self.conv.weight.unsqueeze(0) * scale
        weights = weights * torch.rsqrt((weights**2).sum((2, 3, 4), keepdim=True) + 1e-8)
        return functional.leaky_relu(functional.conv2d(x, weights[0], padding=1), 0.2) * 1.414

    layers = {
        "map": nn.Sequential(nn.Linear(16, 16), nn.LeakyReLU(0.2), nn.Linear(16, 16)),
        "affine": nn.Linear(16, 8),
        "conv": nn.Conv2d(8, 8, 3, bias=False),
    }
    return _Function(forward, **layers), (torch.randn(1, 8, 16, 16), torch.randn(1, 16))


def pix2pix() -> Example:
    """Its generator's outermost levels."""

    def forward(self: Any, x: Any) -> Any:
        one = self.down1(x)
        two = self.down2(functional.leaky_relu(one, 0.2))
        up = self.up2(torch.relu(two))
        return torch.tanh(self.up1(torch.relu(torch.cat([up, one], 1))))

    layers = {
        "down1": nn.Conv2d(3, 8, 4, 2, 1),
        "down2": nn.Conv2d(8, 16, 4, 2, 1),
        "up2": nn.ConvTranspose2d(16, 8, 4, 2, 1),
        "up1": nn.ConvTranspose2d(16, 3, 4, 2, 1),
    }
    return _Function(forward, **layers), (torch.randn(1, 3, 32, 32),)


def point_net() -> Example:
    """Points without an order."""

    def forward(self: Any, x: Any) -> Any:
        turned = torch.bmm(x, (self.turn(x.transpose(1, 2)).amax(2)).reshape(-1, 3, 3) + torch.eye(3))
        return self.head(self.features(turned.transpose(1, 2)).max(2)[0])

    layers = {
        "turn": nn.Conv1d(3, 9, 1),
        "features": nn.Sequential(nn.Conv1d(3, 32, 1), nn.BatchNorm1d(32), nn.ReLU(), nn.Conv1d(32, 64, 1)),
        "head": nn.Linear(64, 5),
    }
    return _Function(forward, **layers), (torch.randn(1, 50, 3),)


def graph_convolutions() -> Example:
    """Messages along edges, added up at their ends."""

    def forward(self: Any, x: Any, edges: Any) -> Any:
        for layer in (self.one, self.two):
            y = layer(x)
            messages = y[edges[0]]
            ends = edges[1].unsqueeze(1).expand_as(messages)
            x = torch.relu(torch.zeros_like(y).scatter_add(0, ends, messages) + y)
        return x

    nodes = {"one": nn.Linear(8, 16), "two": nn.Linear(16, 4)}
    return _Function(forward, **nodes), (torch.randn(10, 8), torch.randint(0, 2, (2, 24)))


def graph_attention() -> Example:
    """Attention between neighbours of a dense graph."""

    def forward(self: Any, x: Any, adjacency: Any) -> Any:
        h = self.project(x)
        scores = functional.leaky_relu(self.left(h) + self.right(h).transpose(0, 1), 0.2)
        weights = torch.where(adjacency > 0, scores, torch.full_like(scores, -1e9)).softmax(1)
        return functional.elu(weights @ h)

    layers = {"project": nn.Linear(8, 16), "left": nn.Linear(16, 1), "right": nn.Linear(16, 1)}
    return _Function(forward, **layers), (torch.randn(12, 8), torch.randn(12, 12))


def dlrm() -> Example:
    """Recommendations: bags of embeddings, and products of all pairs."""

    def forward(self: Any, dense: Any, places: Any) -> Any:
        x = self.bottom(dense)
        found = [x, *(table(places[:, i]) for i, table in enumerate(self.tables))]
        stacked = torch.stack(found, 1)
        pairs = torch.bmm(stacked, stacked.transpose(1, 2))
        row, column = torch.tril_indices(4, 4, -1)
        return torch.sigmoid(self.top(torch.cat([x, pairs[:, row, column]], 1)))

    layers = {
        "bottom": nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8)),
        "tables": nn.ModuleList([nn.Embedding(20, 8) for _ in range(3)]),
        "top": nn.Sequential(nn.Linear(14, 16), nn.ReLU(), nn.Linear(16, 1)),
    }
    return _Function(forward, **layers), (torch.randn(4, 6), torch.randint(0, 2, (4, 3)))


def wide_and_deep() -> Example:
    """Embeddings beside a linear model."""

    def forward(self: Any, dense: Any, place: Any) -> Any:
        deep = self.deep(torch.cat([dense, self.table(place).flatten(1)], 1))
        return torch.sigmoid(deep + self.wide(dense))

    layers = {
        "table": nn.Embedding(20, 4),
        "wide": nn.Linear(6, 1),
        "deep": nn.Sequential(nn.Linear(14, 16), nn.SELU(), nn.Linear(16, 1)),
    }
    return _Function(forward, **layers), (torch.randn(4, 6), torch.randint(0, 2, (4, 2)))


def radiance_field() -> Example:
    """NeRF: sines of coordinates, and light added up along rays."""

    def forward(self: Any, points: Any, steps: Any) -> Any:
        waves = torch.cat([f(points * 2**i) for i in range(4) for f in (torch.sin, torch.cos)], -1)
        y = self.layers(torch.cat([points, waves], -1))
        alpha = 1 - torch.exp(-functional.softplus(y[..., 3]) * steps.abs())
        left = torch.exp(torch.cumsum(torch.log(1 - alpha + 1e-10), 1))
        return (torch.sigmoid(y[..., :3]) * (alpha * left).unsqueeze(-1)).sum(1)

    layers = nn.Sequential(nn.Linear(27, 32), nn.ReLU(), nn.Linear(32, 4))
    return _Function(forward, layers=layers), (torch.randn(6, 8, 3), torch.randn(6, 8))


def normalizing_flow() -> Example:
    """RealNVP: halves that shift and scale each other."""

    def forward(self: Any, x: Any) -> Any:
        total = torch.zeros(x.shape[0])
        for net in self.nets:
            a, b = x.chunk(2, 1)
            scale, shift = net(a).chunk(2, 1)
            scale = torch.tanh(scale)
            x = torch.cat([b * torch.exp(scale) + shift, a], 1)
            total = total + scale.sum(1)
        return x, total

    nets = nn.ModuleList([nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8)) for _ in range(2)])
    return _Function(forward, nets=nets), (torch.randn(5, 8),)


def spline_network() -> Example:
    """KAN: B-splines on each edge."""

    def forward(self: Any, x: Any) -> Any:
        grid = torch.linspace(-2.0, 2.0, 10)
        x = x.unsqueeze(-1)
        bases = ((x >= grid[:-1]) & (x < grid[1:])).float()
        for order in range(1, 3):
            left = (x - grid[: -(order + 1)]) / (grid[order:-1] - grid[: -(order + 1)])
            right = (grid[order + 1 :] - x) / (grid[order + 1 :] - grid[1:-order])
            bases = left * bases[..., :-1] + right * bases[..., 1:]
        return torch.einsum("bik,oik->bo", bases, self.weights)

    return _Function(forward, weights=nn.Parameter(torch.randn(5, 6, 7))), (torch.randn(4, 6),)


def forecaster() -> Example:
    """N-BEATS: what is left of a series goes to the next block."""

    def forward(self: Any, x: Any) -> Any:
        forecast = 0
        for block, back, ahead in zip(self.blocks, self.backs, self.aheads, strict=True):
            y = block(x)
            x, forecast = x - back(y), forecast + ahead(y)
        return forecast

    layers = {
        "blocks": nn.ModuleList([nn.Sequential(nn.Linear(24, 32), nn.ReLU()) for _ in range(3)]),
        "backs": nn.ModuleList([nn.Linear(32, 24) for _ in range(3)]),
        "aheads": nn.ModuleList([nn.Linear(32, 6) for _ in range(3)]),
    }
    return _Function(forward, **layers), (torch.randn(2, 24),)


def spatial_transformer() -> Example:
    """An image, sampled where the network says."""

    def forward(self: Any, x: Any) -> Any:
        theta = self.locate(functional.adaptive_avg_pool2d(x, 4).flatten(1)).reshape(-1, 2, 3)
        rows = torch.linspace(-1, 1, 16)
        y, z = torch.meshgrid(rows, rows, indexing="ij")
        base = torch.stack([z, y, torch.ones_like(y)], -1).reshape(1, -1, 3)
        grid = (base @ theta.transpose(1, 2)).reshape(1, 16, 16, 2)
        return functional.grid_sample(x, grid, align_corners=False)

    return _Function(forward, locate=nn.Linear(48, 6)), (torch.randn(1, 3, 16, 16),)


def deformed() -> Example:
    """Edges repeated and wrapped around, pools over parts of their own."""

    def forward(self: Any, x: Any) -> Any:
        y = self.conv(functional.pad(x, (1, 1, 1, 1), mode="circular"))
        y = torch.cat([functional.adaptive_avg_pool2d(y, n).flatten(1) for n in (1, 2, 4)], 1)
        return functional.normalize(self.head(y), dim=1)

    layers = {"conv": nn.Conv2d(3, 8, 3), "head": nn.Linear(8 * 21, 5)}
    return _Function(forward, **layers), (torch.randn(1, 3, 16, 16),)


def segnet() -> Example:
    """Pools that remember where the largest was."""

    def forward(self: Any, x: Any) -> Any:
        y, places = functional.max_pool2d(self.down(x), 2, return_indices=True)
        return self.up(y * (places % 2).float() + y)

    layers = {"down": _block(3, 8), "up": nn.ConvTranspose2d(8, 2, 2, 2)}
    return _Function(forward, **layers), (torch.randn(1, 3, 16, 16),)


def monai_volume() -> Example:
    """A small network for volumes: 3D convolutions, instance norm, transposed ones back."""
    layers = nn.Sequential(
        nn.Conv3d(1, 8, 3, stride=2, padding=1),
        nn.InstanceNorm3d(8),
        nn.PReLU(),
        nn.Conv3d(8, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.ELU(),
        nn.ConvTranspose3d(8, 2, 2, stride=2),
        nn.Softmax(1),
    )
    return layers, (torch.randn(1, 1, 8, 16, 16),)


def siamese_tracker() -> Example:
    """A template, laid over an image: its features are the weights."""

    def forward(self: Any, template: Any, image: Any) -> Any:
        a, b = self.features(template), self.features(image)
        kernel = a.reshape(8, 1, a.shape[2], a.shape[3])
        return self.head(functional.conv2d(b, kernel, groups=8))

    layers = {"features": nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), "head": nn.Conv2d(8, 1, 1)}
    return _Function(forward, **layers), (torch.randn(1, 3, 8, 8), torch.randn(1, 3, 16, 16))
