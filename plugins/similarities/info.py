"""The built-in similarities of layers, described without importing what computes them."""

from __future__ import annotations

from collections.abc import Iterator

from stillhouse.core.plugin import SimilarityInfo, hookimpl


@hookimpl
def stillhouse_similarities() -> Iterator[SimilarityInfo]:
    yield SimilarityInfo(
        name="linear-cka",
        summary="Centred kernel alignment of linear kernels (Kornblith et al. 2019; default)",
        build="stillhouse.plugins.similarities.linear_cka:LinearCka",
    )
    yield SimilarityInfo(
        name="rbf-cka",
        summary="Centred kernel alignment of Gaussian kernels (Kornblith et al. 2019)",
        build="stillhouse.plugins.similarities.rbf_cka:RbfCka",
    )
    yield SimilarityInfo(
        name="r2-cca",
        summary="Mean squared canonical correlation (Kornblith et al. 2019); needs many samples",
        build="stillhouse.plugins.similarities.r2_cca:R2Cca",
    )
    yield SimilarityInfo(
        name="procrustes",
        summary="Overlap after the best rotation (orthogonal Procrustes; Ding et al. 2021)",
        build="stillhouse.plugins.similarities.procrustes:Procrustes",
    )
    yield SimilarityInfo(
        name="rsa",
        summary="Rank correlation of distances between samples (Kriegeskorte et al. 2008)",
        build="stillhouse.plugins.similarities.rsa:Rsa",
    )
