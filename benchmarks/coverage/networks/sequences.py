"""Networks for sounds and sequences, each in a few lines."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = [
    "conformer",
    "deep_speech",
    "recurrent",
    "separator",
    "spectrogram",
    "stateful",
    "text_recognizer",
    "transducer",
    "translator",
    "vocoder",
    "voice_activity",
    "wavenet",
]

Example = tuple[Any, tuple[Any, ...]]


class _Recurrent(nn.Module):
    def __init__(self, kind: str, **arguments: Any) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(12, 16, batch_first=True, **arguments)
        width = (arguments.get("proj_size") or 16) * (2 if arguments.get("bidirectional") else 1)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.layer(x)[0])


def recurrent(**arguments: Any) -> Example:
    """Layers of one kind over ten steps."""
    return _Recurrent(**arguments), (torch.randn(1, 10, 12),)


class _Stateful(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(12, 16)

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        y, (h, c) = self.layer(x, (h, c))
        return y, h, c


def stateful() -> Example:
    """An LSTM whose state comes in and goes out."""
    return _Stateful(), (torch.randn(1, 1, 12), torch.randn(1, 1, 16), torch.randn(1, 1, 16))


class _VoiceActivity(nn.Module):
    """After silero's detector: a learned spectrogram, convolutions, an LSTM cell's state in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.basis = nn.Conv1d(1, 66, 64, stride=32, bias=False)
        self.encoder = nn.Sequential(
            nn.Conv1d(33, 32, 3, padding=1), nn.ReLU(), nn.Conv1d(32, 32, 3, stride=2, padding=1), nn.ReLU()
        )
        self.cell = nn.LSTM(32, 32)
        self.head = nn.Sequential(nn.ReLU(), nn.Conv1d(32, 1, 1), nn.Sigmoid())

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        x = nn.functional.pad(x.unsqueeze(1), (0, 32), mode="reflect")
        real, imaginary = self.basis(x).chunk(2, 1)
        y = self.encoder(torch.sqrt(real**2 + imaginary**2))
        y, (h, c) = self.cell(y.permute(2, 0, 1), (h, c))
        return self.head(y.permute(1, 2, 0)).mean((1, 2)), h, c


def voice_activity() -> Example:
    """One window of sound."""
    return _VoiceActivity(), (torch.randn(1, 256), torch.zeros(1, 1, 32), torch.zeros(1, 1, 32))


class _Transducer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(16, 24, num_layers=2, batch_first=True)
        self.embed = nn.Embedding(20, 16)
        self.predictor = nn.GRU(16, 24, batch_first=True)
        self.joint = nn.Sequential(nn.Tanh(), nn.Linear(24, 20), nn.LogSoftmax(-1))

    def forward(self, sound: Any, tokens: Any) -> Any:
        heard = self.encoder(sound)[0].unsqueeze(2)
        said = self.predictor(self.embed(tokens))[0].unsqueeze(1)
        return self.joint(heard + said)


def transducer() -> Example:
    """An RNN-T: encoder, predictor, and what joins them."""
    return _Transducer(), (torch.randn(1, 8, 16), torch.randint(0, 2, (1, 4)))


class _DeepSpeech(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Sequential(
            nn.Conv2d(1, 8, (11, 5), stride=(2, 2), padding=(5, 2)), nn.BatchNorm2d(8), nn.Hardtanh(0, 20)
        )
        self.layers = nn.GRU(8 * 16, 24, num_layers=2, bidirectional=True)
        self.head = nn.Linear(48, 10)

    def forward(self, x: Any) -> Any:
        y = self.front(x)
        y = y.reshape(y.shape[0], -1, y.shape[3]).permute(2, 0, 1)
        return self.head(self.layers(y)[0]).log_softmax(-1)


def deep_speech() -> Example:
    """Convolutions over a spectrogram, then GRU both ways."""
    return _DeepSpeech(), (torch.randn(1, 1, 32, 24),)


class _Conformer(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(4)])
        self.first = nn.Sequential(nn.Linear(width, 64), nn.SiLU(), nn.Linear(64, width))
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.up = nn.Conv1d(width, 2 * width, 1)
        self.deep = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.batch = nn.BatchNorm1d(width)
        self.down = nn.Conv1d(width, width, 1)
        self.last = nn.Sequential(nn.Linear(width, 64), nn.SiLU(), nn.Linear(64, width))

    def forward(self, x: Any) -> Any:
        x = x + 0.5 * self.first(self.norms[0](x))
        y = self.norms[1](x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = nn.functional.glu(self.up(self.norms[2](x).transpose(1, 2)), 1)
        x = x + self.down(nn.functional.silu(self.batch(self.deep(y)))).transpose(1, 2)
        return self.norms[3](x + 0.5 * self.last(x))


def conformer() -> Example:
    """A block of the conformer."""
    return _Conformer(), (torch.randn(1, 20, 32),)


class _Separator(nn.Module):
    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.encoder = nn.Conv1d(1, width, 16, stride=8, bias=False)
        self.norm = nn.GroupNorm(1, width)
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv1d(width, 32, 1),
                    nn.PReLU(),
                    nn.GroupNorm(1, 32),
                    nn.Conv1d(32, 32, 3, padding=2**i, dilation=2**i, groups=32),
                    nn.PReLU(),
                    nn.GroupNorm(1, 32),
                    nn.Conv1d(32, width, 1),
                )
                for i in range(3)
            ]
        )
        self.mask = nn.Conv1d(width, 2 * width, 1)
        self.decoder = nn.ConvTranspose1d(width, 1, 16, stride=8, bias=False)

    def forward(self, sound: Any) -> Any:
        heard = torch.relu(self.encoder(sound))
        y = self.norm(heard)
        for block in self.blocks:
            y = y + block(y)
        masks = torch.sigmoid(self.mask(y)).reshape(sound.shape[0], 2, -1, heard.shape[2])
        parts = [self.decoder(heard * masks[:, i]) for i in range(2)]
        return torch.cat(parts, 1)


def separator() -> Example:
    """Conv-TasNet: two voices out of one."""
    return _Separator(), (torch.randn(1, 1, 320),)


class _WaveNet(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, width, 1)
        self.gates = nn.ModuleList([nn.Conv1d(width, 2 * width, 2, dilation=2**i) for i in range(4)])
        self.mixes = nn.ModuleList([nn.Conv1d(width, width, 1) for _ in range(4)])
        self.last = nn.Conv1d(width, 8, 1)

    def forward(self, x: Any) -> Any:
        y, total = self.first(x), 0
        for i, (gate, mix) in enumerate(zip(self.gates, self.mixes, strict=True)):
            a, b = gate(nn.functional.pad(y, (2**i, 0))).chunk(2, 1)
            skip = mix(torch.tanh(a) * torch.sigmoid(b))
            y, total = y + skip, total + skip
        return self.last(torch.relu(total))


def wavenet() -> Example:
    """Dilated causal convolutions with gates."""
    return _WaveNet(), (torch.randn(1, 1, 64),)


class _TextRecognizer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d((4, 2)),
            nn.MaxPool2d((4, 1)),
        )
        self.read = nn.LSTM(32, 16, bidirectional=True, num_layers=2)
        self.head = nn.Linear(32, 12)

    def forward(self, x: Any) -> Any:
        y = self.look(x).squeeze(2).permute(2, 0, 1)
        return self.head(self.read(y)[0])


def text_recognizer() -> Example:
    """CRNN: a line of text out of an image."""
    return _TextRecognizer(), (torch.randn(1, 1, 32, 40),)


class _Translator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(30, 16), nn.Embedding(30, 16)
        self.encoder = nn.GRU(16, 16, bidirectional=True, batch_first=True)
        self.cell = nn.GRUCell(16 + 32, 24)
        self.ask, self.keys = nn.Linear(24, 16), nn.Linear(32, 16)
        self.score, self.head = nn.Linear(16, 1), nn.Linear(24, 30)

    def forward(self, source: Any, target: Any) -> Any:
        memory = self.encoder(self.source(source))[0]
        state, outputs = memory.new_zeros(source.shape[0], 24), []
        for step in range(target.shape[1]):
            scores = self.score(torch.tanh(self.keys(memory) + self.ask(state).unsqueeze(1)))
            context = (scores.softmax(1) * memory).sum(1)
            state = self.cell(torch.cat([self.target(target[:, step]), context], 1), state)
            outputs.append(self.head(state))
        return torch.stack(outputs, 1)


def translator() -> Example:
    """Additive attention between two GRUs."""
    return _Translator(), (torch.randint(0, 2, (1, 7)), torch.randint(0, 2, (1, 4)))


class _Spectrogram(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.window = nn.Parameter(torch.hann_window(64))
        self.mel = nn.Parameter(torch.rand(33, 12))
        self.head = nn.Conv1d(12, 8, 3)

    def forward(self, sound: Any) -> Any:
        parts = torch.stft(sound, 64, 16, window=self.window, center=False, return_complex=False)
        power = (parts**2).sum(-1)
        return self.head(torch.log(power.transpose(1, 2) @ self.mel + 1e-3).transpose(1, 2))


def spectrogram() -> Example:
    """A mel spectrogram within the model."""
    return _Spectrogram(), (torch.randn(1, 400),)


class _Vocoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(16, 32, 7, padding=3),
            nn.LeakyReLU(0.1),
            nn.ConvTranspose1d(32, 16, 8, stride=4, padding=2),
            nn.LeakyReLU(0.1),
            nn.ConvTranspose1d(16, 8, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv1d(8, 1, 7, padding=3),
            nn.Tanh(),
        )

    def forward(self, mel: Any) -> Any:
        return self.layers(mel)


def vocoder() -> Example:
    """HiFi-GAN's way from a spectrogram to sound."""
    return _Vocoder(), (torch.randn(1, 16, 12),)
