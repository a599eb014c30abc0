"""What each layer with a twin does to channels, and how its twin is told their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, final

from torch import Tensor, nn

from stillhouse.core.elastic.batch_norm import ElasticBatchNorm
from stillhouse.core.elastic.convolution import ElasticConv
from stillhouse.core.elastic.embedding import ElasticEmbedding
from stillhouse.core.elastic.graph.channels import Book, Group, Part, tied
from stillhouse.core.elastic.layer_norm import ElasticLayerNorm
from stillhouse.core.elastic.twins import axis_of, genes_of

_TWICE: Final = "a layer used more than once meets them in different ways"


@final
class Layer:
    """One layer with its twin: which channels it reads and gives, as one forward shows."""

    def __init__(self, name: str, plain: nn.Module, twin: nn.Module) -> None:
        self.name, self.plain, self.twin = name, plain, twin
        self.inputs: Part | None = None
        self.outputs: Part | None = None
        self.full_inputs = self.full_outputs = 0
        self.calls = 0

    def note(self, x: Tensor, result: Tensor, book: Book) -> None:
        """Take in one call: ties and names groups, labels the result."""
        labels = list(book.labels(x))
        out: list[Part | None] = [None] * result.dim()
        axis = self._axis(x) % max(1, x.dim())
        reads = None if isinstance(self.twin, ElasticEmbedding) else labels[axis]
        self._sizes(x, result, axis)
        gives = self._outputs(reads, book.moment)
        if self.calls:
            reads, gives = tied([self.inputs, reads], _TWICE), tied([self.outputs, gives], _TWICE)
        self.inputs, self.outputs, self.calls = reads, gives, self.calls + 1
        if isinstance(self.twin, ElasticEmbedding):
            out = [*labels, gives]
        elif result.dim() == x.dim():
            out = [gives if i == axis else part for i, part in enumerate(labels)]
        book.write(result, tuple(self._fitting(out, result, axis)))

    def _fitting(self, out: list[Part | None], result: Tensor, axis: int) -> list[Part | None]:
        """Convolutions' and users' layers know nothing of channels along other axes."""
        if isinstance(self.twin, ElasticConv) or self.declared:
            for i, part in enumerate(out):
                if part is not None and i != axis:
                    part.group.stiffen(f"they are an axis of positions in {self.name}")
                    out[i] = None
        return out

    def _axis(self, x: Tensor) -> int:
        if isinstance(self.twin, ElasticConv):
            return x.dim() - 1 - len(self.twin.kernel)
        if isinstance(self.twin, ElasticBatchNorm):
            return 1
        return axis_of(self.twin) if self.declared else -1

    def _sizes(self, x: Tensor, result: Tensor, axis: int) -> None:
        last = isinstance(self.twin, ElasticEmbedding)
        self.full_inputs = 0 if last else x.shape[axis]
        self.full_outputs = result.shape[-1] if last else result.shape[axis]

    @property
    def kind(self) -> Literal["convolution", "norm", "table", "matrix", "declared"]:
        match self.twin:
            case ElasticConv():
                return "convolution"
            case ElasticBatchNorm() | ElasticLayerNorm():
                return "norm"
            case ElasticEmbedding():
                return "table"
        return "declared" if self.declared else "matrix"

    @property
    def declared(self) -> bool:
        """Whether a user declared the twin."""
        return not type(self.twin).__module__.startswith("stillhouse.core.elastic.")

    @property
    def transparent(self) -> bool:
        """Whether what comes out runs along the same channels as what goes in."""
        norm = isinstance(self.twin, (ElasticBatchNorm, ElasticLayerNorm))
        return norm or (isinstance(self.twin, ElasticConv) and self.twin.depthwise)

    def _outputs(self, reads: Part | None, moment: int) -> Part | None:
        if self.transparent:
            fan = self.full_outputs // self.full_inputs
            return None if reads is None else Part(reads.group, reads.repeat * fan)
        gives = self.outputs or Part(Group(self.full_outputs, self.name, moment))
        groups = self.twin.groups if isinstance(self.twin, ElasticConv) else 1
        if groups > 1:
            gives.group.divide_by(groups)
            if reads is not None:
                reads.group.divide_by(groups)
        return gives


@dataclass(frozen=True)
class Side:
    """How many features of a layer's side are active: a gene's value times `repeat`, or `full`."""

    gene: str | None
    repeat: int
    full: int

    def size(self, values: Mapping[str, Any]) -> int:
        value = values.get(self.gene) if self.gene else None
        return self.full if value is None else int(value) * self.repeat


@dataclass(frozen=True)
class Setting:
    """How a twin follows a configuration; `kind` says what its `set_active` takes."""

    name: str
    twin: Any
    kind: Literal["convolution", "norm", "table", "matrix", "declared"]
    inputs: Side
    outputs: Side
    kernel: str | None
    extra: Mapping[str, str]

    def apply(self, values: Mapping[str, Any]) -> None:
        """Set the twin's active slice; absent genes leave it full."""
        kind, inputs = self.kind, self.inputs.size(values)
        if kind == "norm":
            self.twin.set_active(inputs)
            return
        outputs = self.outputs.size(values)
        if kind == "convolution":
            kernel = values.get(self.kernel) if self.kernel else None
            self.twin.set_active(inputs, outputs, kernel)
        elif kind == "table":
            self.twin.set_active(outputs)
        else:
            self.twin.set_active(inputs, outputs, **self._chosen(values))

    def _chosen(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values of the genes that a user's twin declares."""
        declared = genes_of(self.twin) if self.extra else {}
        return {key: values.get(name, declared[key][-1]) for key, name in self.extra.items()}
