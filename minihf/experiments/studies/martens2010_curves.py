"""Martens 2010: the CURVES autoencoder, its plateau, and the way off it."""

from minihf.experiments.claims import Ahead, GetsBelow, NeverRises
from minihf.experiments.studies.study import Study

HF, HOUSE, ADAM = "martens2010", "minihf", "adam"

STUDY = Study(
    title="HF on the CURVES autoencoder",
    source="Martens, ICML 2010, and the author's code",
    says="The error stays near that of the mean image for some twenty updates, then falls to a "
    "hundredth of it; the objective on the training data never rises.",
    task="autoencoder-curves-logistic",
    methods=(HF, HOUSE, ADAM),
    claims=(
        NeverRises(HF),
        GetsBelow(HF, 8.0, "half of the mean image's error"),
        Ahead(HF, ADAM, "updates"),
        Ahead(HF, ADAM, "seconds"),
        Ahead(HOUSE, HF, "seconds"),
    ),
    seconds=75,
    cases=4000,
)
