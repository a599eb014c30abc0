"""Which samples look alike, by the cosine of Gram matrices: a loss in one file."""

from stillhouse.core.plugin import LossInfo, hookimpl


@hookimpl
def stillhouse_losses():
    code = "stillhouse_foreign_loss:GramCosine"
    yield LossInfo(name="gram-cosine", summary="1 - cosine of Gram matrices", build=code)


def __getattr__(name):  # so that torch is imported by a run, and not by a listing
    if name != "GramCosine":
        raise AttributeError(name)
    from stillhouse.core.distill.hint_loss import HintLoss

    def gram(features):
        products = (features.flatten(1) @ features.flatten(1).T).flatten()
        return products / products.norm()

    def forward(self, hints):
        pairs = zip(map(gram, hints.student), map(gram, hints.teacher), strict=True)
        return sum(1 - s @ t.detach() for s, t in pairs)

    return type(name, (HintLoss,), {"forward": forward, "__final__": True})
