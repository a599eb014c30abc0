"""Clusters of layers from their distances, and the taps that stand for them."""

from stillhouse.core.search.clustering.cluster import AUTO as AUTO
from stillhouse.core.search.clustering.cluster import CENTRES as CENTRES
from stillhouse.core.search.clustering.cluster import CLUSTERERS as CLUSTERERS
from stillhouse.core.search.clustering.cluster import Clustering as Clustering
from stillhouse.core.search.clustering.cluster import cluster as cluster
from stillhouse.core.search.clustering.silhouette import k_by_silhouette as k_by_silhouette
from stillhouse.core.search.clustering.silhouette import silhouette as silhouette
from stillhouse.core.search.clustering.spacing import ends as ends
from stillhouse.core.search.clustering.spacing import spread as spread
