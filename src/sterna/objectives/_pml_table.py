"""What of pytorch-metric-learning is offered between images and captions, and how; what is not, and why."""

from __future__ import annotations

__all__ = [
    "CLASS_REGULARIZERS",
    "CONFLICTS",
    "DEFAULTS",
    "LEFT_OUT",
    "LOSSES",
    "METRIC_LEARNING",
    "NOT_NEGATIVE",
    "OF_SIMILARITIES",
    "POSITIVE",
]

# The losses, and the way each is computed (see `sterna.objectives._pml_ways`):
#   between  images against captions and captions against images, as the library's reference set
#   joined   images and captions as one set, of which only triplets across the two count
#   pairs    the same of pairs
#   rounds   as pairs, with one caption of each image at a time
#   together images and captions as one set, all pairs: the loss knows no other
#   matched  each caption with its image, row by row
#   classes  every training image is a class, of itself and of its captions
LOSSES: dict[str, str] = {
    "AngularLoss": "between",
    "ArcFaceLoss": "classes",
    "CircleLoss": "between",
    "ContrastiveLoss": "between",
    "CosFaceLoss": "classes",
    "DynamicSoftMarginLoss": "between",
    "FastAPLoss": "together",
    "GeneralizedLiftedStructureLoss": "between",
    "HistogramLoss": "joined",
    "LargeMarginSoftmaxLoss": "classes",
    "LiftedStructureLoss": "pairs",
    "MarginLoss": "between",
    "MultiSimilarityLoss": "between",
    "NCALoss": "between",
    "NPairsLoss": "rounds",
    "NTXentLoss": "between",
    "NormalizedSoftmaxLoss": "classes",
    "PNPLoss": "together",
    "ProxyAnchorLoss": "classes",
    "ProxyNCALoss": "classes",
    "RankedListLoss": "together",
    "SignalToNoiseRatioContrastiveLoss": "between",
    "SoftTripleLoss": "classes",
    "SphereFaceLoss": "classes",
    "SubCenterArcFaceLoss": "classes",
    "SupConLoss": "between",
    "ThresholdConsistentMarginLoss": "pairs",
    "TripletMarginLoss": "between",
    "TupletMarginLoss": "between",
    "VICRegLoss": "matched",
}

# What may be asked for, by its place in the library.
METRIC_LEARNING: dict[str, tuple[str, ...]] = {
    "losses": tuple(LOSSES),
    "distances": ("CosineSimilarity", "DotProductSimilarity", "LpDistance", "SNRDistance"),
    "reducers": (
        "AvgNonZeroReducer",
        "ClassWeightedReducer",
        "DivisorReducer",
        "MeanReducer",
        "MultipleReducers",
        "PerAnchorReducer",
        "SumReducer",
        "ThresholdReducer",
    ),
    "regularizers": (
        "CenterInvariantRegularizer",
        "LpRegularizer",
        "RegularFaceRegularizer",
        "SparseCentersRegularizer",
        "ZeroMeanRegularizer",
    ),
    "miners": (
        "AngularMiner",
        "BatchEasyHardMiner",
        "BatchHardMiner",
        "DistanceWeightedMiner",
        "HDCMiner",
        "MultiSimilarityMiner",
        "PairMarginMiner",
        "TripletMarginMiner",
        "UniformHistogramMiner",
    ),
}

LEFT_OUT: dict[str, str] = {
    "BaseDistance": "what others are made of",
    "BaseLossWrapper": "what others are made of",
    "BaseMetricLossFunction": "what others are made of",
    "BaseMiner": "what others are made of",
    "BaseReducer": "what others are made of",
    "BaseRegularizer": "what others are made of",
    "EmbeddingRegularizerMixin": "what others are made of",
    "GenericPairLoss": "what others are made of",
    "WeightRegularizerMixin": "what others are made of",
    "BatchedDistance": "hands similarities to a function instead of giving them",
    "CrossBatchMemory": "its memory holds one set, and would compare images with images",
    "DoNothingReducer": "gives no loss to minimise",
    "EmbeddingsAlreadyPackagedAsTriplets": "batches hold images with their captions, not triplets",
    "IntraPairVarianceLoss": "makes positives alike and negatives alike, and tells neither from the other",
    "InstanceLoss": "takes other captions of an image as its negatives; `instance` does not",
    "ManifoldLoss": "takes no labels: what belongs together is drawn at random",
    "MultipleLosses": "weighted_sum does that",
    "P2SGradLoss": "is divided by the number of classes; with every image a class it hardly moves",
    "SelfSupervisedLoss": "one caption an image; all losses here pair images and captions",
    "SmoothAPLoss": "needs as many captions for every image; `smooth_ap` does not",
}

# What the library asks for and we have an answer to, and what it answers otherwise: of several centers of a
# class, an image and its captions could each choose another.
DEFAULTS: dict[str, dict[str, float]] = {
    "RankedListLoss": {"margin": 0.4, "Tn": 5.0},
    "SoftTripleLoss": {"centers_per_class": 1},
    "SparseCentersRegularizer": {"centers_per_class": 2},
    "SubCenterArcFaceLoss": {"sub_centers": 1},
}

# Where the library's defaults are meant for distances, those that mean the same of similarities.
OF_SIMILARITIES: dict[str, dict[str, float]] = {
    "ContrastiveLoss": {"pos_margin": 1.0, "neg_margin": 0.0},
    "GeneralizedLiftedStructureLoss": {"pos_margin": 1.0, "neg_margin": 0.0},
    "LiftedStructureLoss": {"pos_margin": 1.0, "neg_margin": 0.0},
    "MarginLoss": {"beta": 0.5},
    "PairMarginMiner": {"pos_margin": 0.8, "neg_margin": 0.2},
}

CLASS_REGULARIZERS = ("RegularFaceRegularizer", "SparseCentersRegularizer")
"""would push captions of one image apart: for the classes' vectors alone"""

# Parts that cannot go together, and why.
CONFLICTS: tuple[tuple[str, frozenset[str], str], ...] = (
    (
        "DivisorReducer",
        frozenset(LOSSES) - {"MarginLoss", "ProxyAnchorLoss"},
        "divides by a number that only MarginLoss and ProxyAnchorLoss have",
    ),
    (
        "PerAnchorReducer",
        frozenset({"MarginLoss", "TripletMarginLoss"}),
        "has no mean over triplets",
    ),
    (
        "ClassWeightedReducer",
        frozenset({"ProxyAnchorLoss", "VICRegLoss"}),
        "weighs images, and this loss has no term for each",
    ),
    ("HDCMiner", frozenset({"HistogramLoss"}), "leaves too few triplets for a histogram to learn from"),
    (
        "PairMarginMiner",
        frozenset({"HistogramLoss", "MarginLoss"}),
        "leaves too few triplets for this loss to learn from",
    ),
    ("CosineSimilarity", frozenset({"RankedListLoss"}), "is a similarity, and this loss takes distances"),
    ("DotProductSimilarity", frozenset({"RankedListLoss"}), "is a similarity, and this loss takes distances"),
    ("LpDistance", frozenset({"HistogramLoss"}), "is a distance, and this loss takes similarities"),
    ("SNRDistance", frozenset({"HistogramLoss"}), "is a distance, and this loss takes similarities"),
)

POSITIVE = frozenset(
    {
        "anneal",
        "b",
        "centers_per_class",
        "delta",
        "embedding_size",
        "eps",
        "filter_percentage",
        "gamma",
        "la",
        "momentum",
        "n_bins",
        "neg_per_bin",
        "num_bins",
        "num_classes",
        "p",
        "pos_per_bin",
        "power",
        "scale",
        "softmax_scale",
        "sub_centers",
        "temperature",
        "triplets_per_anchor",
    }
)
NOT_NEGATIVE = frozenset(
    {
        "Tn",
        "Tp",
        "alpha",
        "angle",
        "covariance_v",
        "cutoff",
        "embedding_reg_weight",
        "epsilon",
        "invariance_lambda",
        "lambda_minus",
        "lambda_plus",
        "m",
        "margin",
        "neg_eps",
        "nonzero_loss_cutoff",
        "nu",
        "pos_eps",
        "variance_mu",
        "weight_reg_weight",
    }
)
