"""The residual networks for CIFAR by their number of layers."""

from __future__ import annotations

from typing import final

from stillhouse.plugins.models.cnn.family import ConvolutionalFamily


@final
class ResnetFamily(ConvolutionalFamily):
    """He et al. 2016, sec. 4.2: three stages of (size - 2) / 6 blocks, 16, 32 and 64 channels wide.

    One difference: where the shape changes, the shortcut is a convolution of kernel 1 with a batch
    norm (their option B), as in the networks of teacher-assistant distillation (Mirzadeh et al.
    2020). In the paper it is the input, every second position of it, padded with zero channels
    (option A), which has no weights. For 3 x 32 x 32 inputs and 10 labels that makes 2,752 more
    parameters: 272,474 of size 20 (published: 0.27 M), 466,906 of 32 (0.46 M), 661,338 of 44
    (0.66 M), 855,770 of 56 (0.85 M) and 1,730,714 of 110 (1.7 M).
    """

    name = "resnet"
