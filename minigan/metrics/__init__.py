"""How good samples are: distances between sets of them, measures of pictures, and the judge that recognises them."""

from minigan.metrics.distances import (
    class_balance,
    confusion,
    correlations,
    density_coverage,
    frechet_distance,
    inception_score,
    jensen_shannon,
    kernel_distance,
    modes,
    nearest_neighbours,
    precision_recall,
)
